// Package online applies the event log to the online store.
//
// For every live view it reads the log of the view's source, converts the records to rows
// with the kernel, and applies them to the states of their entities. Each state contains the
// position of each shard of the log that it has applied and is written by compare-and-set on these, so
// every event takes effect exactly once despite crashes, retries and concurrent appliers.
package online

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/lease"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/tracing"
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
	// Leases divides the shards of each source among the appliers of a store. The applier's Run runs it. Nil: this applier
	// applies all of them.
	Leases *lease.Member
	// EverySource also applies the logs of sources that are not streams: a replay pushes
	// tables through the log too.
	EverySource bool
	// Only, if set, says of which entities events are applied.
	Only func(entity []byte) bool
}

// Applier applies the log to every view of the plan. Its methods may be called
// concurrently; several appliers may run on one store.
type Applier struct {
	cfg     Config
	layouts *eventlog.Layouts
	sources []*sourceApplier
}

// Stats are the counters of an applier since it was created.
type Stats struct {
	Records   int64 // read from the log, counted once for each source
	Applied   int64 // events added to a state
	Skipped   int64 // events that have no entity in a view because a key is null
	SetAside  int64 // events in no state of a view: over a limit, or of an entity that was set aside or is lost
	Conflicts int64 // states that another applier wrote first; they were read again and retried
}

