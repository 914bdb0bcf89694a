package agg

import (
	"math"
	"math/bits"
)

// signOf is all ones for a negative two's complement number, else 0.
func signOf(limbs []uint64) uint64 { return uint64(int64(limbs[len(limbs)-1]) >> 63) }

// magnitude appends the absolute value of a two's complement number to dst.
func magnitude(dst, limbs []uint64) []uint64 {
	neg := signOf(limbs)
	c := neg & 1
	for _, w := range limbs {
		w, c = bits.Add64(w^neg, 0, c)
		dst = append(dst, w)
	}
	return dst
}

// trim cuts zero limbs off both ends of a natural number whose first limb has index base,
// and returns the index of the new first limb.
func trim(a []uint64, base int) ([]uint64, int) {
	for len(a) > 0 && a[len(a)-1] == 0 {
		a = a[:len(a)-1]
	}
	for len(a) > 0 && a[0] == 0 {
		a, base = a[1:], base+1
	}
	return a, base
}

// topBit is the position just above the highest set bit of a natural number whose last limb
// is not zero.
func topBit(a []uint64, base int) int {
	return 64*(base+len(a)-1) + bits.Len64(a[len(a)-1])
}

// addInto adds the natural number a at limb i of a two's complement number, or subtracts it
// if neg is all ones. The result must fit.
func addInto(limbs []uint64, i int, a []uint64, neg uint64) {
	c := neg & 1
	for _, w := range a {
		limbs[i], c = bits.Add64(limbs[i], w^neg, c)
		i++
	}
	for ; i < len(limbs) && c != neg&1; i++ {
		limbs[i], c = bits.Add64(limbs[i], neg, c)
	}
}

// addProduct adds x·y to a two's complement number, or subtracts it if neg is all ones. The
// result must fit.
func addProduct(limbs []uint64, x, y, neg uint64) {
	hi, lo := bits.Mul64(x, y)
	addInto(limbs, 0, []uint64{lo, hi}, neg)
}

// roundLimbs rounds a natural number, whose first limb has index base, to the nearest
// double, ties to even. sticky means that the exact number is larger than its limbs by less
// than one unit of the last place; then it must have 64 bits or more.
func roundLimbs(a []uint64, base int, sticky bool) float64 {
	i := len(a) - 1
	for i >= 0 && a[i] == 0 {
		i--
	}
	if i < 0 {
		return 0
	}
	lz := uint(bits.LeadingZeros64(a[i]))
	top := a[i] << lz
	exp := 64*(base+i) + 63 - int(lz) - origin
	if i > 0 {
		i--
		top |= a[i] >> 1 >> (^lz & 63)
		sticky = sticky || a[i]<<lz != 0
		for i > 0 && !sticky {
			i--
			sticky = a[i] != 0
		}
	}
	return roundTop(top, sticky, exp)
}

// roundTop rounds top·2^(exp-63) to the nearest double, ties to even. Bit 63 of top is set;
// sticky means that the exact number is slightly larger.
func roundTop(top uint64, sticky bool, exp int) float64 {
	if exp > 1023 {
		return math.Inf(1)
	}
	drop := 11
	if exp < -1022 {
		drop += -1022 - exp
		if drop > 64 {
			return 0
		}
	}
	mant, rest := top>>drop, top<<(64-drop)
	if rest > 1<<63 || rest == 1<<63 && (sticky || mant&1 == 1) {
		mant++
	}
	if exp < -1022 {
		return math.Float64frombits(mant)
	}
	// The leading one of mant adds 1 to the exponent, a carry out of the mantissa 1 more.
	return math.Float64frombits(uint64(exp+1022)<<52 + mant)
}

// add128 and sub128 add and subtract numbers of two words in two's complement.
func add128(lo, hi, x, y uint64) (uint64, uint64) {
	lo, carry := bits.Add64(lo, x, 0)
	hi, _ = bits.Add64(hi, y, carry)
	return lo, hi
}

func sub128(lo, hi, x, y uint64) (uint64, uint64) {
	lo, borrow := bits.Sub64(lo, x, 0)
	hi, _ = bits.Sub64(hi, y, borrow)
	return lo, hi
}

// wideFloat rounds the 128-bit two's complement number hi:lo of units of 2^-unit to the
// nearest double, ties to even.
func wideFloat(lo, hi uint64, unit int) float64 {
	neg := uint64(int64(hi) >> 63)
	lo, c := bits.Add64(lo^neg, neg&1, 0)
	hi, _ = bits.Add64(hi^neg, 0, c)
	exp := 127 - unit
	if hi == 0 {
		if lo == 0 {
			return 0
		}
		hi, lo, exp = lo, 0, exp-64
	}
	lz := uint(bits.LeadingZeros64(hi))
	top := hi<<lz | lo>>1>>(^lz&63)
	return signed(roundTop(top, lo<<lz != 0, exp-int(lz)), neg)
}

func signed(f float64, neg uint64) float64 {
	if f != 0 && neg != 0 {
		return -f
	}
	return f
}

// divide divides a natural number in place by d and returns the remainder.
func divide(a []uint64, d uint64) uint64 {
	var rem uint64
	for i := len(a) - 1; i >= 0; i-- {
		a[i], rem = bits.Div64(rem, a[i], d)
	}
	return rem
}

// quotient rounds a/(d1·d2) to the nearest double, ties to even; the first limb of a has
// index base. Dividing by d1 and then by d2 is exact: the floor of a floored quotient is the
// floor of the whole quotient.
func quotient(a []uint64, base int, d1, d2 uint64) float64 {
	a, base = trim(a, base)
	if len(a) == 0 {
		return 0
	}
	// Five limbs, the first not zero, leave at least 129 bits after the divisions.
	var q [5]uint64
	sticky := false
	if extra := len(a) - len(q); extra > 0 {
		sticky = true // a[0] is not zero
		a, base = a[extra:], base+extra
	}
	base -= len(q) - len(a)
	copy(q[len(q)-len(a):], a)
	if hi, d := bits.Mul64(d1, d2); hi == 0 {
		sticky = divide(q[:], d) != 0 || sticky
	} else {
		sticky = divide(q[:], d1) != 0 || sticky
		sticky = divide(q[:], d2) != 0 || sticky
	}
	return roundLimbs(q[:], base, sticky)
}
