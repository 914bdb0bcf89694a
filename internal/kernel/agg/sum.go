package agg

import (
	"encoding/binary"
	"math/bits"

	"github.com/unskew/unskew/internal/kernel/vector"
)

// intSum is an exact sum of n int64s: 128 bits hold 2^63 of them.
type intSum struct {
	lo, hi uint64 // two's complement
	n      int64
}

func (s *intSum) add(x int64) {
	var c uint64
	s.lo, c = bits.Add64(s.lo, uint64(x), 0)
	s.hi, _ = bits.Add64(s.hi, uint64(x>>63), c)
}

func (s *intSum) sub(x int64) {
	var c uint64
	s.lo, c = bits.Sub64(s.lo, uint64(x), 0)
	s.hi, _ = bits.Sub64(s.hi, uint64(x>>63), c)
}

func (s *intSum) merge(o *intSum) {
	var c uint64
	s.lo, c = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, c)
	s.n += o.n
}

// int64 is the sum, and whether it is one.
func (s *intSum) int64() (int64, bool) {
	return int64(s.lo), s.hi == uint64(int64(s.lo)>>63)
}

func (s *intSum) float64() float64 {
	var buf [2]uint64
	limbs := [2]uint64{s.lo, s.hi}
	return signed(roundLimbs(magnitude(buf[:0], limbs[:]), originLimb, false), signOf(limbs[:]))
}

// intSumColumn is sum and mean of ints and durations.
type intSumColumn struct {
	cells[intSum]
	mean bool
}

func (c *intSumColumn) Add(p int, in *Input, row int) {
	s := &c.ps[p]
	s.add(in.Arg.Int[row])
	s.n++
}

func (c *intSumColumn) Remove(p int, in *Input, row int) {
	s := &c.ps[p]
	s.sub(in.Arg.Int[row])
	s.n--
}

func (c *intSumColumn) Empty(p int) bool { return c.ps[p].n == 0 }

func (c *intSumColumn) Merge(p int, from Column, q int) {
	c.ps[p].merge(&sibling[*intSumColumn](from).ps[q])
}

func (c *intSumColumn) Value(p int, out *vector.Vector, i int) { c.value(c.mean, p, out, i) }

func (c *intSumColumn) value(mean bool, p int, out *vector.Vector, i int) {
	s := &c.ps[p]
	if mean {
		putMean(out, i, s.float64(), s.n)
		return
	}
	sum, ok := s.int64()
	if !ok {
		out.SetErr(i)
		return
	}
	out.Int[i] = sum
}

// putMean stores sum/n, or null for no rows.
func putMean(out *vector.Vector, i int, sum float64, n int64) {
	if n == 0 {
		out.SetNull(i)
		return
	}
	out.Double[i] = canonical(sum / float64(n))
}

func (c *intSumColumn) Append(dst []byte, p int) []byte {
	s := &c.ps[p]
	if s.n == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagIntSum), uint64(s.n))
	limbs := [2]uint64{s.lo, s.hi}
	return appendInteger(dst, limbs[:])
}

func (c *intSumColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagIntSum)
	c.Reset(p)
	if !empty {
		s := &c.ps[p]
		s.n = r.rows(1)
		var limbs [2]uint64
		r.integer(limbs[:])
		s.lo, s.hi = limbs[0], limbs[1]
	}
	return r.close(c, p, "a sum of ints")
}

// doubleSum is an exact sum of n doubles.
type doubleSum struct {
	ExactSum
	n int64
}

// doubleSumColumn is sum and mean of doubles.
type doubleSumColumn struct {
	cells[doubleSum]
	mean bool
}

func (c *doubleSumColumn) Add(p int, in *Input, row int) {
	s := &c.ps[p]
	s.Add(in.Arg.Double[row])
	s.n++
}

func (c *doubleSumColumn) Remove(p int, in *Input, row int) {
	s := &c.ps[p]
	s.Sub(in.Arg.Double[row])
	s.n--
}

func (c *doubleSumColumn) Empty(p int) bool { return c.ps[p].n == 0 }

func (c *doubleSumColumn) Merge(p int, from Column, q int) {
	s, o := &c.ps[p], &sibling[*doubleSumColumn](from).ps[q]
	s.Merge(&o.ExactSum)
	s.n += o.n
}

func (c *doubleSumColumn) Value(p int, out *vector.Vector, i int) { c.value(c.mean, p, out, i) }

func (c *doubleSumColumn) value(mean bool, p int, out *vector.Vector, i int) {
	s := &c.ps[p]
	if mean {
		putMean(out, i, s.Float64(), s.n)
		return
	}
	out.Double[i] = s.Float64()
}

func (c *doubleSumColumn) Append(dst []byte, p int) []byte {
	s := &c.ps[p]
	if s.n == 0 {
		return append(dst, tagEmpty)
	}
	special := s.ext != nil && (s.ext.nan != 0 || s.ext.posInf != 0 || s.ext.negInf != 0)
	if special {
		dst = append(dst, tagDoubleSumSpecial)
	} else {
		dst = append(dst, tagDoubleSum)
	}
	dst = s.appendFinite(binary.AppendUvarint(dst, uint64(s.n)))
	if special {
		dst = binary.AppendUvarint(dst, uint64(s.ext.nan))
		dst = binary.AppendUvarint(dst, uint64(s.ext.posInf))
		dst = binary.AppendUvarint(dst, uint64(s.ext.negInf))
	}
	return dst
}

// decodeShort reads what most sums are: few rows, their sum of at most 8 bytes and
// home. It reports false, having done nothing, for everything else.
func (c *doubleSumColumn) decodeShort(p int, b []byte) (rest []byte, ok bool) {
	const begin = 5 // tag, rows, header and two bytes of the place
	if len(b) < begin+8 || b[0] != tagDoubleSum || b[1]-1 >= 0x7f || b[3] < 0x80 || b[4]-1 >= 0x7f {
		return nil, false
	}
	size := int(b[2] >> 1)
	bit := int(b[3]&0x7f) | int(b[4])<<7
	k := bit>>6 - homeLimb
	if size < 1 || size > 8 || k < 0 || k > 1 {
		return nil, false
	}
	m := binary.LittleEndian.Uint64(b[begin:]) & (1<<(8*size) - 1)
	if m&1 == 0 || m>>(8*size-8) == 0 {
		return nil, false
	}
	s := &c.ps[p]
	*s = doubleSum{n: int64(b[1])}
	s.setShort(k, uint(bit&63), m, -uint64(b[2]&1))
	return b[begin+size:], true
}

func (c *doubleSumColumn) Decode(p int, b []byte) ([]byte, error) {
	if rest, ok := c.decodeShort(p, b); ok {
		return rest, nil
	}
	special := len(b) > 0 && b[0] == tagDoubleSumSpecial
	tag := byte(tagDoubleSum)
	if special {
		tag = tagDoubleSumSpecial
	}
	r, empty := openPartial(b, tag)
	c.Reset(p)
	if !empty {
		s := &c.ps[p]
		s.n = r.rows(1)
		s.readFinite(&r)
		if special {
			x := exactExt{nan: r.rows(0), posInf: r.rows(0), negInf: r.rows(0)}
			if x.nan == 0 && x.posInf == 0 && x.negInf == 0 {
				r.fail()
			}
			s.addSpecials(&x)
		}
	}
	return r.close(c, p, "a sum of doubles")
}
