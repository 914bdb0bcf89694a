package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/unskew/unskew/internal/bench"
	"github.com/unskew/unskew/internal/kernel/agg"
)

// raceAdd adds amounts to one sum, exactly and plainly.
func raceAdd() (float64, error) {
	const n = 1 << 15
	r := rand.New(rand.NewPCG(5, 6))
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = amount(r)
	}
	var plain float64
	var exact agg.ExactSum // a copy of a sum that is not used afterwards
	best := bench.Race(500, func() {
		s := 0.0
		for _, x := range xs {
			s += x
		}
		plain = s
	}, func() {
		var s agg.ExactSum
		for _, x := range xs {
			s.Add(x)
		}
		exact = s
	})
	if !near(exact.Float64(), plain, 1) {
		return 0, fmt.Errorf("exact add: the exact sum is %v, the plain one %v", exact.Float64(), plain)
	}
	return line("add a double to a sum", "ns", float64(best[0].Nanoseconds())/n, float64(best[1].Nanoseconds())/n), nil
}

// near reports whether two sums are equal but for what rounding every step of a sum
// of absolute values up to scale may cost.
func near(exact, plain, scale float64) bool {
	return math.Abs(exact-plain) <= 1e-9*max(math.Abs(exact), math.Abs(plain), scale)
}
