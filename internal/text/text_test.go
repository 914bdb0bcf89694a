package text

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

func TestN8_Parse(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind plan.Kind
		want plan.Value
	}{
		{"true", plan.Bool, plan.BoolValue(true)},
		{"TruE", plan.Bool, plan.BoolValue(true)},
		{"T", plan.Bool, plan.BoolValue(true)},
		{"1", plan.Bool, plan.BoolValue(true)},
		{"FALSE", plan.Bool, plan.BoolValue(false)},
		{"f", plan.Bool, plan.BoolValue(false)},
		{"0", plan.Bool, plan.BoolValue(false)},
		{"0", plan.Int, plan.IntValue(0)},
		{"-0", plan.Int, plan.IntValue(0)},
		{"+007", plan.Int, plan.IntValue(7)},
		{"9223372036854775807", plan.Int, plan.IntValue(math.MaxInt64)},
		{"-9223372036854775808", plan.Int, plan.IntValue(math.MinInt64)},
		{"9007199254740993.000", plan.Int, plan.IntValue(9007199254740993)},
		{"00000000000000000000000009", plan.Int, plan.IntValue(9)},
		{"1e3", plan.Int, plan.IntValue(1000)},
		{"-1.5E+1", plan.Int, plan.IntValue(-15)},
		{"10e-1", plan.Int, plan.IntValue(1)},
		{"9.223372036854775807e18", plan.Int, plan.IntValue(math.MaxInt64)},
		{"0e999999999999999999999", plan.Int, plan.IntValue(0)},
		{".0", plan.Int, plan.IntValue(0)},
		{"5.", plan.Int, plan.IntValue(5)},
		{"3", plan.Double, plan.DoubleValue(3)},
		{"-0.0", plan.Double, plan.DoubleValue(math.Copysign(0, -1))},
		{"+.5e0", plan.Double, plan.DoubleValue(0.5)},
		{"9007199254740993", plan.Double, plan.DoubleValue(9007199254740992)},
		{"0.1", plan.Double, plan.DoubleValue(0.1)},
		{"1.7976931348623157e308", plan.Double, plan.DoubleValue(math.MaxFloat64)},
		{"1e-400", plan.Double, plan.DoubleValue(0)},
		{"NaN", plan.Double, plan.DoubleValue(math.NaN())},
		{"nan", plan.Double, plan.DoubleValue(math.NaN())},
		{"Infinity", plan.Double, plan.DoubleValue(math.Inf(1))},
		{"+INF", plan.Double, plan.DoubleValue(math.Inf(1))},
		{"-inf", plan.Double, plan.DoubleValue(math.Inf(-1))},
		{"", plan.String, plan.StringValue("")},
		{" añ\x00", plan.String, plan.StringValue(" añ\x00")},
		{"", plan.Bytes, plan.BytesValue(nil)},
		{"AP8=", plan.Bytes, plan.BytesValue([]byte{0, 255})},
		{"AP\r\n8=", plan.Bytes, plan.BytesValue([]byte{0, 255})},
		{"-1h0.000000001s", plan.Duration, plan.DurationValue(-time.Hour - 1)},
		{"2025-01-31 10:00:00+02", plan.Timestamp, plan.TimestampValue(1738310400_000000)},
	} {
		if got, err := Parse(tc.text, tc.kind); err != nil || !got.Equal(tc.want) {
			t.Errorf("%q as %v = %v, %v, want %v", tc.text, tc.kind, got, err, tc.want)
		}
	}
}

