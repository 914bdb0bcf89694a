package parquetfile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/bits"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Schema describes the columns of a file.
type Schema struct {
	arrow   *arrow.Schema
	columns []*column
	leaves  []*column // columns with values, in file order
}

// column is a column or a part of a nested column.
type column struct {
	field    arrow.Field
	def, rep byte // levels of a present value
	leaf     int  // number of the leaf; -1 for a nested column
	children []*column
}

// NewSchema returns the schema of a file with the given columns. A column whose type
// Parquet cannot hold is an error.
func NewSchema(s *arrow.Schema) (*Schema, error) {
	out := &Schema{arrow: s}
	for _, f := range s.Fields() {
		c, err := out.column(f, 0, 0)
		if err != nil {
			return nil, &TypeError{f.Name, f.Type}
		}
		out.columns = append(out.columns, c)
	}
	return out, nil
}

// TypeError is a column of a type that Parquet cannot hold.
type TypeError struct {
	Column string
	Type   arrow.DataType
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("column %q is a %v, which Parquet cannot hold", e.Column, e.Type)
}

// column adds a field below others; def and rep are the levels of its parent's values.
func (s *Schema) column(f arrow.Field, def, rep byte) (*column, error) {
	if f.Nullable {
		def++
	}
	c := &column{field: f, def: def, rep: rep, leaf: -1}
	below := func(f arrow.Field, def, rep byte) error {
		child, err := s.column(f, def, rep)
		c.children = append(c.children, child)
		return err
	}
	switch t := f.Type.(type) {
	case *arrow.StructType:
		if t.NumFields() == 0 {
			return nil, &TypeError{f.Name, f.Type}
		}
		for _, child := range t.Fields() {
			if err := below(child, def, rep); err != nil {
				return nil, err
			}
		}
	case *arrow.MapType:
		key, item := t.KeyField(), t.ItemField()
		key.Nullable = false
		if err := below(key, def+1, rep+1); err != nil {
			return nil, err
		}
		return c, below(item, def+1, rep+1)
	case arrow.ListLikeType:
		return c, below(t.ElemField(), def+1, rep+1)
	default:
		if _, err := leafNode(f.Type); err != nil {
			return nil, err
		}
		c.leaf = len(s.leaves)
		s.leaves = append(s.leaves, c)
	}
	return c, nil
}

// node returns the column as a parquet-go node; encodings are those of the leaves.
func (c *column) node(encodings []encoding.Encoding) parquet.Node {
	var n parquet.Node
	switch t := c.field.Type.(type) {
	case *arrow.StructType:
		n = newGroup(c.children, encodings)
	case *arrow.MapType:
		n = parquet.Map(c.children[0].node(encodings), c.children[1].node(encodings))
	case arrow.ListLikeType:
		n = parquet.List(c.children[0].node(encodings))
	default:
		n, _ = leafNode(t)
		n = parquet.Encoded(n, encodings[c.leaf])
	}
	if c.field.Nullable {
		return parquet.Optional(n)
	}
	return parquet.Required(n)
}

// leafNodes are the nodes of types without parameters.
var leafNodes = map[arrow.Type]func() parquet.Node{
	arrow.BOOL:         func() parquet.Node { return parquet.Leaf(parquet.BooleanType) },
	arrow.INT8:         func() parquet.Node { return parquet.Int(8) },
	arrow.INT16:        func() parquet.Node { return parquet.Int(16) },
	arrow.INT32:        func() parquet.Node { return parquet.Leaf(parquet.Int32Type) },
	arrow.INT64:        func() parquet.Node { return parquet.Leaf(parquet.Int64Type) },
	arrow.UINT8:        func() parquet.Node { return parquet.Uint(8) },
	arrow.UINT16:       func() parquet.Node { return parquet.Uint(16) },
	arrow.UINT32:       func() parquet.Node { return parquet.Uint(32) },
	arrow.UINT64:       func() parquet.Node { return parquet.Uint(64) },
	arrow.FLOAT32:      func() parquet.Node { return parquet.Leaf(parquet.FloatType) },
	arrow.FLOAT64:      func() parquet.Node { return parquet.Leaf(parquet.DoubleType) },
	arrow.STRING:       parquet.String,
	arrow.LARGE_STRING: parquet.String,
	arrow.BINARY:       func() parquet.Node { return parquet.Leaf(parquet.ByteArrayType) },
	arrow.LARGE_BINARY: func() parquet.Node { return parquet.Leaf(parquet.ByteArrayType) },
	arrow.DATE32:       parquet.Date,
	arrow.DURATION:     func() parquet.Node { return parquet.Leaf(parquet.Int64Type) }, // the Arrow schema has the unit
}

