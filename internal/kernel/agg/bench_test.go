package agg

import (
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// benchSlots are the most common aggregates of replay and serving.
func benchSlots() []*plan.Slot {
	double, integer, str := plan.T(plan.Double), plan.T(plan.Int), plan.T(plan.String)
	return []*plan.Slot{
		slotOf(plan.Count, plan.Type{}), slotOf(plan.Sum, integer), slotOf(plan.Sum, double), slotOf(plan.Mean, double),
		slotOf(plan.VarSamp, integer), slotOf(plan.StddevSamp, double), slotOf(plan.Max, double), slotOf(plan.Min, str),
		slotOf(plan.Latest, double), slotOf(plan.Latest, str), slotOf(plan.LatestTime, plan.Type{}),
		withN(slotOf(plan.LatestN, double), 10), withBy(slotOf(plan.MaxBy, str), plan.Double),
		slotOf(plan.DistinctCount, str), slotOf(plan.DistinctCount, integer), withN(slotOf(plan.TopK, str), 3),
		slotOf(plan.ApproxDistinct, str), slotOf(plan.ApproxDistinct, integer),
		withQuantile(slotOf(plan.ApproxQuantile, double), 0.9),
		slotOf(plan.Any, plan.T(plan.Bool)), grouped(plan.Count, plan.Type{}), grouped(plan.Sum, double),
	}
}

const benchRows = 4096

// benchInput is rows in time order, with amounts, 50 categories and 16-byte ids.
func benchInput(slot *plan.Slot) *Input {
	values := amounts(benchRows)
	rows := make([]row, benchRows)
	for i := range rows {
		h := mix(uint64(i))
		rows[i] = row{t: plan.EventTime(1735689600000000 + int64(i)*61_000_000), id: fmt.Sprintf("%016x", h), group: fmt.Sprint("category ", h%20)}
		if slot.Arg != nil {
			rows[i].arg = benchValue(slot.Arg.Type.Kind, values[i], h)
		}
		if slot.By != nil {
			rows[i].by = benchValue(slot.By.Type.Kind, values[i], h)
		}
	}
	return input(slot, rows)
}

func benchValue(k plan.Kind, x float64, h uint64) plan.Value {
	switch k {
	case plan.Bool:
		return plan.BoolValue(h%8 == 0)
	case plan.Int:
		return plan.IntValue(int64(h % 500))
	case plan.Double:
		return plan.DoubleValue(x)
	}
	return plan.StringValue(fmt.Sprint("merchant ", h%50))
}

// BenchmarkAdd adds to 256 partials in turn, 4096 rows to each, then starts over.
func BenchmarkAdd(b *testing.B) {
	for _, slot := range benchSlots() {
		b.Run(name(slot), func(b *testing.B) {
			c, in := column(b, slot), benchInput(slot)
			c.Grow(256)
			b.ReportAllocs()
			row := 0
			for i := 0; b.Loop(); i++ {
				c.Add(i&255, in, row)
				if i&255 == 255 {
					if row++; row == benchRows {
						c.Truncate(0)
						c.Grow(256)
						row = 0
					}
				}
			}
		})
	}
}

// tiles fills n partials with 16 rows each.
func tiles(c Column, in *Input, n int) {
	c.Grow(n)
	for i := range n * 16 {
		c.Add(i/16, in, i%benchRows)
	}
}

// BenchmarkWindow merges 48 tiles of 16 rows into one partial and reads its value.
func BenchmarkWindow(b *testing.B) {
	for _, slot := range benchSlots() {
		b.Run(name(slot), func(b *testing.B) {
			c, in := column(b, slot), benchInput(slot)
			tiles(c, in, 49)
			out := vector.New(slot.Type, 1)
			b.ReportAllocs()
			for b.Loop() {
				c.Reset(48)
				for q := range 48 {
					c.Merge(48, c, q)
				}
				c.Value(48, out, 0)
			}
		})
	}
}

func BenchmarkValue(b *testing.B) {
	for _, slot := range benchSlots() {
		b.Run(name(slot), func(b *testing.B) {
			c, in := column(b, slot), benchInput(slot)
			tiles(c, in, 1)
			out := vector.New(slot.Type, 1)
			b.ReportAllocs()
			for b.Loop() {
				c.Value(0, out, 0)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, slot := range benchSlots() {
		b.Run(name(slot), func(b *testing.B) {
			c, in := column(b, slot), benchInput(slot)
			tiles(c, in, 1)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = c.Append(buf[:0], 0)
			}
			b.ReportMetric(float64(len(buf)), "bytes")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, slot := range benchSlots() {
		b.Run(name(slot), func(b *testing.B) {
			c, in := column(b, slot), benchInput(slot)
			tiles(c, in, 1)
			encoded := c.Append(nil, 0)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Decode(0, encoded); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
