package agg

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// AddRows adds rows to partial p of c. A Column that can do so in a tight loop has a method
// addRows; the same holds of RemoveRows and ReadSpans.
func AddRows(c Column, p int, in *Input, rows []int32) {
	if b, ok := c.(interface {
		addRows(p int, in *Input, rows []int32)
	}); ok {
		b.addRows(p, in, rows)
		return
	}
	for _, r := range rows {
		c.Add(p, in, int(r))
	}
}

// RemoveRows removes rows that were added from partial p of c.
func RemoveRows(c Column, p int, in *Input, rows []int32) {
	if b, ok := c.(interface {
		removeRows(p int, in *Input, rows []int32)
	}); ok {
		b.removeRows(p, in, rows)
		return
	}
	for _, r := range rows {
		c.Remove(p, in, int(r))
	}
}

// Spans are ranges of rows to aggregate: span i is Rows[From[i]:To[i]], and its value goes
// to row At[i] of the output. From and To never decrease.
type Spans struct {
	Rows, From, To, At []int32
	Dense              bool // Rows are consecutive numbers

	doubles []float64 // scratch
}

// doublesOf are the values of Rows.
func (s *Spans) doublesOf(xs []float64) []float64 {
	if s.Dense && len(s.Rows) > 0 {
		return xs[s.Rows[0]:][:len(s.Rows)]
	}
	s.doubles = s.doubles[:0]
	for _, r := range s.Rows {
		s.doubles = append(s.doubles, xs[r])
	}
	return s.doubles
}

// SpanValue is an aggregate to compute for each span, and the vector for its values.
type SpanValue struct {
	As  plan.AggFunc
	Out *vector.Vector
}

// ReadSpans computes the values of all spans in one loop and reports whether it did. It
// reports false if the Column's kind has no such loop, or if a row needs the general path;
// some values may be stored then. It neither reads nor changes the partials of c.
func ReadSpans(c Column, in *Input, s *Spans, values []SpanValue) bool {
	cells, ok := c.(*cellColumn)
	if !ok {
		return false
	}
	kind, ok := cells.kind.(interface {
		readSpans(in *Input, s *Spans, values []SpanValue) bool
	})
	return ok && kind.readSpans(in, s, values)
}

// delta is the difference between span i and the span before it: Rows[in:inEnd] enter,
// Rows[out:outEnd] leave.
func (s *Spans) delta(i int) (in, inEnd, out, outEnd int32) {
	from, to := s.From[i], s.To[i]
	if i == 0 {
		return from, to, 0, 0
	}
	lastFrom, lastTo := s.From[i-1], s.To[i-1]
	return min(max(lastTo, from), to), to, lastFrom, max(lastFrom, min(from, lastTo))
}
