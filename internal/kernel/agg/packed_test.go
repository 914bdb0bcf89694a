package agg

import (
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// TestStoredSumsGrowLong: each stored sum is short, and that of the window is not.
func TestStoredSumsGrowLong(t *testing.T) {
	for _, x := range []float64{0x1.8p45, -0x1.8p45, -0x1p46, 0x1.fffffffffffffp45, 0x1.0000000000001p-20} {
		slot := slotOf(plan.Sum, plan.T(plan.Double))
		layout, err := NewLayout([]*plan.Slot{slot})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < 40; n++ {
			b, loaded, acc, out := layout.NewBlock(), layout.NewBlock(), layout.NewBlock(), vector.New(slot.Type, 1)
			b.Grow(n)
			for p := range n {
				b.Add(0, p, &Input{Arg: vector.Of(slot.Arg.Type, plan.DoubleValue(x))}, 0)
			}
			if _, err := loaded.Load(b.Append(nil), n, []bool{true}); err != nil || !loaded.packed[0].on {
				t.Fatalf("%d times %v: packed: %v, %v", n, x, loaded.packed[0].on, err)
			}
			acc.Grow(1)
			acc.Merge(0, 0, &loaded, n/2, n)
			acc.Merge(0, 0, &loaded, 0, n/2)
			want := sumOf(x, n)
			if acc.Value(0, 0, plan.Sum, out, 0); out.Double[0] != want {
				t.Errorf("%d times %v is %v, want %v", n, x, out.Double[0], want)
			}
		}
	}
}

// sumOf is the exact sum of n times x, rounded once.
func sumOf(x float64, n int) float64 {
	var s ExactSum
	for range n {
		s.Add(x)
	}
	return s.Float64()
}

// TestRanks: the rank of a row is the number of set bits before it, in bitmaps of one word
// and of many.
func TestRanks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rows := 2 + r.IntN(400)
		var some []int32
		for p := range rows {
			if r.IntN(3) == 0 || p == 0 {
				some = append(some, int32(p))
			}
		}
		if len(some) == rows {
			continue
		}
		var x packed
		from := reader{b: appendBits(nil, some, rows)}
		if n := from.rowBits(rows, &x); n != len(some) || from.bad || len(from.b) > 0 {
			t.Fatalf("%d of %d rows: %d, %v", len(some), rows, n, from.bad)
		}
		for p, i := 0, 0; p <= rows; p++ {
			if got := x.rank(p); got != i {
				t.Fatalf("%d cells before row %d of %d, want %d", got, p, rows, i)
			}
			if i < len(some) && int(some[i]) == p {
				i++
			}
		}
	}
}
