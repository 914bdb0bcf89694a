package ingest

import (
	"slices"

	"github.com/unskew/unskew/internal/vector"
)

// Check lists what is wrong with the rows of b, at most one finding a row, by
// row, whatever the source says about bad rows. A pushed batch is checked with it
// before anything is stored, so each row can be answered for itself.
func (s *Source) Check(b *vector.Batch) []*BadRow {
	s.bad = s.bad[:0]
	s.readTimes(b, nil)
	s.checkText(b)
	for c := range s.columns {
		s.readColumnKnown(&s.columns[c], b)
	}
	s.readIDs(b)
	slices.SortStableFunc(s.bad, func(a, b badRow) int { return a.row - b.row })
	var out []*BadRow
	for _, bad := range s.bad {
		if n := len(out); n == 0 || out[n-1].Row != bad.row {
			out = append(out, &BadRow{bad.row, bad.column, bad.reason})
		}
	}
	return out
}
