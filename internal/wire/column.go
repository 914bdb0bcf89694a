// Package wire converts between the columns of the wire contract
// (proto/unskew/v1) and the vectors the kernel computes on.
//
// Conversions are exact: integers keep their 64 bits, doubles theirs (every NaN
// becomes plan.CanonicalNaN), and no value changes its type.
package wire

import (
	"fmt"
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Column copies v into a column of the wire. Rows that are null or failed are
// nulls there and zero in values, whatever the lane held. It fails for a type
// that has no wire form (type, dyn).
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
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		c.Values = &unskewv1.Column_Nested{Nested: &unskewv1.Nested{Values: nested}}
	default:
		return nil, fmt.Errorf("column %q is of type %v, which does not travel; return a scalar, a list or a map", name, v.Type)
	}
	return c, nil
}

// invalid lists the rows of v without a value, ascending.
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
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return out, nil
}

// Rows is the number of rows of c; a column without values has none.
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

// sent says which member of values is set: the kind it stands for (plan.Dyn for
// nested, plan.Invalid for none) and its name in the contract.
func sent(c *unskewv1.Column) (plan.Kind, string) {
	switch c.GetValues().(type) {
	case *unskewv1.Column_Bools:
		return plan.Bool, "bools"
	case *unskewv1.Column_Ints:
		return plan.Int, "ints"
	case *unskewv1.Column_Uints:
		return plan.Uint, "uints"
	case *unskewv1.Column_Doubles:
		return plan.Double, "doubles"
	case *unskewv1.Column_Strings:
		return plan.String, "strings"
	case *unskewv1.Column_Bytes:
		return plan.Bytes, "bytes"
	case *unskewv1.Column_Timestamps:
		return plan.Timestamp, "timestamps"
	case *unskewv1.Column_Durations:
		return plan.Duration, "durations"
	case *unskewv1.Column_Nested:
		return plan.Dyn, "nested"
	}
	return plan.Invalid, "no values"
}

// memberOf names the member of values that holds a kind.
var memberOf = map[plan.Kind]string{
	plan.Bool: "bools", plan.Int: "ints", plan.Uint: "uints", plan.Double: "doubles", plan.String: "strings",
	plan.Bytes: "bytes", plan.Timestamp: "timestamps", plan.Duration: "durations", plan.List: "nested", plan.Map: "nested",
}

// Vector reads c as a vector of type t. It fails, naming column and row, when c
// holds another type, a time outside the years 0001 to 9999, or nulls that are not
// ascending rows of c. The vector shares the strings of c and nothing else.
func Vector(c *unskewv1.Column, t plan.Type) (*vector.Vector, error) {
	v, err := Unchecked(c, t)
	if err != nil || t.Unwrap().Kind != plan.Timestamp {
		return v, err
	}
	return v, checkTimes(v, c.GetName())
}

// Unchecked is Vector but lets any time of a timestamp column pass, for who judges
// times row by row.
func Unchecked(c *unskewv1.Column, t plan.Type) (*vector.Vector, error) {
	_, member := sent(c)
	if want := memberOf[t.Unwrap().Kind]; want != member {
		return nil, fmt.Errorf("column %q is %v and was sent as %s; send it as %s", c.GetName(), t.Unwrap(), member, want)
	}
	return read(c, t)
}

// Untyped reads c as a vector of the type it was sent as, lists and maps as dyn,
// for who knows no declaration of it.
func Untyped(c *unskewv1.Column) (*vector.Vector, error) {
	kind, _ := sent(c)
	if kind == plan.Invalid {
		return nil, fmt.Errorf("column %q has no values", c.GetName())
	}
	v, err := read(c, plan.T(kind))
	if err != nil || kind != plan.Timestamp {
		return v, err
	}
	return v, checkTimes(v, c.GetName())
}

func read(c *unskewv1.Column, t plan.Type) (*vector.Vector, error) {
	v := vector.New(t, Rows(c))
	if err := readNulls(v, c); err != nil {
		return nil, err
	}
	return v, readLane(v, c)
}

func readNulls(v *vector.Vector, c *unskewv1.Column) error {
	prev := -1
	for _, i := range c.GetNulls() {
		if int64(i) >= int64(v.N) {
			return fmt.Errorf("column %q: null row %d, but it has %d rows, counted from 0", c.GetName(), i, v.N)
		}
		if int(i) <= prev {
			return fmt.Errorf("column %q: null row %d after row %d; list null rows once each, ascending", c.GetName(), i, prev)
		}
		prev = int(i)
		v.SetNull(prev)
	}
	return nil
}

func readLane(v *vector.Vector, c *unskewv1.Column) error {
	switch x := c.GetValues().(type) {
	case *unskewv1.Column_Bools:
		for i, b := range x.Bools.GetValues() {
			v.Bits.Put(i, b)
		}
	case *unskewv1.Column_Ints:
		copy(v.Int, x.Ints.GetValues())
	case *unskewv1.Column_Uints:
		for i, u := range x.Uints.GetValues() {
			v.Int[i] = int64(u)
		}
	case *unskewv1.Column_Doubles:
		for i, f := range x.Doubles.GetValues() {
			v.Double[i] = math.Float64frombits(plan.DoubleBits(f))
		}
	case *unskewv1.Column_Strings:
		copy(v.Str, x.Strings.GetValues())
	case *unskewv1.Column_Bytes:
		for i, b := range x.Bytes.GetValues() {
			v.Str[i] = string(b)
		}
	case *unskewv1.Column_Timestamps:
		copy(v.Int, x.Timestamps.GetMicros())
	case *unskewv1.Column_Durations:
		copy(v.Int, x.Durations.GetNanos())
	case *unskewv1.Column_Nested:
		return readNested(v, c.GetName(), x.Nested.GetValues())
	}
	return nil
}

func readNested(v *vector.Vector, name string, values []*unskewv1.Value) error {
	for i, x := range values {
		if v.IsNull(i) {
			continue
		}
		val, err := FromValue(x)
		if err != nil {
			return fmt.Errorf("column %q, row %d: %w", name, i, err)
		}
		if !val.HasType(v.Type.Unwrap()) {
			return fmt.Errorf("column %q, row %d: %v is not %v", name, i, val, v.Type.Unwrap())
		}
		v.Set(i, val)
	}
	return nil
}

func checkTimes(v *vector.Vector, name string) error {
	for i, t := range v.Int {
		if v.Valid(i) && !plan.EventTime(t).Valid() {
			return fmt.Errorf("column %q, row %d: %d µs since the Unix epoch lies outside the years 0001 to 9999; send microseconds", name, i, t)
		}
	}
	return nil
}
