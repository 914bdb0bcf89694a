package plan

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyValue draws values of every kind, difficult ones often.
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
		scalars = append(scalars, rapid.Map(list, ListValue), rapid.Just(NoneValue()), rapid.Map(anyValue(depth-1), OptionalValue), anyMap(depth-1))
	}
	return rapid.OneOf(scalars...)
}

func anyMap(depth int) *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		entries := rapid.MapOfN(rapid.String(), anyValue(depth), 0, 3).Draw(t, "entries")
		var keys, values []Value
		for k, v := range entries {
			keys, values = append(keys, StringValue(k)), append(values, v)
		}
		return MapValue(keys, values)
	})
}

func TestCanonicalEncodingIsInjectiveOrderedAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyValue(2).Draw(t, "a"), anyValue(2).Draw(t, "b")
		ea, eb := AppendCanonical(nil, a), AppendCanonical(nil, b)
		if got, want := bytes.Compare(ea, eb), Compare(a, b); got != want {
			t.Fatalf("%v and %v compare as %d encoded, as %d themselves", a, b, got, want)
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
		checkDecoding(t, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	})
}

// checkDecoding decodes b: what is accepted is what AppendCanonical writes.
func checkDecoding(t rapid.TB, b []byte) {
	v, rest, err := DecodeCanonical(b)
	if err != nil {
		return
	}
	if used := b[:len(b)-len(rest)]; !bytes.Equal(used, AppendCanonical(nil, v)) {
		t.Fatalf("%x decodes as %v, which encodes as %x", used, v, AppendCanonical(nil, v))
	}
}

func FuzzDecodeCanonical(f *testing.F) {
	for seed := range 50 {
		f.Add(AppendCanonical(nil, anyValue(3).Example(seed)))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkDecoding(t, b) })
}

func TestDecodingRefuses(t *testing.T) {
	key, other := AppendCanonical(nil, StringValue("a")), AppendCanonical(nil, IntValue(1))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for what, b := range map[string][]byte{
		"nothing":                     nil,
		"an unknown kind":             {0},
		"a type":                      {byte(TypeType)},
		"a list without an end":       {byte(List), byte(Null)},
		"an optional of two":          {byte(Optional), byte(Null), byte(Null), 0},
		"a key without a value":       join([]byte{byte(Map)}, key, []byte{0}),
		"a key twice":                 join([]byte{byte(Map)}, key, other, key, other, []byte{0}),
		"keys out of order":           join([]byte{byte(Map)}, key, other, other, other, []byte{0}),
		"a NaN that is not canonical": append([]byte{byte(Double)}, 0xff, 0xf8, 0, 0, 0, 0, 0, 1),
		"neither true nor false":      {byte(Bool), 2},
		"an unknown escape":           {byte(String), 0, 1},
	} {
		if v, _, err := DecodeCanonical(b); err == nil {
			t.Errorf("%s decodes as %v", what, v)
		}
	}
}

// TestDecodingIsBounded: input cannot make the stack arbitrarily deep.
func TestDecodingIsBounded(t *testing.T) {
	for _, kind := range []Kind{List, Optional} {
		deep := append(bytes.Repeat([]byte{byte(kind)}, MaxDepth), make([]byte, MaxDepth)...)
		v, rest, err := DecodeCanonical(deep)
		if err != nil || len(rest) != 0 || !bytes.Equal(AppendCanonical(nil, v), deep) {
			t.Errorf("%d levels of %v: %d bytes of rest, %v", MaxDepth, kind, len(rest), err)
		}
		deeper := append(bytes.Repeat([]byte{byte(kind)}, MaxDepth+1), make([]byte, MaxDepth+1)...)
		if _, _, err := DecodeCanonical(deeper); err == nil {
			t.Errorf("%d levels of %v decode", MaxDepth+1, kind)
		}
		if _, _, err := DecodeCanonical(bytes.Repeat([]byte{byte(kind)}, 1<<20)); err == nil {
			t.Errorf("a million levels of %v decode", kind)
		}
	}
}

func TestZerosAndNaNs(t *testing.T) {
	minus := DoubleValue(math.Copysign(0, -1))
	if minus.Equal(DoubleValue(0)) || Compare(minus, DoubleValue(0)) != -1 {
		t.Error("-0.0 is not distinguished from +0.0")
	}
	other := math.Float64frombits(0xfff8000000000123)
	if !DoubleValue(other).Equal(DoubleValue(math.NaN())) {
		t.Error("two NaNs differ")
	}
	if Compare(DoubleValue(other), DoubleValue(math.Inf(1))) != 1 {
		t.Error("NaN does not order last")
	}
}
