package parquetfile

import (
	"fmt"
	"math/bits"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Field is a column of a file, or a part of a nested one. It has values, or Children.
type Field struct {
	Name     string
	Optional bool         // it may be null
	Leaf     parquet.Node // of the values, required and not encoded; nil for a nested field
	Nesting  Nesting
	Children []Field // the fields of a struct, the element of a list, key and value of a map
}

// Nesting is how a field has others.
type Nesting byte

// The ways of nesting.
const (
	Struct Nesting = iota
	List
	Map
)

// Schema describes the columns of a file.
type Schema struct {
	columns  []*column
	leaves   []*column   // columns with values, in file order
	metadata [][2]string // key and value
}

// column is a column or a part of a nested column.
type column struct {
	field    Field
	def, rep byte // levels of a present value
	leaf     int  // number of the leaf; -1 for a nested column
	children []*column
}

// NewSchema returns the schema of a file with the given columns. A struct has at least one field.
func NewSchema(fields []Field) *Schema {
	out := &Schema{}
	for _, f := range fields {
		out.columns = append(out.columns, out.column(f, 0, 0))
	}
	return out
}

// SchemaOf returns the schema of a file with columns of the given types. Every column may have nulls. Parquet has no duration, so it is
// an integer of nanoseconds.
func SchemaOf(fields []plan.Field) (*Schema, error) {
	list := make([]Field, len(fields))
	for i, f := range fields {
		var err error
		if list[i], err = fieldOf(f.Name, f.Type); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	return NewSchema(list), nil
}

func fieldOf(name string, t plan.Type) (Field, error) {
	f := Field{Name: name, Optional: true}
	below := func(t *plan.Type) error {
		child, err := fieldOf("", *t)
		f.Children = append(f.Children, child)
		return err
	}
	switch t.Kind {
	case plan.List:
		f.Nesting = List
		return f, below(t.Elem)
	case plan.Map:
		f.Nesting = Map
		if err := below(t.Key); err != nil {
			return f, err
		}
		f.Children[0].Optional = false
		return f, below(t.Elem)
	}
	leaf, ok := leaves[t.Kind]
	if !ok {
		return f, fmt.Errorf("a Parquet file cannot hold the type %v", t)
	}
	f.Leaf = leaf()
	return f, nil
}

var leaves = map[plan.Kind]func() parquet.Node{
	plan.Bool:      func() parquet.Node { return parquet.Leaf(parquet.BooleanType) },
	plan.Int:       func() parquet.Node { return parquet.Leaf(parquet.Int64Type) },
	plan.Uint:      func() parquet.Node { return parquet.Uint(64) },
	plan.Double:    func() parquet.Node { return parquet.Leaf(parquet.DoubleType) },
	plan.String:    parquet.String,
	plan.Bytes:     func() parquet.Node { return parquet.Leaf(parquet.ByteArrayType) },
	plan.Timestamp: func() parquet.Node { return parquet.TimestampAdjusted(parquet.Microsecond, true) },
	plan.Duration:  func() parquet.Node { return parquet.Leaf(parquet.Int64Type) },
}

// column adds a field below others; def and rep are the levels of its parent's values.
func (s *Schema) column(f Field, def, rep byte) *column {
	if f.Optional {
		def++
	}
	c := &column{field: f, def: def, rep: rep, leaf: -1}
	if f.Leaf != nil {
		c.leaf = len(s.leaves)
		s.leaves = append(s.leaves, c)
		return c
	}
	if f.Nesting != Struct {
		def, rep = def+1, rep+1
	}
	for _, child := range f.Children {
		c.children = append(c.children, s.column(child, def, rep))
	}
	return c
}

// node returns the column as a parquet-go node; encodings are those of the leaves.
func (c *column) node(encodings []encoding.Encoding) parquet.Node {
	var n parquet.Node
	switch {
	case c.leaf >= 0:
		n = parquet.Encoded(c.field.Leaf, encodings[c.leaf])
	case c.field.Nesting == Map:
		n = parquet.Map(c.children[0].node(encodings), c.children[1].node(encodings))
	case c.field.Nesting == List:
		n = parquet.List(c.children[0].node(encodings))
	default:
		n = newGroup(c.children, encodings)
	}
	if c.field.Optional {
		return parquet.Optional(n)
	}
	return parquet.Required(n)
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

// AddMetadata adds a key to the metadata of every file of the schema.
func (s *Schema) AddMetadata(key, value string) {
	s.metadata = append(s.metadata, [2]string{key, value})
}

// width is the number of bits needed to number n different values.
func width(n int) int { return bits.Len(uint(max(n-1, 1))) }

// bitsOf is the number of bits of x.
func bitsOf(x uint64) int { return bits.Len64(x) }
