// Package freshness knows up to which time the live state of each view contains the events of
// its source.
//
// It compares the log with the position up to which each view has consumed it, again and again,
// so that a read finds the answer in memory. It does not depend on who applies events.
package freshness

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/cron"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Config configures a Tracker.
type Config struct {
	Log   eventlog.Log
	Store onlinestore.Store
	Clock eventlog.Clock
	// CaughtUp, if set, returns once reads see everything that was written before the call: they may
	// keep what they have read.
	CaughtUp func(ctx context.Context) error
	// Found, if set, hears of what each successful look found: states that are read at the given time or
	// later are at least as new as the marks say. Calls do not overlap.
	Found func(at plan.EventTime, views []*plan.View, marks Marks)
	// Every is the time between two looks of Run (0: DefaultEvery).
	Every time.Duration
}

// DefaultEvery is how often Run looks by default.
const DefaultEvery = 250 * time.Millisecond

// Mark says how far the live state of a view is behind its source. It is a lower bound for states
// that are read after the Mark was.
type Mark struct {
	Generation registry.Generation
	Position   uint64   // how many records of the log the view has consumed; 0 without a stream
	Lag        uint64   // how many it has not
	Lags       []uint64 // of them in each shard
	// Complete is plan.Always if nothing is known. Every event that was stored in the log before
	// Complete is in the states or set aside.
	Complete plan.EventTime
}

// Staleness is how old the state may be at the given time; known is false if it can be of any age.
func (m Mark) Staleness(now plan.EventTime) (s plan.Micros, known bool) {
	if m.Complete == plan.Always {
		return 0, false
	}
	return plan.Micros(max(0, now-m.Complete)), true
}

// Marks holds the marks of views by fingerprint. It is immutable.
type Marks map[plan.Fingerprint]Mark

// Of returns the mark of a generation; ok is false if the last look found another one live.
func (m Marks) Of(g registry.Generation) (mark Mark, ok bool) {
	mark, ok = m[g.View]
	return mark, ok && mark.Generation.Number == g.Number && mark.Generation.Build == g.Build
}

// Tracker follows the views of a plan. It is safe for concurrent use.
type Tracker struct {
	cfg     Config
	layouts *eventlog.Layouts
	marks   atomic.Pointer[Marks]

	mu      sync.Mutex
	plan    *plan.Plan
	runs    map[*plan.Source]*cron.Schedule // of sources whose events become known by schedule
	began   plan.EventTime                  // when the last successful look began, by Clock
	looking *look                           // nil if there is none
	last    Last
}

// Last is what is known of the looks that have ended.
type Last struct {
	Ended   plan.EventTime // when the last successful one ended, by Clock; plan.Always if there was none
	Err     error          // of the last one; nil if it was successful
	Current bool           // the plan that is followed has had a successful one
}

// look is a look in progress.
type look struct {
	began plan.EventTime
	done  chan struct{} // closed when err is set
	err   error
}

// New makes a tracker that follows nothing yet.
func New(cfg Config) *Tracker {
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	t := &Tracker{cfg: cfg, layouts: eventlog.NewLayouts(cfg.Log), began: plan.Always, last: Last{Ended: plan.Always}}
	t.marks.Store(&Marks{})
	return t
}

