package relation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
)

// stored is how a column of a Parquet file is stored.
type stored struct {
	name     string
	leaf     int // index among the leaves of the file; unused for nested columns
	levels   maxLevels
	flat     bool // it is a leaf of which every row has at most one value
	kind     storedKind
	physical format.Type

	precision, scale int   // of a decimal
	perMicro         int64 // for a timestamp: its units per µs; if negative: µs per unit
	utc              bool  // the timestamp is a moment, not local time
	perNano          int64 // for a duration: its unit in ns
	text             string

	unread    string // what prevents reading the column at all, such as its compression
	validFrom int64  // µs: earlier dates and timestamps are in the hybrid calendar, see hybrid
}

type storedKind uint8

const (
	storedOther storedKind = iota // no plan type holds it
	storedNull                    // only nulls
	storedBool
	storedInt
	storedUint
	storedFloat16
	storedFloat
	storedDouble
	storedDecimal
	storedString
	storedBytes
	storedUUID
	storedDate
	storedTimestamp
	storedInt96
	storedInterval
	storedDuration
)

// maxExactDecimal is the number of digits up to which a decimal survives conversion to a
// double and back.
const maxExactDecimal = 15

// storedColumns lists the top-level columns of a file in order.
func storedColumns(elements []format.SchemaElement) ([]stored, error) {
	var columns []stored
	leaf := 0
	for i := 1; i < len(elements); {
		c := storedType(&elements[i])
		c.leaf = leaf
		columns = append(columns, c)
		next, err := behind(elements, i, &leaf)
		if err != nil {
			return nil, err
		}
		i = next
	}
	return columns, nil
}

// behind returns the index after the element at i and its children.
func behind(elements []format.SchemaElement, i int, leaf *int) (int, error) {
	if i >= len(elements) {
		return 0, fmt.Errorf("its schema ends early")
	}
	children := int(elements[i].NumChildren.V)
	if children == 0 {
		*leaf++
	}
	i++
	var err error
	for range children {
		if i, err = behind(elements, i, leaf); err != nil {
			return 0, err
		}
	}
	return i, nil
}

// nestedLeaves lists the leaves below the given columns, named by their path; the columns
// were made from elements.
func nestedLeaves(elements []format.SchemaElement, columns []stored) (found []stored) {
	leaf := 0
	var walk func(i int, path string, levels maxLevels) (next int)
	walk = func(i int, path string, levels maxLevels) int {
		e := &elements[i]
		levels.add(e)
		if path += e.Name; e.NumChildren.V == 0 {
			s := storedType(e)
			s.name, s.leaf, s.levels = path, leaf, levels
			found = append(found, s)
			leaf++
		}
		i++
		for range e.NumChildren.V {
			i = walk(i, path+".", levels)
		}
		return i
	}
	i := 1
	for range columns {
		i = walk(i, "", maxLevels{})
	}
	return slices.DeleteFunc(found, func(s stored) bool {
		return slices.ContainsFunc(columns, func(c stored) bool { return c.leaf == s.leaf && c.name == s.name })
	})
}

func storedType(e *format.SchemaElement) stored {
	s := stored{name: e.Name, physical: e.Type.V}
	s.levels.add(e)
	s.flat = e.NumChildren.V == 0 && e.RepetitionType.V != format.Repeated
	switch {
	case e.NumChildren.V > 0:
		s.text = groupText(e)
	case e.RepetitionType.V == format.Repeated:
		s.text = "LIST"
	case e.LogicalType.Value != nil:
		s.logical(e)
	case e.ConvertedType.Valid:
		s.converted(e)
	default:
		s.plain(e)
	}
	return s
}

func groupText(e *format.SchemaElement) string {
	switch e.LogicalType.Value.(type) {
	case *format.ListType:
		return "LIST"
	case *format.MapType:
		return "MAP"
	case *format.VariantType:
		return "VARIANT"
	}
	switch {
	case e.ConvertedType.Valid && e.ConvertedType.V == deprecated.List:
		return "LIST"
	case e.ConvertedType.Valid && (e.ConvertedType.V == deprecated.Map || e.ConvertedType.V == deprecated.MapKeyValue):
		return "MAP"
	}
	return "STRUCT"
}

