package plan

import (
	"math"
	"time"
)

// EventTime is a point in time in microseconds since the Unix epoch, UTC.
// Valid times lie in [MinTime, MaxTime], the years 0001 to 9999.
type EventTime int64

// Micros is a span of time in microseconds.
type Micros int64

// The bounds of valid times, and the two sentinels beyond them: Never is later
// than every valid time (a value that is not known yet), Always earlier.
const (
	MinTime EventTime = -62135596800000000
	MaxTime EventTime = 253402300799999999
	Never   EventTime = math.MaxInt64
	Always  EventTime = math.MinInt64
)

// Spans, for readable literals.
const (
	Microsecond Micros = 1
	Second             = 1000000 * Microsecond
	Minute             = 60 * Second
	Hour               = 60 * Minute
	Day                = 24 * Hour
)

// TimeOf floors t to microseconds.
func TimeOf(t time.Time) EventTime {
	return EventTime(t.Unix()*1_000_000 + int64(t.Nanosecond()/1000))
}

// Valid reports whether t lies in the years 0001 to 9999.
func (t EventTime) Valid() bool { return t >= MinTime && t <= MaxTime }

// Time returns t as a time.Time in UTC.
func (t EventTime) Time() time.Time {
	sec := FloorDiv(int64(t), 1_000_000)
	return time.Unix(sec, (int64(t)-sec*1_000_000)*1000).UTC()
}

// String formats t as RFC 3339 with as many fractional digits as it has.
func (t EventTime) String() string {
	switch t {
	case Never:
		return "never"
	case Always:
		return "always"
	}
	return t.Time().Format("2006-01-02T15:04:05.999999Z07:00")
}

// FloorDiv divides rounding toward minus infinity; d is positive.
func FloorDiv(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}
