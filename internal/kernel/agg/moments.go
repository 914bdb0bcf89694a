package agg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// canonical replaces any NaN by the one that values may have.
func canonical(f float64) float64 { return math.Float64frombits(plan.DoubleBits(f)) }

// spread says which of the four measures of spread to compute.
type spread struct{ sample, root bool }

func spreadOf(f plan.AggFunc) spread {
	return spread{
		sample: f == plan.VarSamp || f == plan.StddevSamp,
		root:   f == plan.StddevPop || f == plan.StddevSamp,
	}
}

// put stores the measure of n ≥ 1 rows in row i of out.
func (f spread) put(out *vector.Vector, i int, s *varianceScratch, n int64, sum, sq exactNumber) {
	d := n
	if f.sample {
		if d--; d == 0 {
			out.SetNull(i)
			return
		}
	}
	v := s.variance(n, d, sum, sq)
	if f.root {
		v = canonical(math.Sqrt(v))
	}
	out.Double[i] = v
}

// intSum is an exact sum of n int64s.
type intSum struct {
	lo, hi uint64 // two's complement
	n      int64
}

func (s *intSum) add(x int64) {
	s.lo, s.hi = add128(s.lo, s.hi, uint64(x), uint64(x>>63))
}

func (s *intSum) sub(x int64) {
	s.lo, s.hi = sub128(s.lo, s.hi, uint64(x), uint64(x>>63))
}

func (s *intSum) merge(o *intSum) {
	s.lo, s.hi = add128(s.lo, s.hi, o.lo, o.hi)
	s.n += o.n
}

// intMoments are exact Σx and Σx² of n int64s: 192 bits hold 2^63 squares.
type intMoments struct {
	intSum
	sq [3]uint64
}

// intMomentsColumn is var_* and stddev_* of ints.
type intMomentsColumn struct {
	partials[intMoments]
	spread
	scratch varianceScratch
}

func squareOf(x int64) (hi, lo uint64) {
	u := uint64((x ^ x>>63) - x>>63)
	return bits.Mul64(u, u)
}

func (c *intMomentsColumn) Add(p int, in *Input, row int) {
	m, x := &c.ps[p], in.Arg.Int[row]
	m.add(x)
	m.n++
	hi, lo := squareOf(x)
	var carry uint64
	m.sq[0], carry = bits.Add64(m.sq[0], lo, 0)
	m.sq[1], carry = bits.Add64(m.sq[1], hi, carry)
	m.sq[2] += carry
}

func (c *intMomentsColumn) Remove(p int, in *Input, row int) {
	m, x := &c.ps[p], in.Arg.Int[row]
	m.sub(x)
	m.n--
	hi, lo := squareOf(x)
	var borrow uint64
	m.sq[0], borrow = bits.Sub64(m.sq[0], lo, 0)
	m.sq[1], borrow = bits.Sub64(m.sq[1], hi, borrow)
	m.sq[2] -= borrow
}

func (c *intMomentsColumn) Empty(p int) bool { return c.ps[p].n == 0 }

func (c *intMomentsColumn) Merge(p int, from Column, q int) {
	m, o := &c.ps[p], &sibling[*intMomentsColumn](from).ps[q]
	m.merge(&o.intSum)
	var carry uint64
	m.sq[0], carry = bits.Add64(m.sq[0], o.sq[0], 0)
	m.sq[1], carry = bits.Add64(m.sq[1], o.sq[1], carry)
	m.sq[2], _ = bits.Add64(m.sq[2], o.sq[2], carry)
}

func (c *intMomentsColumn) Value(p int, out *vector.Vector, i int) { c.value(c.spread, p, out, i) }

func (c *intMomentsColumn) value(f spread, p int, out *vector.Vector, i int) {
	m := &c.ps[p]
	if m.n == 0 {
		out.SetNull(i)
		return
	}
	sum := [2]uint64{m.lo, m.hi}
	f.put(out, i, &c.scratch, m.n, exactNumber{sum[:], originLimb}, exactNumber{m.sq[:], originLimb})
}