// plain handles a type without an annotation.
func (s *stored) plain(e *format.SchemaElement) {
	s.text = e.Type.V.String()
	switch e.Type.V {
	case format.Boolean:
		s.kind = storedBool
	case format.Int32, format.Int64:
		s.kind = storedInt
	case format.Int96:
		s.kind, s.text = storedInt96, "TIMESTAMP (INT96)"
	case format.Float:
		s.kind = storedFloat
	case format.Double:
		s.kind = storedDouble
	case format.ByteArray, format.FixedLenByteArray:
		s.kind = storedBytes
	}
}

func (s *stored) logical(e *format.SchemaElement) {
	s.text = e.LogicalType.Value.String()
	switch t := e.LogicalType.Value.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		s.kind = storedString
	case *format.UUIDType:
		s.kind = storedUUID
	case *format.DecimalType:
		s.decimal(t.Precision, t.Scale)
	case *format.DateType:
		s.kind = storedDate
	case *format.TimestampType:
		s.timestamp(t)
	case *format.IntType:
		s.integer(t.IsSigned, int(t.BitWidth))
	case *format.NullType:
		s.kind = storedNull
	case *format.Float16Type:
		s.kind = storedFloat16
	case *format.TimeType:
		s.text = "TIME of day"
	}
}

func (s *stored) converted(e *format.SchemaElement) {
	s.text = fmt.Sprintf("%v of converted type %d", e.Type.V, e.ConvertedType.V)
	switch c := e.ConvertedType.V; c {
	case deprecated.UTF8, deprecated.Enum, deprecated.Json:
		s.kind, s.text = storedString, "STRING"
	case deprecated.Decimal:
		s.decimal(e.Precision.V, e.Scale.V)
	case deprecated.Date:
		s.kind, s.text = storedDate, "DATE"
	case deprecated.TimestampMillis:
		s.kind, s.perMicro, s.text = storedTimestamp, -1000, "TIMESTAMP"
	case deprecated.TimestampMicros:
		s.kind, s.perMicro, s.text = storedTimestamp, 1, "TIMESTAMP"
	case deprecated.TimeMillis, deprecated.TimeMicros:
		s.text = "TIME of day"
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		s.integer(false, 8<<(c-deprecated.Uint8))
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		s.integer(true, 8<<(c-deprecated.Int8))
	case deprecated.Interval:
		s.kind, s.text = storedInterval, "INTERVAL"
	}
}

func (s *stored) integer(signed bool, bits int) {
	s.kind, s.text = storedInt, fmt.Sprintf("INT%d", bits)
	if !signed {
		s.kind, s.text = storedUint, fmt.Sprintf("UINT%d", bits)
	}
}

func (s *stored) decimal(precision, scale int32) {
	s.kind, s.precision, s.scale = storedDecimal, int(precision), int(scale)
	s.text = fmt.Sprintf("DECIMAL(%d, %d)", precision, scale)
}

func (s *stored) timestamp(t *format.TimestampType) {
	s.kind, s.text, s.utc = storedTimestamp, "TIMESTAMP", t.IsAdjustedToUTC
	switch t.Unit.Value.(type) {
	case *format.MilliSeconds:
		s.perMicro = -1000
	case *format.MicroSeconds:
		s.perMicro = 1
	case *format.NanoSeconds:
		s.perMicro = 1000
	default:
		s.kind = storedOther
	}
}

// markUnread sets the column's unread.
func (s *stored) markUnread(groups []format.RowGroup) {
	for g := range groups {
		if s.leaf >= len(groups[g].Columns) {
			continue
		}
		chunk := &groups[g].Columns[s.leaf]
		switch codec := chunk.MetaData.Codec; {
		case chunk.CryptoMetadata.Value != nil:
			s.unread = "is encrypted, which is not read; write it without encryption"
		case codec == format.Lz4:
			s.unread = "is compressed with LZ4 as Hadoop writes it, which is not read; " + readCodecs
		case !slices.Contains([]format.CompressionCodec{format.Uncompressed, format.Snappy, format.Gzip, format.Brotli, format.Zstd, format.Lz4Raw}, codec):
			s.unread = fmt.Sprintf("is compressed with %v, which is not read; ", codec) + readCodecs
		}
	}
}

