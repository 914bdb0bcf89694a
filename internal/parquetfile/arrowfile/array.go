package arrowfile

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/parquet-go/parquet-go"

	"github.com/unskew/unskew/internal/parquetfile"
)

// Array returns the values of an array of a type that a schema of NewSchema has. It uses the array's memory.
func Array(a arrow.Array) *parquetfile.Array {
	out := &parquetfile.Array{Nulls: a.NullN(), IsNull: a.IsNull}
	switch a := a.(type) {
	case *array.Int64:
		out.Ints = a.Int64Values()
	case *array.Float64:
		out.Doubles = a.Float64Values()
	case *array.Struct:
		for f := range a.NumField() {
			out.Children = append(out.Children, Array(a.Field(f)))
		}
		return out
	case *array.Map:
		out.Offsets, out.Children = a.ValueOffsets, []*parquetfile.Array{Array(a.Keys()), Array(a.Items())}
		return out
	case array.ListLike:
		out.Offsets, out.Children = a.ValueOffsets, []*parquetfile.Array{Array(a.ListValues())}
		return out
	}
	out.Value = valuesIn(a)
	return out
}

// valuesIn returns the function that reads the values of an array of a type that leafNode supports.
func valuesIn(a arrow.Array) func(i int) parquet.Value {
	switch a := a.(type) {
	case *array.Int64:
		return func(i int) parquet.Value { return parquet.Int64Value(a.Value(i)) }
	case *array.Float64:
		return func(i int) parquet.Value { return parquet.DoubleValue(a.Value(i)) }
	case *array.String:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(bytesOf(a.Value(i))) }
	case *array.LargeString:
		return func(i int) parquet.Value { return parquet.ByteArrayValue(bytesOf(a.Value(i))) }
	case *array.Timestamp:
		times := timesIn(a.DataType().(*arrow.TimestampType).Unit)
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i)) * times) }
	case *array.Boolean:
		return func(i int) parquet.Value { return parquet.BooleanValue(a.Value(i)) }
	case arrow.TypedArray[[]byte]:
		if a.DataType().ID() == arrow.FIXED_SIZE_BINARY {
			return func(i int) parquet.Value { return parquet.FixedLenByteArrayValue(a.Value(i)) }
		}
		return func(i int) parquet.Value { return parquet.ByteArrayValue(a.Value(i)) }
	case *array.Float32:
		return func(i int) parquet.Value { return parquet.FloatValue(a.Value(i)) }
	case *array.Uint64:
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i))) }
	case *array.Duration:
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i))) }
	case *array.Time64:
		return func(i int) parquet.Value { return parquet.Int64Value(int64(a.Value(i))) }
	case *array.Time32:
		times := int32(timesIn(a.DataType().(*arrow.Time32Type).Unit))
		return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i)) * times) }
	case *array.Decimal128:
		precision := int(a.DataType().(*arrow.Decimal128Type).Precision)
		return func(i int) parquet.Value { return decimalValue(a.Value(i), precision) }
	}
	return smallIn(a)
}

// smallIn is valuesIn for integers of 32 bits and fewer, which Parquet has as 32 bits.
func smallIn(a arrow.Array) func(i int) parquet.Value {
	switch a := a.(type) {
	case *array.Int32:
		return int32s(a)
	case *array.Int16:
		return int32s(a)
	case *array.Int8:
		return int32s(a)
	case *array.Uint32:
		return int32s(a)
	case *array.Uint16:
		return int32s(a)
	case *array.Uint8:
		return int32s(a)
	case *array.Date32:
		return int32s(a)
	}
	panic(fmt.Sprintf("arrowfile: no value of %T", a))
}

func int32s[T int32 | int16 | int8 | uint32 | uint16 | uint8 | arrow.Date32](a arrow.TypedArray[T]) func(i int) parquet.Value {
	return func(i int) parquet.Value { return parquet.Int32Value(int32(a.Value(i))) }
}

// timesIn is by how much times are multiplied: Parquet has no seconds.
func timesIn(u arrow.TimeUnit) int64 {
	if u == arrow.Second {
		return 1000
	}
	return 1
}

func decimalValue(d decimal128.Num, precision int) parquet.Value {
	switch {
	case precision <= digits32:
		return parquet.Int32Value(int32(d.LowBits()))
	case precision <= digits64:
		return parquet.Int64Value(int64(d.LowBits()))
	}
	raw := make([]byte, 0, 16)
	raw = binary.BigEndian.AppendUint64(raw, uint64(d.HighBits()))
	return parquet.FixedLenByteArrayValue(binary.BigEndian.AppendUint64(raw, d.LowBits()))
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
