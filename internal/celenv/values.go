package celenv

import (
	"fmt"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// ToRef converts v to a CEL value of type t. If t is optional, v is an optional, or, as in
// vectors, its content, with null for none.
func ToRef(v plan.Value, t plan.Type) ref.Val {
	if t.Kind == plan.Optional {
		return optionalToRef(v, *t.Elem)
	}
	switch v.Kind() {
	case plan.Bool:
		return types.Bool(v.Bool())
	case plan.Int:
		return types.Int(v.Int())
	case plan.Uint:
		return types.Uint(v.Uint())
	case plan.Double:
		return types.Double(v.Double())
	case plan.String:
		return types.String(v.Str())
	case plan.Bytes:
		return types.Bytes(v.Str())
	case plan.Timestamp:
		return types.Timestamp{Time: v.Time().Time()}
	case plan.Duration:
		return types.Duration{Duration: v.Duration()}
	case plan.List:
		return valueList{elems: v.List(), elem: elemType(t)}
	case plan.Map:
		return mapToRef(v.List(), t)
	case plan.Optional:
		return optionalToRef(v, plan.T(plan.Dyn))
	}
	return types.NullValue
}

func optionalToRef(v plan.Value, elem plan.Type) ref.Val {
	if v.Kind() == plan.Optional {
		if len(v.List()) == 0 {
			return types.OptionalNone
		}
		v = v.List()[0]
	}
	if v.IsNull() {
		return types.OptionalNone
	}
	return types.OptionalOf(ToRef(v, elem))
}

func mapToRef(entries []plan.Value, t plan.Type) ref.Val {
	key := plan.T(plan.Dyn)
	if t.Key != nil {
		key = *t.Key
	}
	return valueMap{entries: entries, key: key, elem: elemType(t)}
}

// elemType is the element type of a collection, dyn if t has none.
func elemType(t plan.Type) plan.Type {
	if t.Elem == nil {
		return plan.T(plan.Dyn)
	}
	return *t.Elem
}

// FromRef converts a CEL value to a plan value of type t. Timestamps are floored to
// microseconds and NaN becomes plan.CanonicalNaN. An optional becomes an optional;
// optional.of(null) and a null of an optional type become none, because outside
// expressions there is only one form of absence. It returns an error for an error, an unknown,
// a map with a null key and a value of another type.
func FromRef(val ref.Val, t plan.Type) (plan.Value, error) {
	switch v := val.(type) {
	case *types.Err:
		return plan.Value{}, v
	case types.Null:
		if t.Kind == plan.Optional {
			return plan.NoneValue(), nil
		}
		return plan.NullValue(), nil
	case *types.Optional:
		return optionalFromRef(v, t)
	case traits.Lister:
		return listFromRef(v, t)
	case traits.Mapper:
		return mapFromRef(v, t)
	}
	v, ok := scalarFromRef(val)
	if !ok || !v.HasType(t) {
		return plan.Value{}, mismatch(val, t)
	}
	return v, nil
}

func mismatch(val ref.Val, t plan.Type) error {
	return fmt.Errorf("an expression of type %v returned a value of type %s", t, val.Type().TypeName())
}

func scalarFromRef(val ref.Val) (plan.Value, bool) {
	switch v := val.(type) {
	case types.Bool:
		return plan.BoolValue(bool(v)), true
	case types.Int:
		return plan.IntValue(int64(v)), true
	case types.Uint:
		return plan.UintValue(uint64(v)), true
	case types.Double:
		return plan.DoubleValue(float64(v)), true
	case types.String:
		return plan.StringValue(string(v)), true
	case types.Bytes:
		return plan.BytesValue(v), true
	case types.Timestamp:
		return plan.TimestampValue(plan.TimeOf(v.Time)), true
	case types.Duration:
		return plan.DurationValue(v.Duration), true
	}
	return plan.Value{}, false
}

func optionalFromRef(o *types.Optional, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.Optional && t.Kind != plan.Dyn {
		return plan.Value{}, mismatch(o, t)
	}
	if !o.HasValue() {
		return plan.NoneValue(), nil
	}
	v, err := FromRef(o.GetValue(), elemType(t))
	if err != nil || v.IsNull() {
		return plan.NoneValue(), err
	}
	return plan.OptionalValue(v), nil
}

func listFromRef(l traits.Lister, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.List && t.Kind != plan.Dyn {
		return plan.Value{}, mismatch(l, t)
	}
	n := int(l.Size().(types.Int))
	elems := make([]plan.Value, n)
	for i := range elems {
		v, err := FromRef(l.Get(types.Int(i)), elemType(t))
		if err != nil {
			return plan.Value{}, err
		}
		elems[i] = v
	}
	return plan.ListValue(elems), nil
}

func mapFromRef(m traits.Mapper, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.Map && t.Kind != plan.Dyn {
		return plan.Value{}, mismatch(m, t)
	}
	key := plan.T(plan.Dyn)
	if t.Key != nil {
		key = *t.Key
	}
	var keys, values []plan.Value
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		kv, err := FromRef(mapKey(k), key)
		if err != nil {
			return plan.Value{}, err
		}
		vv, err := FromRef(m.Get(k), elemType(t))
		if err != nil {
			return plan.Value{}, err
		}
		keys, values = append(keys, kv), append(values, vv)
	}
	return plan.MapValue(keys, values), nil
}
