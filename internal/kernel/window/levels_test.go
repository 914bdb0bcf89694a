package window

import (
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"pgregory.net/rapid"
)

// windows draws sets of windows: exact ones, hops that do not divide each other, equal widths
// with different hops, unbounded ones.
func windows(t *rapid.T) []plan.Window {
	literal := rapid.SampledFrom([]string{"1s", "30s", "90s/30s", "10m", "90m/30m", "1h", "1h/exact", "2h/40m", "1d", "1d/6h", "1d/exact", "2d/1h", "7d", "7d/1d", "30d", "35d/7d", ""})
	var out []plan.Window
	for _, s := range rapid.SliceOfN(literal, 1, 6).Draw(t, "windows") {
		w := plan.Window{}
		if s != "" {
			var err error
			if w, err = plan.ParseWindow(s); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, w)
	}
	return out
}

// edgeTime draws times on and around the boundaries of hops, on both sides of the epoch.
func edgeTime(t *rapid.T, label string) plan.EventTime {
	unit := rapid.SampledFrom([]plan.Micros{plan.Second, plan.Minute, 30 * plan.Minute, plan.Hour, plan.Day, 7 * plan.Day}).Draw(t, label+" unit")
	n := rapid.Int64Range(-100, 100).Draw(t, label)
	jitter := rapid.SampledFrom([]int64{-1, 0, 0, 1, 123456789}).Draw(t, label+" jitter")
	return plan.EventTime(n*int64(unit) + jitter)
}

// TestB2_TilesNeverStraddleATail: at every reading after newest, a tile lies entirely before
// the tail of a window or entirely at or after it, and only events that no window reaches
// are dropped.
func TestB2_TilesNeverStraddleATail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := windows(t)
		l := NewLevels(ws)
		newest := edgeTime(t, "newest")
		cutoffs, _ := l.cutoffs(nil, newest)
		at := newest + 1 + plan.EventTime(max(0, edgeTime(t, "after")))
		a := min(newest, edgeTime(t, "a"))
		b := min(newest, edgeTime(t, "b"))
		sa, keepA := l.tileOf(a, cutoffs)
		sb, keepB := l.tileOf(b, cutoffs)
		for _, w := range ws {
			lower := w.Lower(at)
			if a >= lower && !keepA {
				t.Fatalf("%v is dropped, but window %v reaches back to %v as of %v", a, w, lower, at)
			}
			if keepA && keepB && sa == sb && (a >= lower) != (b >= lower) {
				t.Fatalf("%v and %v share tile %v, but the tail %v of window %v as of %v divides them", a, b, sa, lower, w, at)
			}
			if keepA && (sa >= lower) != (a >= lower) {
				t.Fatalf("tile %v of %v and the event are on different sides of the tail %v of %v", sa, a, lower, w)
			}
		}
	})
}

// TestMovedTilesAreWhereTheirEventsBelong: moving a tile when newest advances gives its
// events the tile that they would have had directly.
func TestMovedTilesAreWhereTheirEventsBelong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLevels(windows(t))
		n1 := edgeTime(t, "newest")
		n2 := n1 + plan.EventTime(max(0, edgeTime(t, "later")))
		a := min(n1, edgeTime(t, "a"))
		g1, until := l.cutoffs(nil, n1)
		g2, _ := l.cutoffs(nil, n2)
		if n2 < until && !slices.Equal(g1, g2) {
			t.Fatalf("as of %v the cutoffs stay until %v, but as of %v they differ", n1, until, n2)
		}
		s1, keep1 := l.tileOf(a, g1)
		direct, keep2 := l.tileOf(a, g2)
		if !keep1 {
			if keep2 {
				t.Fatalf("%v was dropped as of %v and is kept as of %v", a, n1, n2)
			}
			return
		}
		if s1 == plan.Always {
			if !keep2 || direct != plan.Always {
				t.Fatalf("%v left the tile with everything older", a)
			}
			return
		}
		moved, keep := l.tileOf(s1, g2)
		if keep != keep2 || keep && moved != direct {
			t.Fatalf("tile %v of %v moves to %v (%v), the event itself to %v (%v)", s1, a, moved, keep, direct, keep2)
		}
	})
}
