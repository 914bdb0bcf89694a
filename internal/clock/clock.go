// Package clock watches the clocks that the times of events depend on: this machine's, that
// of the log's server, and the log's own, which is the latest of all that wrote it.
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

// Config is what a Watch looks at.
type Config struct {
	Log     eventlog.Log
	Sources []string // whose logs are looked at
	// Skew, when set, is how far this machine's clock is ahead of that of the log's server.
	Skew func(ctx context.Context) (plan.Micros, error)
	// Now is this machine's clock, and Elapsed the time since some moment by one that is
	// never set.
	Now     eventlog.Clock
	Elapsed func() time.Duration
	Report  *slog.Logger
}

// Watch looks at clocks and remembers what it saw. It is safe for concurrent use.
type Watch struct {
	cfg Config

	mu      sync.Mutex
	looked  bool
	now     plan.EventTime
	elapsed time.Duration
	steps   int64
	skew    plan.Micros
	ahead   map[string]plan.Micros // of sources, how far their newest record is ahead of now
	said    map[string]bool        // what was reported and still is so
	err     error
}

// New makes a watch that has not looked yet.
func New(cfg Config) *Watch {
	return &Watch{cfg: cfg, ahead: map[string]plan.Micros{}, said: map[string]bool{}}
}

// Every is how often Run looks.
const Every = 5 * time.Second

// Run looks again and again until ctx ends, which is not an error.
func (w *Watch) Run(ctx context.Context) error {
	again := time.NewTicker(Every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			// What cannot be asked now is asked again; who needs the server says so itself.
			_ = w.Look(ctx)
		}
	}
}

// Look compares the clocks and reports what has changed. The error is Err's, or that the
// server could not be asked.
func (w *Watch) Look(ctx context.Context) error {
	skew, err := plan.Micros(0), error(nil)
	if w.cfg.Skew != nil {
		skew, err = w.cfg.Skew(ctx)
	}
	now, elapsed := w.cfg.Now(), w.cfg.Elapsed()
	newest := map[string]plan.EventTime{}
	for _, s := range w.cfg.Sources {
		t, failed := eventlog.Newest(ctx, w.cfg.Log, s)
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

// Err is what the last look found so wrong that no time of this machine is to be
// believed, nil if nothing.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// noteStep reports that the clock was set.
func (w *Watch) noteStep(now plan.EventTime, elapsed time.Duration) {
	step := plan.Micros(now-w.now) - plan.Micros((elapsed - w.elapsed).Microseconds())
	if w.looked && (step > limits.ClockWarning || step < -limits.ClockWarning) {
		w.steps++
		w.cfg.Report.Warn("the clock of this machine was set, or the machine slept: if it is wrong now, stop this server before events are stored with its time", "by", step)
	}
	w.looked, w.now, w.elapsed = true, now, elapsed
}

func (w *Watch) noteSkew(skew plan.Micros) {
	w.skew, w.err = skew, nil
	if far(skew, limits.ClockSkew) {
		w.err = fmt.Errorf("the clock of this machine is %v off that of the log's server, at most %v are allowed: correct the one that is wrong", skew, limits.ClockSkew)
	}
	w.say("skew", far(skew, limits.ClockWarning), slog.LevelWarn, "the clock of this machine differs from that of the log's server", "by", skew)
}

func (w *Watch) noteAhead(source string, newest, now plan.EventTime) {
	ahead := plan.Micros(0)
	if newest > now {
		ahead = plan.Micros(newest - now)
	}
	w.ahead[source] = ahead
	w.say("log "+source, ahead > limits.ClockSkew, slog.LevelError, "events are refused: the newest one was stored by a clock that was ahead, or this machine's clock is behind; if it is right, run unskew log set-back "+source,
		"source", source, "ahead", ahead)
}

// say reports something when it begins to be so.
func (w *Watch) say(what string, so bool, level slog.Level, text string, args ...any) {
	if so && !w.said[what] {
		w.cfg.Report.Log(context.Background(), level, text, args...)
	}
	w.said[what] = so
}

func far(by, bound plan.Micros) bool { return by > bound || by < -bound }

// Register adds what the watch sees to reg.
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
