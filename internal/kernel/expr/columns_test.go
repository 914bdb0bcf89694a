package expr

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// edges are the values from which most columns of random tests are drawn.
var edges = map[plan.Kind][]plan.Value{
	plan.Bool: values(plan.BoolValue, true, false),
	plan.Int: values(plan.IntValue, 0, 1, -1, 2, 7, -7, 1000, 1<<31, -1<<31, 1<<53+1,
		math.MaxInt64, math.MinInt64, math.MaxInt64-1, math.MinInt64+1, 3037000500, -62135596800, 253402300799),
	plan.Uint: values(plan.UintValue, 0, 1, 2, 7, 1<<32, 1<<63-1, 1<<63, math.MaxUint64),
	plan.Double: values(plan.DoubleValue, 0, math.Copysign(0, -1), 1, -1, 0.1, 2.5, -2.5, 1e6, 1e21,
		math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
		1<<53, 1<<63, -1<<63, 1<<64, 9007199254740993),
	plan.String: values(plan.StringValue, "", "a", "ab", "abc", "US", "us", " Ünïcode \t", "é", "e\u0301", "日本", "👨‍👩‍👧", "a,b",
		"12", "-7", "1.5", "true", "x\x00y", "2020-01-01T00:00:00Z", "9999999999999999999"),
	plan.Bytes: values(plan.BytesValue, []byte{}, []byte("a"), []byte("ab"), []byte{0xff, 0}, []byte("日")),
	plan.Timestamp: values(plan.TimestampValue, 0, -1, 1, plan.MinTime, plan.MaxTime, 999_999, -1_000_001,
		1735689600_000000, 1740787199_999999, 951782400_000000, -2208988800_000000, 1711846799_123456, 4107542400_000000),
	plan.Duration: values(plan.DurationValue, 0, 1, -1, 999, 1000, -1500, time.Second, -time.Second, time.Hour,
		36*time.Hour+time.Nanosecond, math.MaxInt64, math.MinInt64, 59*time.Minute+59*time.Second),
}

func values[T any](box func(T) plan.Value, list ...T) []plan.Value {
	out := make([]plan.Value, len(list))
	for i, x := range list {
		out[i] = box(x)
	}
	return out
}

func randomValue(r *rand.Rand, t plan.Type) plan.Value {
	switch t.Kind {
	case plan.List:
		list := make([]plan.Value, r.IntN(4))
		for i := range list {
			list[i] = randomValue(r, *t.Elem)
		}
		return plan.ListValue(list)
	case plan.Map:
		var keys, vals []plan.Value
		for _, k := range edges[t.Key.Kind] {
			if r.IntN(4) == 0 {
				keys, vals = append(keys, k), append(vals, randomValue(r, *t.Elem))
			}
		}
		return plan.MapValue(keys, vals)
	case plan.Optional:
		return randomValue(r, *t.Elem)
	case plan.Int:
		if r.IntN(3) == 0 {
			return plan.IntValue(int64(r.IntN(20)) - 10)
		}
	case plan.Double:
		if r.IntN(3) == 0 {
			return plan.DoubleValue(r.NormFloat64() * 10)
		}
	case plan.Timestamp:
		if r.IntN(2) == 0 {
			return plan.TimestampValue(plan.MinTime + plan.EventTime(r.Int64N(int64(plan.MaxTime-plan.MinTime))))
		}
	case plan.Duration:
		if r.IntN(3) == 0 {
			return plan.DurationValue(time.Duration(r.Int64N(1<<50) - 1<<49))
		}
	}
	list := edges[t.Kind]
	return list[r.IntN(len(list))]
}

// randomColumns makes a column of n rows for every test input: some without
// nulls, some with, a few with failed rows.
func randomColumns(r *rand.Rand, n int) []*vector.Vector {
	cols := make([]*vector.Vector, len(testInputs))
	for k, in := range testInputs {
		v := vector.New(in.Type, n)
		nulls := r.IntN(3)
		errs := r.IntN(8) == 0
		for i := range n {
			v.Set(i, randomValue(r, in.Type))
			if nulls > 0 && r.IntN(4) == 0 {
				v.SetNull(i)
			}
			if errs && r.IntN(6) == 0 {
				v.SetErr(i)
			}
		}
		cols[k] = v
	}
	return cols
}
