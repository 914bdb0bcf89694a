// Package online applies the event log to the online store.
//
// For every live view it reads the log of the view's source, turns the records into
// rows through the kernel, and adds them to the states of their entities. Each
// state carries the log position it has applied and is written by compare-and-set
// on it, so every event has its effect exactly once whatever crashes, retries or
// runs twice.
package online

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Config is what an Applier works on.
type Config struct {
	Plan  *plan.Plan
	Log   eventlog.Log
	Store onlinestore.Store
	Clock eventlog.Clock
	// Batch bounds the records applied at a time. 0 lets it follow the lag: the more records
	// wait, the more are taken, so that more of them are of one entity.
	Batch int
	// Recheck is how often a running applier looks for what no event announces: a
	// build that became live, a store that is there again (0: 1 s).
	Recheck time.Duration
	// Ready, when set, is asked before the log is looked at: an error, such as that the clock
	// is wrong, keeps events waiting.
	Ready func() error
	// StateBytes bounds one state (0: limits.StateBytes, the most a store takes). An entity
	// whose state would be larger is set aside.
	StateBytes int
	// Aside, when set, hears of every event and entity that is set aside, perhaps again after
	// a crash. Calls may overlap.
	Aside func(view *plan.View, l registry.DeadLetter)
	// EverySource applies the log of every source, not only of those with a stream: a
	// replay pushes tables through the log too.
	EverySource bool
}

// Applier applies the log to every view of the plan. Its methods may be called
// concurrently; several appliers may run on one store.
type Applier struct {
	cfg     Config
	sources []*sourceApplier
}

// Stats counts what an applier did since it was made.
type Stats struct {
	Records   int64 // read from the log, once for each source
	Applied   int64 // additions of an event to a state
	Skipped   int64 // events without an entity in a view, for a null key
	SetAside  int64 // events that are in no state of a view: beyond a limit, or of an entity that was set aside
	Conflicts int64 // states another applier wrote first; read again and retried
}

// sourceApplier applies one source's log to the views over it.
type sourceApplier struct {
	cfg    *Config
	source *plan.Source
	ingest *ingest.Source
	mu     sync.Mutex // one round at a time
	views  []*viewApplier
	batch  int // records to take next, when Config.Batch does not say
	stats  struct{ records, applied, skipped, aside, conflicts atomic.Int64 }
}

// New prepares an applier for every view of the plan whose source has events: those
// with a stream. Nothing is read yet.
func New(cfg Config) (*Applier, error) {
	if cfg.Recheck == 0 {
		cfg.Recheck = time.Second
	}
	if cfg.StateBytes == 0 {
		cfg.StateBytes = limits.StateBytes
	}
	a := &Applier{cfg: cfg}
	for _, src := range cfg.Plan.Sources {
		if !src.Stream && !cfg.EverySource {
			continue
		}
		in, err := ingest.NewSource(src)
		if err != nil {
			return nil, err
		}
		s := &sourceApplier{cfg: &a.cfg, source: src, ingest: in, batch: leastBatch}
		for _, v := range cfg.Plan.Views {
			if v.Source != src {
				continue
			}
			k, err := kernel.NewView(v)
			if err != nil {
				return nil, err
			}
			s.views = append(s.views, &viewApplier{kernel: k, applier: s, states: make(chan *kernel.State, portionsAtOnce)})
		}
		if len(s.views) > 0 {
			a.sources = append(a.sources, s)
		}
	}
	return a, nil
}

// Stats adds up the counters of all sources.
func (a *Applier) Stats() Stats {
	var t Stats
	for _, s := range a.sources {
		t.Records += s.stats.records.Load()
		t.Applied += s.stats.applied.Load()
		t.Skipped += s.stats.skipped.Load()
		t.SetAside += s.stats.aside.Load()
		t.Conflicts += s.stats.conflicts.Load()
	}
	return t
}

// CatchUp applies everything that is in the log when it is called. What a view or
// a source cannot do keeps none of the others back. The error is *NotMaterialized
// of package registry, wrapped, only when nothing worse happened.
func (a *Applier) CatchUp(ctx context.Context) error {
	var errs []error
	for _, s := range a.sources {
		_, err := s.catchUp(ctx)
		errs = append(errs, err)
	}
	return worst(errs)
}

// worst joins errors, those of views without state only when there are no others.
func worst(errs []error) error {
	var none *registry.NotMaterialized
	if bad := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return errors.As(err, &none) }); errors.Join(bad...) != nil {
		errs = bad
	}
	return errors.Join(errs...)
}