const readCodecs = "write it with SNAPPY, ZSTD, GZIP, BROTLI or LZ4_RAW, or uncompressed"

// unread is the error for a column that cannot be read at all.
func (t *parquetTable) unread(f *parquetFile, s *stored) error {
	return fmt.Errorf("%s: column %q of %s %s", t.rel.Owner, s.name, f.name, s.unread)
}

// planKinds are the kinds of undeclared columns.
var planKinds = map[storedKind]plan.Kind{
	storedBool: plan.Bool, storedInt: plan.Int, storedUint: plan.Int,
	storedFloat16: plan.Double, storedFloat: plan.Double, storedDouble: plan.Double, storedDecimal: plan.Double,
	storedString: plan.String, storedUUID: plan.String, storedBytes: plan.Bytes,
	storedDate: plan.Timestamp, storedTimestamp: plan.Timestamp, storedInt96: plan.Timestamp,
	storedInterval: plan.Duration, storedDuration: plan.Duration,
}

// column describes the column as it is read when not declared.
func (s *stored) column() Column {
	c := Column{Field: plan.Field{Name: s.name, Type: plan.T(planKinds[s.kind])}}
	switch {
	case s.kind == storedNull:
		c.Type = plan.T(plan.Null)
	case s.kind == storedOther:
		c.Unusable = s.unsupported()
	case s.kind == storedDecimal && s.precision > maxExactDecimal:
		c.Unusable = roundedDecimal(s.text, s.name, s.precision)
	}
	return c
}

// unsupported completes "column x …" for a type that no plan type holds.
func (s *stored) unsupported() string {
	if s.text == "STRUCT" {
		return fmt.Sprintf("is a STRUCT, which no type of a column holds; read a field of it as a column of a source, such as x: {field: %s}, or let sql: %s", fieldOf(s.name, "x"), conversion(s.text, Ident(s.name)))
	}
	return unsupported(s.text, s.name)
}

// unsupported completes "column x …" for a type that no plan type holds, in a query.
func unsupported(typ, name string) string {
	return fmt.Sprintf("is a %s, which no type of a column holds; let sql: %s", typ, conversion(typ, Ident(name)))
}

// conversion is an example of what a query makes of a column of a type that no plan type holds.
func conversion(typ, column string) string {
	switch {
	case strings.HasPrefix(typ, "STRUCT"):
		return fmt.Sprintf("read its fields, such as SELECT %s.x AS x", column)
	case strings.HasPrefix(typ, "MAP"):
		return fmt.Sprintf("read a value of it, such as SELECT %s['key'] AS x", column)
	case typ == "LIST" || strings.HasSuffix(typ, "]"):
		return fmt.Sprintf("read an element of it or its length, such as SELECT %s[1] AS first, len(%s) AS n", column, column)
	}
	return fmt.Sprintf("convert it, such as CAST(%s AS VARCHAR)", column)
}

// maxQueryDecimal is the largest precision of DuckDB's decimals. It reads longer ones in
// Parquet files as wrong numbers.
const maxQueryDecimal = 38

// roundedDecimal completes "column x …" for a decimal with more digits than a double holds.
func roundedDecimal(typ, name string, digits int) string {
	what := fmt.Sprintf("is a %s, which a double cannot hold exactly; declare it under columns as {type: double} to take the nearest double "+
		"(or as {type: int}, if it has whole numbers)", typ)
	if digits > maxQueryDecimal {
		return what // there is no sql: alternative
	}
	return what + fmt.Sprintf(", or let sql: cast it, such as CAST(%s AS DOUBLE)", Ident(name))
}
