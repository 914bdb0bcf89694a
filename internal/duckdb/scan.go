//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Scan reads the given columns of a relation and calls f with its rows in batches
// of a few thousand at most, in the order of the files' paths and of the rows in
// them, or of the query. A batch, its lanes and its strings are only valid during the
// call: they lie in DuckDB's buffers. The first error of f ends the scan and is returned.
//
// A missing column, a column whose type is not the declared one, a value that the
// declared type cannot hold and an unreadable file are errors that name the owner and
// the place. Only int widens to double; the text of CSV and JSON files is parsed as
// declared.
func (db *DB) Scan(ctx context.Context, rel Relation, columns []plan.Field, f func(*vector.Batch) error) error {
	t, err := db.open(ctx, rel)
	if err != nil {
		return err
	}
	sel, err := db.selectColumns(ctx, t, columns)
	if err != nil {
		return err
	}
	sql := "SELECT " + strings.Join(sel.exprs, ", ") + " FROM " + t.from(sel.forced)
	nanos := make([]*nanoColumn, len(columns))
	defer func() {
		for _, n := range nanos {
			if n != nil {
				n.close()
			}
		}
	}()
	var row int64
	return db.scan(ctx, t, sql, columns, func(b *vector.Batch) error {
		for c, v := range b.Cols {
			if sel.truncated[c] && before1970(v) {
				if err := db.correctNanos(ctx, t, &nanos[c], columns[c].Name, v, row); err != nil {
					return err
				}
			}
		}
		row += int64(b.N)
		return f(b)
	})
}

// correctNanos corrects a column of UTC timestamps that has times before 1970, if
// the files hold it in nanoseconds.
func (db *DB) correctNanos(ctx context.Context, t *table, n **nanoColumn, name string, v *vector.Vector, row int64) error {
	if *n == nil {
		holds, err := db.holdsUTCNanos(ctx, t, name)
		if err != nil {
			return t.failed(err)
		}
		*n = &nanoColumn{table: t, name: name, idle: !holds}
	}
	if (*n).idle {
		return nil
	}
	if err := (*n).correct(v, row); err != nil {
		return t.failed(err)
	}
	return nil
}

// Repeated calls f with the values of a column that occur in more than one row,
// each once, in no particular order. Nulls do not count.
func (db *DB) Repeated(ctx context.Context, rel Relation, column plan.Field, f func(*vector.Vector) error) error {
	t, err := db.open(ctx, rel)
	if err != nil {
		return err
	}
	columns := []plan.Field{column}
	sel, err := db.selectColumns(ctx, t, columns)
	if err != nil {
		return err
	}
	name := ident(column.Name)
	sql := "SELECT " + name + " FROM (SELECT " + sel.exprs[0] + " FROM " + t.from(sel.forced) + ") WHERE " +
		name + " IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
	return db.scan(ctx, t, sql, columns, func(b *vector.Batch) error { return f(b.Cols[0]) })
}

// Count is the number of rows of a relation.
func (db *DB) Count(ctx context.Context, rel Relation) (int64, error) {
	t, err := db.open(ctx, rel)
	if err != nil {
		return 0, err
	}
	var n int64
	err = db.stream(ctx, "SELECT count(*) FROM "+t.from(nil), nil, func(rec arrow.RecordBatch) error {
		n = rec.Column(0).(*array.Int64).Value(0)
		return nil
	})
	if err != nil {
		return 0, t.failed(err)
	}
	return n, nil
}

func (db *DB) selectColumns(ctx context.Context, t *table, columns []plan.Field) (selection, error) {
	found, err := db.describe(ctx, t)
	if err != nil {
		return selection{}, err
	}
	sel, err := t.resolve(found, columns)
	if err != nil {
		return selection{}, err
	}
	return sel, db.inEveryFile(ctx, t, columns)
}

