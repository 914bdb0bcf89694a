//go:build duckdb_arrow

package relation

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// recordReader turns DuckDB's records into batches. Int64, double and microsecond lanes and
// string bytes share the record's memory; everything else is copied into lanes that the
// next record overwrites.
type recordReader struct {
	table   *queryTable
	columns []recordColumn
	batch   Batch
}

type recordColumn struct {
	decode    recordDecoder
	nulls     vector.Bitmap // scratch
	own       []int64       // buffer for converted values
	truncated bool
}

// recordDecoder fills v, whose Type, N and Null are set, from a. It may use own as its
// buffer.
type recordDecoder func(v *vector.Vector, a arrow.Array, own []int64, bad func(i int, text, reason string))

func newRecordReader(t *queryTable, fields []plan.Field, s *arrow.Schema) (*recordReader, error) {
	r := &recordReader{table: t, batch: Batch{Batch: &vector.Batch{Fields: fields}}}
	for i, f := range fields {
		decode, ok := recordDecoderOf(f.Type.Kind, s.Field(i).Type)
		if !ok {
			return nil, fmt.Errorf("%s: column %q is declared as %v but arrives as %v", t.rel.Owner, f.Name, f.Type, s.Field(i).Type)
		}
		r.columns = append(r.columns, recordColumn{decode: decode, truncated: t.truncated[f.Name] && f.Type.Kind == plan.Timestamp})
		r.batch.Cols = append(r.batch.Cols, &vector.Vector{Type: f.Type})
	}
	return r, nil
}

// read emits a record as a batch; first is the number of its first row.
func (r *recordReader) read(rec arrow.RecordBatch, first int64, emit func(*Batch) error) error {
	b := &r.batch
	b.N, b.First, b.Bad = int(rec.NumRows()), first, b.Bad[:0]
	b.where = func(i int) string {
		return fmt.Sprintf("%s: row %d of %s", r.table.rel.Owner, first+int64(i)+1, strings.TrimSuffix(r.table.rel.label(), ":"))
	}
	for c := range r.columns {
		r.column(c, rec.Column(c))
	}
	if b.sortBad(); len(b.Bad) > 0 && !r.table.rel.KeepBad {
		return b.badError()
	}
	return emit(b)
}

func (r *recordReader) column(c int, a arrow.Array) {
	col, v, n := &r.columns[c], r.batch.Cols[c], a.Len()
	v.N, v.Null, v.Err = n, nil, nil
	if a.NullN() > 0 {
		col.nulls = nullBitmap(col.nulls, a)
		v.Null = col.nulls
	}
	if cap(col.own) < n {
		col.own = make([]int64, n)
	}
	report := func(i int, text, reason string) {
		if v.IsNull(i) || v.IsErr(i) {
			return
		}
		v.SetErr(i)
		r.batch.Bad = append(r.batch.Bad, BadCell{Row: i, Column: c, Text: text, Reason: text + ": " + reason})
	}
	col.decode(v, a, col.own[:n], report)
	if col.truncated {
		for i, t := range v.Int {
			if t <= 0 {
				report(i, plan.EventTime(t).String(), "times before 1970 in nanoseconds cannot be read exactly from a server; copy the file here")
			}
		}
	}
}

func recordDecoderOf(k plan.Kind, t arrow.DataType) (recordDecoder, bool) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return decodeBool, k == plan.Bool
	case *arrow.Int64Type:
		return decodeInt64, k == plan.Int
	case *arrow.Uint64Type:
		return decodeUint64, k == plan.Int
	case *arrow.Decimal128Type:
		if k == plan.Double {
			return decodeDecimal(int(t.Scale)), true
		}
		return decodeWhole(int(t.Scale)), k == plan.Int
	case *arrow.Float64Type:
		if k == plan.Int {
			return decodeWholeDouble, true
		}
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

// nullBitmap inverts the validity bitmap of an array, reusing b if it is large enough.
func nullBitmap(b vector.Bitmap, a arrow.Array) vector.Bitmap {
	n := a.Len()
	if cap(b) < vector.Words(n) {
		b = vector.NewBitmap(n)
	}
	b = b[:vector.Words(n)]
	copyBits(b, a.NullBitmapBytes(), a.Data().Offset(), n)
	for i := range b {
		b[i] = ^b[i]
	}
	trim(b, n)
	return b
}

