package celenv

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
)

// scalarTypes pairs each scalar kind with its CEL type and the type of a
// variable that may also be null.
var scalarTypes = map[plan.Kind]struct{ plain, nullable *cel.Type }{
	plan.Null:      {cel.NullType, cel.NullType},
	plan.Bool:      {cel.BoolType, cel.NullableType(cel.BoolType)},
	plan.Int:       {cel.IntType, cel.NullableType(cel.IntType)},
	plan.Uint:      {cel.UintType, cel.NullableType(cel.UintType)},
	plan.Double:    {cel.DoubleType, cel.NullableType(cel.DoubleType)},
	plan.String:    {cel.StringType, cel.NullableType(cel.StringType)},
	plan.Bytes:     {cel.BytesType, cel.NullableType(cel.BytesType)},
	plan.Timestamp: {cel.TimestampType, cel.TimestampType},
	plan.Duration:  {cel.DurationType, cel.DurationType},
	plan.TypeType:  {cel.TypeType, cel.TypeType},
	plan.Dyn:       {cel.DynType, cel.DynType},
}

// ToCEL is the CEL type of values of type t that are not null.
func ToCEL(t plan.Type) *cel.Type {
	switch t.Kind {
	case plan.List:
		return cel.ListType(ToCEL(*t.Elem))
	case plan.Map:
		return cel.MapType(ToCEL(*t.Key), ToCEL(*t.Elem))
	case plan.Optional:
		return cel.OptionalType(ToCEL(*t.Elem))
	}
	if s, ok := scalarTypes[t.Kind]; ok {
		return s.plain
	}
	panic(fmt.Sprintf("celenv: no CEL type for %v", t))
}

// NullableToCEL is the CEL type of a variable of type t that may be null, so that
// `x == null` type-checks. CEL has no such type for lists, maps and optionals. Timestamps and
// durations need none, because they may always be null.
func NullableToCEL(t plan.Type) *cel.Type {
	if s, ok := scalarTypes[t.Kind]; ok {
		return s.nullable
	}
	return ToCEL(t)
}

var kindsOfCEL = map[types.Kind]plan.Kind{
	types.NullTypeKind:  plan.Null,
	types.BoolKind:      plan.Bool,
	types.IntKind:       plan.Int,
	types.UintKind:      plan.Uint,
	types.DoubleKind:    plan.Double,
	types.StringKind:    plan.String,
	types.BytesKind:     plan.Bytes,
	types.TimestampKind: plan.Timestamp,
	types.DurationKind:  plan.Duration,
	types.TypeKind:      plan.TypeType,
	types.DynKind:       plan.Dyn,
	types.AnyKind:       plan.Dyn,
}

// FromCEL is the plan type of a checked CEL expression. Nullable types lose
// their nullability: any value may be null at run time, whatever the checker says.
func FromCEL(t *cel.Type) (plan.Type, error) {
	switch t.Kind() {
	case types.ListKind:
		e, err := FromCEL(t.Parameters()[0])
		return plan.ListOf(e), err
	case types.MapKind:
		k, err := FromCEL(t.Parameters()[0])
		if err != nil {
			return plan.Type{}, err
		}
		v, err := FromCEL(t.Parameters()[1])
		return plan.MapOf(k, v), err
	case types.OpaqueKind:
		if t.TypeName() == types.OptionalType.TypeName() {
			e, err := FromCEL(t.Parameters()[0])
			return plan.OptionalOf(e), err
		}
	case types.TypeParamKind:
		return plan.T(plan.Dyn), nil
	}
	if k, ok := kindsOfCEL[t.Kind()]; ok {
		return plan.T(k), nil
	}
	return plan.Type{}, fmt.Errorf("values of CEL type %s cannot be features; use a scalar, list, map or optional", t)
}
