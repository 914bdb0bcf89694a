package freshness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/registry"
)

const noon = plan.EventTime(1735732800000000) // 2025-01-01T12:00:00Z

// onClicks is a plan with one view over a stream.
func onClicks() *plan.Plan {
	clicks := &plan.Source{Name: "clicks", Stream: true}
	return &plan.Plan{Sources: []*plan.Source{clicks}, Views: []*plan.View{{Name: "user_clicks", Source: clicks, Fingerprint: plan.Fingerprint{1}}}}
}

type tracked struct {
	*Tracker
	*backend.Backend
	t          *testing.T
	plan       *plan.Plan
	generation registry.Generation
	now        plan.EventTime
}

// follow tracks generation 1 of onClicks, which has consumed nothing.
func follow(t *testing.T, open backend.Opener) *tracked {
	f := &tracked{t: t, plan: onClicks(), now: noon}
	clock := func() plan.EventTime { return f.now }
	var err error
	if f.Backend, err = open(t.Context(), clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.must(f.Backend.Close()) })
	f.generation = registry.Generation{View: f.plan.Views[0].Fingerprint, Number: 1, Build: 5}
	f.must(registry.Promote(t.Context(), f.Store, f.generation))
	f.Tracker = New(Config{Log: f.Log, Store: f.Store, Clock: clock})
	f.must(f.Follow(f.plan))
	return f
}

func (f *tracked) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *tracked) append(n int) {
	f.t.Helper()
	for range n {
		_, err := f.Log.Append(f.t.Context(), "clicks", []eventlog.Entry{{Payload: []byte("x")}})
		f.must(err)
		f.now++
	}
}

func (f *tracked) consume(to uint64) {
	f.t.Helper()
	f.must(registry.SetOffset(f.t.Context(), f.Store, f.generation, logpos.One(0, to)))
}

// reach stores that the states were made of the record at a position.
func (f *tracked) reach(to uint64) {
	f.t.Helper()
	f.must(registry.Advance(f.t.Context(), f.Store, []registry.Generation{f.generation}, []registry.Reached{nil}, registry.Reached{{Position: to, Mark: f.mark(to)}}))
}

// mark is that of the record at a position.
func (f *tracked) mark(at uint64) uint64 {
	f.t.Helper()
	r, err := f.Log.Read(f.t.Context(), "clicks", eventlog.Position(at-1), 1)
	f.must(err)
	return uint64(r[0].Mark())
}

// expect looks at the sources and compares what it finds.
func (f *tracked) expect(position, lag uint64, complete plan.EventTime) {
	f.t.Helper()
	f.must(f.Refresh(f.t.Context(), f.now))
	got, ok := f.Marks().Of(f.generation)
	if !ok || got.Position != position || got.Lag != lag || got.Complete != complete {
		f.t.Errorf("%+v (found: %v), want position %d, lag %d, complete %v", got, ok, position, lag, complete)
	}
}

func TestP13_MarksFollowTheLog(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		f := follow(t, open)
		f.expect(0, 0, noon)
		f.append(3) // at noon and the two microseconds after
		f.expect(0, 3, noon)
		f.consume(2)
		f.now++
		f.expect(2, 1, noon+2)
		f.consume(3)
		f.now += 100
		f.expect(3, 0, f.now)
		f.consume(9) // of another log, which is longer
		f.now++
		f.expect(9, 0, plan.Always)

		f.append(6)
		f.reach(9) // now it is this log
		f.now++
		f.expect(9, 0, f.now)
		// A log that is as long as the view's own, and has another record there.
		f.must(registry.Advance(f.t.Context(), f.Store, []registry.Generation{f.generation}, []registry.Reached{{{Position: 9, Mark: f.mark(9)}}}, registry.Reached{{Position: 10, Mark: 5}}))
		f.append(1)
		f.consume(10)
		f.now++
		f.expect(10, 0, plan.Always)
		f.generation.Build++
		if m, ok := f.Marks().Of(f.generation); ok {
			t.Errorf("%+v is taken for the mark of another build", m)
		}
	})
}

// A mark is published once reads see everything that was written before its position was.
func TestP16_MarksWaitForReads(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		f := follow(t, open)
		f.append(3)
		f.consume(1)
		calls, notYet := uint64(0), errors.New("not yet")
		f.cfg.CaughtUp = func(context.Context) error {
			if calls++; len(f.Marks()) > 0 {
				t.Error("a mark was there before reads had caught up")
			}
			f.consume(calls + 1) // after the position was read
			if calls == 1 {
				return notYet
			}
			return nil
		}
		if err := f.Refresh(t.Context(), f.now); !errors.Is(err, notYet) || calls != 1 {
			t.Fatalf("%d calls, %v", calls, err)
		}
		f.expect(2, 1, noon+2)
	})
}

