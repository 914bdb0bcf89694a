package parquetfile

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/parquet-go/parquet-go"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// A value of a nested column has two levels: the definition level (def) counts the optional
// and repeated fields above it that are present; the repetition level (rep) says which
// repeated field starts a new element.

// sink receives the values of the leaves.
type sink struct {
	schema *Schema
	leaves []leafBuffer
}

// leafBuffer collects values and flushes them in batches.
type leafBuffer struct {
	values []parquet.Value
	flush  func([]parquet.Value) error
}

// leafValues is the number of values per flush, small enough for the CPU cache.
const leafValues = 1024

func newSink(s *Schema, flush func(leaf int) func([]parquet.Value) error) *sink {
	k := &sink{schema: s, leaves: make([]leafBuffer, len(s.leaves))}
	for i := range k.leaves {
		k.leaves[i].flush = flush(i)
	}
	return k
}

// flushAll flushes all buffers.
func (k *sink) flushAll() error {
	for i := range k.leaves {
		if err := k.leaves[i].flushValues(); err != nil {
			return err
		}
	}
	return nil
}

func (l *leafBuffer) flushValues() error {
	if len(l.values) == 0 {
		return nil
	}
	err := l.flush(l.values)
	l.values = l.values[:0]
	return err
}

// flushFull flushes full buffers. It is called only between rows.
func (k *sink) flushFull(c *column) error {
	if c.leaf >= 0 {
		if l := &k.leaves[c.leaf]; len(l.values) >= leafValues {
			return l.flushValues()
		}
		return nil
	}
	for _, child := range c.children {
		if err := k.flushFull(child); err != nil {
			return err
		}
	}
	return nil
}

// null adds a null with the given levels.
func (k *sink) null(c *column, rep, def byte) {
	if c.leaf >= 0 {
		l := &k.leaves[c.leaf]
		l.values = append(l.values, parquet.NullValue().Level(int(rep), int(def), c.leaf))
		return
	}
	for _, child := range c.children {
		k.null(child, rep, def)
	}
}

func (k *sink) put(c *column, v parquet.Value, rep byte) {
	l := &k.leaves[c.leaf]
	l.values = append(l.values, v.Level(int(rep), int(c.def), c.leaf))
}

