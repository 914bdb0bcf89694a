package main

import (
	"html"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// awaitPage waits until a page of a server has a text, and returns the page.
func (f *fleet) awaitPage(url string, text *regexp.Regexp) string {
	f.Helper()
	begun, again := time.Now(), time.NewTicker(100*time.Millisecond)
	defer again.Stop()
	for ; ; <-again.C {
		status, _, page, err := ask(url, "")
		f.check(err)
		if status == http.StatusOK && text.MatchString(page) {
			return page
		}
		if time.Since(begun) > time.Minute {
			f.Fatalf("%s has no %s: %d %s", url, text, status, page)
		}
	}
}

// While one of two servers has another definition, the metrics, the report, the page and the explanation of the other one say so, and so does parity
// --served.
func TestP21_AnotherDefinitionIsOnThePage(t *testing.T) {
	f := newFleet(t, 0)
	first, err := startServer(f.dir, nil, "--served-log", "100%", "--parity")
	f.check(err)
	path := filepath.Join(f.dir, "features", "churn.yaml")
	text, err := os.ReadFile(path)
	f.check(err)
	f.write("features/churn.yaml", strings.Replace(string(text), `default: "??"`, `default: "!!"`, 1))
	f.run("materialize", "-q")
	second, err := startServer(f.dir, nil, "--served-log", "100%")
	f.check(err)
	status, _, answer, err := ask(second.url+"/v1/services/churn_v1:read", readBody)
	if err != nil || status != http.StatusOK || !strings.Contains(answer, `"!!"`) {
		t.Fatal(err, status, answer)
	}
	f.check(second.terminate()) // what it has recorded is complete

	page := f.awaitPage(first.url+"/ui/", regexp.MustCompile(`<a href="(/ui/differences/[0-9a-f]+)">spending\.last_country</a></th><td class="left"><span class="key cause-version">`))
	link := regexp.MustCompile(`/ui/differences/[0-9a-f]+`).FindString(page)
	f.awaitPage(first.url+link, regexp.MustCompile(`<td class="left wrap">&#34;!!&#34;</td>[\s\S]*<td class="left wrap">&#34;\?\?&#34;</td>[\s\S]*<b>version:</b>`))
	f.awaitPage(first.url+link+"/events", regexp.MustCompile(`was served, by a version or build of the view that is no longer live`))
	f.awaitPage(first.url+"/parity", regexp.MustCompile(`"version": 1\b`))
	f.awaitPage(first.url+"/metrics", regexp.MustCompile(`unskew_parity_different_values_total\{cause="version",comparison="data",feature="spending.last_country",service="churn_v1"\} 1\n`))
	f.check(first.terminate())

	f.write("features/churn.yaml", string(text))
	report, _ := f.run("parity", "--served", "-q", "--html", "parity.html")
	if !strings.Contains(report, "version 1") {
		t.Error(report)
	}
	written, err := os.ReadFile(filepath.Join(f.dir, "parity.html"))
	if err != nil || !strings.Contains(html.UnescapeString(string(written)), `<b>version:</b>`) {
		t.Error(err, len(written))
	}
}
