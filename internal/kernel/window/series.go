package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
)

// Series is the tiles of one entity for the slots that share a ladder. It is not
// safe for concurrent use.
type Series struct {
	ladder   *Ladder
	cols     []agg.Column     // one a slot
	starts   []plan.EventTime // of the tiles, ascending
	partials []int32          // of each tile, the same in every column
	free     []int32          // partials no tile uses, empty
	newest   plan.EventTime
	guards   []plan.EventTime // as of when the series was settled
	until    plan.EventTime   // up to which newest the guards stay
	next     []plan.EventTime // scratch of settle
	room     int              // tiles to have before the series is settled again
}

// NewSeries makes an empty series; it takes ownership of the columns, one for
// each slot, which must be empty.
func NewSeries(l *Ladder, cols []agg.Column) *Series {
	return &Series{ladder: l, cols: cols, newest: plan.Always, until: plan.Always}
}

// Clear empties the series, keeping memory.
func (s *Series) Clear() {
	for _, c := range s.cols {
		c.Truncate(0)
	}
	s.starts, s.partials, s.free = s.starts[:0], s.partials[:0], s.free[:0]
	s.newest, s.guards, s.until, s.room = plan.Always, s.guards[:0], plan.Always, 0
}

// Advance tells the series the newest applied visible time, which never goes
// back.
func (s *Series) Advance(newest plan.EventTime) {
	s.newest = newest
	if len(s.starts) >= s.room || len(s.guards) == 0 {
		s.settle()
	}
}

// settle merges the tiles that shorter windows no longer reach and drops expired
// ones. Until then they stay as they are: tiles finer than need be read the same,
// so settling once they are half as many again is soon enough, and before encoding.
func (s *Series) settle() {
	if s.newest != plan.Always && s.newest >= s.until {
		old := s.guards
		s.guards, s.until = s.ladder.guards(s.next, s.newest)
		s.next = old
		for level := len(s.guards) - 1; level >= 0; level-- {
			from := plan.Always
			if len(old) > 0 {
				from = old[level]
			}
			if s.guards[level] > from {
				s.move(s.Before(from), s.guards[level])
			}
		}
	}
	s.room = len(s.starts) + len(s.starts)/2 + leastRoom
}

// leastRoom is the number of tiles below which a series need not be settled.
const leastRoom = 16

// move takes the tiles from number lo on that start before to where the guards want
// them now. They fill tiles of the next level whole, so only the tile before can be
// one of these.
func (s *Series) move(lo int, before plan.EventTime) {
	kept, i := lo, lo
	for ; i < len(s.starts) && s.starts[i] < before; i++ {
		start, keep := s.place(s.starts[i])
		p := s.partials[i]
		switch {
		case !keep:
			s.release(p)
		case kept > 0 && s.starts[kept-1] == start:
			s.absorb(s.partials[kept-1], p)
		default:
			s.starts[kept], s.partials[kept] = start, p
			kept++
		}
	}
	if kept < i {
		s.starts, s.partials = slices.Delete(s.starts, kept, i), slices.Delete(s.partials, kept, i)
	}
}

// place keeps the tile of everything older where it is; every other start is an
// event time like any other of its tile.
func (s *Series) place(start plan.EventTime) (plan.EventTime, bool) {
	if start == plan.Always {
		return start, true
	}
	return s.ladder.place(start, s.guards)
}

func (s *Series) absorb(into, from int32) {
	for _, c := range s.cols {
		c.Merge(int(into), c, int(from))
	}
	s.release(from)
}

func (s *Series) release(p int32) {
	for _, c := range s.cols {
		c.Reset(int(p))
	}
	s.free = append(s.free, p)
}

// Tile is the partial index in every column for event time t, or false when no
// window can reach t any more. Advance must have been called with a visible time
// not before the event's own.
func (s *Series) Tile(t plan.EventTime) (p int, ok bool) {
	start, keep := s.ladder.place(t, s.guards)
	if !keep {
		return 0, false
	}
	if n := len(s.starts); n > 0 && s.starts[n-1] == start {
		return int(s.partials[n-1]), true
	}
	i := s.Before(start)
	if i == len(s.starts) || s.starts[i] != start {
		s.starts, s.partials = slices.Insert(s.starts, i, start), slices.Insert(s.partials, i, s.alloc())
	}
	return int(s.partials[i]), true
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

func (s *Series) alloc() int32 {
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		return p
	}
	p := len(s.starts)
	for _, c := range s.cols {
		p = c.Len()
		c.Grow(1)
	}
	return int32(p)
}

// Column is the partials of the i-th slot of the series.
func (s *Series) Column(i int) agg.Column { return s.cols[i] }

// Tiles is the number of tiles.
func (s *Series) Tiles() int { return len(s.starts) }

// Partials lists the partials of the tiles by start. The series owns it.
func (s *Series) Partials() []int32 { return s.partials }

// Append appends the canonical encoding: tiles by start, each with the partials
// of its slots. The layout is docs/formats/state.md.
func (s *Series) Append(dst []byte) []byte {
	s.settle()
	dst = binary.AppendUvarint(dst, uint64(len(s.starts)))
	prev := plan.EventTime(0)
	for i, start := range s.starts {
		if start == plan.Always {
			dst = append(dst, 0)
		} else {
			dst = append(dst, 1)
			dst = binary.AppendVarint(dst, int64(start-prev))
			prev = start
		}
		for _, c := range s.cols {
			dst = c.Append(dst, int(s.partials[i]))
		}
	}
	return dst
}

var errSeries = errors.New("tiles: truncated or malformed")

// Decode replaces the series by one read from the front of b, whose newest
// applied visible time is given (Always: none), and returns the rest.
func (s *Series) Decode(b []byte, newest plan.EventTime) ([]byte, error) {
	s.Clear()
	if newest != plan.Always {
		s.newest = newest
		s.guards, s.until = s.ladder.guards(s.guards, newest)
	}
	n, k := binary.Uvarint(b)
	if k <= 0 || k > 1 && b[k-1] == 0 || n > uint64(len(b)) || n > 0 && newest == plan.Always {
		return nil, errSeries
	}
	b = b[k:]
	for _, c := range s.cols {
		c.Grow(int(n))
	}
	prev := plan.EventTime(0)
	for i := 0; i < int(n); i++ {
		start, rest, err := decodeStart(b, prev)
		if err != nil {
			return nil, err
		}
		if !s.ladder.begins(start, s.guards) || i > 0 && start <= s.starts[i-1] {
			return nil, errSeries
		}
		if start != plan.Always {
			prev = start
		}
		s.starts, s.partials = append(s.starts, start), append(s.partials, int32(i))
		if b, err = s.decodePartials(rest, i); err != nil {
			return nil, err
		}
	}
	s.room = len(s.starts) + len(s.starts)/2 + leastRoom
	return b, nil
}

func decodeStart(b []byte, prev plan.EventTime) (plan.EventTime, []byte, error) {
	if len(b) == 0 || b[0] > 1 {
		return 0, nil, errSeries
	}
	if b[0] == 0 {
		return plan.Always, b[1:], nil
	}
	d, k := binary.Varint(b[1:])
	if k <= 0 || k > 1 && b[k] == 0 {
		return 0, nil, errSeries
	}
	return prev + plan.EventTime(d), b[1+k:], nil
}

func (s *Series) decodePartials(b []byte, p int) ([]byte, error) {
	for i, c := range s.cols {
		var err error
		if b, err = c.Decode(p, b); err != nil {
			return nil, fmt.Errorf("tile %d, slot %d: %w", p, i, err)
		}
	}
	return b, nil
}
