package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// lateAfter is the delay at arrival from which a flight counts as late.
const lateAfter = 30 * time.Minute

// predictAhead is how long before the scheduled departure a flight is predicted.
const predictAhead = 2 * time.Hour

// flight is one scheduled flight with all its times in UTC.
type flight struct {
	id             string // F and the flight's place among all, by scheduled departure, carrier and number
	carrier        string
	number         int
	tailnum        maybe[string]
	origin, dest   string
	distance       int // miles
	schedDep       time.Time
	schedDepHour   int // 0-23 in New York
	schedArr       time.Time
	depDelay       maybe[int] // minutes; unknown: cancelled
	arrDelay       maybe[int] // minutes; unknown also for diverted flights
	airTime        maybe[int] // minutes
	departed       maybe[time.Time]
	arrived        maybe[time.Time]
	arrivedByClock bool // arrival taken from the clock time because the delay is missing
}

// readFlights reads every scheduled flight and counts irregularities.
func readFlights(dir string, zones airportZones, c *counts) ([]flight, error) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		return nil, err
	}
	var out []flight
	err = readCSV(dir, "flights.csv", func(r *record) error {
		f, err := readFlight(r, newYork, zones, c)
		out = append(out, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.flights = len(out)
	return out, identify(out)
}

// identify orders the flights and gives each its id. The source has no id, and
// no two of its flights share scheduled departure, carrier and number.
func identify(flights []flight) error {
	order := func(a, b flight) int {
		return cmp.Or(a.schedDep.Compare(b.schedDep), cmp.Compare(a.carrier, b.carrier), cmp.Compare(a.number, b.number))
	}
	slices.SortFunc(flights, order)
	for i := range flights {
		f := &flights[i]
		if i > 0 && order(flights[i-1], *f) == 0 {
			return fmt.Errorf("two flights are %s%d at %s; their ids would depend on the order of the file",
				f.carrier, f.number, f.schedDep.Format(time.RFC3339))
		}
		f.id = fmt.Sprintf("F%06d", i+1)
	}
	return nil
}

func readFlight(r *record, newYork *time.Location, zones airportZones, c *counts) (flight, error) {
	f := flight{
		carrier:  r.text("carrier"),
		number:   r.integer("flight"),
		tailnum:  r.maybeText("tailnum"),
		origin:   r.text("origin"),
		dest:     r.text("dest"),
		distance: r.integer("distance"),
		depDelay: r.maybeInteger("dep_delay"),
		arrDelay: r.maybeInteger("arr_delay"),
		airTime:  r.maybeInteger("air_time"),
	}
	if r.err != nil {
		return f, r.err
	}
	destZone, err := zones.of(f.dest)
	if err != nil {
		return f, err
	}
	f.setDeparture(r, newYork, c)
	f.setArrival(r, destZone, c)
	return f, r.err
}

// setDeparture takes the scheduled departure from the source's UTC hour, which is
// unambiguous when clocks change, and the actual one from the delay. Both are compared
// with the clock times.
func (f *flight) setDeparture(r *record, newYork *time.Location, c *counts) {
	sched := r.clock("sched_dep_time")
	f.schedDep = r.instant("time_hour").Add(time.Duration(sched%60) * time.Minute)
	f.schedDepHour = sched / 60 % 24
	date := wallClock{r.integer("year"), time.Month(r.integer("month")), r.integer("day"), sched}
	if !slices.ContainsFunc(date.instants(newYork), f.schedDep.Equal) {
		c.schedDepNotClock++
	}
	if !f.depDelay.known {
		return
	}
	f.departed = known(f.schedDep.Add(minutes(f.depDelay.value)))
	if r.clock("dep_time")%1440 != minuteOfDay(f.departed.value, newYork) {
		c.departureNotClock++
	}
}

// setArrival takes the scheduled arrival to be the first time after the scheduled
// departure at which clocks at the destination show the scheduled time (no route
// takes a day), and the actual one from the delay, or, where only a clock
// time is given, to be the first such time after the departure.
func (f *flight) setArrival(r *record, zone *time.Location, c *counts) {
	f.schedArr = firstAfter(f.schedDep, r.clock("sched_arr_time"), zone)
	clock := r.maybeClock("arr_time")
	switch {
	case f.arrDelay.known:
		f.arrived = known(f.schedArr.Add(minutes(f.arrDelay.value)))
		if clock.known && clock.value%1440 != minuteOfDay(f.arrived.value, zone) {
			c.arrivalNotClock++
		}
	case clock.known && f.departed.known:
		f.arrived = known(firstAfter(f.departed.value, clock.value, zone))
		f.arrivedByClock = true
	}
}

func (f *flight) cancelled() bool { return !f.departed.known }

// label says whether the flight turned out late or cancelled, and when that was
// known. A flight that left and never reached its destination is late; that
// is certain once the time for being on time has passed.
func (f *flight) label() (late bool, knownAt time.Time) {
	switch {
	case f.cancelled():
		return true, f.schedDep
	case f.arrived.known:
		return f.arrived.value.Sub(f.schedArr) >= lateAfter, f.arrived.value
	}
	certain := f.schedArr.Add(lateAfter)
	if f.departed.value.After(certain) {
		certain = f.departed.value
	}
	return true, certain
}

// check counts contradictions between the times of one flight.
func (f *flight) check(c *counts) error {
	switch {
	case f.cancelled():
		c.cancelled++
		if !f.tailnum.known {
			c.cancelledNoTail++
		}
		if f.arrived.known || f.airTime.known {
			return fmt.Errorf("flight %s arrives without having left", f.id)
		}
		return nil
	case !f.tailnum.known:
		c.departedNoTail++
	}
	c.departed++
	if !f.arrived.known {
		c.neverArrived++
		return nil
	}
	f.checkArrival(c)
	return nil
}

func (f *flight) checkArrival(c *counts) {
	c.arrived++
	late := f.arrived.value.Sub(f.schedArr) >= lateAfter
	if late {
		c.late++
	}
	if f.arrivedByClock {
		c.arrivedByClock++
		if !late {
			c.byClockNotLate++
		}
	}
	if !f.arrived.value.After(f.departed.value) {
		c.arrivedBeforeLeft++
	}
	if f.airTime.known && f.arrived.value.Sub(f.departed.value) < minutes(f.airTime.value) {
		c.fasterThanFlown++
	}
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }
