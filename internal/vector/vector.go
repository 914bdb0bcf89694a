// Package vector holds batches of rows as typed columns with null and error
// bitmaps: the only form in which values travel through the kernel.
package vector

import (
	"fmt"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Vector is one column of N values of Type. Exactly one lane slice is in use:
//
//	Bool                              Bits
//	Int, Uint (as its bits),
//	Timestamp (µs), Duration (ns)     Int
//	Double                            Double
//	String, Bytes                     Str
//	List, Map and everything else     Any
//
// An optional(T) uses T's lane, with Null meaning none. A row whose Null or Err
// bit is set has no value; its lane holds garbage. A nil Null or Err bitmap has
// no row set. The maker of a vector owns its memory; lanes may alias Arrow
// buffers, so a consumer that keeps strings clones them.
type Vector struct {
	Type   plan.Type
	N      int
	Bits   Bitmap
	Int    []int64
	Double []float64
	Str    []string
	Any    []plan.Value
	Null   Bitmap
	Err    Bitmap
	UTF8   bool // of strings: all of them, as far as rows have values, are known to be UTF-8

	null, err Bitmap // memory of SetNull and SetErr
}

// Lane is the kind whose lane a vector of type t uses.
func Lane(t plan.Type) plan.Kind {
	switch k := t.Unwrap().Kind; k {
	case plan.Bool, plan.Double:
		return k
	case plan.Int, plan.Uint, plan.Timestamp, plan.Duration:
		return plan.Int
	case plan.String, plan.Bytes:
		return plan.String
	}
	return plan.Dyn
}

// New makes a vector of n zero values, none of them null.
func New(t plan.Type, n int) *Vector {
	v := &Vector{Type: t}
	v.Resize(n)
	return v
}

// Resize sets the length to n, keeping lane memory where it suffices. Values
// are unspecified afterwards; Null, Err and UTF8 are reset, and the memory of bitmaps is reused.
func (v *Vector) Resize(n int) {
	v.N, v.Null, v.Err, v.UTF8 = n, nil, nil, false
	switch Lane(v.Type) {
	case plan.Bool:
		v.Bits = grow(v.Bits, Words(n))
		v.Bits.Zero()
	case plan.Int:
		v.Int = grow(v.Int, n)
	case plan.Double:
		v.Double = grow(v.Double, n)
	case plan.String:
		v.Str = grow(v.Str, n)
	default:
		v.Any = grow(v.Any, n)
	}
}

func grow[S ~[]E, E any](s S, n int) S {
	if cap(s) < n {
		return make(S, n)
	}
	return s[:n]
}

// IsNull reports whether row i is null (for an optional: none).
func (v *Vector) IsNull(i int) bool { return v.Null.Get(i) }

// IsErr reports whether row i failed.
func (v *Vector) IsErr(i int) bool { return v.Err.Get(i) }

// Valid reports whether row i has a value.
func (v *Vector) Valid(i int) bool { return !v.Null.Get(i) && !v.Err.Get(i) }

// SetNull marks row i null.
func (v *Vector) SetNull(i int) {
	if v.Null == nil {
		v.null = zeroed(v.null, v.N)
		v.Null = v.null
	}
	v.Null.Set(i)
}

// SetErr marks row i failed.
func (v *Vector) SetErr(i int) {
	if v.Err == nil {
		v.err = zeroed(v.err, v.N)
		v.Err = v.err
	}
	v.Err.Set(i)
}

// zeroed returns n clear bits, in the memory of b if that is large enough.
func zeroed(b Bitmap, n int) Bitmap {
	b = grow(b, Words(n))
	b.Zero()
	return b
}

// Value boxes row i: null for null and failed rows, and for an optional its
// content or null. Control paths and tests only.
func (v *Vector) Value(i int) plan.Value {
	if !v.Valid(i) {
		return plan.NullValue()
	}
	switch k := v.Type.Unwrap().Kind; k {
	case plan.Bool:
		return plan.BoolValue(v.Bits.Get(i))
	case plan.Int:
		return plan.IntValue(v.Int[i])
	case plan.Uint:
		return plan.UintValue(uint64(v.Int[i]))
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(v.Int[i]))
	case plan.Duration:
		return plan.DurationValue(time.Duration(v.Int[i]))
	case plan.Double:
		return plan.DoubleValue(v.Double[i])
	case plan.String:
		return plan.StringValue(v.Str[i])
	case plan.Bytes:
		return plan.BytesValue([]byte(v.Str[i]))
	}
	return v.Any[i]
}

// Set stores x in row i: null marks the row null. It panics on a value of
// another type.
func (v *Vector) Set(i int, x plan.Value) {
	if x.IsNull() {
		v.SetNull(i)
		return
	}
	t := v.Type.Unwrap()
	if !x.HasType(t) {
		panic(fmt.Sprintf("vector: storing %v in a vector of %v", x, t))
	}
	switch Lane(v.Type) {
	case plan.Bool:
		v.Bits.Put(i, x.Bool())
	case plan.Int:
		v.Int[i] = x.Int()
	case plan.Double:
		v.Double[i] = x.Double()
	case plan.String:
		v.Str[i] = x.Str()
	default:
		v.Any[i] = x
	}
}

// Of makes a vector of the given values.
func Of(t plan.Type, values ...plan.Value) *Vector {
	v := New(t, len(values))
	for i, x := range values {
		v.Set(i, x)
	}
	return v
}

// Batch is a number of rows as named columns.
type Batch struct {
	N      int
	Fields []plan.Field
	Cols   []*Vector
}

// NewBatch makes a batch of n rows with a zeroed column for each field.
func NewBatch(fields []plan.Field, n int) *Batch {
	b := &Batch{N: n, Fields: fields, Cols: make([]*Vector, len(fields))}
	for i, f := range fields {
		b.Cols[i] = New(f.Type, n)
	}
	return b
}

// Col finds a column by name, or nil.
func (b *Batch) Col(name string) *Vector {
	for i, f := range b.Fields {
		if f.Name == name {
			return b.Cols[i]
		}
	}
	return nil
}
