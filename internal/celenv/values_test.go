package celenv_test

import (
	"math"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

var scalarKinds = []plan.Kind{
	plan.Bool, plan.Int, plan.Uint, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration,
}

// anyType draws a type that a value can have, with at most depth levels of collections.
func anyType(depth int) *rapid.Generator[plan.Type] {
	return rapid.Custom(func(t *rapid.T) plan.Type {
		scalar := plan.T(rapid.SampledFrom(scalarKinds).Draw(t, "kind"))
		if depth == 0 {
			return scalar
		}
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 1:
			return plan.ListOf(anyType(depth-1).Draw(t, "elem"))
		case 2:
			key := plan.T(rapid.SampledFrom([]plan.Kind{plan.Bool, plan.Int, plan.Uint, plan.String}).Draw(t, "key"))
			return plan.MapOf(key, anyType(depth-1).Draw(t, "elem"))
		case 3:
			return plan.OptionalOf(anyType(depth-1).Draw(t, "elem"))
		}
		return scalar
	})
}

func anyValue(t *rapid.T, typ plan.Type) plan.Value {
	switch typ.Kind {
	case plan.Bool:
		return plan.BoolValue(rapid.Bool().Draw(t, "bool"))
	case plan.Int:
		return plan.IntValue(rapid.Int64().Draw(t, "int"))
	case plan.Uint:
		return plan.UintValue(rapid.Uint64().Draw(t, "uint"))
	case plan.Double:
		return plan.DoubleValue(math.Float64frombits(rapid.Uint64().Draw(t, "double")))
	case plan.String:
		return plan.StringValue(rapid.String().Draw(t, "string"))
	case plan.Bytes:
		return plan.BytesValue(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(rapid.Int64Range(int64(plan.MinTime), int64(plan.MaxTime)).Draw(t, "time")))
	case plan.Duration:
		return plan.DurationValue(time.Duration(rapid.Int64().Draw(t, "duration")))
	case plan.Optional:
		if rapid.Bool().Draw(t, "none") {
			return plan.NoneValue()
		}
		return plan.OptionalValue(anyValue(t, *typ.Elem))
	case plan.List:
		elems := make([]plan.Value, rapid.IntRange(0, 3).Draw(t, "len"))
		for i := range elems {
			elems[i] = anyValue(t, *typ.Elem)
		}
		return plan.ListValue(elems)
	}
	var keys, vals []plan.Value
	for range rapid.IntRange(0, 3).Draw(t, "len") {
		k := anyValue(t, *typ.Key)
		if !contains(keys, k) {
			keys, vals = append(keys, k), append(vals, anyValue(t, *typ.Elem))
		}
	}
	return plan.MapValue(keys, vals)
}

func contains(list []plan.Value, v plan.Value) bool {
	for _, x := range list {
		if x.Equal(v) {
			return true
		}
	}
	return false
}

func TestValues_RoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		typ := anyType(3).Draw(rt, "type")
		v := anyValue(rt, typ)
		back, err := celenv.FromRef(celenv.ToRef(v, typ), typ)
		if err != nil || !back.Equal(v) {
			rt.Fatalf("%v of type %v comes back as %v, %v", v, typ, back, err)
		}
	})
}

func TestTypes_RoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		typ := anyType(3).Draw(rt, "type")
		for _, ct := range []*cel.Type{celenv.ToCEL(typ), celenv.NullableToCEL(typ)} {
			back, err := celenv.FromCEL(ct)
			if err != nil || !back.Equal(typ) {
				rt.Fatalf("%v comes back as %v, %v", typ, back, err)
			}
		}
	})
}

func TestFromCEL_RejectsMessages(t *testing.T) {
	if _, err := celenv.FromCEL(cel.ListType(cel.ObjectType("some.Message"))); err == nil {
		t.Error("a message type was converted to a plan type")
	}
}

func TestFromRef(t *testing.T) {
	opt := plan.OptionalOf(plan.T(plan.Int))
	stamp := func(sec, nsec int64) types.Timestamp { return types.Timestamp{Time: time.Unix(sec, nsec)} }
	for _, c := range []struct {
		name string
		got  func() (plan.Value, error)
		want plan.Value
	}{
		{"null", func() (plan.Value, error) { return celenv.FromRef(types.NullValue, plan.T(plan.Int)) }, plan.NullValue()},
		{"null optional", func() (plan.Value, error) { return celenv.FromRef(types.NullValue, opt) }, plan.NoneValue()},
		{"optional.of(null)", func() (plan.Value, error) { return celenv.FromRef(types.OptionalOf(types.NullValue), opt) }, plan.NoneValue()},
		{"B4 floor before the epoch", func() (plan.Value, error) {
			return celenv.FromRef(stamp(-1, 999_999_999), plan.T(plan.Timestamp))
		}, plan.TimestampValue(-1)},
		{"floor", func() (plan.Value, error) { return celenv.FromRef(stamp(0, 1_999), plan.T(plan.Timestamp)) }, plan.TimestampValue(1)},
		{"NaN", func() (plan.Value, error) {
			return celenv.FromRef(types.Double(math.Float64frombits(0xfff8000000000001)), plan.T(plan.Double))
		}, plan.DoubleValue(math.NaN())},
	} {
		if got, err := c.got(); err != nil || !got.Equal(c.want) {
			t.Errorf("%s is %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	for _, v := range []struct {
		val types.String
		typ plan.Type
	}{{"x", plan.T(plan.Int)}, {"x", opt}, {"x", plan.ListOf(plan.T(plan.String))}} {
		if got, err := celenv.FromRef(v.val, v.typ); err == nil {
			t.Errorf("a string became %v of type %v", got, v.typ)
		}
	}
	nullKey := types.NewRefValMap(types.DefaultTypeAdapter, map[ref.Val]ref.Val{types.NullValue: types.Int(1)})
	if got, err := celenv.FromRef(nullKey, plan.MapOf(plan.T(plan.String), plan.T(plan.Int))); err == nil {
		t.Errorf("a map with a null key became %v", got)
	}
	if _, err := celenv.FromRef(types.NewErr("boom"), plan.T(plan.Int)); err == nil {
		t.Error("an error became a value")
	}
}

func TestToRef_AcceptsTheContentOfOptionals(t *testing.T) {
	opt := plan.OptionalOf(plan.T(plan.Int))
	for _, c := range []struct {
		v    plan.Value
		want *types.Optional
	}{
		{plan.NullValue(), types.OptionalNone},
		{plan.NoneValue(), types.OptionalNone},
		{plan.IntValue(3), types.OptionalOf(types.Int(3))},
		{plan.OptionalValue(plan.IntValue(3)), types.OptionalOf(types.Int(3))},
	} {
		if got := celenv.ToRef(c.v, opt); got.Equal(c.want) != types.True {
			t.Errorf("%v becomes %v", c.v, got)
		}
	}
}
