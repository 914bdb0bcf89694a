package agg

import (
	"math"
	"testing"
)

// TestHyperLogLogAccuracy estimates known numbers of distinct values, 40 times each.
func TestHyperLogLogAccuracy(t *testing.T) {
	const runs, deviation = 40, 0.0081
	for _, n := range []int{1, 10, 100, 1000, 5000, 20_000, 50_000, 100_000, 400_000} {
		var bias, worst float64
		for run := range runs {
			var h hyperLogLog
			for i := range n {
				h.addHash(mix(uint64(run)<<40 + uint64(i)))
			}
			off := float64(h.estimate())/float64(n) - 1
			bias += off / runs
			worst = max(worst, math.Abs(off))
		}
		if math.Abs(bias) > 4*deviation/math.Sqrt(runs) || worst > 4*deviation {
			t.Errorf("%d values: %.2f %% off on average, %.2f %% at worst", n, 100*bias, 100*worst)
		}
	}
}

// TestHyperLogLogFormsAgree holds one sketch as a list and one as registers.
func TestHyperLogLogFormsAgree(t *testing.T) {
	var list, registers hyperLogLog
	registers.densify()
	for i := range uint64(hllSparse) {
		h := mix(i)
		list.addHash(h)
		registers.addHash(h)
		if list.estimate() != registers.estimate() || list.count() != registers.count() {
			t.Fatalf("after %d values: %d and %d", i+1, list.estimate(), registers.estimate())
		}
	}
	if list.dense != nil {
		t.Error("a short list became registers")
	}
	var both hyperLogLog
	both.addHash(mix(1))
	both.merge(&registers)
	if both.estimate() != list.estimate() {
		t.Error("a list that takes in registers loses some")
	}
}

// TestHyperLogLogTau compares with the series as the paper writes it.
func TestHyperLogLogTau(t *testing.T) {
	for _, x := range []float64{0, 1e-9, 0.25, 0.5, 0.999, 1} {
		want := 1 - x
		for k := 1; k <= 60; k++ {
			gap := 1 - math.Pow(x, math.Exp2(-float64(k)))
			want -= gap * gap * math.Exp2(-float64(k))
		}
		if x == 0 {
			want = 0 // by definition: the series ends before it gets there
		}
		if got := hllTau(x); math.Abs(got-want/3) > 1e-12 {
			t.Errorf("τ(%v) is %v, want %v", x, got, want/3)
		}
	}
}
