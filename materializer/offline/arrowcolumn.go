package offline

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// arrowTypes are how scalars are written. Parquet has no duration: it is an int64 of nanoseconds.
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

// arrowType is how values of t are written; a type without an answer is an error.
func arrowType(t plan.Type) (arrow.DataType, error) {
	switch t.Kind {
	case plan.List:
		elem, err := arrowType(*t.Elem)
		if err != nil {
			return nil, err
		}
		return arrow.ListOf(elem), nil
	case plan.Map:
		key, err := arrowType(*t.Key)
		if err != nil {
			return nil, err
		}
		elem, err := arrowType(*t.Elem)
		if err != nil {
			return nil, err
		}
		return arrow.MapOf(key, elem), nil
	}
	if a, ok := arrowTypes[t.Kind]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("a training set cannot hold the type %v", t)
}

// appendVector appends the rows [from, to) of v to b, null where v has no value.
func appendVector(b array.Builder, v *vector.Vector, from, to int) {
	b.Reserve(to - from)
	for i := from; i < to; i++ {
		if !v.Valid(i) {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.Float64Builder:
			b.UnsafeAppend(v.Double[i])
		case *array.Int64Builder:
			b.UnsafeAppend(v.Int[i])
		case *array.TimestampBuilder:
			b.UnsafeAppend(arrow.Timestamp(v.Int[i]))
		case *array.Uint64Builder:
			b.UnsafeAppend(uint64(v.Int[i]))
		case *array.BooleanBuilder:
			b.UnsafeAppend(v.Bits.Get(i))
		case *array.StringBuilder:
			b.Append(v.Str[i])
		case *array.BinaryBuilder:
			b.AppendString(v.Str[i])
		default:
			appendValue(b, v.Any[i])
		}
	}
}

// appendValue appends a value of the type that b was made for by arrowType.
func appendValue(b array.Builder, v plan.Value) {
	if v.IsNull() {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.MapBuilder:
		b.Append(true)
		for i := 0; i < len(v.List()); i += 2 {
			appendValue(b.KeyBuilder(), v.List()[i])
			appendValue(b.ItemBuilder(), v.List()[i+1])
		}
	case *array.ListBuilder:
		b.Append(true)
		for _, e := range v.List() {
			appendValue(b.ValueBuilder(), e)
		}
	case *array.Float64Builder:
		b.Append(v.Double())
	case *array.Int64Builder:
		if v.Kind() == plan.Duration {
			b.Append(int64(v.Duration()))
			return
		}
		b.Append(v.Int())
	case *array.Uint64Builder:
		b.Append(v.Uint())
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Time()))
	case *array.BooleanBuilder:
		b.Append(v.Bool())
	case *array.StringBuilder:
		b.Append(v.Str())
	case *array.BinaryBuilder:
		b.AppendString(v.Str())
	default:
		panic(fmt.Sprintf("offline: no way to append to %T", b))
	}
}
