package sdk

import (
	"fmt"
	"time"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Scalar is the Go types of scalar features: bool, int, uint, double, string,
// bytes, timestamp and duration, in this order.
type Scalar interface {
	bool | int64 | uint64 | float64 | string | []byte | time.Time | time.Duration
}

// Values returns the values of the column, with the zero value where IsNull. It fails if T is
// not the Go type of the feature's type. The caller must not modify the slice.
func Values[T Scalar](f *Feature) ([]T, error) {
	if values, ok := f.scalars().([]T); ok {
		return values, nil
	}
	var zero T
	return nil, fmt.Errorf("feature %s is of type %s, which is not %T in Go", f.Name(), f.Type(), zero)
}

// scalars returns the column as a slice of its Go type, nil for lists and maps.
func (f *Feature) scalars() any {
	switch v := f.wire.GetColumn().GetValues().(type) {
	case *unskewv1.Column_Bools:
		return v.Bools.GetValues()
	case *unskewv1.Column_Ints:
		return v.Ints.GetValues()
	case *unskewv1.Column_Uints:
		return v.Uints.GetValues()
	case *unskewv1.Column_Doubles:
		return v.Doubles.GetValues()
	case *unskewv1.Column_Strings:
		return v.Strings.GetValues()
	case *unskewv1.Column_Bytes:
		return v.Bytes.GetValues()
	case *unskewv1.Column_Timestamps:
		return f.times(v.Timestamps.GetMicros())
	case *unskewv1.Column_Durations:
		return durations(v.Durations.GetNanos())
	}
	return nil
}

func (f *Feature) times(micros []int64) []time.Time {
	out := make([]time.Time, len(micros))
	for i, us := range micros {
		if !f.null[i] {
			out[i] = time.UnixMicro(us).UTC()
		}
	}
	return out
}

func durations(nanos []int64) []time.Duration {
	out := make([]time.Duration, len(nanos))
	for i, ns := range nanos {
		out[i] = time.Duration(ns)
	}
	return out
}

// Value returns the value of row i: nil, one of the types of Scalar, []any for a list, or
// map[any]any for a map (keys of type bytes become strings). It is meant for display and
// generic code; use Values to compute.
func (f *Feature) Value(i int) any {
	if f.null[i] {
		return nil
	}
	switch v := f.wire.GetColumn().GetValues().(type) {
	case *unskewv1.Column_Bools:
		return v.Bools.GetValues()[i]
	case *unskewv1.Column_Ints:
		return v.Ints.GetValues()[i]
	case *unskewv1.Column_Uints:
		return v.Uints.GetValues()[i]
	case *unskewv1.Column_Doubles:
		return v.Doubles.GetValues()[i]
	case *unskewv1.Column_Strings:
		return v.Strings.GetValues()[i]
	case *unskewv1.Column_Bytes:
		return v.Bytes.GetValues()[i]
	case *unskewv1.Column_Timestamps:
		return time.UnixMicro(v.Timestamps.GetMicros()[i]).UTC()
	case *unskewv1.Column_Durations:
		return time.Duration(v.Durations.GetNanos()[i])
	case *unskewv1.Column_Nested:
		return native(v.Nested.GetValues()[i])
	}
	return nil
}

// native converts a wire value to Go types.
func native(w *unskewv1.Value) any {
	switch x := w.GetKind().(type) {
	case *unskewv1.Value_Bool:
		return x.Bool
	case *unskewv1.Value_Int:
		return x.Int
	case *unskewv1.Value_Uint:
		return x.Uint
	case *unskewv1.Value_Double:
		return x.Double
	case *unskewv1.Value_String_:
		return x.String_
	case *unskewv1.Value_Bytes:
		return x.Bytes
	case *unskewv1.Value_TimestampMicros:
		return time.UnixMicro(x.TimestampMicros).UTC()
	case *unskewv1.Value_DurationNanos:
		return time.Duration(x.DurationNanos)
	case *unskewv1.Value_List:
		list := make([]any, len(x.List.GetValues()))
		for i, e := range x.List.GetValues() {
			list[i] = native(e)
		}
		return list
	case *unskewv1.Value_Map:
		m := make(map[any]any, len(x.Map.GetEntries()))
		for _, e := range x.Map.GetEntries() {
			m[mapKey(e.GetKey())] = native(e.GetValue())
		}
		return m
	}
	return nil
}

// mapKey converts a key to a comparable Go value.
func mapKey(w *unskewv1.Value) any {
	switch k := native(w).(type) {
	case []byte:
		return string(k)
	case []any, map[any]any:
		return fmt.Sprint(k)
	default:
		return k
	}
}
