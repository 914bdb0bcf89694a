package agg

import (
	"math/bits"
	"slices"

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
	Dense              bool    // Rows are consecutive numbers
	Totals             *Totals // nil: the spans are few, or far from each other

	doubles []float64 // scratch
}

// Totals are the sums of the rows of spans up to each of them, from which the sum of any span is one
// subtraction. Spans of several windows over the same rows share them.
type Totals struct {
	from, to int32
	state    totalsState
	sums     [][2]uint64 // low and high word of the sum of Rows[from:from+i]; made on demand
}

type totalsState uint8

const (
	totalsWanted totalsState = iota
	totalsMade
	totalsTooLarge
)

// maxTotals bounds the memory of Totals, in rows.
const maxTotals = 1 << 16

// Choose returns t for the rows that the spans of several windows cover, or nil if adding and removing
// the rows of each window is less work. All windows end at the same rows to.
func (t *Totals) Choose(from [][]int32, to []int32) *Totals {
	if len(to) == 0 {
		return nil
	}
	work := int32(0)
	t.from, t.to, t.state = to[0], to[len(to)-1], totalsWanted
	for _, from := range from {
		s := Spans{From: from, To: to}
		for i := range to {
			in, inEnd, out, outEnd := s.delta(i)
			work += inEnd - in + outEnd - out
		}
		t.from = min(t.from, from[0])
	}
	if n := t.to - t.from; n > maxTotals || n >= work {
		return nil
	}
	return t
}

// make makes the totals with a function that adds rows to the sums, unless they are made already; it
// reports false if that cannot add all rows. t may be nil.
func (t *Totals) make(add func(sums [][2]uint64) bool) bool {
	if t == nil {
		return false
	}
	if t.state == totalsWanted {
		n := int(t.to-t.from) + 1
		t.sums = slices.Grow(t.sums[:0], n)[:n]
		t.sums[0] = [2]uint64{}
		if t.state = totalsMade; !add(t.sums) {
			t.state = totalsTooLarge
		}
	}
	return t.state == totalsMade
}

// sum is the sum of the rows [from, to).
func (t *Totals) sum(from, to int32) (lo, hi uint64) {
	a, b := &t.sums[from-t.from], &t.sums[to-t.from]
	lo, borrow := bits.Sub64(b[0], a[0], 0)
	hi, _ = bits.Sub64(b[1], a[1], borrow)
	return lo, hi
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
