package agg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// doubleSumKind is sum and mean of doubles, exactly. A cell is short or long. Short, it
// is the sum as a 128-bit two's complement number of units of 2^-80 and the number of
// rows; that holds values of full precision down to 2^-28 and sums up to 2^46. Long, it
// is the number of an ExactSum of the grid, nothing, and the number of rows with the
// top bit set. Once long, a cell stays so until it is reset; which of the two it is
// never shows in a value or an encoding.
type doubleSumKind struct{}

const (
	shortUnit = 80
	// shortBias is the biased exponent of a double whose last place is one unit.
	shortBias = 1075 - shortUnit
	// shortBit and shortLimb say where the unit of a short sum is in an ExactSum.
	shortBit  = origin - shortUnit
	shortLimb = shortBit / 64
	longMark  = 1 << 63
)

func (doubleSumKind) size() int    { return 3 }
func (doubleSumKind) what() string { return "a sum of doubles" }

func (doubleSumKind) empty(g *grid, at int) bool { return g.words[at+2]&^longMark == 0 }

func (doubleSumKind) reset(g *grid, at int) {
	c := g.words[at : at+3 : at+3]
	if c[2]&longMark != 0 {
		g.long[c[0]] = ExactSum{}
		g.spare = append(g.spare, int(c[0]))
	}
	clear(c)
}

func (doubleSumKind) add(g *grid, at int, in *Input, row int) {
	g.words[at+2]++
	g.addDouble(at, in.Arg.Double[row])
}

func (doubleSumKind) addRows(g *grid, at int, in *Input, rows []int32) {
	g.words[at+2] += uint64(len(rows))
	for len(rows) > 0 {
		if rows = rows[g.addUsual(at, in.Arg.Double, rows, 0):]; len(rows) > 0 {
			g.addDouble(at, in.Arg.Double[rows[0]])
			rows = rows[1:]
		}
	}
}

func (doubleSumKind) removeRows(g *grid, at int, in *Input, rows []int32) {
	g.words[at+2] -= uint64(len(rows))
	for len(rows) > 0 {
		if rows = rows[g.addUsual(at, in.Arg.Double, rows, 1<<63):]; len(rows) > 0 {
			if x := in.Arg.Double[rows[0]]; finite(x) {
				g.addDouble(at, -x)
			} else {
				g.long[g.words[at]].Sub(x)
			}
			rows = rows[1:]
		}
	}
}

// addUsual adds the first of the rows, as many as are of usual size while the sum is
// short, and returns their number. It flips their signs where flip is the sign bit.
func (g *grid) addUsual(at int, xs []float64, rows []int32, flip uint64) int {
	c := g.words[at : at+3 : at+3]
	lo, hi := c[0], c[1]
	if c[2]&longMark != 0 {
		return 0
	}
	done := 0
	for _, r := range rows {
		b := math.Float64bits(xs[r]) ^ flip
		pos := b>>52&0x7ff - shortBias
		if pos > 63 || (hi+guard)>>63 != 0 {
			break
		}
		m := b&(1<<52-1) | 1<<52
		neg := uint64(int64(b) >> 63)
		var carry uint64
		lo, carry = bits.Add64(lo, m<<(pos&63)^neg, neg&1)
		hi, _ = bits.Add64(hi, m>>1>>(^pos&63)^neg, carry)
		done++
	}
	c[0], c[1] = lo, hi
	if (hi+guard)>>63 != 0 {
		g.lengthen(at)
	}
	return done
}

// addDouble adds x to the sum alone.
func (g *grid) addDouble(at int, x float64) {
	c := g.words[at : at+3 : at+3]
	b := math.Float64bits(x)
	pos := b>>52&0x7ff - shortBias
	if pos > 63 || c[2]&longMark != 0 {
		g.addRare(at, x)
		return
	}
	m := b&(1<<52-1) | 1<<52
	neg := uint64(int64(b) >> 63)
	var carry uint64
	c[0], carry = bits.Add64(c[0], m<<(pos&63)^neg, neg&1)
	c[1], _ = bits.Add64(c[1], m>>1>>(^pos&63)^neg, carry)
	if (c[1]+guard)>>63 != 0 {
		g.lengthen(at)
	}
}

// addRare adds what is no double of usual size, or adds to a long sum.
func (g *grid) addRare(at int, x float64) {
	if x == 0 {
		return
	}
	if g.words[at+2]&longMark == 0 {
		var s ExactSum
		s.Add(x)
		if lo, hi, ok := s.short(); ok {
			g.addShort(at, lo, hi)
			return
		}
		g.lengthen(at)
	}
	g.long[g.words[at]].Add(x)
}

// addShort adds a short sum to one.
func (g *grid) addShort(at int, lo, hi uint64) {
	c := g.words[at : at+3 : at+3]
	var carry uint64
	c[0], carry = bits.Add64(c[0], lo, 0)
	c[1], _ = bits.Add64(c[1], hi, carry)
	if (c[1]+guard)>>63 != 0 {
		g.lengthen(at)
	}
}

// lengthen makes a short cell a long one.
func (g *grid) lengthen(at int) {
	c := g.words[at : at+3 : at+3]
	g.setLong(at, exactOfShort(c[0], c[1]))
}

