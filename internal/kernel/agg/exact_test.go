package agg

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// exactSum adds and rounds by math/big; no NaN, no infinities.
func exactSum(values []float64) float64 {
	sum := new(big.Rat)
	for _, x := range values {
		sum.Add(sum, new(big.Rat).SetFloat64(x))
	}
	return rounded(sum)
}

func TestExactSumAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(finiteDoubles(), 0, 60).Draw(t, "values")
		var s ExactSum
		for _, x := range values {
			s.Add(x)
		}
		if got, want := s.Float64(), exactSum(values); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestExactSumRoundsHalfToEven has sums exactly halfway between doubles and next to that.
func TestExactSumRoundsHalfToEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := finiteDoubles().Draw(t, "x")
		half := (math.Nextafter(math.Abs(x), math.Inf(1)) - math.Abs(x)) / 2
		values := []float64{x, half * rapid.SampledFrom([]float64{-1, 0, 1}).Draw(t, "halves"),
			rapid.SampledFrom([]float64{-1, 0, 1}).Draw(t, "least") * math.SmallestNonzeroFloat64}
		if math.IsInf(half, 0) {
			return
		}
		var s ExactSum
		for _, x := range values {
			s.Add(x)
		}
		if got, want := s.Float64(), exactSum(values); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%v sum to %v, want %v", values, got, want)
		}
	})
}

// TestExactSumSubUndoesAdd includes sums that spill, and special values.
func TestExactSumSubUndoesAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := rapid.SliceOfN(finiteDoubles(), 0, 10).Draw(t, "kept")
		gone := rapid.SliceOfN(doubles(), 0, 30).Draw(t, "gone")
		var s ExactSum
		for _, x := range gone {
			s.Add(x)
		}
		for _, x := range kept {
			s.Add(x)
		}
		for _, x := range gone {
			s.Sub(x)
		}
		if got, want := s.Float64(), exactSum(kept); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestExactSumMergeAddsSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(finiteDoubles(), 0, 20).Draw(t, "a")
		b := rapid.SliceOfN(finiteDoubles(), 0, 20).Draw(t, "b")
		var s, o ExactSum
		for _, x := range a {
			s.Add(x)
		}
		for _, x := range b {
			o.Add(x)
		}
		s.Merge(&o)
		if got, want := s.Float64(), exactSum(append(a, b...)); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if got, want := o.Float64(), exactSum(b); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("the merged sum became %v, was %v", got, want)
		}
	})
}

// TestExactSumOutgrowsItsWindow doubles a sum from the smallest double to beyond the largest,
// so that it crosses every limb boundary.
func TestExactSumOutgrowsItsWindow(t *testing.T) {
	for _, start := range []float64{math.SmallestNonzeroFloat64, -0x1.8p-1000, 12.34, -0.1} {
		var s ExactSum
		s.Add(start)
		want := new(big.Rat).SetFloat64(start)
		for i := range 2300 {
			var twin ExactSum
			twin.Merge(&s)
			s.Merge(&twin)
			want.Add(want, want)
			if got := s.Float64(); math.Float64bits(got) != math.Float64bits(rounded(want)) {
				t.Fatalf("%v·2^%d is %v, want %v", start, i+1, got, rounded(want))
			}
			if math.IsInf(s.Float64(), 0) {
				break
			}
		}
	}
}

// TestExactSumRandomOperations adds to, merges and doubles a few sums at random, far beyond
// what rows can reach, so that windows move, fill up and spill in every way.
func TestExactSumRandomOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sums [3]ExactSum
		var want [3]big.Rat
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i, j := rapid.IntRange(0, 2).Draw(t, "i"), rapid.IntRange(0, 2).Draw(t, "j")
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op == 0:
				x := finiteDoubles().Draw(t, "x")
				sums[i].Add(x)
				want[i].Add(&want[i], new(big.Rat).SetFloat64(x))
			case op == 1:
				x := finiteDoubles().Draw(t, "x")
				sums[i].AddSquare(x)
				r := new(big.Rat).SetFloat64(x)
				want[i].Add(&want[i], r.Mul(r, r))
			case op == 2 && i != j:
				sums[i].Merge(&sums[j])
				want[i].Add(&want[i], &want[j])
			case op == 3 && i != j:
				for range rapid.IntRange(1, 70).Draw(t, "doublings") {
					sums[j] = ExactSum{}
					sums[j].Merge(&sums[i])
					sums[i].Merge(&sums[j])
					want[j].Set(&want[i])
					want[i].Add(&want[i], &want[j])
				}
			}
			for k := range sums {
				if got := sums[k].Float64(); math.Float64bits(got) != math.Float64bits(rounded(&want[k])) {
					t.Fatalf("sum %d is %v, want %v", k, got, rounded(&want[k]))
				}
			}
		}
	})
}

