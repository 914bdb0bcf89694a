package plan

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWindowLiterals(t *testing.T) {
	for _, c := range []struct {
		literal string
		width   Micros
		hop     Micros
	}{
		{"30s", 30 * Second, 1}, // no step of at most 30s/48 divides it
		{"10m", 10 * Minute, 10 * Second},
		{"1h", Hour, Minute},
		{"3h", 3 * Hour, Minute},
		{"6h", 6 * Hour, 5 * Minute},
		{"1d", Day, 15 * Minute},
		{"7d", 7 * Day, Hour},
		{"30d", 30 * Day, 6 * Hour},
		{"90d", 90 * Day, Day},
		{"47s", 47 * Second, 1},
		{"48s", 48 * Second, Second},
		{"7d/1h", 7 * Day, Hour},
		{"7d/exact", 7 * Day, 1},
		{"90m/30m", 90 * Minute, 30 * Minute},
	} {
		w, err := ParseWindow(c.literal)
		if err != nil || w != (Window{c.width, c.hop}) {
			t.Errorf("ParseWindow(%q) = %+v, %v; want %d/%d", c.literal, w, err, c.width, c.hop)
		}
		back, err := ParseWindow(w.String())
		if err != nil || back != w {
			t.Errorf("%q prints as %q, which reads as %+v, %v", c.literal, w, back, err)
		}
	}
}

// TestB3_HopMustDivideTheWindow: so do other errors: each says why a literal is not a window.
func TestB3_HopMustDivideTheWindow(t *testing.T) {
	for literal, says := range map[string]string{
		"7d/2h30m": "not a whole number", "1h/7m": "does not divide", "1h/2h": "does not divide", "0s": "not positive",
		"-1h": "not a whole number", "+1h": "not a whole number", "7x": "does not end in a unit", "7": "does not end in a unit",
		"": "empty span", "d": "not a whole number", "1.5h": "not a whole number", "999999999d": "longer than", "1h/": "empty span", "1h/1us": "not a whole number",
	} {
		if _, err := ParseWindow(literal); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseWindow(%q): %v; want an error with %q", literal, err, says)
		}
	}
}

// TestB4_TailsFloorTowardMinusInfinity: tails are floored before the epoch as they are after it.
func TestB4_TailsFloorTowardMinusInfinity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hop := rapid.SampledFrom([]Micros{1, Second, Minute, Hour, Day}).Draw(t, "hop")
		w := Window{hop * Micros(rapid.Int64Range(1, 400).Draw(t, "hops")), hop}
		at := EventTime(rapid.OneOf(rapid.Int64Range(int64(MinTime), int64(MaxTime)), rapid.Int64Range(-1e12, 1e12),
			rapid.Map(rapid.Int64Range(-1000, 1000), func(n int64) int64 { return n * int64(hop) })).Draw(t, "at"))
		// big.Int's Div is Euclidean, which floors for a positive divisor.
		want := new(big.Int).Div(big.NewInt(int64(at)-int64(w.Width)), big.NewInt(int64(hop)))
		want.Mul(want, big.NewInt(int64(hop)))
		if got := w.Lower(at); big.NewInt(int64(got)).Cmp(want) != 0 {
			t.Fatalf("Lower(%d) of %v = %d, want %v", at, w, got, want)
		}
		if at-w.Lower(at) < EventTime(w.Width) || at-w.Lower(at) >= EventTime(w.Width+hop) {
			t.Fatalf("window %v as of %d reaches back %d µs", w, at, at-w.Lower(at))
		}
	})
}

// TestB5_TimesAreMicroseconds: finer input floors, on both sides of the epoch, text without a zone is UTC, and text round-trips.
func TestB5_TimesAreMicroseconds(t *testing.T) {
	for text, want := range map[string]EventTime{
		"1970-01-01T00:00:00.000001Z": 1, "1969-12-31T23:59:59.999999Z": -1, "1969-12-31T23:59:59.9999999Z": -1,
		"1970-01-01T00:00:00.0000009Z": 0, "2013-03-10T03:00:00-04:00": 1362898800000000, "0001-01-01T00:00:00Z": MinTime, "9999-12-31T23:59:59.999999Z": MaxTime,
		"1970-01-01 00:00:01": 1_000_000, "1970-01-01T00:00:01.5": 1_500_000, "1969-12-31 23:59:59.9999999": -1, "1970-01-02": EventTime(Day),
		"1970-01-01 02:00:00+02:00": 0, "9999-12-31 23:59:59.999999": MaxTime,
	} {
		got, err := ParseTime(text)
		if err != nil || got != want {
			t.Errorf("ParseTime(%q) = %d, %v; want %d", text, got, err, want)
		}
		if back, err := ParseTime(got.String()); err != nil || back != got {
			t.Errorf("%d prints as %q, which reads as %d, %v", got, got, back, err)
		}
	}
	for _, bad := range []string{"2013-02-30", "2013-03-10 03:00", "03:00:00", "", "2013-03-10 03:00:00 ", "yesterday", "0000-12-31T23:59:59Z"} {
		if _, err := ParseTime(bad); err == nil {
			t.Errorf("ParseTime(%q) succeeds", bad)
		}
	}
}
