package agg

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// TestDecodeIsStrict decodes damaged encodings and random bytes: Decode fails and leaves an
// empty partial, or it consumes exactly the bytes that Append writes.
func TestDecodeIsStrict(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c := column(testingOf(t), slot)
		p := addAll(c, input(slot, rows), upTo(len(rows)))
		checkDecode(t, slot, c, p, damaged(t, c.Append(nil, p)))
	})
}

// damaged changes, cuts or extends an encoding.
func damaged(t *rapid.T, b []byte) []byte {
	b = bytes.Clone(b)
	for range rapid.IntRange(0, 3).Draw(t, "damages") {
		if len(b) == 0 {
			break // no rows of a Block
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			b[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 2:
			b = append(b[:at:at], append([]byte{0x80}, b[at:]...)...)
		case 3:
			b = b[:max(at, 1)]
		}
	}
	return append(b, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "tail")...)
}

func checkDecode(t rapid.TB, slot *plan.Slot, c Column, p int, b []byte) {
	rest, err := c.Decode(p, b)
	if err != nil {
		if !c.Empty(p) || !strings.Contains(err.Error(), "malformed") {
			t.Fatalf("after %v the partial is %x", err, c.Append(nil, p))
		}
		return
	}
	if used := b[:len(b)-len(rest)]; !bytes.Equal(used, c.Append(nil, p)) {
		t.Fatalf("%s: accepted %x, writes %x", name(slot), used, c.Append(nil, p))
	}
	// An accepted partial can be read and merged.
	c.Value(p, vector.New(slot.Type, 1), 0)
	c.Grow(1)
	q := c.Len() - 1
	c.Merge(q, c, p)
	c.Merge(q, c, p)
	c.Value(q, vector.New(slot.Type, 1), 0)
	c.Truncate(q)
}

func TestDecodeRefuses(t *testing.T) {
	integer, double, str := plan.T(plan.Int), plan.T(plan.Double), plan.T(plan.String)
	for _, test := range []struct {
		what string
		slot *plan.Slot
		b    []byte
	}{
		{"nothing", slotOf(plan.Count, plan.Type{}), nil},
		{"no rows", slotOf(plan.Count, plan.Type{}), []byte{tagCount, 0}},
		{"a number in more bytes than it needs", slotOf(plan.Count, plan.Type{}), []byte{tagCount, 0x81, 0}},
		{"neither true nor false", slotOf(plan.Any, plan.T(plan.Bool)), []byte{tagBools, 0, 0}},
		{"a sum with a leading zero byte", slotOf(plan.Sum, integer), []byte{tagIntSum, 1, 4, 7, 0}},
		{"a negative zero", slotOf(plan.Sum, integer), []byte{tagIntSum, 1, 1}},
		{"a sum beyond 127 bits", slotOf(plan.Sum, integer), append([]byte{tagIntSum, 1, 32}, bytes.Repeat([]byte{0xff}, 16)...)},
		{"an even significand", slotOf(plan.Sum, double), []byte{tagDoubleSum, 1, 2, 0x80, 0x11, 2}},
		{"a sum that no rows have", slotOf(plan.Sum, double), []byte{tagDoubleSum, 1, 2, 0xc8, 0x21, 1}},
		{"special values, none of them", slotOf(plan.Sum, double), []byte{tagDoubleSumSpecial, 1, 0, 0, 0, 0}},
		{"a negative sum of squares", slotOf(plan.VarPop, integer), []byte{tagIntMoments, 1, 2, 1, 3, 1}},
		{"more non-finite rows than rows", slotOf(plan.VarPop, double), []byte{tagDoubleMoments, 1, 2, 0, 0}},
		{"another NaN", slotOf(plan.Max, double), append([]byte{tagExtreme}, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f)},
		{"more rows than n", withN(slotOf(plan.LatestN, integer), 1), []byte{tagEvents, 2, 0, 0, 0, 0, 0, 0}},
		{"rows out of order", withN(slotOf(plan.LatestN, integer), 2), []byte{tagEvents, 2, 0, 0, 2, 0, 0, 0}},
		{"a value twice", slotOf(plan.DistinctCount, integer), []byte{tagTally, 2, 0, 1, 0, 1}},
		{"values out of order", slotOf(plan.DistinctCount, str), []byte{tagTally, 2, 1, 'b', 1, 1, 'a', 1}},
		{"a value of no rows", slotOf(plan.DistinctCount, integer), []byte{tagTally, 1, 0, 0}},
		{"a register out of range", slotOf(plan.ApproxDistinct, integer), []byte{tagHyperLogLog, 1, 0x80, 0x80, 1, 1}},
		{"a rank out of range", slotOf(plan.ApproxDistinct, integer), []byte{tagHyperLogLog, 1, 0, hllMaxRank + 1}},
		{"packed registers cut short", slotOf(plan.ApproxDistinct, integer), append([]byte{tagHyperLogLog, 0x81, 0x20}, make([]byte, 5000)...)},
		{"packed registers miscounted", slotOf(plan.ApproxDistinct, integer), append([]byte{tagHyperLogLog, 0x81, 0x20}, make([]byte, hllPacked)...)},
		{"an empty sketch", withQuantile(slotOf(plan.ApproxQuantile, double), 0.5), []byte{tagSketch, 0, 0}},
		{"a bucket twice", withQuantile(slotOf(plan.ApproxQuantile, double), 0.5), []byte{tagSketch, 0, 2, 2, 1, 0, 1}},
		{"a group with an empty partial", grouped(plan.Count, plan.Type{}), []byte{tagGroups, 1, 1, 'a', tagEmpty}},
		{"a group twice", grouped(plan.Count, plan.Type{}), []byte{tagGroups, 2, 1, 'a', tagCount, 1, 1, 'a', tagCount, 1}},
		{"a composite of another type", slotOf(plan.Latest, plan.ListOf(str)), []byte{tagEvent, 0, 0, 3, byte(plan.List), byte(plan.List), 0}},
		{"a composite and more", slotOf(plan.Latest, plan.ListOf(str)), []byte{tagEvent, 0, 0, 3, byte(plan.List), 0, 0}},
	} {
		c := column(t, test.slot)
		c.Grow(1)
		if _, err := c.Decode(0, test.b); err == nil || !c.Empty(0) {
			t.Errorf("%s: error %v, empty %v", test.what, err, c.Empty(0))
		}
	}
}