// TestExactSumOfManySquares fills the last limb of a window that cannot move.
func TestExactSumOfManySquares(t *testing.T) {
	const x, n = 0x1.fp51, 1 << 23
	var s ExactSum
	s.AddSquare(0x1p-60)
	for range n {
		s.AddSquare(x)
	}
	if got, want := s.Float64(), float64(x*x*n); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestExactSumOfSquares adds squares from both ends of the range and removes all but one of
// them.
func TestExactSumOfSquares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(finiteDoubles(), 1, 20).Draw(t, "values")
		var s ExactSum
		want := new(big.Rat)
		for _, x := range values {
			s.AddSquare(x)
			r := new(big.Rat).SetFloat64(x)
			want.Add(want, r.Mul(r, r))
		}
		if got := s.Float64(); math.Float64bits(got) != math.Float64bits(rounded(want)) {
			t.Fatalf("got %v, want %v", got, rounded(want))
		}
		for _, x := range values[1:] {
			s.SubSquare(x)
		}
		if got := s.Float64(); got != values[0]*values[0] {
			t.Fatalf("the remaining sum is %v, want %v", got, values[0]*values[0])
		}
	})
}

// amounts look like money: two decimals, mostly small.
func amounts(n int) []float64 {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]float64, n)
	for i := range list {
		list[i] = math.Round(math.Exp(3+1.5*r.NormFloat64())*100) / 100
	}
	return list
}

// ranges are the inputs of the benchmarks.
func ranges() map[string][]float64 {
	r := rand.New(rand.NewPCG(3, 4))
	mixed, extreme, normal := make([]float64, 4096), make([]float64, 4096), make([]float64, 4096)
	for i := range mixed {
		normal[i] = r.NormFloat64()
		mixed[i] = math.Ldexp(r.NormFloat64(), r.IntN(100)-50)
		extreme[i] = math.Ldexp(r.NormFloat64(), r.IntN(2000)-1000)
	}
	return map[string][]float64{"amounts": amounts(4096), "normal": normal, "mixed": mixed, "extreme": extreme}
}

func BenchmarkPlainFloatAdd(b *testing.B) {
	list := amounts(4096)
	var sum float64
	for i := 0; b.Loop(); i++ {
		sum += list[i&4095]
	}
	sink = sum
}

var sink float64

func BenchmarkExactSumAdd(b *testing.B) {
	for what, list := range ranges() {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			var s ExactSum
			for i := 0; b.Loop(); i++ {
				s.Add(list[i&4095])
			}
			sink = s.Float64()
		})
	}
}

func BenchmarkExactSumAddSquare(b *testing.B) {
	for what, list := range ranges() {
		b.Run(what, func(b *testing.B) {
			var s ExactSum
			for i := 0; b.Loop(); i++ {
				s.AddSquare(list[i&4095])
			}
			sink = s.Float64()
		})
	}
}

func BenchmarkExactSumFloat64(b *testing.B) {
	for what, list := range ranges() {
		b.Run(what, func(b *testing.B) {
			var s ExactSum
			for _, x := range list {
				s.Add(x)
			}
			for b.Loop() {
				sink = s.Float64()
			}
		})
	}
}

func BenchmarkExactSumMerge(b *testing.B) {
	for what, list := range ranges() {
		b.Run(what, func(b *testing.B) {
			sums := make([]ExactSum, 64)
			for i, x := range list {
				sums[i&63].Add(x)
			}
			var s ExactSum
			for i := 0; b.Loop(); i++ {
				s.Merge(&sums[i&63])
			}
			sink = s.Float64()
		})
	}
}

func ExampleExactSum() {
	var s ExactSum
	for _, x := range []float64{1e16, 1, -1e16} {
		s.Add(x)
	}
	fmt.Println(s.Float64())
	// Output: 1
}
