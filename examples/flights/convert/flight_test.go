package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample(t *testing.T) (map[string]flight, *counts) {
	t.Helper()
	zones, err := readAirports("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var c counts
	flights, err := readFlights("testdata", zones, &c)
	if err != nil {
		t.Fatal(err)
	}
	byNumber := map[string]flight{}
	for i := range flights {
		f := &flights[i]
		if err := f.check(&c); err != nil {
			t.Fatal(err)
		}
		byNumber[fmt.Sprint(f.carrier, f.number)] = *f
	}
	if len(byNumber) != len(flights) {
		t.Fatalf("%d names for %d flights", len(byNumber), len(flights))
	}
	return byNumber, &c
}

// Each row was worked out by hand from the clock times of the source.
func TestB2_FlightsByHand(t *testing.T) {
	flights, _ := sample(t)
	for _, c := range []struct {
		name, flight                          string
		schedDep, departed, schedArr, arrived string
		late                                  bool
		known                                 string
	}{
		{"an ordinary morning, arrival in another zone", "UA1545",
			"2013-01-01T10:15Z", "2013-01-01T10:17Z", "2013-01-01T14:19Z", "2013-01-01T14:30Z", false, "2013-01-01T14:30Z"},
		{"arrives at 2:03, a time that the clocks of that night skip", "B635",
			"2013-03-10T02:45Z", "2013-03-10T04:06Z", "2013-03-10T05:34Z", "2013-03-10T07:03Z", true, "2013-03-10T07:03Z"},
		{"scheduled before midnight, leaves after it", "B6727",
			"2013-03-10T04:59Z", "2013-03-10T05:53Z", "2013-03-10T08:38Z", "2013-03-10T09:04Z", false, "2013-03-10T09:04Z"},
		{"in the air when the clocks go back", "B61503",
			"2013-11-03T03:59Z", "2013-11-03T03:58Z", "2013-11-03T07:40Z", "2013-11-03T07:50Z", false, "2013-11-03T07:50Z"},
		{"arrives at 1:14, a time that the clocks of that night show twice", "VX413",
			"2013-11-02T20:55Z", "2013-11-03T02:17Z", "2013-11-03T03:15Z", "2013-11-03T08:14Z", true, "2013-11-03T08:14Z"},
		{"leaves 21 hours late, the next day", "HA51",
			"2013-01-09T14:00Z", "2013-01-10T11:41Z", "2013-01-10T01:30Z", "2013-01-10T22:42Z", true, "2013-01-10T22:42Z"},
		{"leaves at 2400", "B6839",
			"2013-10-31T03:59Z", "2013-10-31T04:00Z", "2013-10-31T07:37Z", "2013-10-31T07:27Z", false, "2013-10-31T07:27Z"},
		{"arrives at 2400", "B61109",
			"2013-01-02T02:55Z", "2013-01-02T03:09Z", "2013-01-02T04:37Z", "2013-01-02T05:00Z", false, "2013-01-02T05:00Z"},
		{"diverted, arrives 27 minutes late by the clock", "9E3325",
			"2013-02-25T21:05Z", "2013-02-25T21:03Z", "2013-02-26T01:25Z", "2013-02-26T01:52Z", false, "2013-02-26T01:52Z"},
		{"diverted and never arrived", "EV4204",
			"2013-01-02T00:30Z", "2013-01-02T01:16Z", "2013-01-02T04:20Z", "", true, "2013-01-02T04:50Z"},
		{"cancelled without a tail number", "AA133",
			"2013-01-02T20:45Z", "", "2013-01-03T03:10Z", "", true, "2013-01-02T20:45Z"},
		{"cancelled with a tail number", "EV4308",
			"2013-01-01T21:30Z", "", "2013-01-01T23:15Z", "", true, "2013-01-01T21:30Z"},
		{"Alaska in summer", "UA887",
			"2013-07-06T20:15Z", "2013-07-06T20:29Z", "2013-07-07T03:53Z", "2013-07-07T03:54Z", false, "2013-07-07T03:54Z"},
		{"Arizona has no summer time", "US334",
			"2013-07-01T10:55Z", "2013-07-01T11:00Z", "2013-07-01T16:06Z", "2013-07-01T16:04Z", false, "2013-07-01T16:04Z"},
	} {
		f, ok := flights[c.flight]
		if !ok {
			t.Errorf("%s: no flight %s", c.name, c.flight)
			continue
		}
		late, known := f.label()
		for _, x := range []struct {
			what string
			got  maybe[time.Time]
			want string
		}{
			{"scheduled departure", maybe[time.Time]{f.schedDep, true}, c.schedDep},
			{"departure", f.departed, c.departed},
			{"scheduled arrival", maybe[time.Time]{f.schedArr, true}, c.schedArr},
			{"arrival", f.arrived, c.arrived},
			{"label known", maybe[time.Time]{known, true}, c.known},
		} {
			if x.want == "" {
				if x.got.known {
					t.Errorf("%s: %s is %v, want none", c.name, x.what, x.got.value)
				}
			} else if !x.got.known || !x.got.value.Equal(utc(t, x.want)) {
				t.Errorf("%s: %s is %v, want %s", c.name, x.what, x.got, x.want)
			}
		}
		if late != c.late {
			t.Errorf("%s: late or cancelled %v, want %v", c.name, late, c.late)
		}
	}
}

func TestIrregularFlightsAreCounted(t *testing.T) {
	_, c := sample(t)
	want := counts{
		flights: 14, departed: 12, cancelled: 2, arrived: 11, neverArrived: 1, late: 3,
		cancelledNoTail: 1, arrivalNotClock: 1, arrivedByClock: 1, byClockNotLate: 1,
	}
	if *c != want {
		t.Errorf("counted %+v\nwant    %+v", *c, want)
	}
}

func TestB2_WeatherOfTheRepeatedHour(t *testing.T) {
	var c counts
	weather, err := readWeather("testdata", &c)
	if err != nil {
		t.Fatal(err)
	}
	if want := (counts{weather: 8, weatherRepeated: 1, impossibleWind: 1}); c != want {
		t.Errorf("counted %+v, want %+v", c, want)
	}
	temps := map[string]float64{}
	for _, o := range weather {
		temps[o.id] = o.temp.value
	}
	for id, want := range map[string]float64{
		"20130310T06-EWR": 39.02, "20130310T07-EWR": 37.04, // 1:00, then 3:00
		"20131103T05-EWR": 51.98, "20131103T06-EWR": 50, "20131103T07-EWR": 51.08, // 1:00, 1:00 again, 2:00
	} {
		if got, ok := temps[id]; !ok || got != want {
			t.Errorf("hour %s: %v, want %v", id, got, want)
		}
	}
}

func TestConversionIsDeterministic(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	var first, second bytes.Buffer
	if err := convert("testdata", a, &first); err != nil {
		t.Fatal(err)
	}
	if err := convert("testdata", b, &second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("two conversions report different counts")
	}
	for _, name := range dataFiles {
		x, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			t.Fatal(err)
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("two conversions write different %s", name)
		}
	}
}

func TestErrorsOfUnreadableSources(t *testing.T) {
	head := "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n"
	row := "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"
	for _, c := range []struct{ name, flights, want string }{
		{"a clock of 61 minutes", head + strings.Replace(row, ",515,", ",561,", 1), "flights.csv line 2, column sched_dep_time: 561 is not a clock time"},
		{"an unknown airport", head + strings.Replace(row, "IAH", "QQQ", 1), "airport QQQ has no time zone"},
		{"the same flight twice", head + row + row, "two flights are UA1545 at 2013-01-01T10:15:00Z"},
		{"other columns", "year,month\n2013,1\n", "no such column"},
	} {
		dir := t.TempDir()
		airports, err := os.ReadFile("testdata/airports.csv")
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"flights.csv": []byte(c.flights), "airports.csv": airports} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := convert(dir, t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if err := convert(t.TempDir(), t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "airports.csv") {
		t.Errorf("empty directory: error %v", err)
	}
}
