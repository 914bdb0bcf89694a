package agg

import (
	"math"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// TestPackedDecodeRefuses: encodings that Append would not write are refused, each for the
// reason given.
func TestPackedDecodeRefuses(t *testing.T) {
	double, integer := plan.T(plan.Double), plan.T(plan.Int)
	sum, count := slotOf(plan.Sum, double), slotOf(plan.Count, plan.Type{})
	wide := func(width, shift byte, b ...byte) []byte { return append([]byte{cellsAll, 1, 1, width, shift}, b...) }
	ones := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = 1
		}
		return b
	}
	for _, test := range []struct {
		what string
		slot *plan.Slot
		rows int
		b    []byte
	}{
		{"an unknown mode", count, 1, []byte{3, 1, 1}},
		{"all of no rows", count, 0, []byte{cellsAll, 0}},
		{"no row of one", count, 1, []byte{cellsNone}},
		{"some that are all", count, 2, []byte{cellsSome, 3, 1, 1, 1}},
		{"some that are none", count, 2, []byte{cellsSome, 0, 0}},
		{"some beyond the last", count, 2, []byte{cellsSome, 4, 1, 1}},
		{"a row that no slot has", count, 2, []byte{cellsSome, 1, 1, 1}},
		{"a width that is none", count, 1, []byte{cellsAll, 3, 1, 0, 0}},
		{"more bytes than the greatest needs", count, 1, []byte{cellsAll, 2, 1, 0}},
		{"a count of no rows", count, 2, []byte{cellsAll, 1, 0, 1}},
		{"a count beyond 2^63", count, 1, []byte{cellsAll, 8, 1, 0, 0, 0, 0, 0, 0, 0x80}},
		{"numbers cut short", count, 2, []byte{cellsAll, 1, 1}},
		{"partial by partial though it packs", count, 1, []byte{cellsAll | cellsWide, tagCount, 1}},
		{"neither true nor false", slotOf(plan.Any, plan.T(plan.Bool)), 1, []byte{cellsAll, 0, 0}},
		{"a sum in more bytes than it needs", sum, 1, wide(2, 0, 1, 0)},
		{"a sum in more than 16 bytes", sum, 1, wide(17, 0, ones(17)...)},
		{"a sum that is divisible once more", sum, 1, wide(1, 0, 2)},
		{"a sum shifted out", sum, 1, wide(1, 128, 1)},
		{"a sum shifted beyond its sign", sum, 1, wide(2, 120, 1, 1)},
		{"a sum that is too great to be short", sum, 1, wide(1, 126, 1)},
		{"a sum of more rows than there can be", sum, 1, []byte{cellsAll, 8, 1, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 1}},
		{"a long sum that can be short", sum, 1, []byte{cellsAll | cellsWide, tagDoubleSum, 1, 0}},
		{"an empty sum in the long form", sum, 1, []byte{cellsAll | cellsWide, tagEmpty}},
		{"a least key that none has", slotOf(plan.Max, integer), 1, append([]byte{cellsAll, 1, 0, 0, 0, 0, 0, 0, 0, 1}, 1)},
		{"keys around zero", slotOf(plan.Max, integer), 2, append([]byte{cellsAll, 255, 255, 255, 255, 255, 255, 255, 255}, 1, 0, 1)},
		{"another NaN", slotOf(plan.Max, double), 1, []byte{cellsAll, 1, 0, 0, 0, 0, 0, 0xf8, 0xff, 0}},
		{"no double", slotOf(plan.Min, double), 1, []byte{cellsAll, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}},
		{"a time that is none", slotOf(plan.LatestTime, plan.Type{}), 1, []byte{cellsAll, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
	} {
		l, err := NewLayout([]*plan.Slot{test.slot})
		if err != nil {
			t.Fatal(err)
		}
		b := l.NewBlock()
		if rest, err := b.Decode(test.b, test.rows); err == nil && len(rest) == 0 {
			t.Errorf("%s: accepted, writes %x", test.what, b.Append(nil))
		}
	}
}

// TestManyRowsGrowLong adds many rows at once until the sum leaves the range of short sums,
// and removes them again.
func TestManyRowsGrowLong(t *testing.T) {
	slot := slotOf(plan.Sum, plan.T(plan.Double))
	for _, x := range []float64{0x1.fffffffffffffp35, -0x1.fffffffffffffp35} {
		const n = 1 << 12
		in, rows := &Input{Arg: vector.New(plan.T(plan.Double), n)}, rowNumbers(0, n)
		for i := range in.Arg.Double {
			in.Arg.Double[i] = x
		}
		c := column(t, slot)
		c.Grow(1)
		AddRows(c, 0, in, rows)
		if got := look(slot, c, 0).value.Double(); got != math.Ldexp(x, 12) {
			t.Errorf("%d times %v is %v", n, x, got)
		}
		RemoveRows(c, 0, in, rows[1:])
		if got := look(slot, c, 0).value.Double(); got != x {
			t.Errorf("%v once is %v", x, got)
		}
		c.Grow(1)
		c.Add(1, in, 0)
		mustEqual(t, "the sum of one row", look(slot, c, 0), look(slot, c, 1))
	}
}

// TestDamagedCountsAreHarmless: merging encodings that claim impossible numbers of rows gives
// the right sum.
func TestDamagedCountsAreHarmless(t *testing.T) {
	slot := slotOf(plan.Sum, plan.T(plan.Double))
	l, err := NewLayout([]*plan.Slot{slot})
	if err != nil {
		t.Fatal(err)
	}
	b, acc, out := l.NewBlock(), l.NewBlock(), vector.New(slot.Type, 1)
	half := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	encoded := append(append(append([]byte{cellsAll, 8}, half...), half...), 1, 80, 1, 1)
	if _, err := b.Decode(encoded, 2); err != nil {
		t.Fatal(err)
	}
	acc.Grow(1)
	acc.Merge(0, 0, &b, 0, 2)
	b.Add(0, 0, &Input{Arg: vector.Of(plan.T(plan.Double), plan.DoubleValue(1))}, 0)
	acc.Merge(0, 0, &b, 0, 1)
	if acc.Value(0, 0, plan.Sum, out, 0); out.Double[0] != 4 {
		t.Errorf("the sum is %v, want 4", out.Double[0])
	}
}
