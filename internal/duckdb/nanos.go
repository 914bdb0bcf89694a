//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// nanoColumn corrects a Parquet column of UTC timestamps in nanoseconds. DuckDB
// reads it as microseconds but truncates toward zero, so a time before 1970 would
// come out up to a microsecond late. Where a batch has such times, nanoColumn reads
// them from the file itself. It follows a scan: rows are asked for in ascending order.
type nanoColumn struct {
	table  *table
	name   string
	idle   bool         // no file holds nanoseconds
	next   int          // file to open
	begin  int64        // row of the scan at which the current file begins
	reader *file.Reader // current file
	nanos  bool         // it holds nanoseconds
	column int          // index in it

	group   int   // row group that chunk reads
	at      int64 // row in the file that chunk reads next
	until   int64 // row in the file at which the group ends
	chunk   *file.Int64ColumnChunkReader
	values  []int64
	defined []int16
}

// before1970 reports whether a batch may need correction.
func before1970(v *vector.Vector) bool {
	for i, t := range v.Int {
		if t <= 0 && v.Valid(i) {
			return true
		}
	}
	return false
}

// correct replaces the times of a batch that begins at the given row of the scan. It
// copies v's lane first, which is DuckDB's.
func (n *nanoColumn) correct(v *vector.Vector, row int64) error {
	v.Int = slices.Clone(v.Int)
	for i := 0; i < v.N; {
		if err := n.seek(row + int64(i)); err != nil {
			return err
		}
		in := row + int64(i) - n.begin
		m := int(min(int64(v.N-i), n.reader.NumRows()-in))
		if n.nanos {
			var err error
			if m, err = n.read(v, i, in, m); err != nil {
				return err
			}
		}
		i += m
	}
	return nil
}

// seek makes the file current that holds a row of the scan.
func (n *nanoColumn) seek(row int64) error {
	for n.reader == nil || row >= n.begin+n.reader.NumRows() {
		if n.reader != nil {
			n.begin += n.reader.NumRows()
		}
		n.close()
		if n.next == len(n.table.files) {
			return fmt.Errorf("column %q: %s has fewer rows than DuckDB read", n.name, n.table.rel.From)
		}
		if isURL(n.table.files[n.next]) {
			return fmt.Errorf("column %q: times before 1970 in nanoseconds cannot be read exactly from %s; store microseconds, or copy the file here", n.name, n.table.files[n.next])
		}
		r, err := file.OpenParquetFile(n.table.files[n.next], false)
		if err != nil {
			return err
		}
		n.next++
		n.reader, n.chunk, n.until, n.group = r, nil, 0, -1
		n.column = r.MetaData().Schema.ColumnIndexByName(n.name)
		n.nanos = n.column >= 0 && isUTCNanos(r.MetaData().Schema.Column(n.column))
	}
	return nil
}

func isUTCNanos(c *schema.Column) bool {
	t, ok := c.LogicalType().(schema.TimestampLogicalType)
	return ok && t.TimeUnit() == schema.TimeUnitNanos && t.IsAdjustedToUTC()
}

// read fills v from index i on with up to m rows of the current file and returns how
// many: those of one row group.
func (n *nanoColumn) read(v *vector.Vector, i int, row int64, m int) (int, error) {
	for row >= n.until {
		n.group++
		n.at, n.until = n.until, n.until+n.reader.RowGroup(n.group).NumRows()
		n.chunk = nil
	}
	if n.chunk == nil {
		c, err := n.reader.RowGroup(n.group).Column(n.column)
		if err != nil {
			return 0, err
		}
		chunk, ok := c.(*file.Int64ColumnChunkReader)
		if !ok {
			return 0, fmt.Errorf("column %q: timestamps stored as %v", n.name, c.Type())
		}
		n.chunk = chunk
	}
	if skip := row - n.at; skip > 0 {
		if _, err := n.chunk.Skip(skip); err != nil {
			return 0, err
		}
		n.at = row
	}
	m = int(min(int64(m), n.until-row))
	n.values, n.defined = slices.Grow(n.values[:0], m)[:m], slices.Grow(n.defined[:0], m)[:m]
	rows, read, err := n.chunk.ReadBatch(int64(m), n.values, n.defined, nil)
	if err != nil {
		return 0, err
	}
	if rows == 0 {
		return 0, errors.New("a row group ends early")
	}
	n.at += rows
	values := n.values[:read]
	for j := range int(rows) {
		if v.Valid(i+j) && len(values) > 0 {
			v.Int[i+j] = plan.FloorDiv(values[0], 1000)
			values = values[1:]
		}
	}
	return int(rows), nil
}

func (n *nanoColumn) close() {
	if n.reader != nil {
		n.reader.Close()
		n.reader = nil
	}
}

// holdsUTCNanos reports whether a file of the table has the column as UTC nanoseconds.
func (db *DB) holdsUTCNanos(ctx context.Context, t *table, name string) (bool, error) {
	found := false
	sql := "SELECT 1 FROM parquet_schema(" + t.fileList() + ") WHERE name = " + quote(name) +
		" AND logical_type LIKE '%isAdjustedToUTC=1%NANOS=NanoSeconds%' LIMIT 1"
	err := db.stream(ctx, sql, nil, func(arrow.RecordBatch) error { found = true; return nil })
	return found, err
}
