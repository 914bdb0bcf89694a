package main

import (
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// A few seconds of each store, against the command as users have it.
func TestShortSoak(t *testing.T) {
	command, err := bench.BuildCommand()
	if err != nil {
		t.Fatal(err)
	}
	r, err := run(t.Context(), options{command: command, length: 5 * time.Second}, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures > 0 || r.Reads == 0 || r.Pushed == 0 || r.Rebuilds == 0 {
		t.Errorf("%+v", r)
	}
	// Caches still fill; what must not grow even now is what leaks with each request.
	for _, what := range r.Growing {
		if !strings.HasSuffix(what, " heap") {
			t.Errorf("%s grows", what)
		}
	}
}

func TestTrends(t *testing.T) {
	m := measures[2] // goroutines, with a slack of 20
	series := func(value func(i int) float64) (all []sample) {
		for i := range 90 {
			all = append(all, sample{seconds: float64(i), goroutines: value(i)})
		}
		return all
	}
	for _, c := range []struct {
		name    string
		value   func(i int) float64
		growing bool
	}{
		{"flat", func(int) float64 { return 100 }, false},
		{"noise", func(i int) float64 { return 100 + float64(i%2*50) }, false},
		{"falling", func(i int) float64 { return 500 - float64(i) }, false},
		{"only in the warm-up", func(i int) float64 { return 100 + float64(min(i, 30)*10) }, false},
		{"a leak", func(i int) float64 { return 100 + float64(i) }, true},
		{"a leak within the slack", func(i int) float64 { return 100 + float64(i)/5 }, false},
		{"a leak within a tenth of much", func(i int) float64 { return 10_000 + float64(i*10) }, false},
		{"a leak in noise", func(i int) float64 { return 100 + float64(i) + float64(i%2*50) }, true},
	} {
		if got := m.judge(series(c.value)); got.growing != c.growing {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
