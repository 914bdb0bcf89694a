//go:build duckdb_arrow

package duckdb

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Records reads all columns of a relation as they are, whatever their types: it
// calls schema once and then f with the rows in the order of Scan. A record is only
// valid during the call. Declared columns must be there with their types, as for
// Scan, and in CSV and JSON files they are parsed as declared; enums come as strings.
func (db *DB) Records(ctx context.Context, rel Relation, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	t, err := db.open(ctx, rel)
	if err != nil {
		return err
	}
	found, err := db.describe(ctx, t)
	if err != nil {
		return err
	}
	sel, err := t.resolve(found, declared)
	if err != nil {
		return err
	}
	if err := db.inEveryFile(ctx, t, allFields(found)); err != nil {
		return err
	}
	exprs := make([]string, len(found))
	for i, c := range found {
		exprs[i] = ident(c.name)
		if strings.HasPrefix(c.sql, "ENUM(") {
			exprs[i] = "CAST(" + exprs[i] + " AS VARCHAR) AS " + exprs[i]
		}
	}
	var callback error
	sql := "SELECT " + strings.Join(exprs, ", ") + " FROM " + t.from(t.force(found, sel.forced))
	err = db.stream(ctx, sql, func(s *arrow.Schema) error {
		callback = schema(s)
		return callback
	}, func(rec arrow.RecordBatch) error {
		callback = f(rec)
		return callback
	})
	if err == nil || callback != nil {
		return err
	}
	return t.failed(err)
}

func allFields(found []column) []plan.Field {
	fields := make([]plan.Field, len(found))
	for i, c := range found {
		fields[i].Name = c.name
	}
	return fields
}

// force completes the forced types where the reader takes all columns or none.
func (t *table) force(found []column, forced []forcedType) []forcedType {
	if t.format != jsonFiles {
		return forced
	}
	all := make([]forcedType, len(found))
	for i, c := range found {
		all[i] = forcedType(c)
		for _, f := range forced {
			if f.name == c.name {
				all[i] = f
			}
		}
	}
	return all
}