func (g *grid) setLong(at int, s ExactSum) {
	var i int
	if n := len(g.spare); n > 0 {
		i, g.spare = g.spare[n-1], g.spare[:n-1]
		g.long[i] = s
	} else {
		i, g.long = len(g.long), append(g.long, s)
	}
	c := g.words[at : at+3 : at+3]
	c[0], c[1], c[2] = uint64(i), 0, c[2]|longMark
}

// exactSum is the sum of a cell. What a long one owns is shared.
func (g *grid) exactSum(at int) ExactSum {
	if g.words[at+2]&longMark != 0 {
		return g.long[g.words[at]]
	}
	return exactOfShort(g.words[at], g.words[at+1])
}

func (k doubleSumKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	for n > 0 {
		done := g.mergeShort(at, from, q, n)
		if done == 0 {
			g.mergeRare(at, from, q)
			done = 1
		}
		n -= done
		q += done * from.width
	}
}

// mergeShort merges the first of n cells, as many as are short while the sum is, and
// returns their number.
func (g *grid) mergeShort(at int, from *grid, q, n int) int {
	c := g.words[at : at+3 : at+3]
	lo, hi, count := c[0], c[1], c[2]
	if count&longMark != 0 {
		return 0
	}
	done := 0
	for ; done < n; done++ {
		o := from.words[q : q+3 : q+3]
		if o[2]&longMark != 0 || (hi+guard)>>63 != 0 {
			break
		}
		var carry uint64
		lo, carry = bits.Add64(lo, o[0], 0)
		hi, _ = bits.Add64(hi, o[1], carry)
		count += o[2]
		q += from.width
	}
	c[0], c[1], c[2] = lo, hi, count
	if (hi+guard)>>63 != 0 {
		g.lengthen(at)
	}
	return done
}

func (g *grid) mergeRare(at int, from *grid, q int) {
	g.words[at+2] += from.words[q+2] &^ longMark
	if g.words[at+2]&longMark == 0 {
		g.lengthen(at)
	}
	o := from.exactSum(q)
	g.long[g.words[at]].Merge(&o)
}

func (doubleSumKind) value(f plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	var sum float64
	if g.words[at+2]&longMark != 0 {
		sum = g.long[g.words[at]].Float64()
	} else {
		sum = wideFloat(g.words[at], g.words[at+1], shortUnit)
	}
	if f == plan.Mean {
		putMean(out, i, sum, int64(g.words[at+2]&^longMark))
		return
	}
	out.Double[i] = sum
}

func (doubleSumKind) append(dst []byte, g *grid, at int) []byte {
	s, n := g.exactSum(at), g.words[at+2]&^longMark
	if !s.special() {
		return s.appendFinite(binary.AppendUvarint(append(dst, tagDoubleSum), n))
	}
	dst = s.appendFinite(binary.AppendUvarint(append(dst, tagDoubleSumSpecial), n))
	dst = binary.AppendUvarint(dst, uint64(s.ext.nan))
	dst = binary.AppendUvarint(dst, uint64(s.ext.posInf))
	return binary.AppendUvarint(dst, uint64(s.ext.negInf))
}

func (doubleSumKind) decode(g *grid, at int, tag byte, r *reader) {
	special := tag == tagDoubleSumSpecial
	if !special {
		r.expect(tag, tagDoubleSum)
	}
	g.words[at+2] = uint64(r.rows(1))
	var s ExactSum
	s.readFinite(r)
	if special {
		x := exactExt{nan: r.rows(0), posInf: r.rows(0), negInf: r.rows(0)}
		if s.addSpecials(&x); !s.special() {
			r.fail()
		}
	}
	if lo, hi, ok := s.short(); ok {
		g.words[at], g.words[at+1] = lo, hi
	} else {
		g.setLong(at, s)
	}
}

// packs reports whether every sum can be short. A long one may have become so.
func (doubleSumKind) packs(g *grid, off int, rows []int32) bool {
	for _, p := range rows {
		at := g.row(int(p)) + off
		if g.words[at+2]&longMark != 0 {
			if _, _, ok := g.long[g.words[at]].short(); !ok {
				return false
			}
		}
	}
	return true
}

func (k doubleSumKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	for _, p := range rows {
		g.shorten(g.row(int(p)) + off)
	}
	return appendWide(appendUints(dst, g, off+2, rows, 0), g, off, rows)
}

// shorten makes a long cell short, which it can be.
func (g *grid) shorten(at int) {
	n := g.words[at+2] &^ longMark
	if n == g.words[at+2] {
		return
	}
	lo, hi, _ := g.long[g.words[at]].short()
	doubleSumKind{}.reset(g, at)
	g.words[at], g.words[at+1], g.words[at+2] = lo, hi, n
}

func (doubleSumKind) unpack(g *grid, off int, rows []int32, r *reader) {
	r.uints(g, off+2, rows, 0)
	r.atLeastOne(g, off+2, rows)
	r.wide(g, off, rows)
	var beyond uint64
	for _, p := range rows {
		beyond |= g.words[g.row(int(p))+off+1] + guard
	}
	if beyond>>63 != 0 {
		r.fail()
	}
}
