package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// column is one column of a table of rows R: its name and type, and how the value of a row
// is added to the builder.
type column[R any] struct {
	field  arrow.Field
	append func(b array.Builder, r *R)
	// delta is for values that rarely repeat and mostly ascend (times, ids). Other columns
	// use dictionaries.
	delta parquet.Encoding
}

var micros = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

func textColumn[R any](name string, of func(*R) string) column[R] {
	return column[R]{
		field:  arrow.Field{Name: name, Type: arrow.BinaryTypes.String},
		append: func(b array.Builder, r *R) { b.(*array.StringBuilder).Append(of(r)) },
	}
}

func idColumn[R any](name string, of func(*R) string) column[R] {
	c := textColumn(name, of)
	c.delta = parquet.Encodings.DeltaByteArray
	return c
}

func maybeTextColumn[R any](name string, of func(*R) maybe[string]) column[R] {
	return column[R]{
		field: arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true},
		append: func(b array.Builder, r *R) {
			if v := of(r); v.known {
				b.(*array.StringBuilder).Append(v.value)
			} else {
				b.AppendNull()
			}
		},
	}
}

func intColumn[R any](name string, of func(*R) int) column[R] {
	return column[R]{
		field:  arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64},
		append: func(b array.Builder, r *R) { b.(*array.Int64Builder).Append(int64(of(r))) },
	}
}

func maybeIntColumn[R any](name string, of func(*R) maybe[int]) column[R] {
	return column[R]{
		field: arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		append: func(b array.Builder, r *R) {
			if v := of(r); v.known {
				b.(*array.Int64Builder).Append(int64(v.value))
			} else {
				b.AppendNull()
			}
		},
	}
}

func maybeNumberColumn[R any](name string, of func(*R) maybe[float64]) column[R] {
	return column[R]{
		field: arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		append: func(b array.Builder, r *R) {
			if v := of(r); v.known {
				b.(*array.Float64Builder).Append(v.value)
			} else {
				b.AppendNull()
			}
		},
	}
}

func boolColumn[R any](name string, of func(*R) bool) column[R] {
	return column[R]{
		field:  arrow.Field{Name: name, Type: arrow.FixedWidthTypes.Boolean},
		append: func(b array.Builder, r *R) { b.(*array.BooleanBuilder).Append(of(r)) },
	}
}

func timeColumn[R any](name string, of func(*R) time.Time) column[R] {
	return column[R]{
		field: arrow.Field{Name: name, Type: micros},
		append: func(b array.Builder, r *R) {
			b.(*array.TimestampBuilder).Append(arrow.Timestamp(of(r).UnixMicro()))
		},
		delta: parquet.Encodings.DeltaBinaryPacked,
	}
}

// writeParquet writes the rows, in their order, to dir/name. Equal rows give equal
// bytes.
func writeParquet[R any](dir, name string, columns []column[R], rows []R) (err error) {
	fields := make([]arrow.Field, len(columns))
	props := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(19),
		parquet.WithCreatedBy("unskew flights example"),
		parquet.WithDataPageSize(1 << 20),
	}
	for i, c := range columns {
		fields[i] = c.field
		if c.delta != parquet.Encodings.Plain {
			props = append(props, parquet.WithDictionaryFor(c.field.Name, false), parquet.WithEncodingFor(c.field.Name, c.delta))
		}
	}
	schema := arrow.NewSchema(fields, nil)
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(props...), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { err = errors.Join(err, w.Close()) }() // closes f as well
	batch := recordBatch(schema, columns, rows)
	defer batch.Release()
	if err := w.Write(batch); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func recordBatch[R any](schema *arrow.Schema, columns []column[R], rows []R) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Reserve(len(rows))
	for i, c := range columns {
		for r := range rows {
			c.append(b.Field(i), &rows[r])
		}
	}
	return b.NewRecordBatch()
}