// copyBits copies n bits of src, starting at bit offset, into b.
func copyBits(b vector.Bitmap, src []byte, offset, n int) {
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

func decodeBool(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
	n := a.Len()
	if cap(v.Bits) < vector.Words(n) {
		v.Bits = vector.NewBitmap(n)
	}
	v.Bits = v.Bits[:vector.Words(n)]
	copyBits(v.Bits, a.Data().Buffers()[1].Bytes(), a.Data().Offset(), n)
	trim(v.Bits, n)
}

func decodeInt64(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
	v.Int = a.(*array.Int64).Int64Values()
}

func decodeFloat64(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
	v.Double = a.(*array.Float64).Float64Values()
}

func decodeUint64(v *vector.Vector, a arrow.Array, own []int64, bad func(int, string, string)) {
	v.Int = own
	for i, u := range a.(*array.Uint64).Uint64Values() {
		if u > math.MaxInt64 {
			bad(i, strconv.FormatUint(u, 10), notInt64)
		}
		own[i] = int64(u)
	}
}

func decodeWholeDouble(v *vector.Vector, a arrow.Array, own []int64, bad func(int, string, string)) {
	v.Int = own
	for i, x := range a.(*array.Float64).Float64Values() {
		var problem string
		if own[i], problem = wholeDouble(x, wholeDoubles); problem != "" {
			bad(i, strconv.FormatFloat(x, 'g', -1, 64), problem)
		}
	}
}

// unscaled returns the unscaled value of a decimal: the second result if it is not nil,
// otherwise the first.
func unscaled(x decimal128.Num) (int64, *big.Int) {
	if low := int64(x.LowBits()); x.HighBits() == low>>63 {
		return low, nil
	}
	return 0, x.BigInt()
}

func decodeWhole(scale int) recordDecoder {
	unit := unitOf(scale)
	return func(v *vector.Vector, a arrow.Array, own []int64, bad func(int, string, string)) {
		v.Int = own
		for i, d := range a.(*array.Decimal128).Values() {
			small, large := unscaled(d)
			x, problem := wholeDecimal(small, large, scale, unit)
			if problem != "" {
				bad(i, decimalText(small, large, scale), problem)
			}
			own[i] = x
		}
	}
}

func decodeDecimal(scale int) recordDecoder {
	return func(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
		v.Double = resize(v.Double, a.Len())
		for i, d := range a.(*array.Decimal128).Values() {
			small, large := unscaled(d)
			v.Double[i], _ = nearestDouble(small, large, scale) // 38 digits cannot overflow a double
		}
	}
}

// resize returns s with length n, reallocated if it is too small.
func resize[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n)
	}
	return s[:n]
}

func decodeDate(v *vector.Vector, a arrow.Array, own []int64, _ func(int, string, string)) {
	v.Int = own
	for i, day := range a.(*array.Date32).Date32Values() {
		own[i] = coarser(int64(day), microsPerDay)
	}
}

var timestampDecoders = map[arrow.TimeUnit]recordDecoder{
	arrow.Second:      decodeCoarse(1_000_000),
	arrow.Millisecond: decodeCoarse(1_000),
	arrow.Microsecond: func(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) { v.Int = timestamps(a) },
	arrow.Nanosecond: func(v *vector.Vector, a arrow.Array, own []int64, _ func(int, string, string)) {
		v.Int = own
		for i, t := range timestamps(a) {
			own[i] = finer(t, 1000)
		}
	},
}

func timestamps(a arrow.Array) []int64 {
	t := a.(*array.Timestamp).TimestampValues()
	return unsafe.Slice((*int64)(unsafe.SliceData(t)), len(t))
}

func decodeCoarse(micros int64) recordDecoder {
	return func(v *vector.Vector, a arrow.Array, own []int64, _ func(int, string, string)) {
		v.Int = own
		for i, t := range timestamps(a) {
			own[i] = coarser(t, micros)
		}
	}
}

func decodeInterval(v *vector.Vector, a arrow.Array, own []int64, bad func(int, string, string)) {
	v.Int = own
	for i, d := range a.(*array.MonthDayNanoInterval).MonthDayNanoIntervalValues() {
		days := int64(d.Days) * int64(24*time.Hour)
		sum := days + d.Nanoseconds
		text := fmt.Sprintf("%d months %d days %v", d.Months, d.Days, time.Duration(d.Nanoseconds))
		switch {
		case d.Months != 0:
			bad(i, text, monthsInInterval)
		case d.Days > 106_751 || d.Days < -106_751 || (sum > days) != (d.Nanoseconds > 0):
			bad(i, text, longInterval)
		}
		own[i] = sum
	}
}

func decodeString(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
	s := a.(*array.String)
	v.Str = resize(v.Str, s.Len())
	for i := range v.Str {
		v.Str[i] = s.Value(i)
	}
}

func decodeBinary(v *vector.Vector, a arrow.Array, _ []int64, _ func(int, string, string)) {
	s := a.(*array.Binary)
	v.Str = resize(v.Str, s.Len())
	for i := range v.Str {
		v.Str[i] = s.ValueString(i)
	}
}
