package main

import (
	"archive/zip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// maybe is a value the source may leave out (it writes NA).
type maybe[T any] struct {
	value T
	known bool
}

func known[T any](v T) maybe[T] { return maybe[T]{v, true} }

// record is one row of a CSV file, read by column name. err is the error of the first value
// that cannot be read; later reads return zero.
type record struct {
	file   string
	line   int
	index  map[string]int
	fields []string
	err    error
}

func (r *record) fail(column string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s line %d, column %s: %w", r.file, r.line, column, err)
	}
}

func (r *record) text(column string) string {
	i, ok := r.index[column]
	if !ok {
		r.fail(column, errors.New("no such column; is this nycflights13?"))
		return ""
	}
	return r.fields[i]
}

func (r *record) maybeText(column string) maybe[string] {
	s := r.text(column)
	if missing(s) {
		return maybe[string]{}
	}
	return known(s)
}

func (r *record) integer(column string) int {
	n, err := strconv.Atoi(r.text(column))
	if err != nil {
		r.fail(column, err)
	}
	return n
}

func (r *record) maybeInteger(column string) maybe[int] {
	if missing(r.text(column)) {
		return maybe[int]{}
	}
	return known(r.integer(column))
}

func (r *record) maybeNumber(column string) maybe[float64] {
	s := r.text(column)
	if missing(s) {
		return maybe[float64]{}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		r.fail(column, err)
	}
	return known(f)
}

// instant reads RFC 3339.
func (r *record) instant(column string) time.Time {
	t, err := time.Parse(time.RFC3339, r.text(column))
	if err != nil {
		r.fail(column, err)
	}
	return t.UTC()
}

// clock reads a clock time written as the digits of hhmm without leading zeros
// (5 is 00:05, 2400 the midnight that ends the day), in minutes since midnight.
func (r *record) clock(column string) int {
	n := r.integer(column)
	if n < 0 || n > 2400 || n%100 > 59 {
		r.fail(column, fmt.Errorf("%d is not a clock time hhmm", n))
	}
	return n/100*60 + n%100
}

func (r *record) maybeClock(column string) maybe[int] {
	if missing(r.text(column)) {
		return maybe[int]{}
	}
	return known(r.clock(column))
}

func missing(s string) bool { return s == "" || s == "NA" }

// readCSV calls row for every row of dir/name, or of the only file in
// dir/name.zip.
func readCSV(dir, name string, row func(*record) error) error {
	f, err := openCSV(dir, name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	index := map[string]int{}
	for i, column := range head {
		index[column] = i
	}
	for line := 2; ; line++ {
		fields, err := in.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r := &record{file: name, line: line, index: index, fields: fields}
		if err := row(r); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
}

func openCSV(dir, name string) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	z, err := zip.OpenReader(filepath.Join(dir, name+".zip"))
	if err != nil {
		return nil, fmt.Errorf("neither %s nor %s.zip can be read in %s: %w", name, name, dir, err)
	}
	if len(z.File) != 1 {
		return nil, errors.Join(fmt.Errorf("%s.zip holds %d files, not one", name, len(z.File)), z.Close())
	}
	in, err := z.File[0].Open()
	if err != nil {
		return nil, errors.Join(err, z.Close())
	}
	return zippedFile{in, z}, nil
}

// zippedFile closes its archive with itself.
type zippedFile struct {
	io.ReadCloser
	archive *zip.ReadCloser
}

func (z zippedFile) Close() error { return errors.Join(z.ReadCloser.Close(), z.archive.Close()) }

// readAirports reads the time zones of the airports.
func readAirports(dir string) (airportZones, error) {
	zones := newAirportZones()
	err := readCSV(dir, "airports.csv", func(r *record) error {
		airport, zone := r.text("faa"), r.maybeText("tzone")
		if !zone.known {
			return nil // three airports that no flight of the set goes to
		}
		return zones.add(airport, zone.value)
	})
	return zones, err
}
