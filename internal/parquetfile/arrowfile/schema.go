// Package arrowfile writes Parquet files whose metadata has the Arrow schema of their columns, by which readers know types that Parquet
// has not, such as durations. It needs Arrow's arrays and streams, which are large, so servers do without it.
package arrowfile

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
)

// schemaKey is the metadata key under which readers look for the Arrow schema.
const schemaKey = "ARROW:schema"

// NewSchema returns the schema of a file with the columns of an Arrow schema. A column whose type Parquet cannot hold is a *TypeError.
func NewSchema(s *arrow.Schema) (*parquetfile.Schema, error) {
	fields := make([]parquetfile.Field, s.NumFields())
	for i, f := range s.Fields() {
		var err error
		if fields[i], err = fieldOf(f); err != nil {
			return nil, &TypeError{f.Name, f.Type}
		}
	}
	text, err := serialized(s)
	if err != nil {
		return nil, err
	}
	out := parquetfile.NewSchema(fields)
	out.AddMetadata(schemaKey, text)
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

func fieldOf(f arrow.Field) (out parquetfile.Field, err error) {
	out = parquetfile.Field{Name: f.Name, Optional: f.Nullable}
	var children []arrow.Field
	switch t := f.Type.(type) {
	case *arrow.StructType:
		if children = t.Fields(); len(children) == 0 {
			return out, &TypeError{f.Name, f.Type}
		}
	case *arrow.MapType:
		key := t.KeyField()
		key.Nullable = false
		out.Nesting, children = parquetfile.Map, []arrow.Field{key, t.ItemField()}
	case arrow.ListLikeType:
		out.Nesting, children = parquetfile.List, []arrow.Field{t.ElemField()}
	default:
		out.Leaf, err = leafNode(f.Type)
		return out, err
	}
	for _, child := range children {
		below, err := fieldOf(child)
		if err != nil {
			return out, err
		}
		out.Children = append(out.Children, below)
	}
	return out, nil
}

// serialized encodes an Arrow schema as Arrow's readers expect it in the metadata of files.
func serialized(s *arrow.Schema) (string, error) {
	var buf bytes.Buffer
	if err := ipc.NewWriter(&buf, ipc.WithSchema(s)).Close(); err != nil {
		return "", fmt.Errorf("arrow schema: %w", err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}

// SourceSchema is parquetfile.SchemaOf for a file that is read as a source or a spine: durations are known as such, where SchemaOf has the
// integers that training sets have.
func SourceSchema(fields []plan.Field) (*parquetfile.Schema, error) {
	list := make([]arrow.Field, len(fields))
	for i, f := range fields {
		t, err := ArrowType(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		if f.Type.Kind == plan.Duration {
			t = arrow.FixedWidthTypes.Duration_ns
		}
		list[i] = arrow.Field{Name: f.Name, Type: t, Nullable: true}
	}
	return NewSchema(arrow.NewSchema(list, nil))
}

// ArrowType returns the Arrow type in which values of t are written, or an error if there
// is none. Parquet has no duration, so it is an int64 of nanoseconds.
func ArrowType(t plan.Type) (arrow.DataType, error) {
	switch t.Kind {
	case plan.List:
		elem, err := ArrowType(*t.Elem)
		if err != nil {
			return nil, err
		}
		return arrow.ListOf(elem), nil
	case plan.Map:
		key, err := ArrowType(*t.Key)
		if err != nil {
			return nil, err
		}
		elem, err := ArrowType(*t.Elem)
		if err != nil {
			return nil, err
		}
		return arrow.MapOf(key, elem), nil
	}
	if a, ok := arrowTypes[t.Kind]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("a Parquet file cannot hold the type %v", t)
}

var arrowTypes = map[plan.Kind]arrow.DataType{
	plan.Bool:      arrow.FixedWidthTypes.Boolean,
	plan.Int:       arrow.PrimitiveTypes.Int64,
	plan.Uint:      arrow.PrimitiveTypes.Uint64,
	plan.Double:    arrow.PrimitiveTypes.Float64,
	plan.String:    arrow.BinaryTypes.String,
	plan.Bytes:     arrow.BinaryTypes.Binary,
	plan.Timestamp: arrow.FixedWidthTypes.Timestamp_us,
	plan.Duration:  arrow.PrimitiveTypes.Int64,
}
