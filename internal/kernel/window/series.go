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
	ladder *Ladder
	cols   []agg.Column // one a slot; partial p of each belongs to the tile with that p
	tiles  []tile       // by start
	free   []int        // partials no tile uses, empty
	guards []plan.EventTime
	next   []plan.EventTime // scratch of Advance
}

type tile struct {
	start plan.EventTime
	p     int
}

// NewSeries makes an empty series; it takes ownership of the columns, one for
// each slot, which must be empty.
func NewSeries(l *Ladder, cols []agg.Column) *Series {
	return &Series{ladder: l, cols: cols}
}

// Clear empties the series, keeping memory.
func (s *Series) Clear() {
	for _, c := range s.cols {
		c.Truncate(0)
	}
	s.tiles, s.free, s.guards = s.tiles[:0], s.free[:0], s.guards[:0]
}

// Advance tells the series the newest applied visible time, which never goes
// back: tiles that shorter windows no longer reach are merged, expired ones dropped.
func (s *Series) Advance(newest plan.EventTime) {
	s.next = s.ladder.guards(s.next, newest)
	if slices.Equal(s.next, s.guards) && len(s.guards) > 0 {
		return
	}
	s.guards, s.next = s.next, s.guards
	kept := s.tiles[:0]
	for _, t := range s.tiles {
		start, keep := s.place(t.start)
		switch {
		case !keep:
			s.release(t.p)
		case len(kept) > 0 && kept[len(kept)-1].start == start:
			s.absorb(kept[len(kept)-1].p, t.p)
		default:
			kept = append(kept, tile{start, t.p})
		}
	}
	s.tiles = kept
}

// place keeps the tile of everything older where it is; every other start is an
// event time like any other of its tile.
func (s *Series) place(start plan.EventTime) (plan.EventTime, bool) {
	if start == plan.Always {
		return start, true
	}
	return s.ladder.place(start, s.guards)
}

func (s *Series) absorb(into, from int) {
	for _, c := range s.cols {
		c.Merge(into, c, from)
	}
	s.release(from)
}

func (s *Series) release(p int) {
	for _, c := range s.cols {
		c.Reset(p)
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
	if n := len(s.tiles); n > 0 && s.tiles[n-1].start == start {
		return s.tiles[n-1].p, true
	}
	i, found := slices.BinarySearchFunc(s.tiles, start, func(t tile, start plan.EventTime) int {
		return compareTime(t.start, start)
	})
	if !found {
		s.tiles = slices.Insert(s.tiles, i, tile{start, s.alloc()})
	}
	return s.tiles[i].p, true
}

func compareTime(a, b plan.EventTime) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *Series) alloc() int {
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		return p
	}
	p := len(s.tiles)
	for _, c := range s.cols {
		p = c.Len()
		c.Grow(1)
	}
	return p
}

// Column is the partials of the i-th slot of the series.
func (s *Series) Column(i int) agg.Column { return s.cols[i] }

// Tiles is the number of tiles.
func (s *Series) Tiles() int { return len(s.tiles) }

// At is the start and the partial of the i-th tile, in order of start.
func (s *Series) At(i int) (start plan.EventTime, p int) { return s.tiles[i].start, s.tiles[i].p }

// Append appends the canonical encoding: tiles by start, each with the partials
// of its slots. The layout is docs/formats/state.md.
func (s *Series) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.tiles)))
	prev := plan.EventTime(0)
	for _, t := range s.tiles {
		if t.start == plan.Always {
			dst = append(dst, 0)
		} else {
			dst = append(dst, 1)
			dst = binary.AppendVarint(dst, int64(t.start-prev))
			prev = t.start
		}
		for _, c := range s.cols {
			dst = c.Append(dst, t.p)
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
		s.guards = s.ladder.guards(s.guards, newest)
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
		if !s.ladder.begins(start, s.guards) || i > 0 && start <= s.tiles[i-1].start {
			return nil, errSeries
		}
		if start != plan.Always {
			prev = start
		}
		s.tiles = append(s.tiles, tile{start, i})
		if b, err = s.decodePartials(rest, i); err != nil {
			return nil, err
		}
	}
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