// Follow follows the views of p instead of those before.
func (t *Tracker) Follow(p *plan.Plan) error {
	runs := map[*plan.Source]*cron.Schedule{}
	for _, s := range p.Sources {
		if s.Known.Kind != plan.KnownSchedule {
			continue
		}
		r, err := cron.Parse(s.Known.Schedule)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		runs[s] = r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plan, t.runs, t.began = p, runs, plan.Always
	return nil
}

// Last returns what is known of the looks that have ended. Every look asks the log and the store, so
// it also says whether they answer.
func (t *Tracker) Last() Last {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.last
	last.Current = t.began != plan.Always
	return last
}

// Marks returns what the last look found. The states of a read are at least as new if they are
// fetched afterwards.
func (t *Tracker) Marks() Marks { return *t.marks.Load() }

// Run looks again and again until ctx ends, which is not an error. It reports each error once
// while it persists.
func (t *Tracker) Run(ctx context.Context, report func(error)) error {
	again := time.NewTicker(t.cfg.Every)
	defer again.Stop()
	for said := ""; ; {
		now := ""
		if err := t.Refresh(ctx, t.cfg.Clock()); err != nil && ctx.Err() == nil {
			if now = err.Error(); now != said {
				report(err)
			}
		}
		said = now
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// Refresh returns once a look has succeeded that began at or after since, which is not later than
// the clock. Callers share looks.
func (t *Tracker) Refresh(ctx context.Context, since plan.EventTime) error {
	// The first look may have begun too early. If the second one has too, the clock was set back.
	for range 2 {
		l := t.lookSince(ctx, since)
		if l == nil {
			return nil
		}
		select {
		case <-l.done:
			if l.began >= since || l.err != nil {
				return l.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lookSince returns the look in progress, or a new one; nil if none is needed.
func (t *Tracker) lookSince(ctx context.Context, since plan.EventTime) *look {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began != plan.Always && t.began >= since || t.plan == nil {
		return nil
	}
	if t.looking == nil {
		l := &look{began: t.cfg.Clock(), done: make(chan struct{})}
		p, runs := t.plan, t.runs
		t.looking = l
		// The look belongs to all who wait for it, and log and store have their own time limits.
		go t.finish(context.WithoutCancel(ctx), l, p, runs)
	}
	return t.looking
}

// finish makes a look.
func (t *Tracker) finish(ctx context.Context, l *look, p *plan.Plan, runs map[*plan.Source]*cron.Schedule) {
	marks, err := t.look(ctx, p, runs, l.began)
	t.mu.Lock()
	defer t.mu.Unlock()
	l.err, t.looking = err, nil
	if t.last.Err = err; err == nil {
		t.last.Ended = t.cfg.Clock()
		if t.cfg.Found != nil {
			t.cfg.Found(t.last.Ended, p.Views, marks)
		}
	}
	if err == nil && t.plan == p {
		t.began = l.began
		t.marks.Store(&marks)
	}
	close(l.done)
}

// look compares the views of a plan with their sources. It reads the end of each log first, so that
// a view that has consumed everything up to there contains all events stored before now.
func (t *Tracker) look(ctx context.Context, p *plan.Plan, runs map[*plan.Source]*cron.Schedule, now plan.EventTime) (Marks, error) {
	ends, err := t.ends(ctx, p.Sources)
	if err != nil {
		return nil, err
	}
	live, err := registry.ConsumedBy(ctx, t.cfg.Store, p.Views)
	if err != nil {
		return nil, fmt.Errorf("read the positions of views: %w", err)
	}
	if t.cfg.CaughtUp != nil {
		// States up to a position were written before the position was.
		if err := t.cfg.CaughtUp(ctx); err != nil {
			return nil, fmt.Errorf("wait until reads see what is stored: %w", err)
		}
	}
	marks := Marks{}
	found := &records{log: t.cfg.Log, at: map[recordKey]*eventlog.Record{}}
	for i, v := range p.Views {
		if live[i].Generation.Number == 0 {
			continue
		}
		m := Mark{Generation: live[i].Generation}
		if v.Source.Stream {
			m.Position, m.Complete = live[i].Offset.Sum(), now
			err = t.compareWithLog(ctx, &m, ends[v.Source], &live[i], found)
		} else {
			m.Complete = completeUntil(v.Source, runs[v.Source], m.Generation.Materialized)
		}
		if err != nil {
			return nil, err
		}
		marks[v.Fingerprint] = m
	}
	return marks, nil
}

// end is the end of a source's log.
type end struct {
	shards eventlog.Shards
	at     logpos.Vector
}

// ends returns the end of the log of every stream.
func (t *Tracker) ends(ctx context.Context, sources []*plan.Source) (map[*plan.Source]end, error) {
	found := make([]end, len(sources))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range sources {
		if !s.Stream {
			continue
		}
		g.Go(func() (err error) {
			if found[i].shards, err = t.layouts.Find(ctx, s.Name); err == nil {
				found[i].at, err = found[i].shards.Ends(ctx, t.cfg.Log)
			}
			if err != nil {
				return fmt.Errorf("end of the log of source %s: %w", s.Name, err)
			}
			return nil
		})
	}
	err := g.Wait()
	ends := map[*plan.Source]end{}
	for i, s := range sources {
		ends[s] = found[i]
	}
	return ends, err
}

// compareWithLog fills in how far a view is behind its log, which ended at end before what the view has consumed
// was read. A view is complete until the oldest record, of any shard, that it has not consumed.
func (t *Tracker) compareWithLog(ctx context.Context, m *Mark, end end, view *registry.Consumed, found *records) error {
	for k := range end.shards.N {
		name, at := end.shards.Name(k), view.Offset.At(k)
		until, err := t.completeIn(ctx, name, at, end.at.At(k), found)
		if err == nil && until != plan.Always {
			var has bool
			if has, err = found.has(ctx, name, view.Reached.At(k)); !has {
				until = plan.Always
			}
		}
		if err != nil {
			return err
		}
		lag := end.at.At(k) - min(at, end.at.At(k))
		m.Lag, m.Lags = m.Lag+lag, append(m.Lags, lag)
		m.Complete = min(m.Complete, until)
	}
	return nil
}

// completeIn is until when states have the records of a shard that they have consumed up to a position; Never if they have
// all, Always if that is not known.
func (t *Tracker) completeIn(ctx context.Context, shard string, at, end uint64, found *records) (plan.EventTime, error) {
	switch {
	case at > end: // the log has grown since, or is another one
		later, err := t.cfg.Log.End(ctx, shard)
		if err != nil {
			return plan.Always, fmt.Errorf("end of the log of source %s: %w", shard, err)
		}
		if at > uint64(later) {
			return plan.Always, nil
		}
	case at < end:
		next, err := found.read(ctx, shard, at+1)
		if err != nil || next == nil {
			return plan.Always, err
		}
		return next.Appended, nil
	}
	return plan.Never, nil
}

// records are those that a look has read. Views of a source mostly ask for the same ones.
type records struct {
	log eventlog.Log
	at  map[recordKey]*eventlog.Record // nil: the log has none there
}

type recordKey struct {
	shard    string
	position uint64
}

func (r *records) read(ctx context.Context, shard string, position uint64) (*eventlog.Record, error) {
	p := recordKey{shard, position}
	if found, ok := r.at[p]; ok {
		return found, nil
	}
	found, err := eventlog.At(ctx, r.log, shard, eventlog.Position(position))
	if err != nil {
		return nil, fmt.Errorf("log of source %s at position %d: %w", shard, position, err)
	}
	r.at[p] = found
	return found, nil
}

// has reports whether a shard has the record that a view's states were last made of. If it has not,
// it is another log, which the applier does not apply to them.
func (r *records) has(ctx context.Context, shard string, m registry.Mark) (bool, error) {
	if m.Position == 0 {
		return true, nil
	}
	last, err := r.read(ctx, shard, m.Position)
	return last != nil && uint64(last.Mark()) == m.Mark, err
}

// completeUntil is the time up to which the state of a view over a table is complete: when it was
// materialized, or the next time at which its schedule makes events known.
func completeUntil(s *plan.Source, runs *cron.Schedule, materialized plan.EventTime) plan.EventTime {
	if runs == nil || materialized == plan.Always {
		return materialized
	}
	for _, c := range s.Columns {
		if c.Outcome || c.Known != nil {
			return materialized // columns become known between the runs
		}
	}
	run := runs.AtOrAfter(materialized - plan.EventTime(s.Known.Delay))
	if run == plan.Never {
		return materialized
	}
	return run + plan.EventTime(s.Known.Delay)
}
