package wire

import (
	"fmt"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Value converts v to a wire value. Null has no kind set; an optional becomes its content
// or null. It fails for a kind that has no wire encoding.
func Value(v plan.Value) (*unskewv1.Value, error) {
	switch v.Kind() {
	case plan.Null, plan.Invalid:
		return &unskewv1.Value{}, nil
	case plan.Bool:
		return &unskewv1.Value{Kind: &unskewv1.Value_Bool{Bool: v.Bool()}}, nil
	case plan.Int:
		return &unskewv1.Value{Kind: &unskewv1.Value_Int{Int: v.Int()}}, nil
	case plan.Uint:
		return &unskewv1.Value{Kind: &unskewv1.Value_Uint{Uint: v.Uint()}}, nil
	case plan.Double:
		return &unskewv1.Value{Kind: &unskewv1.Value_Double{Double: v.Double()}}, nil
	case plan.String:
		return &unskewv1.Value{Kind: &unskewv1.Value_String_{String_: v.Str()}}, nil
	case plan.Bytes:
		return &unskewv1.Value{Kind: &unskewv1.Value_Bytes{Bytes: []byte(v.Str())}}, nil
	case plan.Timestamp:
		return &unskewv1.Value{Kind: &unskewv1.Value_TimestampMicros{TimestampMicros: int64(v.Time())}}, nil
	case plan.Duration:
		return &unskewv1.Value{Kind: &unskewv1.Value_DurationNanos{DurationNanos: int64(v.Duration())}}, nil
	case plan.Optional:
		if len(v.List()) == 0 {
			return &unskewv1.Value{}, nil
		}
		return Value(v.List()[0])
	case plan.List:
		return listValue(v)
	case plan.Map:
		return mapValue(v)
	}
	return nil, fmt.Errorf("a %v cannot be sent; return a scalar, a list or a map", v.Kind())
}

func listValue(v plan.Value) (*unskewv1.Value, error) {
	list := &unskewv1.ListValue{Values: make([]*unskewv1.Value, len(v.List()))}
	for i, e := range v.List() {
		var err error
		if list.Values[i], err = Value(e); err != nil {
			return nil, err
		}
	}
	return &unskewv1.Value{Kind: &unskewv1.Value_List{List: list}}, nil
}

func mapValue(v plan.Value) (*unskewv1.Value, error) {
	flat := v.List()
	m := &unskewv1.MapValue{Entries: make([]*unskewv1.MapEntry, len(flat)/2)}
	for i := range m.Entries {
		key, err := Value(flat[2*i])
		if err != nil {
			return nil, err
		}
		val, err := Value(flat[2*i+1])
		if err != nil {
			return nil, err
		}
		m.Entries[i] = &unskewv1.MapEntry{Key: key, Value: val}
	}
	return &unskewv1.Value{Kind: &unskewv1.Value_Map{Map: m}}, nil
}

// FromValue converts a wire value. It fails for a time outside the years 0001 to 9999 and
// for a map whose keys are null, collections, of different kinds or repeated.
func FromValue(w *unskewv1.Value) (plan.Value, error) {
	switch x := w.GetKind().(type) {
	case *unskewv1.Value_Bool:
		return plan.BoolValue(x.Bool), nil
	case *unskewv1.Value_Int:
		return plan.IntValue(x.Int), nil
	case *unskewv1.Value_Uint:
		return plan.UintValue(x.Uint), nil
	case *unskewv1.Value_Double:
		return plan.DoubleValue(x.Double), nil
	case *unskewv1.Value_String_:
		return plan.StringValue(x.String_), nil
	case *unskewv1.Value_Bytes:
		return plan.BytesValue(x.Bytes), nil
	case *unskewv1.Value_TimestampMicros:
		t := plan.EventTime(x.TimestampMicros)
		if !t.Valid() {
			return plan.Value{}, fmt.Errorf("%d µs since the Unix epoch lies outside the years 0001 to 9999", x.TimestampMicros)
		}
		return plan.TimestampValue(t), nil
	case *unskewv1.Value_DurationNanos:
		return plan.DurationValue(time.Duration(x.DurationNanos)), nil
	case *unskewv1.Value_List:
		return fromList(x.List)
	case *unskewv1.Value_Map:
		return fromMap(x.Map)
	}
	return plan.NullValue(), nil
}

func fromList(w *unskewv1.ListValue) (plan.Value, error) {
	elems := make([]plan.Value, len(w.GetValues()))
	for i, e := range w.GetValues() {
		var err error
		if elems[i], err = FromValue(e); err != nil {
			return plan.Value{}, err
		}
	}
	return plan.ListValue(elems), nil
}

func fromMap(w *unskewv1.MapValue) (plan.Value, error) {
	entries := w.GetEntries()
	keys, values := make([]plan.Value, len(entries)), make([]plan.Value, len(entries))
	for i, e := range entries {
		var err error
		if keys[i], err = FromValue(e.GetKey()); err != nil {
			return plan.Value{}, err
		}
		if values[i], err = FromValue(e.GetValue()); err != nil {
			return plan.Value{}, err
		}
		if !keys[i].Kind().Scalar() || keys[i].Kind() != keys[0].Kind() {
			return plan.Value{}, fmt.Errorf("map key %v is a %v; keys of one map are scalars of one kind", keys[i], keys[i].Kind())
		}
	}
	m := plan.MapValue(keys, values)
	for i := 2; i < len(m.List()); i += 2 {
		if m.List()[i].Equal(m.List()[i-2]) {
			return plan.Value{}, fmt.Errorf("map key %v occurs twice", m.List()[i])
		}
	}
	return m, nil
}
