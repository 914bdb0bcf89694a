package agg

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// What follows does with many rows what the methods of Column do with one. A Column
// that can do so in a tight loop has the method of that name.

// AddRows adds rows to partial p of c.
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

// RemoveRows takes rows that were added out of partial p of c.
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

// Spans are runs of rows that an aggregate is read of: the i-th is Rows[From[i]:To[i]], and
// its value belongs in row At[i] of the output. Neither From nor To ever goes back.
type Spans struct {
	Rows, From, To, At []int32
	Dense              bool // Rows are numbers that follow one another

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

// SpanValue is what an aggregate makes of spans, and where it goes.
type SpanValue struct {
	As  plan.AggFunc
	Out *vector.Vector
}

// ReadSpans reads values of all spans in one loop, if the kind of the Column can and no row
// is out of the ordinary; otherwise it may have stored some of them. The partials of c take
// no part in it.
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

// moved says which rows of span i are not in the one before, from in to inEnd, and which of
// the one before are not in it.
func (s *Spans) moved(i int) (in, inEnd, out, outEnd int32) {
	from, to := s.From[i], s.To[i]
	if i == 0 {
		return from, to, 0, 0
	}
	lastFrom, lastTo := s.From[i-1], s.To[i-1]
	return min(max(lastTo, from), to), to, lastFrom, max(lastFrom, min(from, lastTo))
}
