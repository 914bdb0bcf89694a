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
	// Every is the time between two looks of Run (0: DefaultEvery).
	Every time.Duration
}

// DefaultEvery is how often Run looks by default.
const DefaultEvery = 250 * time.Millisecond

// Mark says how far the live state of a view is behind its source. It is a lower bound for states
// that are read after the Mark was.
type Mark struct {
	Generation registry.Generation
	Position   uint64 // in the log, consumed by the view; 0 without a stream
	Lag        uint64 // records of the log after Position
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
	cfg   Config
	marks atomic.Pointer[Marks]

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
	t := &Tracker{cfg: cfg, began: plan.Always, last: Last{Ended: plan.Always}}
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
	ends, err := t.ends(ctx, p)
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
		m := Mark{Generation: live[i].Generation, Position: live[i].Offset}
		if v.Source.Stream {
			if err = t.compareWithLog(ctx, &m, v.Source, ends[v.Source], now, found); err == nil {
				err = found.check(ctx, &m, v.Source, live[i].Reached)
			}
		} else {
			m.Position, m.Complete = 0, completeUntil(v.Source, runs[v.Source], m.Generation.Materialized)
		}
		if err != nil {
			return nil, err
		}
		marks[v.Fingerprint] = m
	}
	return marks, nil
}

// ends returns the end of the log of every stream.
func (t *Tracker) ends(ctx context.Context, p *plan.Plan) (map[*plan.Source]uint64, error) {
	found := make([]eventlog.Position, len(p.Sources))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range p.Sources {
		if !s.Stream {
			continue
		}
		g.Go(func() (err error) {
			found[i], err = t.cfg.Log.End(ctx, s.Name)
			if err != nil {
				return fmt.Errorf("end of the log of source %s: %w", s.Name, err)
			}
			return nil
		})
	}
	err := g.Wait()
	ends := map[*plan.Source]uint64{}
	for i, s := range p.Sources {
		ends[s] = uint64(found[i])
	}
	return ends, err
}

// compareWithLog fills in how far a view is behind its log, which ended at end before the view's
// position was read.
func (t *Tracker) compareWithLog(ctx context.Context, m *Mark, s *plan.Source, end uint64, now plan.EventTime, found *records) error {
	m.Complete = now
	switch {
	case m.Position > end: // the log has grown since, or is another one
		later, err := t.cfg.Log.End(ctx, s.Name)
		if err != nil {
			return fmt.Errorf("end of the log of source %s: %w", s.Name, err)
		}
		if m.Position > uint64(later) {
			m.Complete = plan.Always
		}
	case m.Position < end:
		m.Lag = end - m.Position
		next, err := found.read(ctx, s, m.Position+1)
		if err != nil {
			return err
		}
		if next == nil {
			m.Complete = plan.Always
		} else {
			m.Complete = min(now, next.Appended)
		}
	}
	return nil
}

// records are those that a look has read. Views of a source mostly ask for the same ones.
type records struct {
	log eventlog.Log
	at  map[recordKey]*eventlog.Record // nil: the log has none there
}

type recordKey struct {
	source   *plan.Source
	position uint64
}

func (r *records) read(ctx context.Context, s *plan.Source, position uint64) (*eventlog.Record, error) {
	p := recordKey{s, position}
	if found, ok := r.at[p]; ok {
		return found, nil
	}
	found, err := eventlog.At(ctx, r.log, s.Name, eventlog.Position(position))
	if err != nil {
		return nil, fmt.Errorf("log of source %s at position %d: %w", s.Name, position, err)
	}
	r.at[p] = found
	return found, nil
}

// check forgets what is known of a view if the log does not have the record that the view's
// states were last made of: then it is another log, which the applier does not apply to them.
func (r *records) check(ctx context.Context, m *Mark, s *plan.Source, reached registry.Reached) error {
	if reached.Position == 0 || m.Complete == plan.Always {
		return nil
	}
	last, err := r.read(ctx, s, reached.Position)
	if err != nil {
		return err
	}
	if last == nil || uint64(last.Mark()) != reached.Mark {
		m.Complete = plan.Always
	}
	return nil
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
