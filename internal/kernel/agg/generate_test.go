package agg

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// row is one event as an aggregate sees it.
type row struct {
	arg, by plan.Value
	group   string
	t       plan.EventTime
	id      string
}

// input converts rows to the vectors that a slot needs.
func input(slot *plan.Slot, rows []row) *Input {
	in := &Input{}
	if slot.Arg != nil {
		in.Arg = vector.New(slot.Arg.Type, len(rows))
	}
	if slot.By != nil {
		in.By = vector.New(slot.By.Type, len(rows))
	}
	if slot.Group != nil {
		in.Group = vector.New(slot.Group.Type, len(rows))
	}
	for i, r := range rows {
		if in.Arg != nil {
			in.Arg.Set(i, r.arg)
		}
		if in.By != nil {
			in.By.Set(i, r.by)
		}
		if in.Group != nil {
			in.Group.Set(i, plan.StringValue(r.group))
		}
		in.Time = append(in.Time, r.t)
		in.ID = append(in.ID, r.id)
	}
	return in
}

var edgeDoubles = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, -0.1, 0.5, 1.5, 12.34, 1e16, 1e16 + 2, 9007199254740993, -1e16,
	math.MaxFloat64, -math.MaxFloat64, 1e308, -1e308, 1.7e308,
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 3 * math.SmallestNonzeroFloat64,
	0x1p-1022, -0x1p-1022, 0x1.fffffffffffffp-1023, 0x1p-537, 0x1.8p-538, 0x1p-60, 0x1p52, 0x1p53, 0x1p-12, 1e-300, 1e300,
	// Near the limits of a short sum.
	0x1p45, -0x1p45, 0x1.8p45, 0x1p46, -0x1p46, 0x1p-80, 0x1p-81, 0x1.fffffffffffffp-28, 0x1.0000000000001p-29, 0x1.fffffffffffffp35, 0x1p36,
}

var nonFinite = []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(0xfff0000000000001)}

func finiteDoubles() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.SampledFrom(edgeDoubles),
		rapid.SampledFrom(edgeDoubles),
		rapid.Map(rapid.IntRange(-100000, 100000), func(i int) float64 { return float64(i) / 100 }),
		rapid.Float64(),
		rapid.Custom(func(t *rapid.T) float64 {
			f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
			if f != f || math.IsInf(f, 0) {
				return 0
			}
			return f
		}),
	)
}

// doubles are mostly finite, so that sums are not all NaN.
func doubles() *rapid.Generator[float64] {
	return rapid.Custom(func(t *rapid.T) float64 {
		if rapid.IntRange(0, 15).Draw(t, "special") == 0 {
			return rapid.SampledFrom(nonFinite).Draw(t, "double")
		}
		return finiteDoubles().Draw(t, "double")
	})
}

func ints() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, -1, math.MinInt64, math.MaxInt64, math.MinInt64 + 1, 1 << 62, 1<<53 + 1}),
		rapid.Int64Range(-5, 5),
		rapid.Int64(),
	)
}

func strs() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "a", "a\x00", "a\x00b", "a\x00\xff", "b", "é", "zzzzzzzzzzzzzzzzzzzzzzzzz"}),
		rapid.StringN(0, 4, -1),
	)
}

// valuesOf generates values of type t.
func valuesOf(t plan.Type) *rapid.Generator[plan.Value] {
	switch t.Kind {
	case plan.Bool:
		return rapid.Map(rapid.Bool(), plan.BoolValue)
	case plan.Int:
		return rapid.Map(ints(), plan.IntValue)
	case plan.Uint:
		return rapid.Map(ints(), func(i int64) plan.Value { return plan.UintValue(uint64(i)) })
	case plan.Double:
		return rapid.Map(doubles(), plan.DoubleValue)
	case plan.String:
		return rapid.Map(strs(), plan.StringValue)
	case plan.Bytes:
		return rapid.Map(strs(), func(s string) plan.Value { return plan.BytesValue([]byte(s)) })
	case plan.Timestamp:
		return rapid.Map(times(), plan.TimestampValue)
	case plan.Duration:
		return rapid.Map(ints(), func(i int64) plan.Value { return plan.DurationValue(time.Duration(i)) })
	case plan.List:
		return rapid.Map(rapid.SliceOfN(valuesOf(*t.Elem), 0, 3), plan.ListValue)
	}
	if t.Kind == plan.Map {
		return rapid.Map(rapid.MapOfN(strs(), valuesOf(*t.Elem), 0, 3), func(m map[string]plan.Value) plan.Value {
			var keys, values []plan.Value
			for k, v := range m {
				keys, values = append(keys, plan.StringValue(k)), append(values, v)
			}
			return plan.MapValue(keys, values)
		})
	}
	panic("no generator for " + t.String())
}

// times repeat often, so that ties happen.
func times() *rapid.Generator[plan.EventTime] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(-3, 3), func(i int64) plan.EventTime { return plan.EventTime(i) }),
		rapid.SampledFrom([]plan.EventTime{plan.MinTime, plan.MaxTime, -1, 1735689600000000}),
		rapid.Map(rapid.Int64Range(int64(plan.MinTime), int64(plan.MaxTime)), func(i int64) plan.EventTime { return plan.EventTime(i) }),
	)
}

// rowsOf generates rows for the slot, with repeated values, times and ids.
func rowsOf(slot *plan.Slot, most int) *rapid.Generator[[]row] {
	one := rapid.Custom(func(t *rapid.T) row {
		r := row{
			t:  times().Draw(t, "t"),
			id: rapid.SampledFrom([]string{"", "x", "x\x00", "y", "long identifier"}).Draw(t, "id"),
		}
		if slot.Arg != nil {
			r.arg = valuesOf(slot.Arg.Type).Draw(t, "arg")
		}
		if slot.By != nil {
			r.by = valuesOf(slot.By.Type).Draw(t, "by")
		}
		if slot.Group != nil {
			r.group = strs().Draw(t, "group")
		}
		return r
	})
	return rapid.SliceOfN(one, 0, most)
}
