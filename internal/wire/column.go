// Package wire converts between the columns of the wire contract
// (proto/unskew/v1) and the vectors the kernel computes on.
//
// Conversions are exact: integers keep their 64 bits, doubles theirs (every NaN
// becomes plan.CanonicalNaN), and no value changes its type.
package wire

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Column copies v into a wire column. Rows that are null or failed become nulls with zero
// values, whatever the lane contains. It fails for types that have no wire encoding (type,
// dyn).
func Column(name string, v *vector.Vector) (*unskewv1.Column, error) {
	c := &unskewv1.Column{Name: name, Nulls: invalid(v)}
	switch kind := v.Type.Unwrap().Kind; kind {
	case plan.Bool:
		c.Values = &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: bools(v, c.Nulls)}}
	case plan.Int:
		c.Values = &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: lane(v.Int[:v.N], c.Nulls)}}
	case plan.Uint:
		c.Values = &unskewv1.Column_Uints{Uints: &unskewv1.Uints{Values: uints(v, c.Nulls)}}
	case plan.Double:
		c.Values = &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: lane(v.Double[:v.N], c.Nulls)}}
	case plan.String:
		c.Values = &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: lane(v.Str[:v.N], c.Nulls)}}
	case plan.Bytes:
		c.Values = &unskewv1.Column_Bytes{Bytes: &unskewv1.BytesValues{Values: byteStrings(v)}}
	case plan.Timestamp:
		c.Values = &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: lane(v.Int[:v.N], c.Nulls)}}
	case plan.Duration:
		c.Values = &unskewv1.Column_Durations{Durations: &unskewv1.Durations{Nanos: lane(v.Int[:v.N], c.Nulls)}}
	case plan.List, plan.Map:
		nested, err := nestedValues(v)
		if err != nil {
			return nil, columnError(name, err)
		}
		c.Values = &unskewv1.Column_Nested{Nested: &unskewv1.Nested{Values: nested}}
	default:
		return nil, noForm(name, v.Type)
	}
	return c, nil
}

func noForm(name string, t plan.Type) error {
	return fmt.Errorf("column %q is of type %v, which cannot be sent; return a scalar, a list or a map", name, t)
}

func columnError(name string, err error) error { return fmt.Errorf("column %q: %w", name, err) }

func rowError(i int, err error) error { return fmt.Errorf("row %d: %w", i, err) }

// invalid lists the rows of v without a value in ascending order.
func invalid(v *vector.Vector) []uint32 {
	if v.Null == nil && v.Err == nil {
		return nil
	}
	var rows []uint32
	for i := range v.N {
		if !v.Valid(i) {
			rows = append(rows, uint32(i))
		}
	}
	return rows
}

// lane copies values and zeroes those of null rows.
func lane[T any](values []T, nulls []uint32) []T {
	out := append(make([]T, 0, len(values)), values...)
	var zero T
	for _, i := range nulls {
		out[i] = zero
	}
	return out
}

func bools(v *vector.Vector, nulls []uint32) []bool {
	out := make([]bool, v.N)
	for i := range out {
		out[i] = v.Bits.Get(i)
	}
	for _, i := range nulls {
		out[i] = false
	}
	return out
}

func uints(v *vector.Vector, nulls []uint32) []uint64 {
	out := make([]uint64, v.N)
	for i := range out {
		out[i] = uint64(v.Int[i])
	}
	for _, i := range nulls {
		out[i] = 0
	}
	return out
}

func byteStrings(v *vector.Vector) [][]byte {
	out := make([][]byte, v.N)
	for i := range out {
		if v.Valid(i) {
			out[i] = []byte(v.Str[i])
		}
	}
	return out
}

func nestedValues(v *vector.Vector) ([]*unskewv1.Value, error) {
	out := make([]*unskewv1.Value, v.N)
	for i := range out {
		out[i] = &unskewv1.Value{}
		if !v.Valid(i) {
			continue
		}
		var err error
		if out[i], err = Value(v.Any[i]); err != nil {
			return nil, rowError(i, err)
		}
	}
	return out, nil
}

// Rows returns the number of rows of c, 0 for a column without values.
func Rows(c *unskewv1.Column) int {
	switch v := c.GetValues().(type) {
	case *unskewv1.Column_Bools:
		return len(v.Bools.GetValues())
	case *unskewv1.Column_Ints:
		return len(v.Ints.GetValues())
	case *unskewv1.Column_Uints:
		return len(v.Uints.GetValues())
	case *unskewv1.Column_Doubles:
		return len(v.Doubles.GetValues())
	case *unskewv1.Column_Strings:
		return len(v.Strings.GetValues())
	case *unskewv1.Column_Bytes:
		return len(v.Bytes.GetValues())
	case *unskewv1.Column_Timestamps:
		return len(v.Timestamps.GetMicros())
	case *unskewv1.Column_Durations:
		return len(v.Durations.GetNanos())
	case *unskewv1.Column_Nested:
		return len(v.Nested.GetValues())
	}
	return 0
}

// Vector converts c to a vector of type t. It fails, naming column and row, if c holds
// another type, a time outside the years 0001 to 9999, or nulls that are not ascending rows
// of c. The vector shares only the strings of c.
func Vector(c *unskewv1.Column, t plan.Type) (*vector.Vector, error) { return SentOf(c).As(t) }
