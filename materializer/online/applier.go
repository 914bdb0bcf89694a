// Package online applies the event log to the online store.
//
// For every live view it reads the log of the view's source, converts the records to rows
// with the kernel, and applies them to the states of their entities. Each state contains the
// log position that it has applied and is written by compare-and-set on that position, so
// every event takes effect exactly once despite crashes, retries and concurrent appliers.
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

// Config configures an Applier.
type Config struct {
	Plan  *plan.Plan
	Log   eventlog.Log
	Store onlinestore.Store
	Clock eventlog.Clock
	// Batch bounds the number of records applied at a time. 0 adapts it to the lag: with more
	// records waiting, larger batches are read, so that an entity has more records in each
	// batch.
	Batch int
	// Recheck is how often a running applier polls for changes that no event announces: a
	// build that became live, a store that is reachable again (0: 1 s).
	Recheck time.Duration
	// Ready, if set, is called before each read of the log. While it returns an error, for
	// example because the clock is wrong, no events are applied.
	Ready func() error
	// StateBytes bounds the size of one state (0: limits.StateBytes, the limit of the
	// stores). An entity whose state would be larger is set aside.
	StateBytes int
	// Aside, if set, is called for every event and entity that is set aside; after a crash it
	// may be called again for the same one. Calls may be concurrent.
	Aside func(view *plan.View, l registry.DeadLetter)
	// EverySource also applies the logs of sources that are not streams: a replay pushes
	// tables through the log too.
	EverySource bool
}

// Applier applies the log to every view of the plan. Its methods may be called
// concurrently; several appliers may run on one store.
type Applier struct {
	cfg     Config
	sources []*sourceApplier
}

// Stats are the counters of an applier since it was created.
type Stats struct {
	Records   int64 // read from the log, counted once for each source
	Applied   int64 // events added to a state
	Skipped   int64 // events that have no entity in a view because a key is null
	SetAside  int64 // events in no state of a view: over a limit, or of an entity that was set aside
	Conflicts int64 // states that another applier wrote first; they were read again and retried
}

// sourceApplier applies one source's log to the views over it.
type sourceApplier struct {
	cfg    *Config
	source *plan.Source
	ingest *ingest.Source
	mu     sync.Mutex // held during a catch-up
	views  []*viewApplier
	batch  int                   // next batch size, if Config.Batch is 0
	failed atomic.Pointer[error] // of the last catch-up by Run; nil: none
	stats  struct{ records, applied, skipped, aside, conflicts atomic.Int64 }
}

// New prepares an applier for every view of the plan whose source is a stream. It reads
// nothing yet.
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
		s := &sourceApplier{cfg: &a.cfg, source: src, ingest: in, batch: minBatch}
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

// Err returns the errors for which Run does not apply events now, and for which it has ended. Views
// without live state are among them only if there are no others.
func (a *Applier) Err() error {
	var errs []error
	for _, s := range a.sources {
		if err := s.failed.Load(); err != nil {
			errs = append(errs, *err)
		}
	}
	return worst(errs)
}

// CatchUp applies everything that is in the log when it is called. A failing view or source
// does not hold up the others. The error wraps *registry.NotMaterialized only if there was no
// other kind of error.
func (a *Applier) CatchUp(ctx context.Context) error {
	var errs []error
	for _, s := range a.sources {
		_, err := s.catchUp(ctx)
		errs = append(errs, err)
	}
	return worst(errs)
}

// worst joins errors; it reports views without state only if there are no other errors.
func worst(errs []error) error {
	var none *registry.NotMaterialized
	if bad := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return errors.As(err, &none) }); errors.Join(bad...) != nil {
		errs = bad
	}
	return errors.Join(errs...)
}

// catchUp applies the source's log to every view and returns the end of the log.
func (s *sourceApplier) catchUp(ctx context.Context) (end eventlog.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return 0, err
		}
	}
	r := &catchingUp{sourceApplier: s}
	for _, v := range s.views {
		if err := v.start(ctx); err != nil {
			r.errs = append(r.errs, v.failed(err))
			continue
		}
		r.views = append(r.views, v)
	}
	// The end is read after the offsets because other appliers advance them; this way it is
	// never behind an offset.
	if r.end, err = s.cfg.Log.End(ctx, s.source.Name); err != nil {
		return 0, worst(append(r.errs, fmt.Errorf("log of source %s: %w", s.source.Name, err)))
	}
	r.keep(func(v *viewApplier) error { return v.checkEnd(r.end) })
	if err := r.run(ctx); err != nil {
		r.errs = append(r.errs, err)
	}
	return r.end, worst(r.errs)
}

// catchingUp is one catch-up of a source.
type catchingUp struct {
	*sourceApplier
	end   eventlog.Position
	views []*viewApplier // that have not failed
	errs  []error        // of the others
}

// keep runs step on every view and keeps those that succeed.
func (r *catchingUp) keep(step func(*viewApplier) error) {
	var failures []error
	r.views, failures = forEach(r.views, step)
	r.errs = append(r.errs, failures...)
}

// offset is the least of those of the views, the end if there are none.
func (r *catchingUp) offset() eventlog.Position {
	after := r.end
	for _, v := range r.views {
		after = min(after, v.offset)
	}
	return after
}

