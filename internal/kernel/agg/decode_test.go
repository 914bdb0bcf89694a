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
	"github.com/unskew/unskew/internal/kernel/vector"
)

// TestDecodeIsStrict feeds damaged encodings and plain noise: Decode fails and
// leaves an empty partial, or takes exactly the bytes that Append writes again.
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
	// Whatever was accepted can be read and merged.
	c.Value(p, vector.New(slot.Type, 1), 0)
	c.Grow(1)
	q := c.Len() - 1
	c.Merge(q, c, p)
	c.Merge(q, c, p)
	c.Value(q, vector.New(slot.Type, 1), 0)
	c.Truncate(q)
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

// TestDecodeAllocatesByInput gives every aggregate short encodings that announce
// a great deal.
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

// TestDecodeOfAnotherAggregateFails keeps state of one aggregate from being read as another's.
func TestDecodeOfAnotherAggregateFails(t *testing.T) {
	sum, count := column(t, slotOf(plan.Sum, plan.T(plan.Int))), column(t, slotOf(plan.Count, plan.Type{}))
	sum.Grow(1)
	count.Grow(1)
	sum.Add(0, &Input{Arg: vector.Of(plan.T(plan.Int), plan.IntValue(5))}, 0)
	if _, err := count.Decode(0, sum.Append(nil, 0)); err == nil {
		t.Error("a sum was read as a count")
	}
}
