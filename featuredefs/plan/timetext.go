package plan

import (
	"fmt"
	"strconv"
)

// ParseTime reads a timestamp from text: of the files of a source, of pushes, flags and
// tests alike.
//
//	time  = date [ ("T" | " ") clock [ zone ] ]
//	date  = YYYY-MM-DD
//	clock = hh:mm:ss [ ("." | ",") digits ]
//	zone  = [ " " ] ( "Z" | "UTC" | ("+" | "-") hh [ [":"] mm ] )
//
// A time without a zone is in UTC, and a date alone is its midnight. Anything finer than a
// microsecond is floored. A time without seconds, what is not a day of the calendar, an hour of
// 24, a second of 60, an offset of a day or more, and a time outside the years 0001 to 9999
// are errors.
func ParseTime(s string) (EventTime, error) {
	t, rest, ok := date(s)
	if ok && rest != "" {
		t, ok = clockAndZone(t, rest)
	}
	if !ok {
		return 0, noTime(s)
	}
	if !t.Valid() {
		return 0, fmt.Errorf("time %q is outside the years 0001 to 9999", s)
	}
	return t, nil
}

// noTime quotes no more of a text than a time could have.
func noTime(s string) error {
	const most = 64
	text := strconv.Quote(s[:min(len(s), most)])
	if len(s) > most {
		text += "…"
	}
	return fmt.Errorf("%s is not a time (write 2025-01-31T10:00:00Z, or 2025-01-31 10:00:00 for the same)", text)
}

// date reads a day's midnight.
func date(s string) (midnight EventTime, rest string, ok bool) {
	if len(s) < len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return 0, s, false
	}
	century, ok1 := twoDigits(s)
	year, ok2 := twoDigits(s[2:])
	month, ok3 := twoDigits(s[5:])
	day, ok4 := twoDigits(s[8:])
	year += 100 * century
	if !ok1 || !ok2 || !ok3 || !ok4 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, s, false
	}
	return EventTime(daysSinceEpoch(year, month, day) * int64(Day)), s[10:], true
}

// clockAndZone adds a time of day to its midnight.
func clockAndZone(t EventTime, s string) (EventTime, bool) {
	if len(s) < len("T15:04:05") || s[0] != 'T' && s[0] != ' ' {
		return 0, false
	}
	hour, ok1 := twoDigits(s[1:])
	minute, ok2 := twoDigits(s[4:])
	second, ok3 := twoDigits(s[7:])
	if !ok1 || !ok2 || !ok3 || s[3] != ':' || s[6] != ':' || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t += EventTime(hour*int64(Hour) + minute*int64(Minute) + second*int64(Second))
	s = s[len("T15:04:05"):]
	if s != "" && (s[0] == '.' || s[0] == ',') {
		micros, rest, ok := fraction(s[1:])
		if !ok {
			return 0, false
		}
		t, s = t+EventTime(micros), rest
	}
	ahead, ok := zone(s)
	return t - EventTime(ahead*int64(Minute)), ok
}

// fraction reads digits as microseconds and leaves out what is finer.
func fraction(s string) (micros int64, rest string, ok bool) {
	i, unit := 0, int64(Second)
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		unit /= 10
		micros += int64(s[i]-'0') * unit
	}
	return micros, s[i:], i > 0
}

// zone reads the minutes that a zone is ahead of UTC; "" is UTC.
func zone(s string) (ahead int64, ok bool) {
	if s == "" {
		return 0, true
	}
	if s[0] == ' ' {
		s = s[1:]
	}
	if s == "Z" || s == "UTC" {
		return 0, true
	}
	if len(s) < len("+00") || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, ok := twoDigits(s[1:])
	minutes := int64(0)
	if rest := s[3:]; ok && rest != "" {
		if rest[0] == ':' {
			rest = rest[1:]
		}
		if len(rest) != 2 {
			return 0, false
		}
		minutes, ok = twoDigits(rest)
	}
	if !ok || hours > 23 || minutes > 59 {
		return 0, false
	}
	ahead = hours*60 + minutes
	if s[0] == '-' {
		ahead = -ahead
	}
	return ahead, true
}

// twoDigits reads the two digits that s begins with; s has two bytes at least.
func twoDigits(s string) (int64, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}

var monthDays = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// daysIn is the length of a month.
func daysIn(year, month int64) int64 {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return monthDays[month-1]
}

// daysSinceEpoch counts days of the Gregorian calendar, with years that begin in March,
// so that the leap day is their last.
func daysSinceEpoch(year, month, day int64) int64 {
	if month < 3 {
		year--
		month += 12
	}
	days := 365*year + FloorDiv(year, 4) - FloorDiv(year, 100) + FloorDiv(year, 400) + (153*(month-3)+2)/5 + day - 1
	return days - 719468
}
