package window

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
)

// Series is the tiles of one entity for the slots that share levels: row i of its
// Block is tile i, oldest first. It is not safe for concurrent use.
type Series struct {
	levels  *Levels
	starts  []plan.EventTime // of the tiles, ascending
	tiles   agg.Block
	newest  plan.EventTime
	until   plan.EventTime   // the cutoffs do not change while newest is before it
	cutoffs []plan.EventTime // as of the last compact
	next    []plan.EventTime // scratch of compact
	room    int              // compact again at this number of tiles
}

// NewSeries makes an empty series. It takes ownership of tiles, which has no rows; its slots
// are those whose windows l was made for.
func NewSeries(l *Levels, tiles agg.Block) Series {
	return Series{levels: l, tiles: tiles, newest: plan.Always, until: plan.Always}
}

// Clear empties the series and keeps its memory.
func (s *Series) Clear() {
	s.tiles.Clear()
	s.starts = s.starts[:0]
	s.newest, s.cutoffs, s.until, s.room = plan.Always, s.cutoffs[:0], plan.Always, 0
}

// Advance sets the newest applied visible time, which must never decrease.
func (s *Series) Advance(newest plan.EventTime) {
	s.newest = newest
	if len(s.starts) >= s.room || len(s.cutoffs) == 0 {
		s.compact()
	}
}

// compact merges the tiles that shorter windows no longer reach and drops expired ones. It
// need not run at every Advance, because values do not depend on it: it runs when the number
// of tiles has grown by half, and before encoding.
func (s *Series) compact() {
	if s.newest != plan.Always && s.newest >= s.until {
		old := s.cutoffs
		s.cutoffs, s.until = s.levels.cutoffs(s.next, s.newest)
		s.next = old
		for level := len(s.cutoffs) - 1; level >= 0; level-- {
			from := plan.Always
			if len(old) > 0 {
				from = old[level]
			}
			if s.cutoffs[level] > from {
				s.move(s.Before(from), s.cutoffs[level])
			}
		}
	}
	s.room = len(s.starts) + len(s.starts)/2 + leastRoom
}

// leastRoom is the number of tiles below which a series need not be compacted.
const leastRoom = 16

// move moves the tiles from number lo on that start before the given time to their new
// tiles. Since cutoffs are tile boundaries of the next level, the only existing tile that
// can absorb one is the tile before it.
func (s *Series) move(lo int, before plan.EventTime) {
	kept, i := lo, lo
	for ; i < len(s.starts) && s.starts[i] < before; i++ {
		start, keep := s.tileOf(s.starts[i])
		switch {
		case !keep:
			s.tiles.Reset(i)
		case kept > 0 && s.starts[kept-1] == start:
			s.tiles.Absorb(kept-1, i)
		default:
			if s.starts[kept] = start; kept < i {
				s.tiles.Move(kept, i)
			}
			kept++
		}
	}
	if kept < i {
		s.starts = slices.Delete(s.starts, kept, i)
		s.tiles.Remove(kept, i)
	}
}

// dropEmpty removes the tiles in which every slot is empty.
func (s *Series) dropEmpty() {
	if !s.tiles.LeavesEmpty() {
		return
	}
	kept := 0
	for i := range s.starts {
		if s.tiles.Empty(i) {
			continue
		}
		if kept < i {
			s.starts[kept] = s.starts[i]
			s.tiles.Move(kept, i)
		}
		kept++
	}
	s.tiles.Remove(kept, len(s.starts))
	s.starts = s.starts[:kept]
}

// tileOf is the tile that an existing tile belongs to now. The tile with everything older
// stays; any other tile goes where an event at its start would go.
func (s *Series) tileOf(start plan.EventTime) (plan.EventTime, bool) {
	if start == plan.Always {
		return start, true
	}
	return s.levels.tileOf(start, s.cutoffs)
}

// Tile is the number of the tile for event time t, which it creates if there is none. ok is
// false if no window reaches t any more. Advance must have been called with the event's
// visible time or a later one. The number is valid until the next call of Tile or Advance.
func (s *Series) Tile(t plan.EventTime) (p int, ok bool) {
	start, keep := s.levels.tileOf(t, s.cutoffs)
	if !keep {
		return 0, false
	}
	n := len(s.starts)
	if n > 0 && s.starts[n-1] == start {
		return n - 1, true
	}
	i := s.Before(start)
	if i == n || s.starts[i] != start {
		s.starts = slices.Insert(s.starts, i, start)
		s.tiles.Insert(i)
	}
	return i, true
}

// Before is the number of tiles that start before t.
func (s *Series) Before(t plan.EventTime) int {
	lo, hi := 0, len(s.starts)
	if hi > 0 && s.starts[hi-1] < t {
		return hi
	}
	for lo < hi {
		if mid := (lo + hi) >> 1; s.starts[mid] < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// Partials is the partials of the tiles. The series owns it; the only change allowed is Add
// to a row that Tile returned.
func (s *Series) Partials() *agg.Block { return &s.tiles }

// Tiles is the number of tiles.
func (s *Series) Tiles() int { return len(s.starts) }

// Same is the times, from the first to before the last, as of which window w has the same tiles as
// with the tail lower. They are right from the newest applied visible time on.
func (s *Series) Same(w plan.Window, lower plan.EventTime) (from, until plan.EventTime) {
	from, until = plan.Always, plan.Never
	if w.Unbounded() {
		return from, until
	}
	// A tile leaves the window when the tail becomes the next multiple of the hop after its start.
	leaves := func(tile int) plan.EventTime {
		return floorTo(s.starts[tile], w.Hop) + plan.EventTime(w.Hop+w.Width)
	}
	first := s.Before(lower)
	if first > 0 && s.starts[first-1] != plan.Always {
		from = leaves(first - 1)
	}
	if first < len(s.starts) {
		until = leaves(first)
	}
	return from, until
}
