//go:build duckdb_arrow

package relation

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// inspectFiles rejects a query over Parquet files if DuckDB would change the values of a
// column, or if a column has values in the hybrid calendar.
func (t *queryTable) inspectFiles(ctx context.Context, base string) error {
	files, err := t.db.FilesIn(ctx, t.sql)
	if err != nil {
		return t.failed(err)
	}
	look := &parquetTable{rel: t.rel, paths: paths{base: base}}
	for _, path := range files {
		if f, ok := formatOf(path); !ok || f != parquetFiles {
			continue
		}
		if isURL(path) {
			if err := t.gregorianServer(ctx, path); err != nil {
				return err
			}
			continue
		}
		file, err := look.inspect(path)
		if err != nil {
			continue // DuckDB reports what is wrong with it
		}
		if err := look.exactInQueries(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

// exactInQueries rejects columns whose values DuckDB changes: times in the hybrid calendar,
// decimals of more than 38 digits, and negative UTC nanoseconds, which it truncates toward
// zero.
func (t *parquetTable) exactInQueries(ctx context.Context, file *parquetFile) error {
	if err := t.gregorian(ctx, file); err != nil {
		return err
	}
	for i := range file.columns {
		c := &file.columns[i]
		switch {
		case c.kind == storedDecimal && c.precision > maxQueryDecimal:
			return fmt.Errorf("%s: column %q of %s is a %s, which DuckDB reads as other numbers in a query; read the file with from: instead", t.rel.Owner, c.name, file.name, c.text)
		case c.utcNanos():
			if err := t.wholeMicros(ctx, file, c); err != nil {
				return err
			}
		}
	}
	for i := range file.nested {
		c := &file.nested[i]
		if c.kind == storedDecimal && c.precision > maxQueryDecimal {
			return fmt.Errorf("%s: %q in %s is a %s, which DuckDB reads as other numbers; write it as a DECIMAL of at most %d digits", t.rel.Owner, c.name, file.name, c.text, maxQueryDecimal)
		}
		if c.utcNanos() && file.negative(c.leaf) {
			return fmt.Errorf("%s: %q in %s has times before 1970 in nanoseconds, which DuckDB truncates; write them as microseconds", t.rel.Owner, c.name, file.name)
		}
	}
	return nil
}

// negative reports whether a leaf may have a negative value.
func (f *parquetFile) negative(leaf int) bool {
	return slices.ContainsFunc(f.groups, func(g rowGroup) bool { return g.least[leaf] < 0 })
}

// utcNanos reports whether the column has UTC nanoseconds, which DuckDB truncates to
// microseconds.
func (s *stored) utcNanos() bool { return s.kind == storedTimestamp && s.utc && s.perMicro == 1000 }

// wholeMicros rejects a column of UTC nanoseconds if a time before 1970 is not a whole
// number of microseconds. It reads the column only if the column has times before 1970.
func (t *parquetTable) wholeMicros(ctx context.Context, file *parquetFile, c *stored) error {
	if !file.negative(c.leaf) {
		return nil
	}
	return t.check(ctx, file, c, convertWholeMicros)
}

// check reads a column of timestamps with a converter and returns an error for the first value that
// the converter reports.
func (t *parquetTable) check(ctx context.Context, file *parquetFile, c *stored, convert converter) error {
	s := &parquetScan{parquetTable: &parquetTable{rel: &Relation{Owner: t.rel.Owner}, files: []*parquetFile{file}},
		fields: []plan.Field{{Name: c.name, Type: plan.T(plan.Timestamp)}}, sources: [][]source{{{leaf: c.leaf, levels: c.levels, convert: convert}}}}
	return run(ctx, s, 1, mostInFlight, func(int, *Batch) error { return nil })
}

func convertWholeMicros(_ *vector.Vector, to int, values *encoding.Values, from, n int, bad func(int, string, string)) {
	for i, t := range values.Int64()[from : from+n] {
		if t < 0 && t%1000 != 0 && t != -math.MaxInt64 {
			bad(to+i, plan.EventTime(plan.FloorDiv(t, 1000)).String(), "it is before 1970 and has nanoseconds, which DuckDB truncates in a query; read the file with from: instead")
		}
	}
}

// leastInt is the minimum of a column of signed integers according to its statistics, or
// the smallest int64 if the statistics do not have it.
func leastInt(c *format.ColumnMetaData) int64 {
	switch b := c.Statistics.MinValue; {
	case c.Type == format.Int64 && len(b) == 8:
		return int64(binary.LittleEndian.Uint64(b))
	case c.Type == format.Int32 && len(b) == 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return math.MinInt64
}
