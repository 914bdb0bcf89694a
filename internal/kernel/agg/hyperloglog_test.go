package agg

import (
	"bytes"
	"math"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
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

// TestHyperLogLogFormsAgree compares a sketch that is a list with one that is all registers.
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
		t.Error("merging registers into a list loses some")
	}
}

// TestHyperLogLogTau compares with the series as it is in the paper.
func TestHyperLogLogTau(t *testing.T) {
	for _, x := range []float64{0, 1e-9, 0.25, 0.5, 0.999, 1} {
		want := 1 - x
		for k := 1; k <= 60; k++ {
			gap := 1 - math.Pow(x, math.Exp2(-float64(k)))
			want -= gap * gap * math.Exp2(-float64(k))
		}
		if got := hllTau(x); math.Abs(got-want/3) > 1e-12 {
			t.Errorf("τ(%v) is %v, want %v", x, got, want/3)
		}
	}
}

// TestHyperLogLogEncodings reads back sketches of every size, up to one without a zero register.
func TestHyperLogLogEncodings(t *testing.T) {
	c := column(t, slotOf(plan.ApproxDistinct, plan.T(plan.Int))).(*hllColumn)
	c.Grow(2)
	for i := range uint64(400_000) {
		c.ps[0].addHash(mix(i))
		if i&(i-1) != 0 && i != 399_999 {
			continue
		}
		b := c.Append(nil, 0)
		if rest, err := c.Decode(1, b); err != nil || len(rest) != 0 {
			t.Fatalf("%d values: %v", i+1, err)
		}
		if !bytes.Equal(c.Append(nil, 1), b) || c.ps[0].estimate() != c.ps[1].estimate() {
			t.Fatalf("%d values differ when read back", i+1)
		}
	}
	if n := c.ps[0].count(); n != hllRegisters {
		t.Errorf("%d registers are in use, want all", n)
	}
}

func TestBytewiseMax(t *testing.T) {
	for _, test := range [][3]uint64{
		{0x0000000000000000, 0x7f3f007f01020304, 0x7f3f007f01020304},
		{0x0102030405060708, 0x0807060504030201, 0x0807060505060708},
		{0x3f00000000000033, 0x3f00000000000034, 0x3f00000000000034},
	} {
		if got := bytewiseMax(test[0], test[1]); got != test[2] {
			t.Errorf("the maxima of %x and %x are %x, want %x", test[0], test[1], got, test[2])
		}
	}
}

func BenchmarkHyperLogLogDense(b *testing.B) {
	c := column(b, slotOf(plan.ApproxDistinct, plan.T(plan.Int))).(*hllColumn)
	c.Grow(2)
	for i := range uint64(50_000) {
		c.ps[0].addHash(mix(i))
		c.ps[1].addHash(mix(i + 1<<40))
	}
	encoded := c.Append(nil, 1)
	b.Run("Add", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			c.ps[0].addHash(mix(i))
		}
	})
	b.Run("Merge", func(b *testing.B) {
		for b.Loop() {
			c.Merge(0, c, 1)
		}
	})
	b.Run("Value", func(b *testing.B) {
		for b.Loop() {
			c.ps[0].estimate()
		}
	})
	b.Run("Append", func(b *testing.B) {
		for b.Loop() {
			encoded = c.Append(encoded[:0], 1)
		}
	})
	b.Run("Decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Decode(1, encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