// run applies the log up to its end, page by page.
func (r *catchingUp) run(ctx context.Context) error {
	after := r.offset()
	if after == r.end && len(r.views) > 0 && r.end > 0 {
		// Nothing is new; the log may be another one even so.
		p, err := r.read(ctx, r.end-1, 1)
		if err == nil {
			r.keep(func(v *viewApplier) error { return v.checkMark(ctx, p) })
		}
		return err
	}
	var next *readAhead
	defer func() { next.wait() }()
	for ; after < r.end; after = r.offset() {
		p, err := next.take(after)
		if p == nil && err == nil {
			p, err = r.read(ctx, after, r.size())
		}
		if err != nil {
			return err
		}
		r.adapt(p.fresh(), r.end-p.end())
		next = r.startReading(ctx, p.end(), r.end)
		if r.keep(func(v *viewApplier) error { return v.checkMark(ctx, p) }); len(r.views) == 0 {
			return nil
		}
		b, err := r.prepare(ctx, p)
		if err != nil {
			return err
		}
		r.keep(func(v *viewApplier) error { return v.consume(ctx, b) })
	}
	return nil
}

// prepare decodes a page. Meanwhile it stores that the states of the views may reach its end.
func (r *catchingUp) prepare(ctx context.Context, p *page) (*logBatch, error) {
	var g errgroup.Group
	g.Go(func() error { return r.advance(ctx, p) })
	b, err := r.decode(p.fresh())
	return b, errors.Join(err, g.Wait())
}

func (r *catchingUp) advance(ctx context.Context, p *page) error {
	to := registry.Reached{Position: uint64(p.end()), Mark: uint64(p.at(p.end()).Mark())}
	var generations []registry.Generation
	var from []registry.Reached
	for _, v := range r.views {
		if v.offset < p.end() {
			generations, from = append(generations, v.generation), append(from, v.reached)
		}
	}
	if err := registry.Advance(ctx, r.cfg.Store, generations, from, to); err != nil {
		return err
	}
	for _, v := range r.views {
		if v.offset < p.end() && v.reached.Position < to.Position {
			v.reached = to
		}
	}
	return nil
}

// forEach runs step on every view, as many at a time as there are processors. It returns the
// views that succeeded and the errors of the others.
func forEach(views []*viewApplier, step func(*viewApplier) error) (done []*viewApplier, errs []error) {
	failures := make([]error, len(views))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, v := range views {
		g.Go(func() error {
			failures[i] = step(v)
			return nil
		})
	}
	_ = g.Wait() // the errors are in failures
	for i, v := range views {
		if failures[i] == nil {
			done = append(done, v)
		} else {
			errs = append(errs, v.failed(failures[i]))
		}
	}
	return done, errs
}

// The limits of the adaptive batch size: records, and the payload bytes above which it
// shrinks.
const (
	minBatch   = 4 << 10
	maxBatch   = 32 << 10
	batchBytes = 16 << 20
)

func (s *sourceApplier) size() int {
	if s.cfg.Batch > 0 {
		return s.cfg.Batch
	}
	return s.batch
}

// adapt chooses the next batch size from the records just read and the number still waiting.
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
		s.batch = min(2*s.batch, maxBatch)
	case lag == 0:
		s.batch = minBatch
	}
}

// page is consecutive records of a log, the first of which was read before; position 1 was not.
type page struct {
	records []eventlog.Record
	after   eventlog.Position // the last one that was read before
}

func (p *page) end() eventlog.Position { return p.records[len(p.records)-1].Position }

// fresh returns the records that were not read before.
func (p *page) fresh() []eventlog.Record { return p.records[min(p.after, 1):] }

// at returns the record at a position, nil if it is not on the page.
func (p *page) at(position eventlog.Position) *eventlog.Record {
	if first := p.records[0].Position; position >= first && position <= p.end() {
		return &p.records[position-first]
	}
	return nil
}

// readAhead is a read that runs while the previous page is applied; nil means none.
type readAhead struct {
	after eventlog.Position
	page  *page
	err   error
	done  chan struct{}
}

// startReading starts to read the records after a position; it returns nil at the end of the
// log.
func (s *sourceApplier) startReading(ctx context.Context, after, end eventlog.Position) *readAhead {
	if after >= end {
		return nil
	}
	r, size := &readAhead{after: after, done: make(chan struct{})}, s.size()
	go func() {
		defer close(r.done)
		r.page, r.err = s.read(ctx, after, size)
	}()
	return r
}

// wait waits for the read to finish.
func (r *readAhead) wait() {
	if r != nil {
		<-r.done
	}
}

// take returns what was read if it follows the given position, else nothing.
func (r *readAhead) take(after eventlog.Position) (*page, error) {
	if r.wait(); r == nil || r.after != after {
		return nil, nil
	}
	return r.page, r.err
}

// read reads size records after a position, and the one at the position: by it a view sees
// that this is the log that its states were made of.
func (s *sourceApplier) read(ctx context.Context, after eventlog.Position, size int) (*page, error) {
	again := min(after, 1)
	records, err := s.cfg.Log.Read(ctx, s.source.Name, after-again, size+int(again))
	if err != nil {
		return nil, fmt.Errorf("log of source %s after position %d: %w", s.source.Name, after, err)
	}
	if len(records) <= int(again) {
		return nil, fmt.Errorf("log of source %s: no record after position %d, although the log ends later", s.source.Name, after)
	}
	return &page{records, after}, nil
}
