package agg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// doubleSumKind is sum and mean of doubles, exactly. A cell of three words is short or long.
// A short cell is the sum, as a 128-bit two's complement number in units of 2^-80, and the
// number of rows; it holds values of full precision down to 2^-28 and sums up to 2^46. A
// long cell is the index of an ExactSum in the grid, an unused word, and the number of rows
// with the top bit set. A long cell stays long until it is reset or packed. Values and
// encodings do not depend on which of the two a cell is.
type doubleSumKind struct{}

const (
	shortUnit = 80
	// shortBias is the biased exponent of a double whose last place is one unit.
	shortBias = 1075 - shortUnit
	// shortBit and shortLimb are the position of a short sum's unit in an ExactSum.
	shortBit  = origin - shortUnit
	shortLimb = shortBit / 64
	longMark  = 1 << 63
)

func (doubleSumKind) size() int    { return 3 }
func (doubleSumKind) what() string { return "a sum of doubles" }

func isLong(g *grid, at int) bool { return g.words[at+2]&longMark != 0 }

// longOf is the sum of a long cell.
func longOf(g *grid, at int) *ExactSum { return &g.long[g.words[at]] }

// count adds n, which may be negative, to the number of rows. It never changes longMark,
// even if a damaged encoding has claimed more rows than there can be.
func (doubleSumKind) count(g *grid, at int, n uint64) {
	c := g.words[at+2]
	g.words[at+2] = c&longMark | (c+n)&^longMark
}

func (doubleSumKind) empty(g *grid, at int) bool { return g.words[at+2]&^longMark == 0 }

func (doubleSumKind) reset(g *grid, at int) {
	if isLong(g, at) {
		*longOf(g, at) = ExactSum{}
		g.spare = append(g.spare, int(g.words[at]))
	}
	clear(g.words[at : at+3])
}

func (k doubleSumKind) add(g *grid, at int, in *Input, row int) {
	k.count(g, at, 1)
	k.addOne(g, at, in.Arg.Double[row])
}

func (k doubleSumKind) addRows(g *grid, at int, in *Input, rows []int32) {
	k.count(g, at, uint64(len(rows)))
	for len(rows) > 0 {
		if rows = rows[k.addUsual(g, at, in.Arg.Double, rows, 0):]; len(rows) > 0 {
			k.addOne(g, at, in.Arg.Double[rows[0]])
			rows = rows[1:]
		}
	}
}

func (k doubleSumKind) removeRows(g *grid, at int, in *Input, rows []int32) {
	k.count(g, at, -uint64(len(rows)))
	for len(rows) > 0 {
		if rows = rows[k.addUsual(g, at, in.Arg.Double, rows, 1<<63):]; len(rows) > 0 {
			if x := in.Arg.Double[rows[0]]; finite(x) {
				k.addOne(g, at, -x)
			} else {
				longOf(g, at).Sub(x) // the cell is long: adding x made it so
			}
			rows = rows[1:]
		}
	}
}

// shortOf is a double with the given bits as a short sum, if its magnitude is usual: in
// [2^-28, 2^36), so that no bit is lost and none is near the top.
func shortOf(b uint64) (lo, hi, carry uint64, usual bool) {
	pos := b>>52&0x7ff - shortBias
	m := b&(1<<52-1) | 1<<52
	neg := uint64(int64(b) >> 63)
	// Where neg is all ones, adding the carry completes the negation.
	return m<<(pos&63) ^ neg, m>>1>>(^pos&63) ^ neg, neg & 1, pos <= 63
}

// addUsual adds rows while they are of usual magnitude and the sum is short, and returns
// how many it added. It negates them if flip is the sign bit.
func (k doubleSumKind) addUsual(g *grid, at int, xs []float64, rows []int32, flip uint64) int {
	if isLong(g, at) {
		return 0
	}
	lo, hi := g.words[at], g.words[at+1]
	done := 0
	for _, r := range rows {
		xlo, xhi, carry, usual := shortOf(math.Float64bits(xs[r]) ^ flip)
		if !usual || (hi+maxTop)>>63 != 0 {
			break
		}
		lo, carry = bits.Add64(lo, xlo, carry)
		hi, _ = bits.Add64(hi, xhi, carry)
		done++
	}
	k.setShort(g, at, lo, hi)
	return done
}

