package parquetfile

import (
	"slices"
	"unsafe"

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

// Array has values of a field.
type Array struct {
	Nulls    int
	IsNull   func(i int) bool
	Value    func(i int) parquet.Value // of a leaf, for values that are not null; their memory is only read
	Ints     []int64                   // all values, if they are such; so they are read faster
	Doubles  []float64
	Offsets  func(i int) (from, to int64) // of a list or map: where its elements are in Children
	Children []*Array                     // as those of the field
}

// Array adds the rows [from, to) of an array to a column of its type.
func (k *sink) Array(col int, a *Array, from, to int) error {
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
func (k *sink) flat(c *column, a *Array, from, to int) {
	if a.Nulls > 0 {
		for i := from; i < to; i++ {
			k.element(c, a, i, 0)
		}
		return
	}
	out := k.leaves[c.leaf].grow(to - from)
	switch {
	case a.Ints != nil:
		putInts(out, a.Ints[from:to])
	case a.Doubles != nil:
		putDoubles(out, a.Doubles[from:to])
	default:
		for i := range out {
			out[i] = a.Value(from + i)
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
func (k *sink) element(c *column, a *Array, i int, rep byte) {
	switch {
	case a.IsNull(i):
		k.null(c, rep, c.def-1)
	case c.leaf >= 0:
		k.put(c, a.Value(i), rep)
	case c.field.Nesting == Struct:
		for f, child := range c.children {
			k.element(child, a.Children[f], i, rep)
		}
	default:
		from, to := a.Offsets(i)
		k.list(c, int(from), int(to), rep, func(e int, rep byte) {
			for f, child := range c.children {
				k.element(child, a.Children[f], e, rep)
			}
		})
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

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Vector adds the rows [from, to) of a vector to a column of its type, as SchemaOf has it. Rows without a value are null.
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

// value adds a value of the type of the column, as SchemaOf has it.
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
		if s == "" && c.field.Optional {
			k.null(c, 0, c.def-1)
		} else {
			k.put(c, parquet.ByteArrayValue(bytesOf(s)), 0)
		}
	}
	return k.flushFull(c)
}