func (c *intMomentsColumn) Append(dst []byte, p int) []byte {
	m := &c.ps[p]
	if m.n == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagIntMoments), uint64(m.n))
	limbs := [2]uint64{m.lo, m.hi}
	return appendInteger(appendInteger(dst, limbs[:]), m.sq[:])
}

func (c *intMomentsColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagIntMoments)
	c.Reset(p)
	if !empty {
		m := &c.ps[p]
		m.n = r.rows(1)
		var limbs [2]uint64
		r.integer(limbs[:])
		m.lo, m.hi = limbs[0], limbs[1]
		if r.integer(m.sq[:]); signOf(m.sq[:]) != 0 {
			r.fail()
		}
	}
	return r.close(c, p, "a variance of ints")
}

// doubleMoments are exact Σx and Σx² of the finite values among n doubles.
type doubleMoments struct {
	sum, sq      ExactSum
	n, nonFinite int64
}

// doubleMomentsColumn is var_* and stddev_* of doubles.
type doubleMomentsColumn struct {
	partials[doubleMoments]
	spread
	scratch varianceScratch
}

func finite(x float64) bool { return math.Float64bits(x)>>52&0x7ff != 0x7ff }

func (c *doubleMomentsColumn) Add(p int, in *Input, row int) {
	m, x := &c.ps[p], in.Arg.Double[row]
	m.n++
	if !finite(x) {
		m.nonFinite++
		return
	}
	m.sum.Add(x)
	m.sq.AddSquare(x)
}

func (c *doubleMomentsColumn) Remove(p int, in *Input, row int) {
	m, x := &c.ps[p], in.Arg.Double[row]
	m.n--
	if !finite(x) {
		m.nonFinite--
		return
	}
	m.sum.Sub(x)
	m.sq.SubSquare(x)
}

func (c *doubleMomentsColumn) Empty(p int) bool { return c.ps[p].n == 0 }

func (c *doubleMomentsColumn) Merge(p int, from Column, q int) {
	m, o := &c.ps[p], &sibling[*doubleMomentsColumn](from).ps[q]
	m.sum.Merge(&o.sum)
	m.sq.Merge(&o.sq)
	m.n += o.n
	m.nonFinite += o.nonFinite
}

func (c *doubleMomentsColumn) Value(p int, out *vector.Vector, i int) { c.value(c.spread, p, out, i) }

func (c *doubleMomentsColumn) value(f spread, p int, out *vector.Vector, i int) {
	m := &c.ps[p]
	switch {
	case m.n == 0 || m.n == 1 && f.sample:
		out.SetNull(i)
	case m.nonFinite != 0:
		out.Double[i] = math.Float64frombits(plan.CanonicalNaN)
	default:
		sum, a := m.sum.limbs()
		sq, b := m.sq.limbs()
		f.put(out, i, &c.scratch, m.n, exactNumber{sum, a}, exactNumber{sq, b})
	}
}

func (c *doubleMomentsColumn) Append(dst []byte, p int) []byte {
	m := &c.ps[p]
	if m.n == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagDoubleMoments), uint64(m.n))
	dst = binary.AppendUvarint(dst, uint64(m.nonFinite))
	return m.sq.appendFinite(m.sum.appendFinite(dst))
}

func (c *doubleMomentsColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagDoubleMoments)
	c.Reset(p)
	if !empty {
		m := &c.ps[p]
		m.n, m.nonFinite = r.rows(1), r.rows(0)
		m.sum.readFinite(&r)
		m.sq.readFinite(&r)
		if limbs, _ := m.sq.limbs(); signOf(limbs) != 0 || m.nonFinite > m.n {
			r.fail()
		}
	}
	return r.close(c, p, "a variance of doubles")
}
