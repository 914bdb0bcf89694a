package window

import (
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// edgeWindows have hops that divide each other, hops that do not, and exact ones.
var edgeWindows = []string{"1s", "90s/30s", "100s/20s", "10m", "90m/30m", "2h/40m", "1h/exact", "1d/6h", "30h/10h", ""}

// eachPair calls f with the levels of every pair of edge windows.
func eachPair(t *testing.T, f func(l *Levels, windows []plan.Window)) {
	t.Helper()
	var all []plan.Window
	for _, s := range edgeWindows {
		w := plan.Window{}
		if s != "" {
			var err error
			if w, err = plan.ParseWindow(s); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, w)
	}
	for i, a := range all {
		for _, b := range all[i:] {
			f(NewLevels([]plan.Window{a, b}), []plan.Window{a, b})
		}
	}
}

// around lists the newest times after which the tail of a window moves at the next reading,
// and those up to two microseconds before and after.
func around(windows []plan.Window) []plan.EventTime {
	var out []plan.EventTime
	for _, w := range windows {
		for _, k := range []int64{-3, 0, 2} {
			moves := plan.EventTime(k*int64(max(w.Hop, 1)) + int64(w.Width) - 1)
			out = append(out, moves-2, moves-1, moves, moves+1)
		}
	}
	return out
}

// At every time at which a tail moves, for the next reading and later ones, no tile crosses
// a tail, and nothing that a window reaches is dropped.
func TestB2_B3_TailsAreBoundariesWhereTheyMove(t *testing.T) {
	eachPair(t, func(l *Levels, windows []plan.Window) {
		for _, newest := range around(windows) {
			cutoffs, _ := l.cutoffs(nil, newest)
			for _, later := range []plan.EventTime{1, 2, plan.EventTime(plan.Second), plan.EventTime(10 * plan.Hour)} {
				for _, w := range windows {
					checkTail(t, l, cutoffs, w, newest, newest+later)
				}
			}
		}
	})
}

// checkTail checks the events around the tail of w as of at.
func checkTail(t *testing.T, l *Levels, cutoffs []plan.EventTime, w plan.Window, newest, at plan.EventTime) {
	t.Helper()
	if w.Unbounded() {
		if _, keep := l.tileOf(plan.MinTime, cutoffs); !keep {
			t.Fatalf("%v: as of %v the first event is dropped", l.windows, at)
		}
		return
	}
	lower := w.Lower(at)
	for _, offset := range []plan.EventTime{-1, 0, 1, plan.EventTime(w.Hop) - 1, plan.EventTime(w.Hop)} {
		e := min(lower+offset, newest)
		start, keep := l.tileOf(e, cutoffs)
		if e >= lower && !keep {
			t.Fatalf("%v: newest %d, event %d is dropped though window %v reaches back to %d", l.windows, newest, e, w, lower)
		}
		if keep && (start >= lower) != (e >= lower) {
			t.Fatalf("%v: newest %d, the tile at %d of event %d straddles the tail %d of window %v", l.windows, newest, start, e, lower, w)
		}
	}
}

// The cutoffs do not change before the time that cutoffs returns, so a series that computes
// them only then has the same tiles as one that always does.
func TestB2_CutoffsStayUntilTheirTime(t *testing.T) {
	eachPair(t, func(l *Levels, windows []plan.Window) {
		for _, newest := range around(windows) {
			cutoffs, until := l.cutoffs(nil, newest)
			if len(cutoffs) == 0 {
				continue
			}
			if until <= newest {
				t.Fatalf("%v: cutoffs of newest %d stay until %d", windows, newest, until)
			}
			for _, next := range []plan.EventTime{newest + 1, until - 1} {
				if other, _ := l.cutoffs(nil, next); next < until && !slices.Equal(cutoffs, other) {
					t.Fatalf("%v: cutoffs of newest %d stay until %d, but those of %d differ", windows, newest, until, next)
				}
			}
		}
	})
}

// A new tile is empty even if it reuses the memory of one that expired or was merged.
func TestO6_ReleasedTilesAreEmpty(t *testing.T) {
	str := &plan.Expr{Type: plan.T(plan.String)}
	layout, err := agg.NewLayout([]*plan.Slot{{Func: plan.Count, Type: plan.T(plan.Int)}, {Func: plan.Max, Arg: str, Type: plan.OptionalOf(str.Type)}})
	if err != nil {
		t.Fatal(err)
	}
	s := NewSeries(NewLevels([]plan.Window{{Width: plan.Minute, Hop: plan.Second}}), layout.NewBlock())
	arg := vector.Of(str.Type, plan.StringValue("x"))
	const events = 500
	for i := range events {
		at := plan.EventTime(i) * plan.EventTime(plan.Hour)
		s.Advance(at)
		tile, ok := s.Tile(at)
		if !ok {
			t.Fatalf("no tile for an event at the newest time %v", at)
		}
		n, most := vector.New(plan.T(plan.Int), 1), vector.New(plan.OptionalOf(str.Type), 1)
		s.Partials().Value(0, tile, plan.Count, n, 0)
		s.Partials().Value(1, tile, plan.Max, most, 0)
		if n.Int[0] != 0 || !most.IsNull(0) {
			t.Fatalf("the new tile of %v already has %d events with maximum %v", at, n.Int[0], most.Value(0))
		}
		for slot := range 2 {
			s.Partials().Add(slot, tile, &agg.Input{Arg: arg, Time: []plan.EventTime{at}}, 0)
		}
	}
	if s.Tiles() > events/2 {
		t.Fatalf("after %d events an hour apart there are %d tiles of a minute", events, s.Tiles())
	}
}
