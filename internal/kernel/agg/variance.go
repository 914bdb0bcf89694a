package agg

import (
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
)

// exactNumber is a two's complement number in the units of ExactSum; the first limb has
// index base.
type exactNumber struct {
	limbs []uint64
	base  int
}

// varianceScratch is reused memory for variance.
type varianceScratch struct{ sum, num []uint64 }

// variance is (n·sq − sum²)/(n·d) rounded once to the nearest double, ties to even; d is n
// or n−1. It is NaN if no n numbers have these sums, as after a damaged encoding.
func (s *varianceScratch) variance(n, d int64, sum, sq exactNumber) float64 {
	mag, a := trim(magnitude(s.sum[:0], sum.limbs), sum.base)
	s.sum = mag
	squares, b := trim(sq.limbs, sq.base)
	if len(squares) == 0 {
		return 0
	}
	sumBase := 2*a - originLimb
	low, top := b, b+len(squares)+1
	if len(mag) > 0 {
		low, top = min(low, sumBase), max(top, sumBase+2*len(mag))
	}
	num := s.zeroed(top - low + 1)
	for i, w := range squares {
		addProduct(num[b-low+i:], w, uint64(n), 0)
	}
	for i, x := range mag {
		for j, y := range mag {
			addProduct(num[sumBase-low+i+j:], x, y, ^uint64(0))
		}
	}
	if signOf(num) != 0 {
		return math.Float64frombits(plan.CanonicalNaN)
	}
	return quotient(num, low, uint64(n), uint64(d))
}

func (s *varianceScratch) zeroed(n int) []uint64 {
	if cap(s.num) < n {
		s.num = make([]uint64, n)
	}
	num := s.num[:n]
	clear(num)
	return num
}
