package cron

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

func parse(t interface{ Fatal(...any) }, spec string) *Schedule {
	s, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tm(text string) plan.EventTime {
	t, err := plan.ParseTime(text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAtOrAfter(t *testing.T) {
	for _, tc := range []struct{ spec, t, want string }{
		{"0 2 * * *", "2025-01-01T02:00:00Z", "2025-01-01T02:00:00Z"}, // a run at t counts
		{"0 2 * * *", "2025-01-01T01:59:59.999999Z", "2025-01-01T02:00:00Z"},
		{"0 2 * * *", "2025-01-01T02:00:00.000001Z", "2025-01-02T02:00:00Z"},
		{"0 2 * * *", "1969-12-31T23:59:59.999999Z", "1970-01-01T02:00:00Z"},
		{"*/15 * * * *", "2025-01-01T23:45:00.000001Z", "2025-01-02T00:00:00Z"},
		{"10,50 3,5 * * *", "2025-01-01T03:51:00Z", "2025-01-01T05:10:00Z"},
		{"30 4 1 * *", "2025-01-01T04:30:00.000001Z", "2025-02-01T04:30:00Z"},
		{"0 0 31 * *", "2025-01-31T00:00:00.000001Z", "2025-03-31T00:00:00Z"},
		{"0 0 * * 1", "2025-01-01T00:00:00Z", "2025-01-06T00:00:00Z"},  // a Wednesday; the next Monday
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"}, // 2100 is not a leap year
		{"0 0 * * *", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"0 0 13 * 1,5", "2025-01-11T00:00:00Z", "2025-01-13T00:00:00Z"}, // either day field
		{"0 0 13 * fri", "2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z"},
		{"0 0 */2 * 1", "2025-01-01T00:00:00Z", "2025-01-13T00:00:00Z"}, // both, for one has a star
		{"0 0 13 * */2", "2025-01-01T00:00:00Z", "2025-02-13T00:00:00Z"},
		{"0 0 * * 7", "2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z"},
		{"0 0 * * 5-7", "2025-01-04T00:00:00.000001Z", "2025-01-05T00:00:00Z"},
		{"0 0 29 2 */7", "2088-03-01T00:00:00Z", "2128-02-29T00:00:00Z"}, // the longest wait there is
		{"0 0 ? FEB MON", "2025-01-01T00:00:00Z", "2025-02-03T00:00:00Z"},
		{"59 23 31 12 *", "9999-12-31T23:59:00Z", "9999-12-31T23:59:00Z"},
	} {
		if got := parse(t, tc.spec).AtOrAfter(tm(tc.t)); got != tm(tc.want) {
			t.Errorf("%s from %s: %v, want %s", tc.spec, tc.t, got, tc.want)
		}
	}
	if got := parse(t, "0 0 1 1 *").AtOrAfter(tm("9999-06-01T00:00:00Z")); got != plan.Never {
		t.Errorf("after the last run: %v", got)
	}
	if got := parse(t, "0 0 * * *").AtOrAfter(plan.MaxTime); got != plan.Never {
		t.Errorf("after the last midnight: %v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"":                          "0 fields",
		"@daily":                    "1 fields",
		"0 2 * *":                   "minute hour day month weekday",
		"0 2 * * * *":               "6 fields",
		"TZ=Asia/Tokyo 0 2 * * *":   "schedules are in UTC",
		"60 * * * *":                `"60" is not a valid minute; those go from 0 to 59`,
		"0 24 * * *":                `"24" is not a valid hour`,
		"0 0 0 * *":                 `"0" is not a valid day of the month; those go from 1 to 31`,
		"0 0 * 13 *":                `"13" is not a valid month`,
		"0 0 * * 8":                 `"8" is not a valid weekday`,
		"0 0 * * mo":                `"mo" is not a valid weekday`,
		"0 0 * * -1":                `"" is not a valid weekday`,
		"*/0 * * * *":               "step of at least 1",
		"*/x * * * *":               "step of at least 1",
		"5-1 * * * *":               "ends before it begins",
		"1,,2 * * * *":              `"" is not a valid minute`,
		"0 0 30 2 *":                "never runs",
		"0 0 31 2,4,6,9,11 *":       "never runs",
		"* * * * 99999999999999999": "is not a valid weekday",
	} {
		if _, err := Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

// element draws one element of a field's list, in the part of the language that robfig and
// Vixie share.
func element(t *rapid.T, first, last int) string {
	a, b := rapid.IntRange(first, last).Draw(t, "a"), rapid.IntRange(first, last).Draw(t, "b")
	step := ""
	if rapid.Bool().Draw(t, "stepped") {
		step = fmt.Sprintf("/%d", rapid.IntRange(1, 12).Draw(t, "step"))
	}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return "*" + step
	case 1:
		return fmt.Sprintf("%d-%d%s", min(a, b), max(a, b), step)
	case 2:
		return fmt.Sprintf("%d%s", a, step)
	}
	return fmt.Sprint(a)
}

// spec draws five fields.
func spec(t *rapid.T) string {
	var out []string
	for _, f := range fields {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return element(t, f.first, f.last) }), 1, 3).Draw(t, f.name)
		out = append(out, strings.Join(list, ","))
	}
	if rapid.Bool().Draw(t, "every month") {
		out[3] = "*"
	}
	return strings.Join(out, " ")
}

// The next run is that of robfig/cron where both read a schedule in the same way. robfig/cron
// requires both day fields to match if any element of one is a star without a step; this package,
// if one begins with a star. robfig/cron also stops after five years.
func TestAgreesWithRobfigCron(t *testing.T) {
	library := robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow)
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		text := spec(t)
		parts := strings.Fields(text)
		stars := func(f string) bool {
			return slices.ContainsFunc(strings.Split(f, ","), func(e string) bool { return e == "*" || e == "*/1" })
		}
		if stars(parts[2]) != starred(parts[2]) || stars(parts[4]) != starred(parts[4]) {
			t.Skip("another meaning there")
		}
		want, err := library.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		at := plan.EventTime(rapid.Int64Range(int64(tm("1890-01-01T00:00:00Z")), int64(tm("2110-01-01T00:00:00Z"))).Draw(t, "at"))
		if rapid.Bool().Draw(t, "whole minute") {
			at -= plan.EventTime(int64(at) - plan.FloorDiv(int64(at), microsPerMinute)*microsPerMinute)
		}
		run := want.Next(at.Time().Add(-time.Nanosecond)) // Next is strictly after its argument
		s, err := Parse(text)
		if run.IsZero() {
			return // nothing for five years
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := s.AtOrAfter(at); got != plan.TimeOf(run) {
			t.Fatalf("%s from %v: %v, robfig/cron says %v", text, at, got, run)
		}
		compared++
	})
	if compared < 20 {
		t.Errorf("only %d schedules were compared", compared)
	}
}

// AtOrAfter allocates nothing, even for rows on distinct days.
func TestEveryDayCostsTheSame(t *testing.T) {
	s := parse(t, "* * * * *")
	day := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		day += 12345
		s.AtOrAfter(plan.EventTime(day % 2_000_000 * microsPerDay / 1000))
	}); n != 0 {
		t.Errorf("%v allocations for a row on another day", n)
	}
}

func BenchmarkAtOrAfter(b *testing.B) {
	for _, text := range []string{"* * * * *", "0 2 * * *", "0 0 1 1 *", "0 0 29 2 */7"} {
		b.Run(strings.ReplaceAll(text, "/", "|"), func(b *testing.B) {
			s := parse(b, text)
			for i := range b.N {
				s.AtOrAfter(plan.EventTime(int64(i%20_000)*microsPerDay + 1))
			}
		})
	}
}
