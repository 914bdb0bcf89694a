// Package cron finds when a schedule runs: five fields, minute, hour, day of the month, month
// and weekday, in UTC, read as Vixie cron reads them.
package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Schedule is the set of minutes at which a job runs. It is immutable and safe for concurrent use.
type Schedule struct {
	minutes, hours, days, months uint64    // bit n: n is in the field
	weekly                       [7]uint64 // by the weekday of a month's first day: the days of the month that match the weekday field
	both                         bool      // a day must match both day fields, not one of them
}

// field is one of the five: its name, range, and names of values.
type field struct {
	name        string
	first, last int
	names       []string // of first, first+1, …
}

var fields = [5]field{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of the month", 1, 31, nil},
	{"month", 1, 12, strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")},
	{"weekday", 0, 6, strings.Fields("sun mon tue wed thu fri sat")},
}

// Parse reads five fields. Each is a list of *, ?, numbers, names or ranges, each with an optional
// step: n/s is every s-th value from n on. Weekday 7 is Sunday, as is 0. A schedule that names a
// time zone or never runs is an error.
func Parse(text string) (*Schedule, error) {
	if strings.Contains(text, "TZ=") {
		return nil, fmt.Errorf("schedule %q names a time zone; schedules are in UTC", text)
	}
	parts := strings.Fields(text)
	if len(parts) != len(fields) {
		return nil, fmt.Errorf("schedule %q has %d fields, not five; write minute hour day month weekday, as in \"0 2 * * *\" for 02:00 every day", text, len(parts))
	}
	var sets [5]uint64
	for i, part := range parts {
		var err error
		if sets[i], err = fields[i].parse(part); err != nil {
			return nil, fmt.Errorf("schedule %q: %w", text, err)
		}
	}
	s := &Schedule{minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], both: starred(parts[2]) || starred(parts[4])}
	for first := range s.weekly {
		for day := 1; day <= 31; day++ {
			s.weekly[first] |= sets[4] >> ((first + day - 1) % 7) & 1 << day
		}
	}
	// The calendar repeats every 400 years.
	if _, runs := s.nextDay(0, 400*12); !runs {
		return nil, fmt.Errorf("schedule %q never runs", text)
	}
	return s, nil
}

// starred reports whether a day field begins with a star, so that days must match both day fields.
func starred(field string) bool { return field[0] == '*' || field[0] == '?' }

func (f *field) parse(text string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		lo, hi, step, err := f.parsePart(part)
		if err != nil {
			return 0, err
		}
		for v := lo; v <= hi; v += step {
			set |= 1 << v
		}
	}
	if f.name == "weekday" && set>>7&1 == 1 {
		set |= 1 // 7 is Sunday, and so is 0
	}
	return set, nil
}

// parsePart reads one element of a field's list.
func (f *field) parsePart(text string) (lo, hi, step int, err error) {
	span, every, stepped := strings.Cut(text, "/")
	from, to, ranged := strings.Cut(span, "-")
	step = 1
	if stepped {
		if step, err = strconv.Atoi(every); err != nil || step < 1 {
			return 0, 0, 0, fmt.Errorf("the %s %q has no step of at least 1 after its /", f.name, text)
		}
	}
	if span == "*" || span == "?" {
		return f.first, f.last, step, nil
	}
	if lo, err = f.value(from); err != nil {
		return 0, 0, 0, err
	}
	switch {
	case ranged:
		if hi, err = f.value(to); err != nil {
			return 0, 0, 0, err
		}
		if lo > hi {
			return 0, 0, 0, fmt.Errorf("the %s %q ends before it begins", f.name, text)
		}
	case stepped:
		hi = max(lo, f.last)
	default:
		hi = lo
	}
	return lo, hi, step, nil
}

// value reads a number or a name.
func (f *field) value(text string) (int, error) {
	for i, name := range f.names {
		if text == name {
			return f.first + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	last := f.last
	if f.name == "weekday" {
		last = 7
	}
	if err != nil || n < f.first || n > last {
		return 0, fmt.Errorf("%q is not a valid %s; those go from %d to %d", text, f.name, f.first, last)
	}
	return n, nil
}

const (
	microsPerMinute = int64(plan.Minute)
	microsPerDay    = int64(plan.Day)
	minutesPerDay   = microsPerDay / microsPerMinute
)

// longest is the largest number of months between two runs: 29 February on a given weekday can be
// 40 years away, across a year such as 2100.
const longest = 41 * 12

// AtOrAfter is the first run at or after t, a time in the years 0001 to 9999, or Never if there is
// none before the year 10000. It searches month by month and caches nothing.
func (s *Schedule) AtOrAfter(t plan.EventTime) plan.EventTime {
	minute := -plan.FloorDiv(-int64(t), microsPerMinute) // rounded up
	day := plan.FloorDiv(minute, minutesPerDay)
	if next, runs := s.nextDay(day, longest); !runs {
		return plan.Never
	} else if next > day {
		return at(next, s.firstMinute())
	}
	if m := s.minuteFrom(int(minute - day*minutesPerDay)); m >= 0 {
		return at(day, m)
	}
	next, runs := s.nextDay(day+1, longest)
	if !runs {
		return plan.Never
	}
	return at(next, s.firstMinute())
}

func at(day int64, minute int) plan.EventTime {
	return plan.EventTime(day*microsPerDay + int64(minute)*microsPerMinute)
}

func (s *Schedule) firstMinute() int {
	return 60*bits.TrailingZeros64(s.hours) + bits.TrailingZeros64(s.minutes)
}

// minuteFrom is the first minute of a day, at or after m, at which the job runs; -1 if there is none.
func (s *Schedule) minuteFrom(m int) int {
	hour := m / 60
	if s.hours>>hour&1 == 1 {
		if rest := s.minutes >> (m % 60); rest != 0 {
			return m + bits.TrailingZeros64(rest)
		}
	}
	if later := s.hours >> (hour + 1); later != 0 {
		return 60*(hour+1+bits.TrailingZeros64(later)) + bits.TrailingZeros64(s.minutes)
	}
	return -1
}

// nextDay is the first day at or after the given one on which the job runs. Days are counted from
// 1970-01-01. It is false if there is none within the given number of months or before the year
// 10000.
func (s *Schedule) nextDay(day int64, months int) (int64, bool) {
	begin := time.Unix(day*24*60*60, 0).UTC()
	year, month, from := begin.Date()
	weekday := int(begin.Weekday()) - (from - 1) // of the month's first day
	first := day - int64(from-1)
	for range months {
		if year > 9999 {
			return 0, false
		}
		length := daysIn(year, month)
		if run := s.daysOf(month, (weekday%7+7)%7, length) >> from << from; run != 0 {
			return first + int64(bits.TrailingZeros64(run)-1), true
		}
		first, weekday, from = first+int64(length), weekday+length, 1
		if month++; month > time.December {
			year, month = year+1, time.January
		}
	}
	return 0, false
}

// daysOf is a bitmap of the days of a month on which the job runs, given the weekday of its first
// day and its length.
func (s *Schedule) daysOf(month time.Month, weekday, length int) uint64 {
	if s.months>>month&1 == 0 {
		return 0
	}
	days := s.days | s.weekly[weekday]
	if s.both {
		days = s.days & s.weekly[weekday]
	}
	return days & (1<<(length+1) - 1)
}

func daysIn(year int, month time.Month) int {
	switch {
	case month == time.February && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == time.February:
		return 28
	case month == time.April || month == time.June || month == time.September || month == time.November:
		return 30
	}
	return 31
}
