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
	until   plan.EventTime   // up to which newest the cutoffs stay
	cutoffs []plan.EventTime // as of when the series was compacted
	next    []plan.EventTime // scratch of compact
	room    int              // tiles to have before the series is compacted again
}

// NewSeries makes an empty series; it takes ownership of tiles, which has no rows and a
// slot for each that the levels was made for.
func NewSeries(l *Levels, tiles agg.Block) Series {
	return Series{levels: l, tiles: tiles, newest: plan.Always, until: plan.Always}
}

// Clear empties the series, keeping memory.
func (s *Series) Clear() {
	s.tiles.Clear()
	s.starts = s.starts[:0]
	s.newest, s.cutoffs, s.until, s.room = plan.Always, s.cutoffs[:0], plan.Always, 0
}

// Advance tells the series the newest applied visible time, which never goes
// back.
func (s *Series) Advance(newest plan.EventTime) {
	s.newest = newest
	if len(s.starts) >= s.room || len(s.cutoffs) == 0 {
		s.compact()
	}
}

// compact merges the tiles that shorter windows no longer reach and drops expired
// ones. Until then they stay as they are: tiles finer than need be read the same,
// so compacting once they are half as many again is soon enough, and before encoding.
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

// move takes the tiles from number lo on that start before to where the cutoffs want
// them now. They fill tiles of the next level whole, so only the tile before can be
// one of these.
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

// dropEmpty takes away the tiles in which no slot has anything any more.
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

// tileOf keeps the tile of everything older where it is; every other start is an
// event time like any other of its tile.
func (s *Series) tileOf(start plan.EventTime) (plan.EventTime, bool) {
	if start == plan.Always {
		return start, true
	}
	return s.levels.tileOf(start, s.cutoffs)
}

// Tile is the number of the tile for event time t, or false when no window can reach t
// any more. Advance must have been called with a visible time not before the event's
// own. The number is good until the next call of Tile or Advance.
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

// Partials is the partials of the tiles. The series owns it; only Add of a row that
// Tile has returned is allowed.
func (s *Series) Partials() *agg.Block { return &s.tiles }

// Tiles is the number of tiles.
func (s *Series) Tiles() int { return len(s.starts) }
