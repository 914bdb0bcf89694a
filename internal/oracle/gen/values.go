package gen

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

// instants are times near which event times are drawn.
var instants = []plan.EventTime{
	must("2025-01-01T00:00:00Z"), must("2025-01-01T00:00:00Z"),
	must("2025-03-09T07:00:00Z"), must("2025-03-30T01:00:00Z"), // daylight saving time begins in New York, in Berlin
	must("2024-02-29T00:00:00Z"), must("2024-12-31T23:00:00Z"),
	0, must("1969-12-31T23:00:00Z"), must("1900-01-01T00:00:00Z"),
	plan.MinTime, plan.MaxTime,
}

func must(s string) plan.EventTime {
	t, err := plan.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

var units = []plan.Micros{0, plan.Second, 10 * plan.Second, plan.Minute, 15 * plan.Minute, plan.Hour, plan.Day, 30 * plan.Day}

// near draws a time at most a few units from base, often exactly a whole number of units or a
// microsecond off.
func near(t *rapid.T, base plan.EventTime) plan.EventTime {
	unit := among(t, units, "unit")
	steps := int64(below(7).Draw(t, "steps")) - 2
	return clamp(base + plan.EventTime(int64(unit)*steps) + beside(t))
}

// beside draws a small step, mostly -1, 0 or 1 µs.
func beside(t *rapid.T) plan.EventTime {
	if chance(t, 8, "beside") {
		return plan.EventTime(rapid.Int64Range(-int64(plan.Hour), int64(plan.Hour)).Draw(t, "offset"))
	}
	return plan.EventTime(among(t, []int64{0, 0, 1, -1}, "edge"))
}

func clamp(t plan.EventTime) plan.EventTime {
	return min(max(t, plan.MinTime), plan.MaxTime)
}

var (
	tameDoubles   = []float64{0, 1, -1, 0.1, 0.2, 0.3, 2.5, 10, 10.000000000000002, 1e16, -1e16, 1e16 + 2, 1.0 / 3, 12.34}
	wildDoubles   = []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, 1e300, 1 << 53, 1<<63 + 0.0}
	tameInts      = []int64{0, 1, 2, 3, 3, -1, 7, 1 << 53}
	wildInts      = []int64{math.MinInt64, math.MaxInt64, math.MaxInt64 - 1, 1<<53 + 1, -(1 << 53) - 1}
	tameDurations = []time.Duration{0, 1, -1, time.Microsecond, time.Second, 90 * time.Minute, 36 * time.Hour}
	wildDurations = []time.Duration{math.MinInt64, math.MaxInt64, math.MaxInt64 - 1, -time.Nanosecond}
	countries     = []string{"US", "US", "DE", "FR", "Ω", ""}
	wildStrings   = []string{"\x00", "a\x00", "a\x00b", "a", "A", "é", "é", "\x00\xc3\xbf", "a rather long text, longer than any small buffer would hold inline"}
)

// value draws a value of a scalar kind. Wild values are extreme ones, which affect sums.
func value(t *rapid.T, kind plan.Kind, wild bool) plan.Value {
	switch kind {
	case plan.Bool:
		return plan.BoolValue(rapid.Bool().Draw(t, "bool"))
	case plan.Int:
		return plan.IntValue(oneOf(t, tameInts, wildInts, wild))
	case plan.Double:
		if chance(t, 4, "any double") {
			return plan.DoubleValue(anyDouble(t, wild))
		}
		return plan.DoubleValue(oneOf(t, tameDoubles, wildDoubles, wild))
	case plan.String:
		return plan.StringValue(oneOf(t, countries, wildStrings, wild))
	case plan.Bytes:
		return plan.BytesValue([]byte(among(t, []string{"a", "", "\x00", "\xff", "a\x00"}, "bytes")))
	case plan.Timestamp:
		return plan.TimestampValue(near(t, among(t, instants, "instant")))
	case plan.Duration:
		return plan.DurationValue(oneOf(t, tameDurations, wildDurations, wild))
	}
	panic("gen: no values of kind " + kind.String())
}

// anyDouble draws any finite double, or one with two decimals.
func anyDouble(t *rapid.T, wild bool) float64 {
	if wild {
		return rapid.Float64().Draw(t, "double")
	}
	return float64(rapid.IntRange(-10000, 10000).Draw(t, "cents")) / 100
}

func oneOf[T any](t *rapid.T, tame, rest []T, wild bool) T {
	if wild && rapid.Bool().Draw(t, "wild") {
		return among(t, rest, "wild value")
	}
	return among(t, tame, "value")
}
