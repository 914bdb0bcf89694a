//go:build duckdb_arrow

package duckdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
)

// column is a column as DuckDB describes it.
type column struct{ name, sql string }

// dataType is what a DuckDB type is in a plan, and the cast that makes its Arrow
// form one that a vector can hold.
type dataType struct {
	kind plan.Kind
	cast string // "": as it is
}

// dataTypes by DuckDB's name; types with parameters are in dataTypeOf. UBIGINT and
// HUGEINT are narrowed row by row, and times coarser or finer than µs are floored
// row by row, so that an error can name its row and a negative time is floored.
var dataTypes = map[string]dataType{
	"BOOLEAN":                  {kind: plan.Bool},
	"TINYINT":                  {plan.Int, "BIGINT"},
	"SMALLINT":                 {plan.Int, "BIGINT"},
	"INTEGER":                  {plan.Int, "BIGINT"},
	"BIGINT":                   {kind: plan.Int},
	"UTINYINT":                 {plan.Int, "BIGINT"},
	"USMALLINT":                {plan.Int, "BIGINT"},
	"UINTEGER":                 {plan.Int, "BIGINT"},
	"UBIGINT":                  {kind: plan.Int},
	"HUGEINT":                  {kind: plan.Int},
	"FLOAT":                    {plan.Double, "DOUBLE"},
	"DOUBLE":                   {kind: plan.Double},
	"VARCHAR":                  {kind: plan.String},
	"JSON":                     {plan.String, "VARCHAR"},
	"UUID":                     {plan.String, "VARCHAR"},
	"BLOB":                     {kind: plan.Bytes},
	"DATE":                     {kind: plan.Timestamp},
	"TIMESTAMP":                {kind: plan.Timestamp},
	"TIMESTAMP_S":              {kind: plan.Timestamp},
	"TIMESTAMP_MS":             {kind: plan.Timestamp},
	"TIMESTAMP_NS":             {kind: plan.Timestamp},
	"TIMESTAMP WITH TIME ZONE": {kind: plan.Timestamp},
	"INTERVAL":                 {kind: plan.Duration},
}

// sqlTypes are the DuckDB types that text and untyped nulls are read as.
var sqlTypes = map[plan.Kind]string{
	plan.Bool: "BOOLEAN", plan.Int: "BIGINT", plan.Double: "DOUBLE", plan.String: "VARCHAR",
	plan.Bytes: "BLOB", plan.Timestamp: "TIMESTAMP WITH TIME ZONE", plan.Duration: "INTERVAL",
}

func dataTypeOf(sql string) (dataType, bool) {
	if d, ok := dataTypes[sql]; ok {
		return d, true
	}
	switch {
	case strings.HasSuffix(sql, "]"):
		return dataType{}, false
	case strings.HasPrefix(sql, "DECIMAL("):
		return dataType{plan.Double, "DOUBLE"}, true
	case strings.HasPrefix(sql, "ENUM("):
		return dataType{plan.String, "VARCHAR"}, true
	}
	return dataType{}, false
}

// untypedNull is the type of a column of which nothing but nulls is known.
const untypedNull = `"NULL"`

// describe lists the columns of a table.
func (db *DB) describe(ctx context.Context, t *table) ([]column, error) {
	var cols []column
	err := db.stream(ctx, "DESCRIBE SELECT * FROM "+t.from(nil), nil, func(rec arrow.RecordBatch) error {
		names, types := rec.Column(0).(*array.String), rec.Column(1).(*array.String)
		for i := range names.Len() {
			cols = append(cols, column{strings.Clone(names.Value(i)), strings.Clone(types.Value(i))})
		}
		return nil
	})
	if err != nil {
		return nil, t.failed(err)
	}
	return cols, nil
}

// UnsupportedError lists the columns of a relation that no plan type can hold.
type UnsupportedError struct {
	Owner   string
	Columns []string // "name (TYPE)"
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: unsupported column types: %s; convert them in sql: or leave them out", e.Owner, strings.Join(e.Columns, ", "))
}

// Columns infers the plan types of a relation's columns, in their order. When
// some have a type that no plan type can hold, the others are returned together with
// an *UnsupportedError that names them.
func (db *DB) Columns(ctx context.Context, rel Relation) ([]plan.Field, error) {
	t, err := db.open(ctx, rel)
	if err != nil {
		return nil, err
	}
	cols, err := db.describe(ctx, t)
	if err != nil {
		return nil, err
	}
	var fields []plan.Field
	var unsupported []string
	for _, c := range cols {
		d, ok := dataTypeOf(c.sql)
		if !ok {
			unsupported = append(unsupported, c.name+" ("+c.sql+")")
			continue
		}
		fields = append(fields, plan.Field{Name: c.name, Type: plan.T(d.kind)})
	}
	if len(unsupported) > 0 {
		return fields, &UnsupportedError{rel.Owner, unsupported}
	}
	return fields, nil
}