// readSpans keeps a short sum and gives up at the first span that needs a long one.
func (k doubleSumKind) readSpans(in *Input, s *Spans, values []SpanValue) bool {
	xs := s.doublesOf(in.Arg.Double)
	if s.Totals.make(func(sums [][2]uint64) bool { return addTotals(sums, xs[s.Totals.from:s.Totals.to]) }) {
		for i, at := range s.At {
			lo, hi := s.Totals.sum(s.From[i], s.To[i])
			putSum(values, int(at), lo, hi, s.To[i]-s.From[i])
		}
		return true
	}
	var lo, hi uint64
	for i, at := range s.At {
		in, inEnd, out, outEnd := s.delta(i)
		var all, same bool
		if lo, hi, all = addShort(lo, hi, xs[in:inEnd], 0); all {
			lo, hi, same = addShort(lo, hi, xs[out:outEnd], 1<<63)
		}
		if !all || !same {
			return false
		}
		putSum(values, int(at), lo, hi, s.To[i]-s.From[i])
	}
	return true
}

// putSum stores the aggregates of a span with a short sum.
func putSum(values []SpanValue, at int, lo, hi uint64, rows int32) {
	sum := wideFloat(lo, hi, shortUnit)
	for _, v := range values {
		if v.As == plan.Mean {
			putMean(v.Out, at, sum, int64(rows))
		} else {
			v.Out.Double[at] = sum
		}
	}
}

// addTotals makes the short sums of the first values, the first two, and so on, after that of none. It
// returns false if a value is not of usual magnitude or a sum gets too large.
func addTotals(sums [][2]uint64, xs []float64) bool {
	var lo, hi, carry uint64
	for i, x := range xs {
		xlo, xhi, c, usual := shortOf(math.Float64bits(x))
		if usual {
			lo, carry = bits.Add64(lo, xlo, c)
			hi, _ = bits.Add64(hi, xhi, carry)
		} else if x != 0 {
			return false
		}
		if (hi+maxTop)>>63 != 0 {
			return false
		}
		sums[i+1] = [2]uint64{lo, hi}
	}
	return true
}

// addShort adds values to a short sum, negated if flip is the sign bit. ok is false if a
// value is not of usual magnitude or the sum gets too large.
func addShort(lo, hi uint64, xs []float64, flip uint64) (_, _ uint64, ok bool) {
	var carry uint64
	for _, x := range xs {
		xlo, xhi, c, usual := shortOf(math.Float64bits(x) ^ flip)
		if !usual {
			if x == 0 {
				continue
			}
			return 0, 0, false
		}
		lo, carry = bits.Add64(lo, xlo, c)
		if hi, _ = bits.Add64(hi, xhi, carry); (hi+maxTop)>>63 != 0 {
			return 0, 0, false
		}
	}
	return lo, hi, true
}

// addOne adds x to the sum; the caller counts the row.
func (k doubleSumKind) addOne(g *grid, at int, x float64) {
	lo, hi, carry, usual := shortOf(math.Float64bits(x))
	if !usual || isLong(g, at) {
		k.addRare(g, at, x)
		return
	}
	lo, carry = bits.Add64(g.words[at], lo, carry)
	hi, _ = bits.Add64(g.words[at+1], hi, carry)
	k.setShort(g, at, lo, hi)
}

// addRare adds a double of unusual magnitude, or adds to a long sum.
func (k doubleSumKind) addRare(g *grid, at int, x float64) {
	if x == 0 {
		return
	}
	if !isLong(g, at) {
		var s ExactSum
		s.Add(x)
		if lo, hi, ok := s.short(); ok {
			lo, hi = add128(g.words[at], g.words[at+1], lo, hi)
			k.setShort(g, at, lo, hi)
			return
		}
		k.setLong(g, at, exactOfShort(g.words[at], g.words[at+1]))
	}
	longOf(g, at).Add(x)
}

// setShort makes hi:lo the sum of a short cell. The cell becomes long if adding two such sums
// could overflow.
func (k doubleSumKind) setShort(g *grid, at int, lo, hi uint64) {
	if g.words[at], g.words[at+1] = lo, hi; (hi+maxTop)>>63 != 0 {
		k.setLong(g, at, exactOfShort(lo, hi))
	}
}

// setLong makes a short cell long, with the sum s, which it takes ownership of.
func (doubleSumKind) setLong(g *grid, at int, s ExactSum) {
	var i int
	if n := len(g.spare); n > 0 {
		i, g.spare = g.spare[n-1], g.spare[:n-1]
		g.long[i] = s
	} else {
		i, g.long = len(g.long), append(g.long, s)
	}
	g.words[at], g.words[at+1] = uint64(i), 0
	g.words[at+2] |= longMark
}

// exact is the sum of a cell. The result shares the heap memory of a long cell.
func (doubleSumKind) exact(g *grid, at int) ExactSum {
	if isLong(g, at) {
		return *longOf(g, at)
	}
	return exactOfShort(g.words[at], g.words[at+1])
}

