package window

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// The encoding of a series: for each level, from the coarsest, the number of its tiles and
// their starts, in multiples of the level's width; then the partials of all tiles. See
// docs/formats/state.md.

var errSeries = errors.New("tiles: truncated or malformed")

// Append appends the canonical encoding.
func (s *Series) Append(dst []byte) []byte {
	s.compact()
	s.dropEmpty()
	tiles := 0
	if s.levels.hasOlder() {
		if tiles = s.Before(plan.Always + 1); tiles > 0 {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
	}
	for level := len(s.levels.widths) - 1; level >= 0; level-- {
		first := tiles
		if tiles = len(s.starts); level > 0 && len(s.cutoffs) > 0 {
			tiles = s.Before(s.cutoffs[level-1])
		}
		dst = s.appendStarts(dst, s.starts[first:tiles], s.levels.widths[level])
	}
	return s.tiles.Append(dst)
}

// appendStarts appends the starts of the tiles of one level: the first one, then for each
// further one the number of missing tiles before it.
func (s *Series) appendStarts(dst []byte, starts []plan.EventTime, width plan.Micros) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(starts)))
	last := int64(0)
	for i, start := range starts {
		n := plan.FloorDiv(int64(start), int64(width))
		if i == 0 {
			dst = binary.AppendVarint(dst, n)
		} else {
			dst = binary.AppendUvarint(dst, uint64(n-last-1))
		}
		last = n
	}
	return dst
}

// Decode replaces the series by one read from the front of b and returns the rest. newest is
// the newest visible time applied to it (Always: none). After an error the caller must Clear
// the series.
func (s *Series) Decode(b []byte, newest plan.EventTime) ([]byte, error) {
	return s.decode(b, newest, s.tiles.Decode)
}

// DecodeFormat3 is Decode of states of format 3.
func (s *Series) DecodeFormat3(b []byte, newest plan.EventTime) ([]byte, error) {
	return s.decode(b, newest, s.tiles.DecodeFormat3)
}

// Load decodes only what reading the slots marked in need takes: see agg.Block.
func (s *Series) Load(b []byte, newest plan.EventTime, need []bool) ([]byte, error) {
	return s.decode(b, newest, func(b []byte, n int) ([]byte, error) { return s.tiles.Load(b, n, need) })
}

func (s *Series) decode(b []byte, newest plan.EventTime, tiles func([]byte, int) ([]byte, error)) ([]byte, error) {
	s.Clear()
	if newest != plan.Always {
		s.newest = newest
		s.cutoffs, s.until = s.levels.cutoffs(s.cutoffs, newest)
	}
	if s.levels.hasOlder() {
		if len(b) == 0 || b[0] > 1 {
			return nil, errSeries
		}
		if b[0] == 1 {
			s.starts = append(s.starts, plan.Always)
		}
		b = b[1:]
	}
	var err error
	for level := len(s.levels.widths) - 1; level >= 0; level-- {
		if b, err = s.decodeStarts(b, level); err != nil {
			return nil, err
		}
	}
	if len(s.starts) > 0 && newest == plan.Always {
		return nil, errSeries
	}
	if b, err = tiles(b, len(s.starts)); err != nil {
		return nil, fmt.Errorf("tiles: %w", err)
	}
	s.room = len(s.starts) + len(s.starts)/2 + leastRoom
	return b, nil
}

// decodeStarts reads the starts of the tiles of one level. It refuses tiles that the cutoffs
// would have moved to another level.
func (s *Series) decodeStarts(b []byte, level int) ([]byte, error) {
	count, k := binary.Uvarint(b)
	if k <= 0 || k > 1 && b[k-1] == 0 || count > uint64(len(b)) {
		return nil, errSeries
	}
	b = b[k:]
	if count == 0 {
		return b, nil
	}
	if s.newest == plan.Always {
		return nil, errSeries
	}
	width := int64(s.levels.widths[level])
	least, most := s.span(level)
	n, k := binary.Varint(b)
	if k <= 0 || k > 1 && b[k-1] == 0 || n < least {
		return nil, errSeries
	}
	b = b[k:]
	for ; ; count-- {
		if n > most {
			return nil, errSeries
		}
		if s.starts = append(s.starts, plan.EventTime(n*width)); count == 1 {
			return b, nil
		}
		gap, k := uint64(0), 1
		if len(b) > 0 && b[0] < 0x80 {
			gap = uint64(b[0])
		} else if gap, k = binary.Uvarint(b); k <= 0 || b[k-1] == 0 {
			return nil, errSeries
		}
		if gap >= uint64(most-n) {
			return nil, errSeries
		}
		n, b = n+1+int64(gap), b[k:]
	}
}

// span is the range of tiles that a level may have: start divided by width of the first and
// the last one.
func (s *Series) span(level int) (least, most int64) {
	end := s.newest
	if level > 0 {
		end = min(end, s.cutoffs[level-1]-1)
	}
	width := int64(s.levels.widths[level])
	return plan.FloorDiv(int64(s.cutoffs[level]), width), plan.FloorDiv(int64(end), width)
}