// Check makes sure that a relation can be read and has the given columns with types
// that Scan takes. It reads no rows, so a value that its type cannot hold is found by
// Scan only.
func (db *DB) Check(ctx context.Context, rel Relation, columns []plan.Field) error {
	t, err := db.open(ctx, rel)
	if err != nil {
		return err
	}
	_, err = db.selectColumns(ctx, t, columns)
	return err
}

// CheckName makes sure that a relation has a column, of whatever type.
func (db *DB) CheckName(ctx context.Context, rel Relation, name string) error {
	t, err := db.open(ctx, rel)
	if err != nil {
		return err
	}
	found, err := db.describe(ctx, t)
	if err == nil && !slices.ContainsFunc(found, func(c column) bool { return c.name == name }) {
		err = t.missing(name, found)
	}
	return err
}

// selection is how the declared columns of a table are read.
type selection struct {
	exprs     []string
	forced    []forcedType
	truncated []bool // columns that DuckDB may have truncated, see nanoColumn
}

// resolve decides how each declared column is read from what the table has.
func (t *table) resolve(found []column, declared []plan.Field) (selection, error) {
	var s selection
	for _, f := range declared {
		i := slices.IndexFunc(found, func(c column) bool { return c.name == f.Name })
		if i < 0 {
			return s, t.missing(f.Name, found)
		}
		sql, expr, err := t.convert(found[i], f)
		if err != nil {
			return s, err
		}
		if t.format == jsonFiles || sql != found[i].sql {
			s.forced = append(s.forced, forcedType{f.Name, sql})
		}
		s.truncated = append(s.truncated, t.format == parquetFiles && found[i].sql == "TIMESTAMP WITH TIME ZONE")
		s.exprs = append(s.exprs, expr+" AS "+ident(f.Name))
	}
	return s, nil
}

// convert decides the DuckDB type that column c is read as, and the expression
// that makes it what f declares. Nothing is converted silently: only int widens to
// double, and the text of CSV and JSON is parsed as declared.
func (t *table) convert(c column, f plan.Field) (sql, expr string, err error) {
	want := sqlTypes[f.Type.Kind]
	name := ident(c.name)
	d, ok := dataTypeOf(c.sql)
	switch {
	case c.sql == untypedNull:
		return c.sql, castTo(name, want), nil
	case t.format == csvFiles && f.Type.Kind == plan.Bytes, t.format == jsonFiles && f.Type.Kind == plan.Bytes && c.sql == "VARCHAR":
		return "VARCHAR", "from_base64(" + name + ")", nil
	case t.format == csvFiles && (f.Type.Kind == plan.String || c.sql == "VARCHAR"):
		return want, name, nil
	case t.format == jsonFiles && c.sql == "JSON" && f.Type.Kind != plan.String:
		several := quote("column " + c.name + " is declared as " + f.Type.String() + " but holds values of several types")
		return c.sql, castTo("CASE WHEN "+name+" IS NULL THEN NULL ELSE error("+several+") END", want), nil
	case t.format == jsonFiles && jsonString(c.sql) && f.Type.Kind == plan.String:
		return "VARCHAR", name, nil
	case t.format == jsonFiles && c.sql == "VARCHAR" && (f.Type.Kind == plan.Timestamp || f.Type.Kind == plan.Duration):
		return "VARCHAR", castTo(name, want), nil
	case ok && d.kind == f.Type.Kind:
		return c.sql, castTo(name, d.cast), nil
	case ok && d.kind == plan.Int && f.Type.Kind == plan.Double:
		return c.sql, castTo(name, "DOUBLE"), nil
	}
	return "", "", fmt.Errorf("%s: column %q is declared as %v but %s holds %s", t.rel.Owner, c.name, f.Type, t.place(), c.sql)
}

func castTo(expr, sql string) string {
	if sql == "" {
		return expr
	}
	return "CAST(" + expr + " AS " + sql + ")"
}

// jsonString reports whether a JSON string may have been recognised as the type.
func jsonString(sql string) bool {
	d, ok := dataTypeOf(sql)
	return ok && (d.kind == plan.String || d.kind == plan.Timestamp) || sql == "TIME"
}

func (t *table) place() string {
	if t.format == sqlQuery {
		return "its sql:"
	}
	return t.rel.From
}

func (t *table) missing(name string, found []column) error {
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.name
	}
	return fmt.Errorf("%s: %s has no column %q%s; it has %s", t.rel.Owner, t.place(), name,
		nearest.Hint(name, names), strings.Join(names, ", "))
}
