//go:build duckdb_arrow

package duckdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// valueError is a value that the declared type cannot hold.
type valueError struct {
	row    int // in the batch
	column string
	reason error
}

func (e *valueError) Error() string {
	return fmt.Sprintf("row %d, column %q: %v", e.row, e.column, e.reason)
}

// decoder turns Arrow records into batches. Int64, double and microsecond lanes and
// the bytes of strings are those of the record; everything else is copied into lanes
// that the next decode overwrites.
type decoder struct {
	batch   vector.Batch
	columns []columnDecoder
	nulls   []vector.Bitmap // scratch, one a column
}

// columnDecoder fills v, whose Type, N and Null are set, from a.
type columnDecoder func(v *vector.Vector, a arrow.Array) *valueError

func newDecoder(fields []plan.Field, s *arrow.Schema) (*decoder, error) {
	d := &decoder{nulls: make([]vector.Bitmap, len(fields))}
	d.batch.Fields = fields
	for i, f := range fields {
		dec, ok := decoderOf(f.Type.Kind, s.Field(i).Type)
		if !ok {
			return nil, fmt.Errorf("column %q is declared as %v but arrives as %v", f.Name, f.Type, s.Field(i).Type)
		}
		d.columns = append(d.columns, dec)
		d.batch.Cols = append(d.batch.Cols, &vector.Vector{Type: f.Type})
	}
	return d, nil
}

func (d *decoder) decode(rec arrow.RecordBatch) (*vector.Batch, error) {
	n := int(rec.NumRows())
	d.batch.N = n
	for i, v := range d.batch.Cols {
		a := rec.Column(i)
		v.N = n
		d.nulls[i] = nullBitmap(d.nulls[i], a)
		v.Null = nil
		if a.NullN() > 0 {
			v.Null = d.nulls[i]
		}
		if err := d.columns[i](v, a); err != nil {
			err.column = d.batch.Fields[i].Name
			return nil, err
		}
	}
	return &d.batch, nil
}

func decoderOf(k plan.Kind, t arrow.DataType) (columnDecoder, bool) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return decodeBool, k == plan.Bool
	case *arrow.Int64Type:
		return decodeInt64, k == plan.Int
	case *arrow.Uint64Type:
		return decodeUint64, k == plan.Int
	case *arrow.Decimal128Type:
		return decodeHugeInt, k == plan.Int
	case *arrow.Float64Type:
		return decodeFloat64, k == plan.Double
	case *arrow.StringType:
		return decodeString, k == plan.String
	case *arrow.BinaryType:
		return decodeBinary, k == plan.Bytes
	case *arrow.Date32Type:
		return decodeDate, k == plan.Timestamp
	case *arrow.TimestampType:
		return timestampDecoders[t.Unit], k == plan.Timestamp
	case *arrow.MonthDayNanoIntervalType:
		return decodeInterval, k == plan.Duration
	}
	return nil, false
}

// nullBitmap inverts a's validity into b; of an array without nulls it leaves b alone.
func nullBitmap(b vector.Bitmap, a arrow.Array) vector.Bitmap {
	if a.NullN() == 0 {
		return b
	}
	n := a.Len()
	if cap(b) < vector.Words(n) {
		b = vector.NewBitmap(n)
	}
	b = b[:vector.Words(n)]
	words(b, a.NullBitmapBytes(), a.Data().Offset(), n)
	for i := range b {
		b[i] = ^b[i]
	}
	trim(b, n)
	return b
}

// words copies n bits of src from the given bit on into b.
func words(b vector.Bitmap, src []byte, offset, n int) {
	if offset%8 != 0 {
		for i := range n {
			b.Put(i, src[(offset+i)/8]>>((offset+i)%8)&1 != 0)
		}
		return
	}
	src = src[offset/8:]
	for i := range b {
		if len(src) >= 8 {
			b[i] = binary.LittleEndian.Uint64(src)
			src = src[8:]
			continue
		}
		var last [8]byte
		copy(last[:], src)
		b[i], src = binary.LittleEndian.Uint64(last[:]), nil
	}
}

// trim clears the bits at and beyond n.
func trim(b vector.Bitmap, n int) {
	if r := uint(n) & 63; r != 0 {
		b[len(b)-1] &= 1<<r - 1
	}
}

func decodeBool(v *vector.Vector, a arrow.Array) *valueError {
	n := a.Len()
	if cap(v.Bits) < vector.Words(n) {
		v.Bits = vector.NewBitmap(n)
	}
	v.Bits = v.Bits[:vector.Words(n)]
	words(v.Bits, a.Data().Buffers()[1].Bytes(), a.Data().Offset(), n)
	trim(v.Bits, n)
	return nil
}

func decodeInt64(v *vector.Vector, a arrow.Array) *valueError {
	v.Int = a.(*array.Int64).Int64Values()
	return nil
}

func decodeFloat64(v *vector.Vector, a arrow.Array) *valueError {
	v.Double = a.(*array.Float64).Float64Values()
	return nil
}