// sourceApplier applies one source's log to the views over it.
type sourceApplier struct {
	cfg     *Config
	layouts *eventlog.Layouts
	source  *plan.Source
	ingest  *ingest.Source
	mu      sync.Mutex                  // held during a catch-up
	shards  eventlog.Shards             // of the log, as the last catch-up has found; N is 0 before
	share   atomic.Pointer[lease.Share] // of the shards; nil: all
	all     bool                        // the catch-up is of all shards, whatever the share is
	parts   atomic.Int64                // how many shards there are
	views   []*viewApplier
	batch   int                   // next batch size, if Config.Batch is 0
	failed  atomic.Pointer[error] // of the last catch-up by Run; nil: none
	stats   struct{ records, applied, skipped, aside, conflicts atomic.Int64 }
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
	a := &Applier{cfg: cfg, layouts: eventlog.NewLayouts(cfg.Log)}
	for _, src := range cfg.Plan.Sources {
		if !src.Stream && !cfg.EverySource {
			continue
		}
		in, err := ingest.NewSource(src)
		if err != nil {
			return nil, err
		}
		s := &sourceApplier{cfg: &a.cfg, layouts: a.layouts, source: src, ingest: in, batch: minBatch}
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
	if a.cfg.Leases != nil {
		errs = append(errs, a.cfg.Leases.Err())
	}
	for _, s := range a.sources {
		if err := s.failed.Load(); err != nil {
			errs = append(errs, *err)
		}
	}
	return worst(errs)
}

// CatchUp applies everything that is in the log when it is called, whoever has leases. A failing view or source
// does not hold up the others. The error wraps *registry.NotMaterialized only if there was no
// other kind of error.
func (a *Applier) CatchUp(ctx context.Context) error {
	var errs []error
	for _, s := range a.sources {
		_, err := s.catchUp(ctx, true)
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

// catchUp applies the source's log to every view: the shards that the applier has, or all of them. It returns the ends of these shards by name.
func (s *sourceApplier) catchUp(ctx context.Context, all bool) (ends eventlog.Ends, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = all
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			s.share.Load().Leave(notReadyPause)
			return nil, err
		}
	}
	// It may have been divided anew.
	if _, err := s.layouts.Find(ctx, s.source.Name); err != nil {
		return nil, err
	}
	if s.shards, err = s.layouts.Begin(ctx, s.source); err != nil {
		return nil, err
	}
	if s.cfg.Leases != nil && !all && (s.share.Load() == nil || s.parts.Load() != int64(s.shards.N)) {
		s.share.Store(s.cfg.Leases.Join(lease.Group{Name: s.group(), Parts: s.shards.N}))
	}
	s.parts.Store(int64(s.shards.N))
	r := &catchingUp{sourceApplier: s}
	for _, v := range s.views {
		if err := v.start(ctx); err != nil {
			r.errs = append(r.errs, v.failed(err))
			continue
		}
		r.views = append(r.views, v)
	}
	// The ends are read after the offsets because other appliers advance them; this way they are
	// never behind an offset.
	if r.ends, err = s.shards.Ends(ctx, s.cfg.Log); err != nil {
		return nil, worst(append(r.errs, fmt.Errorf("log of source %s: %w", s.source.Name, err)))
	}
	// Every applier notices another log in every shard, so that each server knows that events wait.
	r.keep(func(v *viewApplier) error { return v.checkEnd(r.ends) })
	r.hold()
	if err := r.run(ctx); err != nil {
		r.errs = append(r.errs, err)
	}
	if len(r.views) == 0 && len(r.errs) > 0 {
		s.share.Load().Leave(failedPause)
	}
	ends = eventlog.Ends{}
	for k := range s.shards.N {
		if s.has(k) {
			ends[s.shards.Name(k)] = eventlog.Position(r.ends.At(k))
		}
	}
	return ends, worst(r.errs)
}

// How long an applier leaves a source to others that it cannot apply itself.
const (
	notReadyPause = 2 * time.Second // it is prolonged while it lasts
	failedPause   = 10 * time.Second
)

// group names the appliers that do the same with the source's log: those that have the same versions of the views
// over it. So a server waits for no other one that has other definitions. Views that both have are then applied by both.
func (s *sourceApplier) group() string {
	var prints []string
	for _, v := range s.views {
		prints = append(prints, string(v.kernel.Plan().Fingerprint[:]))
	}
	slices.Sort(prints)
	sum := sha256.Sum256([]byte(strings.Join(prints, "")))
	return s.source.Name + "/" + hex.EncodeToString(sum[:8])
}

// errNotHeld ends a catch-up, whose shards another applier has now. It is no failure.
var errNotHeld = errors.New("another server applies the shards")

// has reports whether the catch-up is of a shard.
func (s *sourceApplier) has(shard int) bool { return s.all || s.share.Load().Has(shard) }

// checkHeld returns errNotHeld if the applier has not all shards of which v has positions.
func (s *sourceApplier) checkHeld(v logpos.Vector) error {
	for k, p := range v {
		if p > 0 && !s.has(k) {
			return errNotHeld
		}
	}
	return nil
}

// catchingUp is one catch-up of a source.
type catchingUp struct {
	*sourceApplier
	ends  logpos.Vector  // of all shards
	end   logpos.Vector  // of those that the applier has; 0 for others
	views []*viewApplier // that have not failed
	errs  []error        // of the others
}

// keep runs step on every view and keeps those that succeed.
func (r *catchingUp) keep(step func(*viewApplier) error) {
	var failures []error
	r.views, failures = forEach(r.views, step)
	r.errs = append(r.errs, failures...)
}

// hold sets the ends to those of the shards that the applier has now.
func (r *catchingUp) hold() {
	r.end = make(logpos.Vector, len(r.ends))
	for k, p := range r.ends {
		if r.has(k) {
			r.end[k] = p
		}
	}
}

// offset is the least of those of the views, the end if there are none.
func (r *catchingUp) offset() logpos.Vector {
	after := r.end
	for _, v := range r.views {
		after = logpos.Min(after, v.offset)
	}
	return after
}

// run applies the log up to its end, page by page.
func (r *catchingUp) run(ctx context.Context) error {
	after := r.offset()
	if after.Covers(r.end) && len(r.views) > 0 && r.ends.Sum() > 0 {
		// Nothing is new; the log may be another one even so.
		p, err := r.read(ctx, before(r.ends), r.ends, 1)
		if err == nil {
			r.keep(func(v *viewApplier) error { return v.checkMarks(ctx, p) })
		}
		return err
	}
	var next *readAhead
	defer func() { next.wait() }()
	for ; !after.Covers(r.end); after = r.offset() {
		p, err := next.take(after)
		if p == nil && err == nil {
			p, err = r.read(ctx, after, r.end, r.size())
		}
		if err != nil {
			return err
		}
		if r.checkHeld(p.end()) != nil {
			r.hold()
			next = nil
			continue
		}
		fresh := p.fresh()
		r.adapt(fresh, r.end.After(logpos.Max(after, p.end())))
		next = r.startReading(ctx, logpos.Max(after, p.end()), r.end)
		if r.keep(func(v *viewApplier) error { return v.checkMarks(ctx, p) }); len(r.views) == 0 {
			return nil
		}
		b, err := r.prepare(ctx, p, fresh)
		if err != nil {
			return err
		}
		if err := r.consume(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// consume applies a batch to the views. If the shards went to another applier meanwhile, the views go on without
// them.
func (r *catchingUp) consume(ctx context.Context, b *logBatch) error {
	ctx, span := tracing.Start(ctx, "apply events")
	done, failures := forEach(r.views, func(v *viewApplier) error { return v.consume(ctx, b) })
	span.Int("unskew.views", len(done)).Text("unskew.source", r.source.Name).End(errors.Join(failures...))
	if slices.ContainsFunc(failures, func(err error) bool { return errors.Is(err, errNotHeld) }) {
		r.hold()
		return nil
	}
	r.views, r.errs = done, append(r.errs, failures...)
	return nil
}

// before is the position before each of v.
func before(v logpos.Vector) logpos.Vector {
	out := make(logpos.Vector, len(v))
	for k, p := range v {
		out[k] = p - min(p, 1)
	}
	return out
}

// prepare decodes the fresh records of a page. Meanwhile it stores that the states of the views may reach its end.
func (r *catchingUp) prepare(ctx context.Context, p *page, fresh []eventlog.Record) (*logBatch, error) {
	var g errgroup.Group
	g.Go(func() error { return r.advance(ctx, p) })
	b, err := r.decode(p, fresh)
	return b, errors.Join(err, g.Wait())
}

func (r *catchingUp) advance(ctx context.Context, p *page) error {
	var to registry.Reached
	for i := range p.shards {
		last := p.shards[i].last()
		to.Raise(last.Shard, registry.Mark{Position: uint64(last.Position), Mark: uint64(last.Mark())})
	}
	var generations []registry.Generation
	var from []registry.Reached
	for _, v := range r.views {
		if !v.offset.Covers(p.end()) {
			generations, from = append(generations, v.generation), append(from, v.reached)
		}
	}
	if err := registry.Advance(ctx, r.cfg.Store, generations, from, to); err != nil {
		return err
	}
	for _, v := range r.views {
		if !v.offset.Covers(p.end()) {
			v.reached = v.reached.Max(to)
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
func (s *sourceApplier) adapt(records []eventlog.Record, lag uint64) {
	bytes := 0
	for i := range records {
		bytes += len(records[i].Payload)
	}
	s.stats.records.Add(int64(len(records)))
	switch {
	case bytes > batchBytes:
		s.batch = max(1, s.batch/2)
	case lag > uint64(s.batch) && 2*bytes <= batchBytes:
		s.batch = min(2*s.batch, maxBatch)
	case lag == 0:
		s.batch = minBatch
	}
}

// readAhead is a read that runs while the previous page is applied; nil means none.
type readAhead struct {
	after logpos.Vector
	page  *page
	err   error
	done  chan struct{}
}

// startReading starts to read the records after positions; it returns nil at the end of the
// log.
func (s *sourceApplier) startReading(ctx context.Context, after, end logpos.Vector) *readAhead {
	if after.Covers(end) {
		return nil
	}
	r, size := &readAhead{after: after, done: make(chan struct{})}, s.size()
	go func() {
		defer close(r.done)
		r.page, r.err = s.read(ctx, after, end, size)
	}()
	return r
}

// wait waits for the read to finish.
func (r *readAhead) wait() {
	if r != nil {
		<-r.done
	}
}

// take returns what was read if it follows the given positions, else nothing.
func (r *readAhead) take(after logpos.Vector) (*page, error) {
	if r.wait(); r == nil || !r.after.Equal(after) {
		return nil, nil
	}
	return r.page, r.err
}
