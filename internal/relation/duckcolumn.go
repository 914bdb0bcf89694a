//go:build duckdb_arrow

package relation

import (
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// queryType is the plan type of a DuckDB type, and the cast that gives it an Arrow
// representation that a vector can hold.
type queryType struct {
	kind plan.Kind
	cast string // "": no cast
}

// queryTypes by DuckDB's name; queryTypeOf handles types with parameters. UBIGINT, HUGEINT,
// decimals, and times in units other than µs are converted row by row, so that an error can
// name its row.
var queryTypes = map[string]queryType{
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

// untypedNull is DuckDB's type of a column that is known to hold only nulls.
const untypedNull = `"NULL"`

// nullTypes are the DuckDB types to which untyped nulls are cast.
var nullTypes = map[plan.Kind]string{
	plan.Bool: "BOOLEAN", plan.Int: "BIGINT", plan.Double: "DOUBLE", plan.String: "VARCHAR",
	plan.Bytes: "BLOB", plan.Timestamp: "TIMESTAMP", plan.Duration: "INTERVAL",
}

func queryTypeOf(name string) (queryType, bool) {
	if d, ok := queryTypes[name]; ok {
		return d, true
	}
	switch {
	case strings.HasSuffix(name, "]"):
		return queryType{}, false
	case strings.HasPrefix(name, "DECIMAL("):
		return queryType{kind: plan.Double}, true
	case strings.HasPrefix(name, "ENUM("):
		return queryType{plan.String, "VARCHAR"}, true
	}
	return queryType{}, false
}

// decimalDigits is the precision of a decimal; 0 for other types.
func decimalDigits(name string) int {
	rest, ok := strings.CutPrefix(name, "DECIMAL(")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(digits)
	return n
}

// queryColumn returns the column as it is read when it is not declared.
func queryColumn(c duckdb.Column) Column {
	column := Column{Field: plan.Field{Name: c.Name}}
	t, ok := queryTypeOf(c.Type)
	switch {
	case c.Type == untypedNull:
		column.Type = plan.T(plan.Null)
	case !ok:
		column.Unusable = unsupported(c.Type, c.Name)
	case decimalDigits(c.Type) > maxExactDecimal:
		column.Type, column.Unusable = plan.T(t.kind), roundedDecimal(c.Type, c.Name, decimalDigits(c.Type))
	default:
		column.Type = plan.T(t.kind)
	}
	return column
}

// queryExpression returns the SQL that reads a column as f declares it; ok is false if the
// types do not match. Ints widen to doubles; a stored double or decimal may be declared int
// if all its values are whole.
func queryExpression(c duckdb.Column, f plan.Field) (expr string, ok bool) {
	name := Ident(c.Name)
	t, ok := queryTypeOf(c.Type)
	switch {
	case c.Type == untypedNull:
		return castTo(name, nullTypes[f.Type.Kind]), true
	case !ok:
		return "", false
	case t.kind == f.Type.Kind:
		return castTo(name, t.cast), true
	case t.kind == plan.Int && f.Type.Kind == plan.Double:
		return castTo(name, "DOUBLE"), true
	case t.kind == plan.Double && f.Type.Kind == plan.Int && c.Type != "FLOAT":
		return name, true
	}
	return "", false
}

func castTo(expr, typ string) string {
	if typ == "" {
		return expr
	}
	return "CAST(" + expr + " AS " + typ + ")"
}
