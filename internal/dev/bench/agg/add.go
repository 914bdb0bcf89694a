package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// raceAdd adds amounts to one sum, exactly and plainly.
func raceAdd() (float64, error) {
	const n = 1 << 15
	r := rand.New(rand.NewPCG(5, 6))
	xs, rows := make([]float64, n), make([]int32, n)
	for i := range xs {
		xs[i], rows[i] = amount(r), int32(i)
	}
	double := plan.T(plan.Double)
	column, err := agg.New(&plan.Slot{Func: plan.Sum, Type: double, Arg: &plan.Expr{Kind: plan.Column, Type: double}})
	if err != nil {
		return 0, err
	}
	column.Grow(1)
	in := &agg.Input{Arg: &vector.Vector{Type: double, N: n, Double: xs}}
	var plain float64
	best := bench.Race(500, func() {
		s := 0.0
		for _, x := range xs {
			s += x
		}
		plain = s
	}, func() {
		column.Reset(0)
		agg.AddRows(column, 0, in, rows)
	})
	exact := vector.New(double, 1)
	column.Value(0, exact, 0)
	if !near(exact.Double[0], plain, 1) {
		return 0, fmt.Errorf("exact add: the exact sum is %v, the plain one %v", exact.Double[0], plain)
	}
	return line("add a double to a sum", "ns", float64(best[0].Nanoseconds())/n, float64(best[1].Nanoseconds())/n), nil
}

// near reports whether two sums are equal up to the rounding error of a plain sum, where scale
// is the sum of the absolute values.
func near(exact, plain, scale float64) bool {
	return math.Abs(exact-plain) <= 1e-9*max(math.Abs(exact), math.Abs(plain), scale)
}