// ints makes room for n values in v's own lane.
func ints(v *vector.Vector, n int) []int64 {
	if cap(v.Int) < n {
		v.Int = make([]int64, n)
	}
	v.Int = v.Int[:n]
	return v.Int
}

var errNotInt64 = errors.New("the value does not fit in an int, which is a signed 64-bit integer; let sql: cast it to a string or a double")

func decodeUint64(v *vector.Vector, a arrow.Array) *valueError {
	out := ints(v, a.Len())
	for i, u := range a.(*array.Uint64).Uint64Values() {
		if u > math.MaxInt64 && v.Valid(i) {
			return &valueError{row: i, reason: errNotInt64}
		}
		out[i] = int64(u)
	}
	return nil
}

func decodeHugeInt(v *vector.Vector, a arrow.Array) *valueError {
	d := a.(*array.Decimal128)
	if d.DataType().(*arrow.Decimal128Type).Scale != 0 {
		return &valueError{reason: errors.New("a decimal with digits after the point is not an int")}
	}
	out := ints(v, a.Len())
	for i := range out {
		x := d.Value(i)
		low := int64(x.LowBits())
		if x.HighBits() != low>>63 && v.Valid(i) {
			return &valueError{row: i, reason: errNotInt64}
		}
		out[i] = low
	}
	return nil
}

const microsPerDay = 86_400_000_000

func decodeDate(v *vector.Vector, a arrow.Array) *valueError {
	out := ints(v, a.Len())
	for i, day := range a.(*array.Date32).Date32Values() {
		out[i] = scale(int64(day), microsPerDay)
	}
	return nil
}

var timestampDecoders = map[arrow.TimeUnit]columnDecoder{
	arrow.Second:      func(v *vector.Vector, a arrow.Array) *valueError { return decodeCoarse(v, a, 1_000_000) },
	arrow.Millisecond: func(v *vector.Vector, a arrow.Array) *valueError { return decodeCoarse(v, a, 1_000) },
	arrow.Microsecond: decodeMicros,
	arrow.Nanosecond:  decodeNanos,
}

func timestamps(a arrow.Array) []int64 {
	t := a.(*array.Timestamp).TimestampValues()
	return unsafe.Slice((*int64)(unsafe.SliceData(t)), len(t))
}

func decodeMicros(v *vector.Vector, a arrow.Array) *valueError {
	v.Int = timestamps(a)
	return nil
}

func decodeCoarse(v *vector.Vector, a arrow.Array, micros int64) *valueError {
	out := ints(v, a.Len())
	for i, t := range timestamps(a) {
		out[i] = scale(t, micros)
	}
	return nil
}

// decodeNanos floors: 1 ns before the epoch is -1 µs, not 0.
func decodeNanos(v *vector.Vector, a arrow.Array) *valueError {
	out := ints(v, a.Len())
	for i, t := range timestamps(a) {
		switch t {
		case math.MaxInt64: // DuckDB's infinity
			out[i] = int64(plan.Never)
		case -math.MaxInt64:
			out[i] = int64(plan.Always)
		default:
			out[i] = plan.FloorDiv(t, 1000)
		}
	}
	return nil
}

// scale multiplies; what overflows, as DuckDB's infinities do, becomes Never or Always.
func scale(t, by int64) int64 {
	switch {
	case t > math.MaxInt64/by:
		return int64(plan.Never)
	case t < math.MinInt64/by:
		return int64(plan.Always)
	}
	return t * by
}

func decodeInterval(v *vector.Vector, a arrow.Array) *valueError {
	out := ints(v, a.Len())
	for i, d := range a.(*array.MonthDayNanoInterval).MonthDayNanoIntervalValues() {
		if !v.Valid(i) {
			continue
		}
		if d.Months != 0 {
			return &valueError{row: i, reason: errors.New("an interval with months has no fixed length, so it is not a duration")}
		}
		days := int64(d.Days) * int64(24*time.Hour)
		sum := days + d.Nanoseconds
		if d.Days > 106_751 || d.Days < -106_751 || (sum > days) != (d.Nanoseconds > 0) {
			return &valueError{row: i, reason: errors.New("the interval does not fit in a duration, which is at most 106751 days")}
		}
		out[i] = sum
	}
	return nil
}

// strs makes room for n headers.
func strs(v *vector.Vector, n int) []string {
	if cap(v.Str) < n {
		v.Str = make([]string, n)
	}
	v.Str = v.Str[:n]
	return v.Str
}

func decodeString(v *vector.Vector, a arrow.Array) *valueError {
	s := a.(*array.String)
	out := strs(v, s.Len())
	for i := range out {
		out[i] = s.Value(i)
	}
	return nil
}

func decodeBinary(v *vector.Vector, a arrow.Array) *valueError {
	s := a.(*array.Binary)
	out := strs(v, s.Len())
	for i := range out {
		out[i] = s.ValueString(i)
	}
	return nil
}
