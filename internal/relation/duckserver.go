//go:build duckdb_arrow

package relation

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// each runs a query of our own about the table's files and calls f with its rows.
func (t *queryTable) each(ctx context.Context, sql string, fields []plan.Field, f func(b *Batch, row int) error) error {
	s := &queryScan{table: &queryTable{db: t.db, rel: t.rel}, sql: sql, fields: fields}
	return run(ctx, s, 1, mostInFlight, func(_ int, b *Batch) error {
		for i := range b.N {
			if err := f(b, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// inspectServer finds columns of remote files whose values DuckDB would change.
func (t *queryTable) inspectServer(ctx context.Context) error {
	t.truncated = map[string]bool{}
	sql := "SELECT name, coalesce(precision, 0)::BIGINT AS digits, coalesce(logical_type LIKE '%isAdjustedToUTC=1%NANOS=NanoSeconds%', false) AS nanos FROM parquet_schema(" +
		duckdb.Quote(t.rel.From) + ")"
	fields := []plan.Field{{Name: "name", Type: plan.T(plan.String)}, {Name: "digits", Type: plan.T(plan.Int)}, {Name: "nanos", Type: plan.T(plan.Bool)}}
	err := t.each(ctx, sql, fields, func(b *Batch, i int) error {
		name := strings.Clone(b.Cols[0].Str[i])
		if b.Cols[1].Int[i] > maxQueryDecimal {
			return fmt.Errorf("%s: column %q of %s is a decimal of more than 38 digits, which DuckDB reads wrongly; copy the file here", t.rel.Owner, name, t.rel.From)
		}
		if b.Cols[2].Bits.Get(i) {
			t.truncated[name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.gregorianServer(ctx, t.rel.From)
}

// gregorianServer rejects remote files, named by a URL or a pattern, with a value in the
// hybrid calendar. It reads their dates and timestamps only if a footer says that the file
// may have such values.
func (t *queryTable) gregorianServer(ctx context.Context, url string) error {
	written, err := t.serverCalendar(ctx, url)
	if err != nil {
		return err
	}
	files := "read_parquet(" + duckdb.Quote(url) + ", union_by_name = true, hive_partitioning = false)"
	columns, err := t.db.Describe(ctx, "FROM "+files)
	if err != nil {
		return t.failed(err)
	}
	for _, c := range columns {
		from, nested := written.validFrom(c.Type)
		if from == math.MinInt64 {
			continue
		}
		s := stored{kind: storedTimestamp, validFrom: int64(from)}
		if nested {
			return fmt.Errorf("%s: column %q of %s is a %s, which may have a time of which %s", t.rel.Owner, c.Name, url, c.Type, s.hybridReason())
		}
		early := "SELECT min(" + Ident(c.Name) + ")::TIMESTAMP AS t FROM " + files + " HAVING t < '" + from.String() + "'"
		err := t.each(ctx, early, []plan.Field{{Name: "t", Type: plan.T(plan.Timestamp)}}, func(b *Batch, i int) error {
			return fmt.Errorf("%s: column %q of %s: %v: %s", t.rel.Owner, c.Name, url, plan.EventTime(b.Cols[0].Int[i]), s.hybridReason())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// validFrom is the first moment of a column of DuckDB's that is the same in both calendars, and
// whether its times lie inside a nested type.
func (c calendar) validFrom(duckType string) (from plan.EventTime, nested bool) {
	nested = strings.ContainsAny(duckType, "([")
	from = math.MinInt64
	if strings.Contains(duckType, "DATE") {
		from = max(from, c.dates)
	}
	if strings.Contains(duckType, "TIMESTAMP") {
		from = max(from, c.timestamps, c.int96)
	}
	return from, nested
}

// serverCalendar joins the calendars of remote files: the latest switch of each kind.
func (t *queryTable) serverCalendar(ctx context.Context, url string) (calendar, error) {
	footers := map[string][]format.KeyValue{}
	sql := "SELECT file_name, key, value FROM parquet_kv_metadata(" + duckdb.Quote(url) + ")"
	fields := []plan.Field{{Name: "file_name", Type: plan.T(plan.String)}, {Name: "key", Type: plan.T(plan.Bytes)}, {Name: "value", Type: plan.T(plan.Bytes)}}
	err := t.each(ctx, sql, fields, func(b *Batch, i int) error {
		file := strings.Clone(b.Cols[0].Str[i])
		footers[file] = append(footers[file], format.KeyValue{Key: strings.Clone(b.Cols[1].Str[i]), Value: strings.Clone(b.Cols[2].Str[i])})
		return nil
	})
	all := calendarOf(nil)
	for _, footer := range footers {
		c := calendarOf(footer)
		all = calendar{max(all.dates, c.dates), max(all.timestamps, c.timestamps), max(all.int96, c.int96)}
	}
	return all, err
}
