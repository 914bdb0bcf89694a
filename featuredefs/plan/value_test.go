package plan

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyValue draws values of every kind, the awkward ones often.
func anyValue(depth int) *rapid.Generator[Value] {
	scalars := []*rapid.Generator[Value]{
		rapid.Just(NullValue()), rapid.Map(rapid.Bool(), BoolValue),
		rapid.Map(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64})), IntValue),
		rapid.Map(rapid.Uint64(), UintValue),
		rapid.Map(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5e-324, -5e-324, 1e16 + 2})), DoubleValue),
		rapid.Map(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "\x00\xff", "a", "a\x00b"})), StringValue),
		rapid.Map(rapid.SliceOf(rapid.Byte()), BytesValue),
		rapid.Map(rapid.Int64(), func(i int64) Value { return TimestampValue(EventTime(i)) }),
		rapid.Map(rapid.Int64(), func(i int64) Value { return DurationValue(time.Duration(i)) }),
	}
	if depth > 0 {
		list := rapid.SliceOfN(anyValue(depth-1), 0, 3)
		scalars = append(scalars, rapid.Map(list, ListValue), rapid.Just(NoneValue()), rapid.Map(anyValue(depth-1), OptionalValue))
	}
	return rapid.OneOf(scalars...)
}

func TestCanonicalEncodingIsInjectiveOrderedAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyValue(2).Draw(t, "a"), anyValue(2).Draw(t, "b")
		ea, eb := AppendCanonical(nil, a), AppendCanonical(nil, b)
		if got, want := bytes.Compare(ea, eb), Compare(a, b); got != want {
			t.Fatalf("%v and %v order as %d encoded, as %d themselves", a, b, got, want)
		}
		if (Compare(a, b) == 0) != a.Equal(b) {
			t.Fatalf("%v and %v: Compare and Equal disagree", a, b)
		}
		back, rest, err := DecodeCanonical(append(ea, "rest"...))
		if err != nil || string(rest) != "rest" || !back.Equal(a) {
			t.Fatalf("%v decodes as %v, %q, %v", a, back, rest, err)
		}
	})
}

func TestDecodingJunkIsAnError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		v, rest, err := DecodeCanonical(b)
		if err == nil && len(rest) > len(b) {
			t.Fatalf("decoding %x gave %v and %d bytes of rest", b, v, len(rest))
		}
	})
}

func TestZerosAndNaNs(t *testing.T) {
	minus := DoubleValue(math.Copysign(0, -1))
	if minus.Equal(DoubleValue(0)) || Compare(minus, DoubleValue(0)) != -1 {
		t.Error("-0.0 is not told from +0.0")
	}
	other := math.Float64frombits(0xfff8000000000123)
	if !DoubleValue(other).Equal(DoubleValue(math.NaN())) {
		t.Error("two NaNs differ")
	}
	if Compare(DoubleValue(other), DoubleValue(math.Inf(1))) != 1 {
		t.Error("NaN does not order last")
	}
}
