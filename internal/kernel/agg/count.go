package agg

import (
	"encoding/binary"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// countKind is count(), with or without an argument: a cell is the number of rows.
type countKind struct{ alwaysPacks }

func (countKind) size() int    { return 1 }
func (countKind) what() string { return "count" }

func (countKind) empty(g *grid, at int) bool           { return g.words[at] == 0 }
func (countKind) reset(g *grid, at int)                { g.words[at] = 0 }
func (countKind) add(g *grid, at int, _ *Input, _ int) { g.words[at]++ }

func (countKind) append(dst []byte, g *grid, at int) []byte {
	return binary.AppendUvarint(append(dst, tagCount), g.words[at])
}

func (countKind) decode(g *grid, at int, tag byte, r *reader) {
	r.expect(tag, tagCount)
	g.words[at] = uint64(r.rows(1))
}

func (countKind) addRows(g *grid, at int, _ *Input, rows []int32) { g.words[at] += uint64(len(rows)) }

func (countKind) removeRows(g *grid, at int, _ *Input, rows []int32) {
	g.words[at] -= uint64(len(rows))
}

func (countKind) readSpans(_ *Input, s *Spans, values []SpanValue) bool {
	for _, v := range values {
		for i, at := range s.At {
			v.Out.Int[at] = int64(s.To[i] - s.From[i])
		}
	}
	return true
}

func (countKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	total := uint64(0)
	for ; n > 0; n-- {
		total += from.words[q]
		q += from.width
	}
	g.words[at] += total
}

func (countKind) value(_ plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	out.Int[i] = int64(g.words[at])
}

func (countKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	return appendUints(dst, g, off, rows, 0)
}

func (countKind) unpack(g *grid, off int, rows []int32, r *reader) {
	r.uints(g, off, rows, 0)
	r.atLeastOne(g, off, rows)
}

func (countKind) locate(n int, r *reader, x *packed) { x.rows = r.locateUints(n) }

func (countKind) mergePacked(g *grid, at int, x *packed, from, to int) {
	g.words[at] += x.rows.sum(from, to)
}

// boolKind is any and all: a cell is the number of true rows and the number of false rows.
type boolKind struct{ alwaysPacks }

func (boolKind) size() int    { return 2 }
func (boolKind) what() string { return "any or all" }

func (boolKind) empty(g *grid, at int) bool { return g.words[at]|g.words[at+1] == 0 }
func (boolKind) reset(g *grid, at int)      { g.words[at], g.words[at+1] = 0, 0 }

func (boolKind) add(g *grid, at int, in *Input, row int) {
	if !in.Arg.Bits.Get(row) {
		at++
	}
	g.words[at]++
}

func (k boolKind) addRows(g *grid, at int, in *Input, rows []int32) {
	for _, r := range rows {
		k.add(g, at, in, int(r))
	}
}

func (boolKind) removeRows(g *grid, at int, in *Input, rows []int32) {
	for _, r := range rows {
		if in.Arg.Bits.Get(int(r)) {
			g.words[at]--
		} else {
			g.words[at+1]--
		}
	}
}

func (boolKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	for ; n > 0; n-- {
		g.words[at] += from.words[q]
		g.words[at+1] += from.words[q+1]
		q += from.width
	}
}

func (boolKind) value(f plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	if f == plan.All {
		out.Bits.Put(i, g.words[at+1] == 0)
	} else {
		out.Bits.Put(i, g.words[at] != 0)
	}
}

func (boolKind) append(dst []byte, g *grid, at int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(append(dst, tagBools), g.words[at]), g.words[at+1])
}

func (k boolKind) decode(g *grid, at int, tag byte, r *reader) {
	r.expect(tag, tagBools)
	g.words[at], g.words[at+1] = uint64(r.rows(0)), uint64(r.rows(0))
	if k.empty(g, at) {
		r.fail()
	}
}

func (boolKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	return appendUints(appendUints(dst, g, off, rows, 0), g, off+1, rows, 0)
}

func (k boolKind) unpack(g *grid, off int, rows []int32, r *reader) {
	r.uints(g, off, rows, 0)
	r.uints(g, off+1, rows, 0)
	for _, p := range rows {
		at := g.row(int(p)) + off
		if k.empty(g, at) || (g.words[at]|g.words[at+1])>>63 != 0 {
			r.fail()
			return
		}
	}
}

func (boolKind) locate(n int, r *reader, x *packed) {
	x.rows, x.other = r.locateUints(n), r.locateUints(n)
}

func (boolKind) mergePacked(g *grid, at int, x *packed, from, to int) {
	g.words[at] += x.rows.sum(from, to)
	g.words[at+1] += x.other.sum(from, to)
}
