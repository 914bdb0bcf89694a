// Command convert turns the CSV files of nycflights13 into the event tables of
// the flights example: local clock times become instants, and each flight
// becomes the events that were known at different times.
//
//	go run ./examples/flights/convert SOURCE OUT
//
// SOURCE is the directory with flights.csv (or flights.csv.zip), weather.csv and
// airports.csv; OUT receives the Parquet files. The counts of DATA.md go to standard output.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: convert SOURCE OUT (SOURCE: the CSV files of nycflights13)")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

func convert(source, out string, report io.Writer) error {
	var c counts
	zones, err := readAirports(source)
	if err != nil {
		return err
	}
	flights, err := readFlights(source, zones, &c)
	if err != nil {
		return err
	}
	for i := range flights {
		if err := flights[i].check(&c); err != nil {
			return err
		}
	}
	countOverlaps(flights, &c)
	weather, err := readWeather(source, &c)
	if err != nil {
		return err
	}
	if err := writeTables(out, flights, weather); err != nil {
		return err
	}
	return c.write(report)
}

func writeTables(out string, flights []flight, weather []observation) error {
	for _, t := range []struct {
		file    string
		columns []column[flight]
		at      func(*flight) time.Time
		keep    func(*flight) bool
	}{
		{"departures.parquet", departureColumns(), departureTime, func(f *flight) bool { return f.departed.known }},
		{"arrivals.parquet", arrivalColumns(), arrivalTime, func(f *flight) bool { return f.arrived.known }},
		{"cancellations.parquet", cancellationColumns(), scheduledTime, (*flight).cancelled},
		{"spine.parquet", spineColumns(), asOfTime, func(*flight) bool { return true }},
	} {
		if err := writeParquet(out, t.file, t.columns, byTime(flights, t.at, t.keep)); err != nil {
			return err
		}
	}
	slices.SortFunc(weather, func(a, b observation) int { return cmp.Compare(a.id, b.id) })
	return writeParquet(out, "weather.parquet", weatherColumns(), weather)
}

// countOverlaps counts departures of an aircraft while, by its tail number, it
// is still on its previous flight.
func countOverlaps(flights []flight, c *counts) {
	last := map[string]*flight{}
	left := byTime(flights, departureTime, func(f *flight) bool { return f.departed.known && f.tailnum.known })
	for i := range left {
		f := &left[i]
		if p := last[f.tailnum.value]; p != nil && p.arrived.known && f.departed.value.Before(p.arrived.value) {
			c.leftBeforeLanding++
		}
		last[f.tailnum.value] = f
	}
}