// leafNode returns the node of a type that is not nested.
func leafNode(t arrow.DataType) (parquet.Node, error) {
	if n, ok := leafNodes[t.ID()]; ok {
		return n(), nil
	}
	switch t := t.(type) {
	case *arrow.FixedSizeBinaryType:
		return parquet.Leaf(parquet.FixedLenByteArrayType(t.ByteWidth)), nil
	case *arrow.Decimal128Type:
		return parquet.Decimal(int(t.Scale), int(t.Precision), decimalType(int(t.Precision))), nil
	case *arrow.TimestampType:
		return parquet.TimestampAdjusted(timeUnit(t.Unit), t.TimeZone != ""), nil
	case *arrow.Time32Type:
		return parquet.TimeAdjusted(parquet.Millisecond, false), nil
	case *arrow.Time64Type:
		return parquet.TimeAdjusted(timeUnit(t.Unit), false), nil
	}
	return nil, &TypeError{Type: t}
}

// Largest precisions of decimals that fit into 32-bit and 64-bit integers.
const digits32, digits64 = 9, 18

// decimalType returns the smallest physical type for decimals of the given precision.
func decimalType(precision int) parquet.Type {
	switch {
	case precision <= digits32:
		return parquet.Int32Type
	case precision <= digits64:
		return parquet.Int64Type
	}
	return parquet.FixedLenByteArrayType(16)
}

// timeUnit returns the unit in which times are stored: Parquet has no seconds.
func timeUnit(u arrow.TimeUnit) parquet.TimeUnit {
	switch u {
	case arrow.Microsecond:
		return parquet.Microsecond
	case arrow.Nanosecond:
		return parquet.Nanosecond
	}
	return parquet.Millisecond
}

// group keeps its fields in order; parquet.Group sorts them.
type group struct {
	parquet.Group // provides the other methods
	fields        []parquet.Field
}

type groupField struct {
	parquet.Node
	name string
}

func newGroup(columns []*column, encodings []encoding.Encoding) *group {
	g := &group{}
	for _, c := range columns {
		g.fields = append(g.fields, &groupField{c.node(encodings), c.field.Name})
	}
	return g
}

func (g *group) Fields() []parquet.Field { return g.fields }

// GoType is never used: rows are written as columns.
func (g *group) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

func (f *groupField) Name() string { return f.name }

func (f *groupField) Value(reflect.Value) reflect.Value {
	panic("parquetfile: rows are written as columns")
}

// arrowSchemaKey is the metadata key under which readers look for the Arrow schema.
const arrowSchemaKey = "ARROW:schema"

// serialized encodes the Arrow schema as Arrow's readers expect it in the metadata.
func serialized(s *arrow.Schema) (string, error) {
	var buf bytes.Buffer
	if err := ipc.NewWriter(&buf, ipc.WithSchema(s)).Close(); err != nil {
		return "", fmt.Errorf("arrow schema: %w", err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}

// width is the number of bits needed to number n different values.
func width(n int) int { return bits.Len(uint(max(n-1, 1))) }

// bitsOf is the number of bits of x.
func bitsOf(x uint64) int { return bits.Len64(x) }