// Array adds the rows [from, to) of an array to a column of its type.
func (k *sink) Array(col int, a arrow.Array, from, to int) error {
	c := k.schema.columns[col]
	step := 1
	if c.leaf >= 0 {
		step = leafValues
	}
	for from < to {
		n := min(to-from, step)
		if c.leaf >= 0 {
			k.flat(c, a, from, from+n)
		} else {
			k.element(c, a, from, 0)
		}
		if err := k.flushFull(c); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// flat adds the rows [from, to) of an array that is not nested.
func (k *sink) flat(c *column, a arrow.Array, from, to int) {
	if a.NullN() > 0 {
		for i := from; i < to; i++ {
			k.element(c, a, i, 0)
		}
		return
	}
	out := k.leaves[c.leaf].grow(to - from)
	switch a := a.(type) { // the common types, without a type switch for each row
	case *array.Int64:
		putInts(out, a.Int64Values()[from:to])
	case *array.Float64:
		putDoubles(out, a.Float64Values()[from:to])
	case *array.String:
		for i := range out {
			out[i] = parquet.ByteArrayValue(bytesOf(a.Value(from + i)))
		}
	default:
		for i := range out {
			out[i] = leafValue(a, from+i)
		}
	}
	c.present(out)
}

// grow appends n values and returns them for the caller to fill.
func (l *leafBuffer) grow(n int) []parquet.Value {
	at := len(l.values)
	l.values = slices.Grow(l.values, n)[:at+n]
	return l.values[at:]
}

// present sets the level of present values of a column that is not nested.
func (c *column) present(values []parquet.Value) {
	for i := range values {
		values[i].SetDefinitionLevel(int(c.def))
	}
}

func putInts(out []parquet.Value, xs []int64) {
	for i, x := range xs {
		out[i] = parquet.Int64Value(x)
	}
}

func putDoubles(out []parquet.Value, xs []float64) {
	for i, x := range xs {
		out[i] = parquet.DoubleValue(x)
	}
}

// element adds element i of an array.
func (k *sink) element(c *column, a arrow.Array, i int, rep byte) {
	if a.IsNull(i) {
		k.null(c, rep, c.def-1)
		return
	}
	switch a := a.(type) {
	case *array.Struct:
		for f, child := range c.children {
			k.element(child, a.Field(f), i, rep)
		}
	case *array.Map:
		from, to := a.ValueOffsets(i)
		k.list(c, int(from), int(to), rep, func(e int, rep byte) {
			k.element(c.children[0], a.Keys(), e, rep)
			k.element(c.children[1], a.Items(), e, rep)
		})
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		k.list(c, int(from), int(to), rep, func(e int, rep byte) { k.element(c.children[0], a.ListValues(), e, rep) })
	default:
		k.put(c, leafValue(a, i), rep)
	}
}

// list adds the elements [from, to) of a list.
func (k *sink) list(c *column, from, to int, rep byte, element func(e int, rep byte)) {
	if from == to {
		k.null(c, rep, c.def)
		return
	}
	for e := from; e < to; e++ {
		element(e, rep)
		rep = c.rep + 1
	}
}

// leafValue returns a value of an array of a type that leafNode supports.
func leafValue(a arrow.Array, i int) parquet.Value {
	switch a := a.(type) {
	case *array.Int64:
		return parquet.Int64Value(a.Value(i))
	case *array.Float64:
		return parquet.DoubleValue(a.Value(i))
	case *array.String:
		return parquet.ByteArrayValue(bytesOf(a.Value(i)))
	case *array.Duration:
		return parquet.Int64Value(int64(a.Value(i)))
	case *array.Timestamp:
		return timestampValue(a, i)
	case *array.Boolean:
		return parquet.BooleanValue(a.Value(i))
	case *array.Int32:
		return parquet.Int32Value(a.Value(i))
	case *array.Int16:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Int8:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Uint64:
		return parquet.Int64Value(int64(a.Value(i)))
	case *array.Uint32:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Uint16:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Uint8:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Float32:
		return parquet.FloatValue(a.Value(i))
	case *array.LargeString:
		return parquet.ByteArrayValue(bytesOf(a.Value(i)))
	case *array.Binary:
		return parquet.ByteArrayValue(a.Value(i))
	case *array.LargeBinary:
		return parquet.ByteArrayValue(a.Value(i))
	case *array.FixedSizeBinary:
		return parquet.FixedLenByteArrayValue(a.Value(i))
	case *array.Date32:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Time32:
		if a.DataType().(*arrow.Time32Type).Unit == arrow.Second {
			return parquet.Int32Value(int32(a.Value(i)) * 1000)
		}
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Time64:
		return parquet.Int64Value(int64(a.Value(i)))
	case *array.Decimal128:
		return decimalValue(a.Value(i), int(a.DataType().(*arrow.Decimal128Type).Precision))
	}
	panic(fmt.Sprintf("parquetfile: no value of %T", a))
}

func timestampValue(a *array.Timestamp, i int) parquet.Value {
	if a.DataType().(*arrow.TimestampType).Unit == arrow.Second {
		return parquet.Int64Value(int64(a.Value(i)) * 1000)
	}
	return parquet.Int64Value(int64(a.Value(i)))
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

// Vector adds the rows [from, to) of a vector to a column whose type is the ArrowType of
// the vector's type. Rows without a value are null.
func (k *sink) Vector(col int, v *vector.Vector, from, to int) error {
	c := k.schema.columns[col]
	for from < to {
		n := min(to-from, leafValues)
		k.vector(c, v, from, from+n)
		if err := k.flushFull(c); err != nil {
			return err
		}
		from += n
	}
	return nil
}

func (k *sink) vector(c *column, v *vector.Vector, from, to int) {
	lane := vector.Lane(v.Type)
	if lane == plan.Dyn {
		for i := from; i < to; i++ {
			x := plan.NullValue()
			if v.Valid(i) {
				x = v.Any[i]
			}
			k.value(c, x, 0)
		}
		return
	}
	out := k.leaves[c.leaf].grow(to - from)
	switch lane {
	case plan.Int:
		putInts(out, v.Int[from:to])
	case plan.Double:
		putDoubles(out, v.Double[from:to])
	case plan.String:
		for i := range out {
			out[i] = parquet.ByteArrayValue(bytesOf(v.Str[from+i]))
		}
	default:
		for i := range out {
			out[i] = parquet.BooleanValue(v.Bits.Get(from + i))
		}
	}
	c.present(out)
	if v.Null == nil && v.Err == nil {
		return
	}
	for i := range out {
		if !v.Valid(from + i) {
			out[i] = parquet.NullValue().Level(0, int(c.def)-1, c.leaf)
		}
	}
}

// value adds a value of the type from which ArrowType made the column.
func (k *sink) value(c *column, v plan.Value, rep byte) {
	if v.IsNull() {
		k.null(c, rep, c.def-1)
		return
	}
	list := v.List
	switch v.Kind() {
	case plan.Map:
		k.list(c, 0, len(list())/2, rep, func(e int, rep byte) {
			k.value(c.children[0], list()[2*e], rep)
			k.value(c.children[1], list()[2*e+1], rep)
		})
	case plan.List:
		k.list(c, 0, len(list()), rep, func(e int, rep byte) { k.value(c.children[0], list()[e], rep) })
	case plan.Bool:
		k.put(c, parquet.BooleanValue(v.Bool()), rep)
	case plan.Double:
		k.put(c, parquet.DoubleValue(v.Double()), rep)
	case plan.String, plan.Bytes:
		k.put(c, parquet.ByteArrayValue(bytesOf(v.Str())), rep)
	case plan.Uint:
		k.put(c, parquet.Int64Value(int64(v.Uint())), rep)
	case plan.Timestamp:
		k.put(c, parquet.Int64Value(int64(v.Time())), rep)
	case plan.Duration:
		k.put(c, parquet.Int64Value(int64(v.Duration())), rep)
	default:
		k.put(c, parquet.Int64Value(v.Int()), rep)
	}
}

// Texts adds strings to a string column; "" becomes null if the column is nullable.
func (k *sink) Texts(col int, texts []string) error {
	c := k.schema.columns[col]
	for _, s := range texts {
		if s == "" && c.field.Nullable {
			k.null(c, 0, c.def-1)
		} else {
			k.put(c, parquet.ByteArrayValue(bytesOf(s)), 0)
		}
	}
	return k.flushFull(c)
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
