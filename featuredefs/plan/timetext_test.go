package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestN9_FormsOfTime(t *testing.T) {
	const want = "2025-01-31T10:00:00Z"
	for _, s := range []string{
		"2025-01-31T10:00:00Z", "2025-01-31 10:00:00Z", "2025-01-31T10:00:00", "2025-01-31 10:00:00",
		"2025-01-31 10:00:00 UTC", "2025-01-31 10:00:00UTC", "2025-01-31T10:00:00.000Z", "2025-01-31T10:00:00,0000009Z", "2025-01-31T10:00:00.000000999999999999999999999Z",
		"2025-01-31T12:30:00+02:30", "2025-01-31T12:30:00+0230", "2025-01-31 12:00:00+02", "2025-01-31 12:00:00.0 +0200", "2025-01-31T01:00:00-09", "2025-01-30T10:01:00-23:59",
		"2025-01-31T10:00:00-00:00",
	} {
		if at, err := ParseTime(s); err != nil || at.String() != want {
			t.Errorf("%q = %v, %v", s, at, err)
		}
	}
	for s, want := range map[string]string{
		"2025-01-31":                       "2025-01-31T00:00:00Z",
		"2024-02-29":                       "2024-02-29T00:00:00Z",
		"2000-02-29":                       "2000-02-29T00:00:00Z",
		"0001-01-01":                       "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.9999999Z":     "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00-01:00":        "0001-01-01T01:00:00Z",
		"1969-12-31T23:59:59.9999999Z":     "1969-12-31T23:59:59.999999Z",
		"1969-12-31T23:59:59.9999999-0000": "1969-12-31T23:59:59.999999Z",
	} {
		if at, err := ParseTime(s); err != nil || at.String() != want {
			t.Errorf("%q = %v, %v, want %s", s, at, err, want)
		}
	}
}

func TestN10_NoTime(t *testing.T) {
	for _, s := range []string{
		"", "yesterday", "infinity", "2025", "2025-01", "2025-1-31", "25-01-31", "2025/01/31", "20250131", "2025-02-30", "2025-00-10", "2025-13-01", "2025-01-00",
		"2023-02-29", "1900-02-29", "2025-01-31T", "2025-01-31T10", "2025-01-31T10:00", "2025-01-31T10:00Z", "2025-01-31 10:00+02", "2025-01-31T10:00:0", "2025-01-31T10:00:0Z", "2025-01-31T1:00:00Z", "2025-01-31T10:0:00Z", "2025-01-31T24:00:00Z", "2025-01-31T10:60:00Z",
		"2025-01-31T23:59:60Z", "2025-01-31t10:00:00Z", "2025-01-31T10:00:00z", "2025-01-31T10:00:00.Z", "2025-01-31T10:00.5Z", "2025-01-31  10:00:00",
		"2025-01-31 10:00:00 PM", "2025-01-31 10:00:00 CET", "2025-01-31 10:00:00  UTC", "2025-01-31 10:00:00 ", " 2025-01-31 10:00:00", "2025-01-31T10:00:00+24:00",
		"2025-01-31T10:00:00+02:60", "2025-01-31T10:00:00+2", "2025-01-31T10:00:00+02:", "2025-01-31T10:00:00+023", "2025-01-31T10:00:00+02:000", "2025-01-31Z",
		"2025-01-31+02:00", "2025-01-31T10:00:00ZZ", "2025-01-31T10:00:00\u00a0Z", "-2025-01-31", "+2025-01-31", "10000-01-01", "1738317600", "२०२५-01-31",
	} {
		if at, err := ParseTime(s); err == nil || !strings.Contains(err.Error(), "is not a time") {
			t.Errorf("%q = %v, %v", s, at, err)
		}
	}
	for _, s := range []string{"0000-12-31", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"} {
		if at, err := ParseTime(s); err == nil || !strings.Contains(err.Error(), "outside the years") {
			t.Errorf("%q = %v, %v", s, at, err)
		}
	}
}

// TestParseTimeAgreesWithTheLibrary where both read a text.
func TestParseTimeAgreesWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(int64(MinTime)/1e6, int64(MaxTime)/1e6).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos"))
		ahead := rapid.IntRange(-23*60, 23*60).Draw(t, "offset")
		at = at.In(time.FixedZone("", ahead*60))
		s := at.Format(rapid.SampledFrom([]string{time.RFC3339Nano, "2006-01-02T15:04:05.000-0700", "2006-01-02 15:04:05.000000000Z07:00"}).Draw(t, "layout"))
		if at.Year() < 1 || at.Year() > 9999 {
			t.Skip("a year with more than four digits")
		}
		want, err := time.Parse("2006-01-02T15:04:05Z07:00", canonicalTime(s))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseTime(s); err != nil || got != TimeOf(want) {
			t.Fatalf("%q = %v, %v, want %v", s, got, err, TimeOf(want))
		}
	})
}

// canonicalTime rewrites the other forms of a time as RFC 3339.
func canonicalTime(s string) string {
	s = strings.Replace(s, " ", "T", 1)
	if n := len(s); s[n-1] != 'Z' && s[n-3] != ':' {
		s = s[:n-2] + ":" + s[n-2:]
	}
	return s
}

// TestParseTimeKnowsEveryDay of the calendar.
func TestParseTimeKnowsEveryDay(t *testing.T) {
	for day := MinTime.Time(); day.Year() < 2110; day = day.AddDate(0, 0, 1) {
		if got, err := ParseTime(day.Format(time.DateOnly)); err != nil || got != TimeOf(day) {
			t.Fatalf("%v: %v, %v", day, got, err)
		}
	}
	for year := 1; year < 10000; year++ {
		s := fmt.Sprintf("%04d-02-29", year)
		_, want := time.Parse(time.DateOnly, s)
		if _, err := ParseTime(s); (err == nil) != (want == nil) {
			t.Fatalf("%s: %v, the library says %v", s, err, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2025-01-31T10:00:00Z", "2025-01-31 10:00:00.123456789+05:30", "2025-01-31", "2025-01-31 10:00 UTC"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseTime(s)
		if err != nil {
			return
		}
		if again, err := ParseTime(at.String()); err != nil || again != at {
			t.Errorf("%q = %v, which reads as %v, %v", s, at, again, err)
		}
	})
}

func BenchmarkParseTime(b *testing.B) {
	for b.Loop() {
		if _, err := ParseTime("2025-01-31 10:00:00.123456+05:30"); err != nil {
			b.Fatal(err)
		}
	}
}
