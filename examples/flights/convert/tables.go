package main

import (
	"cmp"
	"slices"
	"time"
)

// identity returns the columns with the keys of the entities that a flight belongs to.
func identity() []column[flight] {
	return []column[flight]{
		textColumn("origin", func(f *flight) string { return f.origin }),
		textColumn("dest", func(f *flight) string { return f.dest }),
		textColumn("carrier", func(f *flight) string { return f.carrier }),
		maybeTextColumn("tailnum", func(f *flight) maybe[string] { return f.tailnum }),
	}
}

func number() column[flight] {
	return intColumn("flight", func(f *flight) int { return f.number })
}

func distance() column[flight] {
	return intColumn("distance", func(f *flight) int { return f.distance })
}

func flightID(name string) column[flight] {
	return idColumn(name, func(f *flight) string { return f.id })
}

func depDelay() column[flight] {
	return maybeIntColumn("dep_delay", func(f *flight) maybe[int] { return f.depDelay })
}

func departureTime(f *flight) time.Time { return f.departed.value }
func arrivalTime(f *flight) time.Time   { return f.arrived.value }
func scheduledTime(f *flight) time.Time { return f.schedDep }
func asOfTime(f *flight) time.Time      { return f.schedDep.Add(-predictAhead) }

func departureColumns() []column[flight] {
	columns := []column[flight]{flightID("event_id"), timeColumn("departed_at", departureTime)}
	return append(append(columns, identity()...), number(), depDelay())
}

func arrivalColumns() []column[flight] {
	columns := []column[flight]{flightID("event_id"), timeColumn("arrived_at", arrivalTime)}
	return append(append(columns, identity()...),
		distance(),
		depDelay(),
		maybeIntColumn("arr_delay", func(f *flight) maybe[int] { return f.arrDelay }),
		maybeIntColumn("air_time", func(f *flight) maybe[int] { return f.airTime }))
}

func cancellationColumns() []column[flight] {
	columns := []column[flight]{flightID("event_id"), timeColumn("cancelled_at", scheduledTime)}
	return append(append(columns, identity()...), number())
}

func spineColumns() []column[flight] {
	columns := []column[flight]{flightID("flight_id"), timeColumn("as_of", asOfTime)}
	return append(append(columns, identity()...),
		number(),
		distance(),
		timeColumn("sched_dep", scheduledTime),
		intColumn("sched_dep_hour", func(f *flight) int { return f.schedDepHour }),
		boolColumn("late_or_cancelled", func(f *flight) bool { late, _ := f.label(); return late }),
		timeColumn("label_known_at", func(f *flight) time.Time { _, at := f.label(); return at }))
}

func weatherColumns() []column[observation] {
	number := func(name string, of func(*observation) maybe[float64]) column[observation] {
		return maybeNumberColumn(name, of)
	}
	return []column[observation]{
		idColumn("event_id", func(o *observation) string { return o.id }),
		timeColumn("observed_at", func(o *observation) time.Time { return o.hour }),
		textColumn("origin", func(o *observation) string { return o.origin }),
		number("temp", func(o *observation) maybe[float64] { return o.temp }),
		number("dewp", func(o *observation) maybe[float64] { return o.dewPoint }),
		number("humid", func(o *observation) maybe[float64] { return o.humidity }),
		number("wind_dir", func(o *observation) maybe[float64] { return o.windDir }),
		number("wind_speed", func(o *observation) maybe[float64] { return o.windSpeed }),
		number("wind_gust", func(o *observation) maybe[float64] { return o.windGust }),
		number("precip", func(o *observation) maybe[float64] { return o.precipitation }),
		number("pressure", func(o *observation) maybe[float64] { return o.pressure }),
		number("visib", func(o *observation) maybe[float64] { return o.visibility }),
	}
}

// byTime returns the flights for which keep is true, ordered by time and id.
func byTime(all []flight, at func(*flight) time.Time, keep func(*flight) bool) []flight {
	var out []flight
	for i := range all {
		if keep(&all[i]) {
			out = append(out, all[i])
		}
	}
	slices.SortFunc(out, func(a, b flight) int {
		return cmp.Or(at(&a).Compare(at(&b)), cmp.Compare(a.id, b.id))
	})
	return out
}
