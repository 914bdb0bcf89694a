// Package window keeps the partials of one entity in tiles and reads windows
// from them.
//
// Several windows over one slot share one set of tiles. Near the present, tiles are
// as fine as the finest hop. Farther back, where the shorter windows no longer
// reach, they are merged into coarser ones, and beyond the longest window they are
// dropped. The tile of an event time depends only on that time and on the newest applied
// visible time, so the tiles of an entity depend only on the multiset of its events.
package window

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Levels lays out the tiles for a set of windows: level 0 is the finest. The tail of a
// window is its lower end.
//
// The windows are in order of width, and level i serves the windows from i on. Its
// tile width is the greatest common divisor of their hops, so it divides the next
// level's, and every tail of these windows is a tile boundary. A tile moves from
// level i to i+1 once the whole wider tile lies before the tails of windows 0 to i.
type Levels struct {
	windows   []plan.Window // bounded, by width
	widths    []plan.Micros // width of a tile, by level
	unbounded bool          // there is one more level: a single tile with everything older
}

// NewLevels lays out tiles for the given windows, duplicates allowed.
func NewLevels(windows []plan.Window) *Levels {
	l := &Levels{}
	for _, w := range windows {
		if w.Unbounded() {
			l.unbounded = true
		} else if !slices.Contains(l.windows, w) {
			l.windows = append(l.windows, w)
		}
	}
	slices.SortFunc(l.windows, func(a, b plan.Window) int {
		if a.Width != b.Width {
			return int(min(1, max(-1, a.Width-b.Width)))
		}
		return int(min(1, max(-1, a.Hop-b.Hop)))
	})
	l.widths = make([]plan.Micros, len(l.windows))
	var g plan.Micros
	for i := len(l.windows) - 1; i >= 0; i-- {
		g = gcd(g, l.windows[i].Hop)
		l.widths[i] = g
	}
	return l
}

// Equal reports whether two Levels lay out tiles in the same way.
func (l *Levels) Equal(m *Levels) bool {
	return l.unbounded == m.unbounded && slices.Equal(l.windows, m.windows)
}

func gcd(a, b plan.Micros) plan.Micros {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// cutoffs are the ends of the levels' ranges: tiles of level i that start before cutoffs[i]
// belong to level i+1, or, for the last level, are older than every window. cutoffs[i] is the
// least tail of windows 0 to i at any reading after newest, rounded down to a tile boundary
// of the next level. until is a newest time before which the cutoffs do not change.
func (l *Levels) cutoffs(dst []plan.EventTime, newest plan.EventTime) (cutoffs []plan.EventTime, until plan.EventTime) {
	dst = dst[:0]
	least, until := plan.Never, plan.Never
	for i, w := range l.windows {
		tail := w.Lower(newest + 1)
		until = min(until, tail+plan.EventTime(w.Hop+w.Width)-1)
		least = min(least, tail)
		dst = append(dst, floorTo(least, l.widths[min(i+1, len(l.widths)-1)]))
	}
	return dst, until
}

// tileOf finds the tile of event time t: its start (Always for the tile with everything
// older). keep is false if no window reaches t any more.
func (l *Levels) tileOf(t plan.EventTime, cutoffs []plan.EventTime) (start plan.EventTime, keep bool) {
	last := len(l.widths) - 1
	if last < 0 {
		return plan.Always, true
	}
	if t < cutoffs[last] {
		return plan.Always, l.unbounded
	}
	level := last
	for level > 0 && t >= cutoffs[level-1] {
		level--
	}
	return floorTo(t, l.widths[level]), true
}

// hasOlder reports whether there is a tile with everything older.
func (l *Levels) hasOlder() bool { return l.unbounded || len(l.widths) == 0 }

func floorTo(t plan.EventTime, w plan.Micros) plan.EventTime {
	return plan.EventTime(plan.FloorDiv(int64(t), int64(w)) * int64(w))
}
