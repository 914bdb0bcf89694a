package main

import (
	"fmt"
	"io"
)

// counts is what the conversion found that a user of the data should know.
type counts struct {
	flights, departed, cancelled, arrived, neverArrived int
	late                                                int
	cancelledNoTail, departedNoTail                     int
	schedDepNotClock, departureNotClock                 int
	arrivalNotClock                                     int
	arrivedByClock, byClockNotLate                      int
	arrivedBeforeLeft, fasterThanFlown                  int
	leftBeforeLanding                                   int
	weather, weatherRepeated, weatherNotClock           int
	impossibleWind                                      int
}

// write prints the counts as the table of DATA.md.
func (c *counts) write(w io.Writer) error {
	lines := []struct {
		what string
		n    int
	}{
		{"scheduled flights", c.flights},
		{"– departed", c.departed},
		{"– cancelled (no departure time)", c.cancelled},
		{"departed flights that arrived", c.arrived},
		{"departed flights that never reached their destination", c.neverArrived},
		{"arrived 30 minutes late or later", c.late},
		{"late or cancelled (the label), flights that never arrived among them", c.late + c.cancelled + c.neverArrived},
		{"cancelled flights without a tail number", c.cancelledNoTail},
		{"departed flights without a tail number", c.departedNoTail},
		{"scheduled departures whose clock time and UTC hour disagree", c.schedDepNotClock},
		{"actual departures whose clock time and delay disagree", c.departureNotClock},
		{"actual arrivals whose clock time and delay disagree", c.arrivalNotClock},
		{"arrivals without a delay (diverted), taken from the clock time", c.arrivedByClock},
		{"– of these less than 30 minutes late", c.byClockNotLate},
		{"flights that land before they left", c.arrivedBeforeLeft},
		{"flights that took less time than they were in the air", c.fasterThanFlown},
		{"departures of an aircraft before its previous flight from New York has landed", c.leftBeforeLanding},
		{"hours of weather", c.weather},
		{"hours of weather with the clock time of another hour", c.weatherRepeated},
		{"hours of weather whose clock time and UTC hour disagree", c.weatherNotClock},
		{"wind speeds above 300 mph, set to null", c.impossibleWind},
	}
	if _, err := fmt.Fprint(w, "| count | rows |\n| --- | ---: |\n"); err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(w, "| %s | %d |\n", l.what, l.n); err != nil {
			return err
		}
	}
	return nil
}
