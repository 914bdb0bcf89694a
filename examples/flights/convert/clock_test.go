package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func utc(t testing.TB, s string) time.Time {
	t.Helper()
	u, err := time.Parse("2006-01-02T15:04Z", s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestB2_ChangesOfTheClock(t *testing.T) {
	for _, c := range []struct {
		name  string
		wall  wallClock
		zone  string
		want  []string // the instants with that reading
		first string   // of its readings
	}{
		{"last minute of winter", wallClock{2013, 3, 10, 119}, "America/New_York", []string{"2013-03-10T06:59Z"}, "2013-03-10T06:59Z"},
		{"first minute of the gap", wallClock{2013, 3, 10, 120}, "America/New_York", nil, "2013-03-10T07:00Z"},
		{"inside the gap", wallClock{2013, 3, 10, 123}, "America/New_York", nil, "2013-03-10T07:03Z"},
		{"last minute of the gap", wallClock{2013, 3, 10, 179}, "America/New_York", nil, "2013-03-10T07:59Z"},
		{"first minute of summer", wallClock{2013, 3, 10, 180}, "America/New_York", []string{"2013-03-10T07:00Z"}, "2013-03-10T07:00Z"},
		{"before the repeated hour", wallClock{2013, 11, 3, 59}, "America/New_York", []string{"2013-11-03T04:59Z"}, "2013-11-03T04:59Z"},
		{"start of the repeated hour", wallClock{2013, 11, 3, 60}, "America/New_York", []string{"2013-11-03T05:00Z", "2013-11-03T06:00Z"}, "2013-11-03T05:00Z"},
		{"end of the repeated hour", wallClock{2013, 11, 3, 119}, "America/New_York", []string{"2013-11-03T05:59Z", "2013-11-03T06:59Z"}, "2013-11-03T05:59Z"},
		{"after the repeated hour", wallClock{2013, 11, 3, 120}, "America/New_York", []string{"2013-11-03T07:00Z"}, "2013-11-03T07:00Z"},
		{"the gap in Chicago is an hour later", wallClock{2013, 3, 10, 120}, "America/Chicago", nil, "2013-03-10T08:00Z"},
		{"Phoenix has no summer time", wallClock{2013, 3, 10, 120}, "America/Phoenix", []string{"2013-03-10T09:00Z"}, "2013-03-10T09:00Z"},
		{"2400 is the next midnight", wallClock{2013, 12, 31, 1440}, "America/New_York", []string{"2014-01-01T05:00Z"}, "2014-01-01T05:00Z"},
	} {
		loc := zone(t, c.zone)
		got := c.wall.instants(loc)
		if len(got) != len(c.want) {
			t.Errorf("%s: instants %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if !got[i].Equal(utc(t, c.want[i])) {
				t.Errorf("%s: instant %d is %v, want %s", c.name, i, got[i], c.want[i])
			}
		}
		if got := c.wall.readings(loc)[0]; !got.Equal(utc(t, c.first)) {
			t.Errorf("%s: first reading %v, want %s", c.name, got, c.first)
		}
	}
}

// Every instant is among the readings of the clock it shows.
func TestReadingsInvertClocks(t *testing.T) {
	zones := []*time.Location{
		zone(t, "America/New_York"), zone(t, "America/Chicago"), zone(t, "Pacific/Honolulu"), zone(t, "America/Phoenix"), atlantic,
	}
	first := utc(t, "2013-01-01T00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		at := first.Add(time.Duration(rapid.IntRange(0, 365*24*60).Draw(t, "minute")) * time.Minute)
		w := wallDate(at, loc)
		w.min = minuteOfDay(at, loc)
		for _, u := range w.instants(loc) {
			if u.Equal(at) {
				return
			}
		}
		t.Fatalf("%v shows %+v in %v, whose instants are %v", at, w, loc, w.instants(loc))
	})
}

func TestFirstAfterIsStrictAndCrossesMidnight(t *testing.T) {
	loc := zone(t, "America/New_York")
	noon := utc(t, "2013-07-01T16:00Z")
	for _, c := range []struct {
		minute int
		want   string
	}{
		{12*60 + 1, "2013-07-01T16:01Z"},
		{12 * 60, "2013-07-02T16:00Z"},
		{11*60 + 59, "2013-07-02T15:59Z"},
		{24 * 60, "2013-07-02T04:00Z"},
		{0, "2013-07-02T04:00Z"},
	} {
		if got := firstAfter(noon, c.minute, loc); !got.Equal(utc(t, c.want)) {
			t.Errorf("first %02d:%02d after noon is %v, want %s", c.minute/60, c.minute%60, got, c.want)
		}
	}
}