func TestN8_ParseRefuses(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind plan.Kind
		want string
	}{
		{"yes", plan.Bool, "is not a bool"}, {"", plan.Bool, "is not a bool"}, {" true", plan.Bool, "is not a bool"}, {"2", plan.Bool, "is not a bool"}, {"falſe", plan.Bool, "is not a bool"},
		{"1.5", plan.Int, "not whole"}, {"1e-1", plan.Int, "not whole"}, {"9223372036854775808", plan.Int, "64 bits"}, {"-9223372036854775809", plan.Int, "64 bits"},
		{"1e19", plan.Int, "64 bits"}, {"1e99999999999999999999", plan.Int, "64 bits"}, {"18446744073709551616", plan.Int, "64 bits"}, {"", plan.Int, "is not an int"},
		{" 1", plan.Int, "is not an int"}, {"1 ", plan.Int, "is not an int"}, {"1\u00a0", plan.Int, "is not an int"}, {"1_000", plan.Int, "is not an int"}, {"1,000", plan.Int, "is not an int"},
		{"0x10", plan.Int, "is not an int"}, {"--1", plan.Int, "is not an int"}, {".", plan.Int, "is not an int"}, {"1e", plan.Int, "is not an int"}, {"1e+", plan.Int, "is not an int"},
		{"1.2.3", plan.Int, "is not an int"}, {"١", plan.Int, "is not an int"}, {"NaN", plan.Int, "is not an int"},
		{"", plan.Double, "is not a double"}, {".", plan.Double, "is not a double"}, {"1e309", plan.Double, "does not fit"}, {"-1.8e308", plan.Double, "does not fit"},
		{"0x1p-2", plan.Double, "is not a double"}, {"0x_1p0", plan.Double, "is not a double"}, {"1_0.5", plan.Double, "is not a double"}, {"1,5", plan.Double, "is not a double"},
		{" 1.5", plan.Double, "is not a double"}, {"1.5\n", plan.Double, "is not a double"}, {"-nan", plan.Double, "is not a double"}, {"infinit", plan.Double, "is not a double"},
		{"1.5f", plan.Double, "is not a double"}, {"1..5", plan.Double, "is not a double"},
		{"caf\xe9", plan.String, "UTF-8"}, {"\xed\xa0\x80", plan.String, "UTF-8"},
		{"AP8", plan.Bytes, "base64"}, {"AP_=", plan.Bytes, "base64"}, {"AP8= ", plan.Bytes, "base64"},
		{"3", plan.Duration, "duration"}, {"1d", plan.Duration, "duration"}, {"300000h", plan.Duration, ""}, {"2562048h", plan.Duration, "292 years"}, {"", plan.Duration, "duration"},
		{"2025-02-30", plan.Timestamp, "is not a time"}, {"infinity", plan.Timestamp, "is not a time"},
	} {
		got, err := Parse(tc.text, tc.kind)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q as %v = %v, %v, want an error with %q", tc.text, tc.kind, got, err, tc.want)
		}
	}
	if _, err := Parse(strings.Repeat("ä", 1000), plan.Int); err == nil || len(err.Error()) > 200 || !strings.Contains(err.Error(), "(2000 bytes)") {
		t.Errorf("error %v", err)
	}
}

// numberText draws texts that may be numbers, mostly digits.
func numberText() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,22}`),
		rapid.SampledFrom([]string{"", "0", "9", "9007199254740993", "9223372036854775807", "9223372036854775808", "17976931348623157"}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "sign") + part.Draw(t, "whole")
		if rapid.Bool().Draw(t, "point") {
			s += "." + part.Draw(t, "fraction")
		}
		if rapid.Bool().Draw(t, "exponent") {
			s += rapid.SampledFrom([]string{"e", "E", "e-", "e+"}).Draw(t, "e") + rapid.SampledFrom([]string{"", "0", "1", "18", "19", "22", "300", "308", "400"}).Draw(t, "exponent")
		}
		return s
	})
}

// TestN8_NumbersAreExact compares with arithmetic of unlimited precision.
func TestN8_NumbersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := numberText().Draw(t, "text")
		want, ok := new(big.Rat).SetString(s)
		i, err := Int(s)
		switch whole := ok && want.IsInt() && want.Num().IsInt64(); {
		case whole != (err == nil):
			t.Fatalf("%q as an int: %d, %v, but it is %v", s, i, err, want)
		case whole && want.Num().Int64() != i:
			t.Fatalf("%q as an int: %d, want %v", s, i, want)
		}
		f, err := Double(s)
		lib, libErr := strconv.ParseFloat(s, 64)
		if (err == nil) != (libErr == nil) || err == nil && math.Float64bits(f) != math.Float64bits(lib) {
			t.Fatalf("%q as a double: %v, %v, the library says %v, %v", s, f, err, lib, libErr)
		}
	})
}

// TestB4_TextsOfValuesReadBack: the text that a program writes for a value is read as that value.
func TestB4_TextsOfValuesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.Int64().Draw(t, "int")
		if got, err := Int(strconv.FormatInt(i, 10)); err != nil || got != i {
			t.Fatalf("%d: %d, %v", i, got, err)
		}
		f := rapid.Float64().Draw(t, "double")
		for _, form := range []byte("efg") {
			if got, err := Double(strconv.FormatFloat(f, form, -1, 64)); err != nil || math.Float64bits(got) != math.Float64bits(f) {
				t.Fatalf("%v: %v, %v", f, got, err)
			}
		}
		d := time.Duration(rapid.Int64().Draw(t, "duration"))
		if got, err := Duration(d.String()); err != nil || got != d {
			t.Fatalf("%v: %v, %v", d, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"true", "-1.5e3", "NaN", "AP8=", "2025-01-31T10:00:00.5+02:00", "1h30m", "9223372036854775808", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, k := range []plan.Kind{plan.Bool, plan.Int, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration} {
			if v, err := Parse(s, k); err == nil && v.Kind() != k {
				t.Errorf("%q as %v is %v", s, k, v)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, parse := range map[string]func() error{
		"int":      func() error { _, err := Int("-123456789"); return err },
		"double":   func() error { _, err := Double("1234.5678"); return err },
		"double17": func() error { _, err := Double("0.12345678901234567"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