func FuzzDecode(f *testing.F) {
	slots := everySlot()
	f.Add(0, []byte{})
	for i := range slots {
		f.Add(i, []byte{tagEmpty})
	}
	for tag := byte(1); tag <= tagGroups; tag++ {
		for i := range slots {
			f.Add(i, []byte{tag, 1, 2, 1, 1, 1, 1})
		}
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		slot := slots[uint(i)%uint(len(slots))]
		c := column(t, slot)
		c.Grow(1)
		checkDecode(t, slot, c, 0, b)
	})
}

// TestDecodeAllocatesByInput gives every aggregate short encodings that claim many elements.
func TestDecodeAllocatesByInput(t *testing.T) {
	for _, slot := range everySlot() {
		c := column(t, slot)
		c.Grow(1)
		for tag := byte(0); tag <= tagGroups; tag++ {
			for _, n := range []uint64{1 << 20, 1 << 40, math.MaxUint64} {
				b := binary.AppendUvarint([]byte{tag}, n)
				b = binary.AppendUvarint(b, n)
				b = append(b, make([]byte, 16)...)
				if got := allocated(func() { _, _ = c.Decode(0, b) }); got > 16<<10 {
					t.Errorf("%s: decoding %d bytes of tag %d allocates %d", name(slot), len(b), tag, got)
				}
			}
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestDecodeOfAnotherAggregateFails(t *testing.T) {
	sum, count := column(t, slotOf(plan.Sum, plan.T(plan.Int))), column(t, slotOf(plan.Count, plan.Type{}))
	sum.Grow(1)
	count.Grow(1)
	sum.Add(0, &Input{Arg: vector.Of(plan.T(plan.Int), plan.IntValue(5))}, 0)
	if _, err := count.Decode(0, sum.Append(nil, 0)); err == nil {
		t.Error("a sum was read as a count")
	}
}
