package relation

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// arrowTypes are the Arrow types of text columns that pass through. Parquet has no
// duration, so it becomes an int64 of nanoseconds.
var arrowTypes = map[plan.Kind]arrow.DataType{
	plan.Null:      arrow.Null,
	plan.Bool:      arrow.FixedWidthTypes.Boolean,
	plan.Int:       arrow.PrimitiveTypes.Int64,
	plan.Double:    arrow.PrimitiveTypes.Float64,
	plan.String:    arrow.BinaryTypes.String,
	plan.Bytes:     arrow.BinaryTypes.Binary,
	plan.Timestamp: arrow.FixedWidthTypes.Timestamp_us,
	plan.Duration:  arrow.PrimitiveTypes.Int64,
}

// records infers the types of undeclared columns. Columns of JSON values that no one type
// holds pass through as text.
func (t *textTable) records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	found, err := t.columns(ctx)
	if err != nil {
		return err
	}
	rel := *t.rel
	rel.raw = map[string]bool{}
	fields := make([]plan.Field, len(found))
	for i, c := range found {
		fields[i] = c.Field
		if at := slices.IndexFunc(declared, func(d plan.Field) bool { return d.Name == c.Name }); at >= 0 {
			fields[i] = declared[at]
		} else if c.Unusable != "" {
			fields[i].Type = plan.T(plan.String)
			rel.raw[c.Name] = true
		}
	}
	if err := t.hasAll(declared, fields); err != nil {
		return err
	}
	typed := *t
	typed.rel = &rel
	return recordsOf(ctx, &typed, fields, schema, f)
}

func (t *textTable) hasAll(declared, fields []plan.Field) error {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	for _, d := range declared {
		if !slices.Contains(names, d.Name) {
			return t.rel.missing(t.rel.From, d.Name, names)
		}
	}
	return nil
}

// recordsOf reads fields, some possibly of kind Null, as records.
func recordsOf(ctx context.Context, t table, fields []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	columns := make([]arrow.Field, len(fields))
	read := slices.Clone(fields)
	for i, field := range fields {
		columns[i] = arrow.Field{Name: field.Name, Type: arrowTypes[field.Type.Kind], Nullable: true}
		if field.Type.Kind == plan.Null {
			read[i].Type = plan.T(plan.String) // can represent nulls of any type
		}
	}
	s, err := t.bind(ctx, read)
	if err != nil {
		return err
	}
	whole := arrow.NewSchema(columns, nil)
	if err := schema(whole); err != nil {
		return err
	}
	return run(ctx, s, 1, mostInFlight, func(_ int, b *Batch) error {
		arrays := make([]arrow.Array, len(columns))
		for i := range columns {
			arrays[i] = arrayOf(columns[i].Type, b.Cols[i])
			defer arrays[i].Release()
		}
		rec := array.NewRecordBatch(whole, arrays, int64(b.N))
		defer rec.Release()
		return f(rec)
	})
}

// arrayOf copies a vector.
func arrayOf(t arrow.DataType, v *vector.Vector) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, t)
	defer b.Release()
	b.Reserve(v.N)
	for i := range v.N {
		if !v.Valid(i) {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(v.Bits.Get(i))
		case *array.Int64Builder:
			b.Append(v.Int[i])
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(v.Int[i]))
		case *array.Float64Builder:
			b.Append(v.Double[i])
		case *array.StringBuilder:
			b.Append(v.Str[i])
		case *array.BinaryBuilder:
			b.AppendString(v.Str[i])
		default:
			panic(fmt.Sprintf("relation: a vector of %v as %v", v.Type, t))
		}
	}
	return b.NewArray()
}