// catchUp applies the log of the source to every view and returns its end.
func (s *sourceApplier) catchUp(ctx context.Context) (end eventlog.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return 0, err
		}
	}
	var ready []*viewApplier
	var errs []error
	for _, v := range s.views {
		if err := v.start(ctx); err != nil {
			errs = append(errs, v.failed(err))
			continue
		}
		ready = append(ready, v)
	}
	// Read after the offsets, which other appliers move: it is behind none of them.
	if end, err = s.cfg.Log.End(ctx, s.source.Name); err != nil {
		return 0, worst(append(errs, fmt.Errorf("log of source %s: %w", s.source.Name, err)))
	}
	keep := func(step func(*viewApplier) error) {
		var failures []error
		ready, failures = allOf(ready, step)
		errs = append(errs, failures...)
	}
	keep(func(v *viewApplier) error { return v.behind(end) })
	var next *readAhead
	defer func() { next.wait() }()
	for {
		after := end
		for _, v := range ready {
			after = min(after, v.offset)
		}
		if after == end {
			return end, worst(errs)
		}
		records, err := next.take(after)
		if records == nil && err == nil {
			records, err = s.read(ctx, after, s.size())
		}
		if err != nil {
			return end, worst(append(errs, err))
		}
		last := records[len(records)-1].Position
		s.adapt(records, end-last)
		next = s.startReading(ctx, last, end)
		b, err := s.decode(records)
		if err != nil {
			return end, worst(append(errs, err))
		}
		keep(func(v *viewApplier) error { return v.consume(ctx, b) })
	}
}

// allOf takes a step with each view, as many at a time as there are processors, and
// returns those that took it and the errors of the others.
func allOf(views []*viewApplier, step func(*viewApplier) error) (done []*viewApplier, errs []error) {
	failures := make([]error, len(views))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, v := range views {
		g.Go(func() error {
			failures[i] = step(v)
			return nil
		})
	}
	_ = g.Wait() // failures has the errors
	for i, v := range views {
		if failures[i] == nil {
			done = append(done, v)
		} else {
			errs = append(errs, v.failed(failures[i]))
		}
	}
	return done, errs
}

// The records of a batch, when Config.Batch does not say how many, and the bytes of their
// payloads from which on it does not grow.
const (
	leastBatch = 4 << 10
	mostBatch  = 32 << 10
	batchBytes = 16 << 20
)

func (s *sourceApplier) size() int {
	if s.cfg.Batch > 0 {
		return s.cfg.Batch
	}
	return s.batch
}

// adapt sets how many records to take next, after those, of which lag come behind.
func (s *sourceApplier) adapt(records []eventlog.Record, lag eventlog.Position) {
	bytes := 0
	for _, r := range records {
		bytes += len(r.Payload)
	}
	s.stats.records.Add(int64(len(records)))
	switch {
	case bytes > batchBytes:
		s.batch = max(1, s.batch/2)
	case lag > eventlog.Position(s.batch) && 2*bytes <= batchBytes:
		s.batch = min(2*s.batch, mostBatch)
	case lag == 0:
		s.batch = leastBatch
	}
}

// readAhead is records that are read while those before them are applied; nil is none.
type readAhead struct {
	after   eventlog.Position
	records []eventlog.Record
	err     error
	done    chan struct{}
}

// startReading reads the records after a position, unless that is the end.
func (s *sourceApplier) startReading(ctx context.Context, after, end eventlog.Position) *readAhead {
	if after >= end {
		return nil
	}
	r, size := &readAhead{after: after, done: make(chan struct{})}, s.size()
	go func() {
		defer close(r.done)
		r.records, r.err = s.read(ctx, after, size)
	}()
	return r
}

// wait returns when nothing is being read any more.
func (r *readAhead) wait() {
	if r != nil {
		<-r.done
	}
}

// take is what was read, if it is what comes after the position.
func (r *readAhead) take(after eventlog.Position) ([]eventlog.Record, error) {
	if r.wait(); r == nil || r.after != after {
		return nil, nil
	}
	return r.records, r.err
}

// read reads the next records.
func (s *sourceApplier) read(ctx context.Context, after eventlog.Position, size int) ([]eventlog.Record, error) {
	records, err := s.cfg.Log.Read(ctx, s.source.Name, after, size)
	if err != nil {
		return nil, fmt.Errorf("log of source %s after %d: %w", s.source.Name, after, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("log of source %s: no record after %d although its end lies beyond", s.source.Name, after)
	}
	return records, nil
}
