package agg

import (
	"encoding/binary"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// intSumKind is sum and mean of ints and durations. A cell is the exact sum in 128-bit two's
// complement, enough for 2^63 values, and the number of rows.
type intSumKind struct{ alwaysPacks }

func (intSumKind) size() int    { return 3 }
func (intSumKind) what() string { return "a sum of ints" }

func (intSumKind) empty(g *grid, at int) bool { return g.words[at+2] == 0 }
func (intSumKind) reset(g *grid, at int)      { clear(g.words[at : at+3]) }

func (intSumKind) add(g *grid, at int, in *Input, row int) {
	c, x := g.words[at:at+3:at+3], in.Arg.Int[row]
	c[0], c[1] = add128(c[0], c[1], uint64(x), uint64(x>>63))
	c[2]++
}

func (k intSumKind) addRows(g *grid, at int, in *Input, rows []int32) {
	c := g.words[at : at+3 : at+3]
	lo, hi := c[0], c[1]
	for _, r := range rows {
		x := in.Arg.Int[r]
		lo, hi = add128(lo, hi, uint64(x), uint64(x>>63))
	}
	c[0], c[1], c[2] = lo, hi, c[2]+uint64(len(rows))
}

func (intSumKind) removeRows(g *grid, at int, in *Input, rows []int32) {
	c := g.words[at : at+3 : at+3]
	lo, hi := c[0], c[1]
	for _, r := range rows {
		x := in.Arg.Int[r]
		lo, hi = sub128(lo, hi, uint64(x), uint64(x>>63))
	}
	c[0], c[1], c[2] = lo, hi, c[2]-uint64(len(rows))
}

func (k intSumKind) readSpans(in *Input, s *Spans, values []SpanValue) bool {
	g := grid{words: make([]uint64, 3), width: 3}
	if s.Totals.make(func(sums [][2]uint64) bool {
		for i, r := range s.Rows[s.Totals.from:s.Totals.to] {
			k.add(&g, 0, in, int(r))
			sums[i+1] = [2]uint64{g.words[0], g.words[1]}
		}
		return true
	}) {
		for i, at := range s.At {
			g.words[0], g.words[1] = s.Totals.sum(s.From[i], s.To[i])
			g.words[2] = uint64(s.To[i] - s.From[i])
			for _, v := range values {
				k.value(v.As, &g, 0, v.Out, int(at))
			}
		}
		return true
	}
	for i, at := range s.At {
		entered, inEnd, left, outEnd := s.delta(i)
		k.addRows(&g, 0, in, s.Rows[entered:inEnd])
		k.removeRows(&g, 0, in, s.Rows[left:outEnd])
		for _, v := range values {
			k.value(v.As, &g, 0, v.Out, int(at))
		}
	}
	return true
}

func (intSumKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	c := g.words[at : at+3 : at+3]
	lo, hi, count := c[0], c[1], c[2]
	for ; n > 0; n-- {
		o := from.words[q : q+3 : q+3]
		lo, hi = add128(lo, hi, o[0], o[1])
		count += o[2]
		q += from.width
	}
	c[0], c[1], c[2] = lo, hi, count
}

func (intSumKind) value(f plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	lo, hi := g.words[at], g.words[at+1]
	switch {
	case f == plan.Mean:
		putMean(out, i, wideFloat(lo, hi, 0), int64(g.words[at+2]))
	case hi != uint64(int64(lo)>>63):
		out.SetErr(i)
	default:
		out.Int[i] = int64(lo)
	}
}

// putMean stores sum/n, or null for no rows.
func putMean(out *vector.Vector, i int, sum float64, n int64) {
	if n == 0 {
		out.SetNull(i)
		return
	}
	out.Double[i] = canonical(sum / float64(n))
}

func (intSumKind) append(dst []byte, g *grid, at int) []byte {
	return appendInteger(binary.AppendUvarint(append(dst, tagIntSum), g.words[at+2]), g.words[at:at+2])
}

func (intSumKind) decode(g *grid, at int, tag byte, r *reader) {
	r.expect(tag, tagIntSum)
	g.words[at+2] = uint64(r.rows(1))
	r.integer(g.words[at : at+2])
}

func (intSumKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	return appendWide(appendUints(dst, g, off+2, rows, 0), g, off, rows)
}

func (intSumKind) unpack(g *grid, off int, rows []int32, r *reader) {
	r.uints(g, off+2, rows, 0)
	r.atLeastOne(g, off+2, rows)
	r.wide(g, off, rows)
}

func (intSumKind) locate(n int, r *reader, x *packed) {
	x.rows, x.sums = r.locateUints(n), r.locateWides(n)
}

func (intSumKind) mergePacked(g *grid, at int, x *packed, from, to int) {
	c := g.words[at : at+3 : at+3]
	c[2] += x.rows.sum(from, to)
	if x.sums.width <= narrow {
		lo, hi := x.sums.sum(from, to)
		lo, hi = shiftLeft(lo, hi, x.sums.shift)
		c[0], c[1] = add128(c[0], c[1], lo, hi)
		return
	}
	for i := from; i < to; i++ {
		lo, hi := x.sums.at(i)
		c[0], c[1] = add128(c[0], c[1], lo, hi)
	}
}
