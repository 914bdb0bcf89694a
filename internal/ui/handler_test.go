package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
)

// found is what a server has found.
type found struct{ reports []*recompute.Report }

func (f found) Status() recompute.ShadowStatus {
	return recompute.ShadowStatus{Rounds: 3, LastRound: "2025-03-03T23:59:59Z", TookSeconds: 2.125, Share: 1}
}

func (f found) Reports() []*recompute.Report { return f.reports }

// served is the pages of a server.
type served struct {
	t testing.TB
	http.Handler
}

func site(t testing.TB, p *Parity, change func(*Config)) served {
	c := Config{Project: p.Project, Plan: p.Plan, Checks: found{p.Reports}, Explain: func(context.Context, string, string, int64) (*explain.Explanation, error) {
		return explanation(cell(plan.DoubleValue(41.25), "PRESENT"), cell(plan.DoubleValue(58.5), "PRESENT")), nil
	}}
	if change != nil {
		change(&c)
	}
	return served{t, Handler(c)}
}

func (s served) get(path string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// Every link of a page leads to another one, and so on; nothing else is loaded.
func TestLinksLeadSomewhere(t *testing.T) {
	s := site(t, manyFeatures(t, 250), nil)
	seen := map[string]bool{}
	todo := []string{"/ui/"}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if path, _, _ = strings.Cut(path, "#"); path == "" || seen[path] {
			continue
		}
		seen[path] = true
		w := s.get(path)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for tag, of := range map[string]string{"a": "href", "script": "src", "link": "href"} {
			for _, n := range find(t, w.Body.String(), tag) {
				if to := attr(n, of); strings.HasPrefix(to, "/") {
					todo = append(todo, to)
				}
			}
		}
	}
	for _, want := range []string{"/ui/?page=3", "/ui/?service=fraud_v1", s.pathOf(0) + "/events", "/ui/assets/" + nameOf(script) + ".js", "/ui/assets/" + nameOf(styleText) + ".css"} {
		if !seen[want] {
			t.Errorf("nothing leads to %s", want)
		}
	}
	if w := s.get("/ui"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "/ui/" {
		t.Error(w.Code, w.Header())
	}
}

// pathOf is the page of a difference of the fixture.
func (s served) pathOf(i int) string {
	r := fixture(s.t).Reports[0]
	return "/ui/differences/" + ID(r.Service, &r.Examples[i])
}

func TestBadAddresses(t *testing.T) {
	s := site(t, fixture(t), nil)
	for path, want := range map[string]int{
		"/ui/none": 404, "/ui/differences/0123": 404, "/ui/differences/0123/events": 404, "/ui/?service=none": 404, "/ui/?page=x": 400, "/ui/?q=" + strings.Repeat("a", maxQuery+1): 400,
		"/ui/?page=-1": 200, "/ui/?page=999999": 200, "/ui/assets/0000.js": 404,
	} {
		if w := s.get(path); w.Code != want || !strings.Contains(w.Body.String(), "<title>") {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	r := httptest.NewRequest("POST", "/ui/", nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code == 200 {
		t.Error("a page was changed")
	}
}

// TestP17_PagesAreNotForOtherSites: what a browser loads for a page of another site is refused, also with a password that it keeps.
func TestP17_PagesAreNotForOtherSites(t *testing.T) {
	s := site(t, fixture(t), nil)
	for _, c := range []struct {
		site, mode, dest string
		want             int
	}{
		{"none", "navigate", "document", 200}, {"same-origin", "no-cors", "script", 200}, {"cross-site", "navigate", "document", 200},
		{"cross-site", "no-cors", "script", 403}, {"cross-site", "navigate", "iframe", 403}, {"same-site", "cors", "empty", 403}, {"", "", "", 200},
	} {
		if w := s.get("/ui/", "Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode, "Sec-Fetch-Dest", c.dest); w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}

// Without checks the page says so, and how to have them.
func TestChecksAreOff(t *testing.T) {
	s := site(t, fixture(t), func(c *Config) { c.Checks = nil })
	text := s.get("/ui/").Body.String()
	if !strings.Contains(text, "Parity checks are off.") || !strings.Contains(text, "unskew serve --served-log 5% --parity") || len(find(t, text, "table")) > 0 {
		t.Error(text)
	}
	on := site(t, fixture(t), nil).get("/ui/").Body.String()
	if strings.Contains(on, "checks are off") || !strings.Contains(on, "3 rounds since the server was started") {
		t.Error(on)
	}
}

// The history is read for one explanation at a time, and not again for the same; what fails is said.
func TestExplanations(t *testing.T) {
	calls := 0
	begun, end := make(chan struct{}), make(chan struct{})
	fail := error(nil)
	s := site(t, fixture(t), func(c *Config) {
		c.Explain = func(ctx context.Context, output, request string, row int64) (*explain.Explanation, error) {
			calls++
			if _, bounded := ctx.Deadline(); !bounded || output != "spending.mean_30d" || !strings.HasPrefix(request, "7QX4KJ2") {
				t.Errorf("%s %s %d", output, request, row)
			}
			begun <- struct{}{}
			<-end
			return explanation(cell(plan.DoubleValue(41.25), "PRESENT"), cell(plan.DoubleValue(58.5), "PRESENT")), fail
		}
	})
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- s.get(s.pathOf(1) + "/events") }()
	<-begun
	if w := s.get(s.pathOf(2) + "/events"); w.Code != 503 {
		t.Errorf("two at a time: %d", w.Code)
	}
	if w := s.get(s.pathOf(1)); w.Code != 200 || strings.Contains(w.Body.String(), "training only") {
		t.Errorf("the page of a difference waits: %d", w.Code)
	}
	close(end)
	if w := <-done; w.Code != 200 || !strings.Contains(w.Body.String(), "training only") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{s.pathOf(1), s.pathOf(1) + "/events"} {
		if w := s.get(path); !strings.Contains(w.Body.String(), "training only") || calls != 1 {
			t.Errorf("%s: %d calls", path, calls)
		}
	}
	for _, c := range []struct {
		err  error
		want string
	}{{errors.New("the files are gone"), "the files are gone"}, {fmt.Errorf("read: %w", context.DeadlineExceeded), "takes more than 30s"}} {
		fail = c.err
		go func() { <-begun }()
		if w := s.get(s.pathOf(2) + "/events"); w.Code != 200 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
	if w := s.get(s.pathOf(4)); strings.Contains(w.Body.String(), "/events") {
		t.Error("a derived feature cannot be explained")
	}
}

// What is kept of explanations is bounded.
func TestExplanationsAreForgotten(t *testing.T) {
	h := &handler{explained: map[string]Explained{}}
	for i := range 3 * mostExplained {
		h.keep(fmt.Sprint(i), Explained{})
		h.keep(fmt.Sprint(i), Explained{})
	}
	if len(h.explained) != mostExplained || len(h.order) != mostExplained || h.kept("0") != nil || h.kept(fmt.Sprint(3*mostExplained-1)) == nil {
		t.Errorf("%d %d", len(h.explained), len(h.order))
	}
}

// A page about 1,000 features takes less than 200 ms and has a bounded size, and its table is searched by the server.
func TestPagesAreFast(t *testing.T) {
	s := site(t, manyFeatures(t, 1000), nil)
	took := time.Hour
	for range 5 { // other tests may run beside this one
		begin := time.Now()
		w := s.get("/ui/?page=7")
		took = min(took, time.Since(begin))
		if rows := strings.Count(w.Body.String(), "<tr><th scope=\"row\">f0"); rows != pageRows || w.Body.Len() > 400_000 || !strings.Contains(w.Body.String(), "page 7 of 10, 1000 features") {
			t.Errorf("%d rows, %d bytes", rows, w.Body.Len())
		}
	}
	if took > 200*time.Millisecond {
		t.Errorf("a page takes %v", took)
	}
	if w := s.get("/ui/?q=F0012"); strings.Count(w.Body.String(), "<tr><th scope=\"row\">f0012") != 10 {
		t.Error("the search finds other features")
	}
}

// Of many pages at a time, some have to be loaded again.
func TestPagesAtATime(t *testing.T) {
	h := &handler{pages: make(chan struct{}, 1)}
	in, out := make(chan struct{}), make(chan struct{})
	f := h.bounded(func(http.ResponseWriter, *http.Request) { in <- struct{}{}; <-out })
	go f(httptest.NewRecorder(), httptest.NewRequest("GET", "/ui/", nil))
	<-in
	w := httptest.NewRecorder()
	f(w, httptest.NewRequest("GET", "/ui/", nil))
	close(out)
	if w.Code != 503 {
		t.Error(w.Code)
	}
}