// scan runs sql, whose columns are the declared ones, and decodes its rows.
func (db *DB) scan(ctx context.Context, t *table, sql string, columns []plan.Field, f func(*vector.Batch) error) error {
	var d *decoder
	var row int64
	var callback error
	err := db.stream(ctx, sql, func(s *arrow.Schema) error {
		var err error
		d, err = newDecoder(columns, s)
		return err
	}, func(rec arrow.RecordBatch) error {
		b, err := d.decode(rec)
		if bad := (*valueError)(nil); errors.As(err, &bad) {
			return &rowError{db.where(ctx, t, row+int64(bad.row)), bad}
		}
		if err != nil {
			return err
		}
		row += int64(b.N)
		callback = f(b)
		return callback
	})
	if err == nil || callback != nil {
		return err
	}
	return t.failed(err)
}

// rowError is a value that its declared type cannot hold, and where it is.
type rowError struct {
	where string
	*valueError
}

func (e *rowError) Error() string {
	return fmt.Sprintf("%s, column %q: %v", e.where, e.column, e.reason)
}

// inEveryFile makes sure that each file has the columns: those that only some have
// would silently be null in the others.
func (db *DB) inEveryFile(ctx context.Context, t *table, columns []plan.Field) error {
	if t.format != parquetFiles || len(t.files) < 2 {
		return nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.Name)
	}
	has := map[string]map[string]bool{} // column, file
	sql := "SELECT DISTINCT name, file_name FROM parquet_schema(" + t.fileList() + ") WHERE name IN (" + strings.Join(names, ", ") + ")"
	err := db.stream(ctx, sql, nil, func(rec arrow.RecordBatch) error {
		name, file := rec.Column(0).(*array.String), rec.Column(1).(*array.String)
		for i := range name.Len() {
			n := strings.Clone(name.Value(i))
			if has[n] == nil {
				has[n] = map[string]bool{}
			}
			has[n][strings.Clone(file.Value(i))] = true
		}
		return nil
	})
	if err != nil {
		return t.failed(err)
	}
	for _, c := range columns {
		files := has[c.Name] // none at all: the column is part of the path
		if len(files) == 0 || len(files) == len(t.files) {
			continue
		}
		i := slices.IndexFunc(t.files, func(f string) bool { return !files[f] })
		return fmt.Errorf("%s: %s has no column %q, other files of %s have; let sql: say where it should be null",
			t.rel.Owner, db.shown(t.files[i]), c.Name, t.rel.From)
	}
	return nil
}

// Where describes the row with the given number, counted from 0 in the order of
// Scan: the owner, the file and the row in it, counted from 1. It is for errors.
func (db *DB) Where(ctx context.Context, rel Relation, row int64) string {
	t, err := db.open(ctx, rel)
	if err != nil {
		return fmt.Sprintf("%s: row %d", rel.Owner, row+1)
	}
	return db.where(ctx, t, row)
}

func (db *DB) where(ctx context.Context, t *table, row int64) string {
	if t.format == sqlQuery {
		return fmt.Sprintf("%s: row %d of its sql", t.rel.Owner, row+1)
	}
	file, in := t.files[0], row+1
	if len(t.files) > 1 {
		// The rows before it, by file; files are read one after the other.
		sql := fmt.Sprintf("SELECT filename, count(*) FROM (SELECT filename FROM %s LIMIT %d) GROUP BY 1 ORDER BY 1", t.from(nil), row+1)
		err := db.stream(ctx, sql, nil, func(rec arrow.RecordBatch) error {
			names, counts := rec.Column(0).(*array.String), rec.Column(1).(*array.Int64)
			file, in = strings.Clone(names.Value(names.Len()-1)), counts.Value(counts.Len()-1)
			return nil
		})
		if err != nil {
			return fmt.Sprintf("%s: row %d of %s", t.rel.Owner, row+1, t.rel.From)
		}
	}
	return fmt.Sprintf("%s: row %d of %s", t.rel.Owner, in, db.shown(file))
}

// shown is a file's path as people know it: relative to the base directory, with
// slashes; of a file outside of it, its name.
func (db *DB) shown(file string) string {
	if isURL(file) {
		return file
	}
	rel, err := filepath.Rel(db.base, file)
	if err != nil || !filepath.IsLocal(rel) {
		return filepath.Base(file)
	}
	return filepath.ToSlash(rel)
}