// A view over a table that a job brings at known times is complete until the next of them.
func TestCompleteUntil(t *testing.T) {
	nightly := plan.Known{Kind: plan.KnownSchedule, Schedule: "0 2 * * *", Delay: 30 * plan.Minute}
	night := noon - plan.EventTime(9*plan.Hour+30*plan.Minute) // 02:30
	day := plan.EventTime(24 * plan.Hour)
	for name, c := range map[string]struct {
		source       plan.Source
		materialized plan.EventTime
		want         plan.EventTime
	}{
		"no schedule":      {plan.Source{}, noon, noon},
		"after the run":    {plan.Source{Known: nightly}, noon, night + day},
		"just before":      {plan.Source{Known: nightly}, night, night},
		"during the delay": {plan.Source{Known: nightly}, night - 1, night},
		"just after":       {plan.Source{Known: nightly}, night + 1, night + day},
		"a late column":    {plan.Source{Known: nightly, Columns: []plan.SourceColumn{{Known: &plan.Known{Kind: plan.KnownDelay}}}}, noon, noon},
		"an outcome":       {plan.Source{Known: nightly, Columns: []plan.SourceColumn{{Outcome: true}}}, noon, noon},
		"never":            {plan.Source{Known: nightly}, plan.Always, plan.Always},
	} {
		f := New(Config{})
		if err := f.Follow(&plan.Plan{Sources: []*plan.Source{&c.source}}); err != nil {
			t.Fatal(err)
		}
		if got := completeUntil(&c.source, f.runs[&c.source], c.materialized); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestStaleness(t *testing.T) {
	for _, c := range []struct {
		complete plan.EventTime
		want     plan.Micros
		known    bool
	}{{noon - 5, 5, true}, {noon, 0, true}, {noon + 5, 0, true}, {plan.Always, 0, false}} {
		if got, known := (Mark{Complete: c.complete}).Staleness(noon); got != c.want || known != c.known {
			t.Errorf("complete until %v: %d, %v; want %d, %v", c.complete, got, known, c.want, c.known)
		}
	}
}

// askedLog calls asked before it tells its end.
type askedLog struct {
	eventlog.Log
	asked func() error
}

func (l *askedLog) End(ctx context.Context, shard string) (eventlog.Position, error) {
	if err := l.asked(); err != nil {
		return 0, err
	}
	return l.Log.End(ctx, shard)
}

// Callers share looks, but none gets the result of a look that began before it asked for.
func TestRefreshShares(t *testing.T) {
	f := follow(t, backend.InMemory)
	asked, release := make(chan bool, 10), make(chan bool)
	f.cfg.Log = &askedLog{f.Log, func() error { asked <- true; <-release; return nil }}
	done := make(chan error)
	refresh := func(since plan.EventTime) { go func() { done <- f.Refresh(context.Background(), since) }() }
	refresh(noon)
	<-asked // the first look has begun
	f.now++
	refresh(noon)
	refresh(noon + 1)
	close(release)
	for range 3 {
		f.must(<-done)
	}
	if more := len(asked); more != 1 {
		t.Errorf("%d looks after the first, want 1", more)
	}
	f.must(f.Refresh(t.Context(), noon+1))
	if more := len(asked); more != 1 {
		t.Errorf("%d looks, although what was found is new enough", more)
	}
	f.now = noon - 10 // the clock is set back
	f.must(f.Refresh(t.Context(), noon+2))
	if more := len(asked); more != 3 {
		t.Errorf("%d looks by a clock that was set back, want 2", more-1)
	}
}

// An error leaves what was known before, and Run reports it once.
func TestAnErrorIsReportedOnce(t *testing.T) {
	f := follow(t, backend.InMemory)
	f.must(f.Refresh(t.Context(), noon))
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	f.cfg.Every = time.Millisecond
	f.cfg.Log = &askedLog{f.Log, func() error {
		if looks++; looks == 5 {
			cancel()
		}
		return errors.New("the disk is gone")
	}}
	var said []string
	f.now++
	f.must(f.Run(ctx, func(err error) { said = append(said, err.Error()) }))
	if len(said) != 1 || !strings.Contains(said[0], "end of the log of source clicks: the disk is gone") {
		t.Errorf("%d looks; reported %q, want one report", looks, said)
	}
	if m, ok := f.Marks().Of(f.generation); !ok || m.Complete != noon {
		t.Errorf("%+v, %v; want what was found before", m, ok)
	}
}

// A view is as complete as it is in the shard that it is behind in most, and lags by what waits in all of them.
func TestP13_MarksOfADividedLog(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		f := follow(t, open)
		src := f.plan.Sources[0]
		src.Shards = 3
		shards, err := eventlog.NewLayouts(f.Log).Begin(t.Context(), src)
		f.must(err)
		add := func(shard int) {
			t.Helper()
			_, err := f.Log.Append(t.Context(), shards.Name(shard), []eventlog.Entry{{Payload: []byte("x")}})
			f.must(err)
			f.now++
		}
		consume := func(v logpos.Vector) {
			t.Helper()
			f.must(registry.SetOffset(t.Context(), f.Store, f.generation, v))
			f.now++
		}
		for _, shard := range []int{2, 0, 0, 2, 1} { // at noon and the microseconds after
			add(shard)
		}
		f.expect(0, 5, noon)
		consume(logpos.Vector{0, 0, 1})
		f.expect(1, 4, noon+1)
		consume(logpos.Vector{1, 1})
		f.expect(3, 2, noon+2)
		consume(logpos.Vector{2})
		f.expect(4, 1, noon+3)
		consume(logpos.Vector{0, 0, 2})
		f.expect(5, 0, f.now)
		// The record of one shard is another one.
		f.must(registry.Advance(t.Context(), f.Store, []registry.Generation{f.generation}, []registry.Reached{nil}, registry.Reached{{}, {Position: 1, Mark: 5}}))
		f.now++
		f.expect(5, 0, plan.Always)
		consume(logpos.Vector{0, 9})
		f.expect(13, 0, plan.Always)
	})
}
