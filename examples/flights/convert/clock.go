package main

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones must not depend on the machine that converts
)

// wallClock is what a clock on the wall shows: a date and minutes since its
// midnight, without a zone. Minutes may reach 1440 (the source writes 2400).
type wallClock struct {
	year  int
	month time.Month
	day   int
	min   int
}

// onDay is the same clock reading n days later.
func (w wallClock) onDay(n int) wallClock {
	w.day += n
	return w
}

// instants lists, in order, every instant at which a wall clock in loc shows w: usually
// one, none in the hour that is skipped in spring, two in the hour that is repeated in
// autumn.
func (w wallClock) instants(loc *time.Location) []time.Time {
	shown := w.asUTC()
	var out []time.Time
	for _, offset := range offsetsAround(shown, loc) {
		t := shown.Add(-offset)
		if wallTime(t, loc).Equal(shown) {
			out = append(out, t)
		}
	}
	return out
}

// readings are w's instants. For a reading in the skipped hour, it is one instant with the
// offset before the change, as if the clock had not been changed yet.
func (w wallClock) readings(loc *time.Location) []time.Time {
	if all := w.instants(loc); len(all) > 0 {
		return all
	}
	shown := w.asUTC()
	return []time.Time{shown.Add(-offsetAt(shown.Add(-24*time.Hour), loc))}
}

// asUTC is w read as a time in UTC.
func (w wallClock) asUTC() time.Time {
	return time.Date(w.year, w.month, w.day, 0, w.min, 0, 0, time.UTC)
}

// offsetsAround lists the distinct UTC offsets of loc within a day of t, the
// largest first, so that the instants they lead to ascend.
func offsetsAround(t time.Time, loc *time.Location) []time.Duration {
	before, after := offsetAt(t.Add(-24*time.Hour), loc), offsetAt(t.Add(24*time.Hour), loc)
	switch {
	case before == after:
		return []time.Duration{before}
	case before > after:
		return []time.Duration{before, after}
	}
	return []time.Duration{after, before}
}

func offsetAt(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// wallTime is what a clock in loc shows at t, written as a UTC time.
func wallTime(t time.Time, loc *time.Location) time.Time {
	return t.Add(offsetAt(t, loc)).UTC()
}

// minuteOfDay is what a clock in loc shows at t, in minutes since midnight.
func minuteOfDay(t time.Time, loc *time.Location) int {
	w := wallTime(t, loc)
	return w.Hour()*60 + w.Minute()
}

// wallDate is the date in loc at t, at midnight.
func wallDate(t time.Time, loc *time.Location) wallClock {
	y, m, d := wallTime(t, loc).Date()
	return wallClock{year: y, month: m, day: d}
}

// firstAfter is the first instant after t at which a clock in loc shows the
// minute of the day.
func firstAfter(t time.Time, minute int, loc *time.Location) time.Time {
	date := wallDate(t, loc)
	date.min = minute
	for day := -1; ; day++ {
		for _, u := range date.onDay(day).readings(loc) {
			if u.After(t) {
				return u
			}
		}
	}
}

// atlantic is the zone of the four airports that the airports table lacks, all
// in Puerto Rico and the Virgin Islands: UTC-4 the whole year.
var atlantic = time.FixedZone("AST", -4*60*60)

// airportZones gives every airport its time zone.
type airportZones map[string]*time.Location

func newAirportZones() airportZones {
	return airportZones{"BQN": atlantic, "PSE": atlantic, "SJU": atlantic, "STT": atlantic}
}

// add names the zone of an airport.
func (z airportZones) add(airport, name string) error {
	loc, err := time.LoadLocation(name)
	if err != nil {
		return fmt.Errorf("airport %s: %w", airport, err)
	}
	z[airport] = loc
	return nil
}

// of is the zone of an airport.
func (z airportZones) of(airport string) (*time.Location, error) {
	loc, ok := z[airport]
	if !ok {
		return nil, fmt.Errorf("airport %s has no time zone in airports.csv; without it no local time there can be read", airport)
	}
	return loc, nil
}
