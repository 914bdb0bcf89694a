package main

import (
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The demo ends with a page on which the event that it has delayed, and nothing else, makes values differ, and an explanation marks this event.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("trains on a year of flights")
	}
	out := t.TempDir()
	c := exec.Command("unskew", "-C", "../../examples/flights", "demo", "--rows", "20", "--out", out)
	text, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !strings.HasSuffix(string(text), "\nparity: 1400 compared, 0 different\n") || !strings.Contains(string(text), filepath.Join(out, demoPage)+": open it in a browser") {
		t.Errorf("%s", text)
	}
	planted := regexp.MustCompile(`A fault, planted: event (\S+) of source departures`).FindStringSubmatch(string(text))
	page, err := os.ReadFile(filepath.Join(out, demoPage))
	if err != nil || planted == nil {
		t.Fatal(err, planted)
	}
	whole := html.UnescapeString(string(page))
	for _, want := range []string{
		"with a planted fault: the event " + planted[1] + " of source departures", "<b>Compute parity holds.</b>", "<b>late:</b>", `<td class="left wrap">` + planted[1] + `</td><td class="left wrap">`, "<b>training only</b>",
	} {
		if !strings.Contains(whole, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, e := range regexp.MustCompile(`<tr class="only">.*`).FindAllString(whole, -1) {
		if !strings.Contains(e, planted[1]) {
			t.Errorf("another event makes a difference: %s", e)
		}
	}
	if causes := regexp.MustCompile(`class="key cause-(\w+)"`).FindAllStringSubmatch(whole, -1); len(causes) == 0 {
		t.Error("no cause")
	} else {
		for _, c := range causes {
			if c[1] != "late" {
				t.Errorf("there is the cause %s", c[1])
			}
		}
	}
}
