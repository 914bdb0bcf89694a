// Package clock watches the clocks that the times of events depend on: that of this machine, that
// of the log's server, and the time of the log itself, which is the latest time that any writer
// gave it.
package clock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/limits"
)

// Now returns the machine's time.
func Now() plan.EventTime { return plan.TimeOf(time.Now()) }

// Config configures a Watch.
type Config struct {
	Log     eventlog.Log
	Sources []string // whose logs are checked
	// Skew, when set, is how far this machine's clock is ahead of that of the log's server.
	Skew func(ctx context.Context) (plan.Micros, error)
	// Now is this machine's clock. Elapsed is the time since a fixed moment by a monotonic clock.
	Now     eventlog.Clock
	Elapsed func() time.Duration
	Report  *slog.Logger
}

// Watch checks clocks and keeps the result of the last check. It is safe for concurrent use.
type Watch struct {
	cfg     Config
	layouts *eventlog.Layouts

	mu       sync.Mutex
	checked  bool
	now      plan.EventTime
	elapsed  time.Duration
	steps    int64
	skew     plan.Micros
	ahead    map[string]plan.Micros // of sources, how far their newest record is ahead of now
	reported map[string]bool        // reported conditions that still hold
	err      error
}

// New makes a Watch that has not checked anything yet.
func New(cfg Config) *Watch {
	return &Watch{cfg: cfg, layouts: eventlog.NewLayouts(cfg.Log), ahead: map[string]plan.Micros{}, reported: map[string]bool{}}
}

// Every is the interval between the checks of Run.
const Every = 5 * time.Second

// Run checks the clocks at intervals until ctx ends, which is not an error.
func (w *Watch) Run(ctx context.Context) error {
	again := time.NewTicker(Every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			// A check that fails is repeated. Callers that need the server report its failure.
			_ = w.Check(ctx)
		}
	}
}

// Check compares the clocks and reports what has changed. It returns the error of Err, or of a
// request to the server.
func (w *Watch) Check(ctx context.Context) error {
	skew, err := plan.Micros(0), error(nil)
	if w.cfg.Skew != nil {
		skew, err = w.cfg.Skew(ctx)
	}
	now, elapsed := w.cfg.Now(), w.cfg.Elapsed()
	newest := map[string]plan.EventTime{}
	for _, s := range w.cfg.Sources {
		t, failed := w.newest(ctx, s)
		if err = errors.Join(err, failed); failed == nil {
			newest[s] = t
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteStep(now, elapsed)
	if err != nil {
		return err
	}
	w.noteSkew(skew)
	for s, t := range newest {
		w.noteAhead(s, t, now)
	}
	return w.err
}

// newest is when the newest record of a source was stored.
func (w *Watch) newest(ctx context.Context, source string) (plan.EventTime, error) {
	shards, err := w.layouts.Find(ctx, source)
	if err != nil {
		return plan.Always, err
	}
	return shards.Newest(ctx, w.cfg.Log)
}

// Err is not nil if the last check found the clocks so far apart that the times of this machine
// cannot be trusted.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// noteStep reports that the clock was set, if it was.
func (w *Watch) noteStep(now plan.EventTime, elapsed time.Duration) {
	step := plan.Micros(now-w.now) - plan.Micros((elapsed - w.elapsed).Microseconds())
	if w.checked && (step > limits.ClockWarning || step < -limits.ClockWarning) {
		w.steps++
		w.cfg.Report.Warn("the clock of this machine was set, or the machine slept: if it is wrong now, stop this server before events are stored with its time", "by", step)
	}
	w.checked, w.now, w.elapsed = true, now, elapsed
}

func (w *Watch) noteSkew(skew plan.Micros) {
	w.skew, w.err = skew, nil
	if far(skew, limits.ClockSkew) {
		w.err = fmt.Errorf("the clock of this machine is %v off that of the log's server, at most %v are allowed: correct the wrong one", skew, limits.ClockSkew)
	}
	w.reportOnce("skew", far(skew, limits.ClockWarning), slog.LevelWarn, "the clock of this machine differs from that of the log's server", "by", skew)
}

func (w *Watch) noteAhead(source string, newest, now plan.EventTime) {
	ahead := plan.Micros(0)
	if newest > now {
		ahead = plan.Micros(newest - now)
	}
	w.ahead[source] = ahead
	w.reportOnce("log "+source, ahead > limits.ClockSkew, slog.LevelError, "events are refused: the newest one was stored by a clock that was ahead, or this machine's clock is behind; if it is right, run unskew log set-back "+source,
		"source", source, "ahead", ahead)
}

// reportOnce reports a condition when it begins to hold.
func (w *Watch) reportOnce(condition string, holds bool, level slog.Level, text string, args ...any) {
	if holds && !w.reported[condition] {
		w.cfg.Report.Log(context.Background(), level, text, args...)
	}
	w.reported[condition] = holds
}

func far(by, bound plan.Micros) bool { return by > bound || by < -bound }

// Register adds the metrics of the watch to reg.
func (w *Watch) Register(reg prometheus.Registerer) {
	seen := func(of func() float64) func() float64 {
		return func() float64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return of()
		}
	}
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_clock_steps_total", Help: "Times that the clock of this machine was set by more than a second."},
		seen(func() float64 { return float64(w.steps) })))
	if w.cfg.Skew != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_clock_skew_seconds", Help: "How far the clock of this machine is ahead of that of the log's server."},
			seen(func() float64 { return seconds(w.skew) })))
	}
	for _, s := range w.cfg.Sources {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_log_ahead_seconds",
			Help: "How far the newest event of a source was stored ahead of this machine's clock.", ConstLabels: prometheus.Labels{"source": s}},
			seen(func() float64 { return seconds(w.ahead[s]) })))
	}
}

func seconds(d plan.Micros) float64 { return float64(d) / float64(plan.Second) }
