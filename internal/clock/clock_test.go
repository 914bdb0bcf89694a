package clock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/pebble"
)

const noon = plan.EventTime(1735732800000000)

// A wrong clock is reported once, when it begins to be wrong, and is in the metrics. It is an error
// while no time can be trusted [b11].
func TestB11_ClocksAreWatched(t *testing.T) {
	now, elapsed, skew, unreachable := noon, time.Hour, plan.Micros(0), error(nil)
	log, err := pebble.Open("log", pebble.Options{FS: vfs.NewMem(), Clock: func() plan.EventTime { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var said bytes.Buffer
	w := New(Config{
		Log: log, Sources: []string{"pay"}, Now: func() plan.EventTime { return now }, Elapsed: func() time.Duration { return elapsed },
		Skew:   func(context.Context) (plan.Micros, error) { return skew, unreachable },
		Report: slog.New(slog.NewTextHandler(&said, nil)),
	})
	metrics := prometheus.NewRegistry()
	w.Register(metrics)
	push := func() {
		if _, err := log.Append(t.Context(), "pay", []eventlog.Entry{{}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		says string // "" for nothing
		err  string
		want map[string]float64
	}{
		{"nothing", func() {}, "", "", map[string]float64{"unskew_clock_steps_total": 0, "unskew_log_ahead_seconds": 0}},
		{"time goes by", func() { push(); now += 5_000_000; elapsed += 5 * time.Second }, "", "", nil},
		{"the clock is set by a little", func() { now += 900_000 }, "", "", map[string]float64{"unskew_clock_steps_total": 0}},
		{"the clock is set", func() { now += plan.EventTime(30 * plan.Day) }, "was set", "", map[string]float64{"unskew_clock_steps_total": 1}},
		{"an event is pushed", push, "", "", map[string]float64{"unskew_log_ahead_seconds": 0}},
		{"the clock is set back", func() { now -= plan.EventTime(30 * plan.Day) }, "set-back pay", "",
			map[string]float64{"unskew_clock_steps_total": 2, "unskew_log_ahead_seconds": 30 * 24 * 3600}},
		{"nothing changes", func() {}, "", "", nil},
		{"the time is set back", func() {
			if _, err := log.SetBack(t.Context(), "pay", now); err != nil {
				t.Fatal(err)
			}
		}, "", "", map[string]float64{"unskew_log_ahead_seconds": 0}},
		{"the server is off", func() { skew = -2 * plan.Second }, "differs from", "", map[string]float64{"unskew_clock_skew_seconds": -2}},
		{"the server is far off", func() { skew = 31 * plan.Second }, "", "31s off that of the log's server", map[string]float64{"unskew_clock_skew_seconds": 31}},
		{"the server is away", func() { unreachable = errors.New("no answer") }, "", "no answer", map[string]float64{"unskew_clock_skew_seconds": 31}},
		{"all is well", func() { unreachable, skew = nil, 0 }, "", "", map[string]float64{"unskew_clock_skew_seconds": 0}},
	} {
		said.Reset()
		step.do()
		err := w.Check(t.Context())
		if (step.says == "") != (said.Len() == 0) || !strings.Contains(said.String(), step.says) {
			t.Errorf("%s: it says %q, want %q", step.what, said.String(), step.says)
		}
		if (step.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: %v, want %q", step.what, err, step.err)
		}
		if step.what == "the server is away" && w.Err() == nil {
			t.Error("a server that is away makes the clock right")
		}
		got := gathered(t, metrics)
		for name, want := range step.want {
			if got[name] != want {
				t.Errorf("%s: %s is %v, want %v", step.what, name, got[name], want)
			}
		}
	}
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
