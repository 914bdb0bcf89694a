package expr

import (
	"time"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

const (
	microsPerSecond = int64(plan.Second)
	microsPerMinute = int64(plan.Minute)
	microsPerHour   = int64(plan.Hour)
	microsPerDay    = int64(plan.Day)
)

// field computes one calendar field of a local time, in microseconds since the epoch.
type field func(local int64) int64

// fields are the accessors of timestamps, without and with a zone. Months, days
// of the month (but not dates), days of the year and weekdays count from 0;
// weekday 0 is Sunday.
var fields = []struct {
	utc, zoned string
	f          field
}{
	{overloads.TimestampToYear, overloads.TimestampToYearWithTz, year},
	{overloads.TimestampToMonth, overloads.TimestampToMonthWithTz, month},
	{overloads.TimestampToDayOfYear, overloads.TimestampToDayOfYearWithTz, dayOfYear},
	{overloads.TimestampToDayOfMonthZeroBased, overloads.TimestampToDayOfMonthZeroBasedWithTz, dayOfMonth},
	{overloads.TimestampToDayOfMonthOneBased, overloads.TimestampToDayOfMonthOneBasedWithTz, date},
	{overloads.TimestampToDayOfWeek, overloads.TimestampToDayOfWeekWithTz, dayOfWeek},
	{overloads.TimestampToHours, overloads.TimestampToHoursWithTz, hour},
	{overloads.TimestampToMinutes, overloads.TimestampToMinutesWithTz, minute},
	{overloads.TimestampToSeconds, overloads.TimestampToSecondsWithTz, second},
	{overloads.TimestampToMilliseconds, overloads.TimestampToMillisecondsWithTz, millisecond},
}

var fieldRules = makeFieldRules()

func makeFieldRules() map[string]rule {
	rules := map[string]rule{}
	for _, x := range fields {
		rules[x.utc] = rule{[]plan.Kind{plan.Timestamp}, utcField(x.f)}
		rules[x.zoned] = rule{[]plan.Kind{plan.Timestamp, plan.String}, zonedField(x.f)}
	}
	return rules
}

// These divide by constants, which compiles to multiplications.
func hour(local int64) int64        { return floorMod(local, microsPerDay) / microsPerHour }
func minute(local int64) int64      { return floorMod(local, microsPerHour) / microsPerMinute }
func second(local int64) int64      { return floorMod(local, microsPerMinute) / microsPerSecond }
func millisecond(local int64) int64 { return floorMod(local, microsPerSecond) / 1000 }

func floorMod(n, d int64) int64 {
	m := n % d
	if m < 0 {
		m += d
	}
	return m
}

func dayOfWeek(local int64) int64 {
	// Day 0 of the epoch was a Thursday.
	return floorMod(plan.FloorDiv(local, microsPerDay)+4, 7)
}

func year(local int64) int64       { y, _, _ := civil(local); return y }
func month(local int64) int64      { _, m, _ := civil(local); return m - 1 }
func date(local int64) int64       { _, _, d := civil(local); return d }
func dayOfMonth(local int64) int64 { return date(local) - 1 }

func dayOfYear(local int64) int64 {
	y, _, _ := civil(local)
	return plan.FloorDiv(local, microsPerDay) - daysBeforeYear(y)
}

// civil is the proleptic Gregorian date of a local time in microseconds; month and day
// count from 1. The algorithm is civil_from_days of Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms": years start in March, in eras of
// 400 years.
func civil(local int64) (y, m, d int64) {
	z := plan.FloorDiv(local, microsPerDay) + 719468
	era := plan.FloorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	if m > 12 {
		m -= 12
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

// daysBeforeYear is the day number, counted from the epoch, of January 1.
func daysBeforeYear(y int64) int64 {
	p := y - 1
	return 365*p + plan.FloorDiv(p, 4) - plan.FloorDiv(p, 100) + plan.FloorDiv(p, 400) - 719162
}

func utcField(f field) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		return mapTerm(e.Type, args[0], func(o, a *col) {
			for i := range o.Int {
				o.Int[i] = f(a.Int[i])
			}
		})
	}
}

// zonedField compiles an accessor with a constant zone. Other zones, and unknown ones, run
// in cel-go.
func zonedField(f field) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		k := args[1].lit
		if k == nil || k.null || k.err {
			return nil
		}
		loc, err := celenv.Location(k.val.Str())
		if err != nil {
			return nil
		}
		x := &zonedNode{unary: one(e.Type, args[0]), field: f, zone: zone{loc: loc}}
		return then(x, x.out, args[0])
	}
}

type zonedNode struct {
	unary
	field field
	zone  zone
}

func (x *zonedNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	o.strict(a)
	for i := range o.Int {
		if wanted(o, need, i) {
			t := a.Int[i]
			o.Int[i] = x.field(t + x.zone.offset(t))
		}
	}
}

// zone caches the offsets of a time zone around the last times it was asked for.
type zone struct {
	loc   *time.Location
	spans [4]span
	last  int // the span that answered last
	next  int // the span to replace next
}

// span is a period in which a zone's offset from UTC does not change: [from, to).
type span struct{ from, to, offset int64 }

// offset is the zone's offset from UTC at t, in microseconds.
func (z *zone) offset(t int64) int64 {
	if s := &z.spans[z.last]; t >= s.from && t < s.to {
		return s.offset
	}
	for i := range z.spans {
		if s := &z.spans[i]; t >= s.from && t < s.to {
			z.last = i
			return s.offset
		}
	}
	z.last, z.next = z.next, (z.next+1)%len(z.spans)
	z.spans[z.last] = z.spanAt(t)
	return z.spans[z.last].offset
}

func (z *zone) spanAt(t int64) span {
	at := plan.EventTime(t).Time().In(z.loc)
	_, seconds := at.Zone()
	s := span{int64(plan.Always), int64(plan.Never), int64(seconds) * microsPerSecond}
	start, end := at.ZoneBounds()
	if !start.IsZero() {
		s.from = int64(plan.TimeOf(start))
	}
	if !end.IsZero() {
		s.to = int64(plan.TimeOf(end))
	}
	return s
}