func (k doubleSumKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	for n > 0 {
		done := k.mergeShort(g, at, from, q, n)
		if done == 0 {
			k.mergeRare(g, at, from, q)
			done = 1
		}
		n -= done
		q += done * from.width
	}
}

// mergeShort merges cells while they and the sum are short, and returns how many it merged.
func (k doubleSumKind) mergeShort(g *grid, at int, from *grid, q, n int) int {
	if isLong(g, at) {
		return 0
	}
	lo, hi, rows := g.words[at], g.words[at+1], uint64(0)
	done := 0
	for ; done < n; done++ {
		o := from.words[q : q+3 : q+3]
		if o[2]&longMark != 0 || (hi+maxTop)>>63 != 0 {
			break
		}
		lo, hi = add128(lo, hi, o[0], o[1])
		rows += o[2]
		q += from.width
	}
	k.count(g, at, rows)
	k.setShort(g, at, lo, hi)
	return done
}

func (k doubleSumKind) mergeRare(g *grid, at int, from *grid, q int) {
	k.count(g, at, from.words[q+2]&^longMark)
	if !isLong(g, at) {
		k.setLong(g, at, exactOfShort(g.words[at], g.words[at+1]))
	}
	o := k.exact(from, q)
	longOf(g, at).Merge(&o)
}

func (doubleSumKind) value(f plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	var sum float64
	if isLong(g, at) {
		sum = longOf(g, at).Float64()
	} else {
		sum = wideFloat(g.words[at], g.words[at+1], shortUnit)
	}
	if f == plan.Mean {
		putMean(out, i, sum, int64(g.words[at+2]&^longMark))
		return
	}
	out.Double[i] = sum
}

func (k doubleSumKind) append(dst []byte, g *grid, at int) []byte {
	s, n := k.exact(g, at), g.words[at+2]&^longMark
	if !s.special() {
		return s.appendFinite(binary.AppendUvarint(append(dst, tagDoubleSum), n))
	}
	dst = s.appendFinite(binary.AppendUvarint(append(dst, tagDoubleSumSpecial), n))
	dst = binary.AppendUvarint(dst, uint64(s.ext.nan))
	dst = binary.AppendUvarint(dst, uint64(s.ext.posInf))
	return binary.AppendUvarint(dst, uint64(s.ext.negInf))
}

func (k doubleSumKind) decode(g *grid, at int, tag byte, r *reader) {
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
		k.setLong(g, at, s)
	}
}

// packs makes long cells short where possible, and reports whether all cells are short.
func (k doubleSumKind) packs(g *grid, off int, rows []int32) bool {
	for _, p := range rows {
		at := g.row(int(p)) + off
		if !isLong(g, at) {
			continue
		}
		lo, hi, ok := longOf(g, at).short()
		if !ok {
			return false
		}
		n := g.words[at+2] &^ longMark
		k.reset(g, at)
		g.words[at], g.words[at+1], g.words[at+2] = lo, hi, n
	}
	return true
}

func (doubleSumKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	return appendWide(appendUints(dst, g, off+2, rows, 0), g, off, rows)
}

func (doubleSumKind) unpack(g *grid, off int, rows []int32, r *reader) {
	r.uints(g, off+2, rows, 0)
	r.atLeastOne(g, off+2, rows)
	r.wide(g, off, rows)
	var over uint64
	for _, p := range rows {
		over |= g.words[g.row(int(p))+off+1] + maxTop
	}
	if over>>63 != 0 {
		r.fail()
	}
}

func (doubleSumKind) locate(n int, r *reader, x *packed) {
	x.rows, x.sums = r.locateUints(n), r.locateWides(n)
}

func (k doubleSumKind) mergePacked(g *grid, at int, x *packed, from, to int) {
	k.count(g, at, x.rows.sum(from, to))
	if x.sums.width <= narrow && !isLong(g, at) {
		if lo, hi := x.sums.sum(from, to); fitsShort(lo, hi, x.sums.shift) {
			lo, hi = shiftLeft(lo, hi, x.sums.shift)
			lo, hi = add128(g.words[at], g.words[at+1], lo, hi)
			k.setShort(g, at, lo, hi)
			return
		}
	}
	var one [3]uint64 // a cell with 0 rows, because they are counted already
	cell := grid{words: one[:], width: len(one)}
	for i := from; i < to; i++ {
		cell.words[0], cell.words[1] = x.sums.at(i)
		k.mergeRows(g, at, &cell, 0, 1)
	}
}

// fitsShort reports whether a number times 2^shift can be added to any short sum.
func fitsShort(lo, hi uint64, shift uint) bool {
	sign := uint64(int64(hi) >> 63)
	return wideLen(lo^sign, hi^sign)+int(shift) <= 126
}
