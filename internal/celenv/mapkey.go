package celenv

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/unskew/unskew/featuredefs/plan"
)

// cel-go accepts any key in a map literal, even null, but plan maps do not. Rebuild therefore
// wraps the keys of map literals in this function, which fails for kinds that CEL does not
// allow as keys. Users cannot write its name.
const (
	mapKeyName     = "@mapKey"
	mapKeyOverload = "unskew_map_key"
)

func mapKeyFunction() cel.EnvOption {
	k := cel.TypeParamType("K")
	return cel.Function(mapKeyName, cel.Overload(mapKeyOverload, []*cel.Type{k}, k, cel.UnaryBinding(mapKey)))
}

func mapKey(v ref.Val) ref.Val {
	switch v.(type) {
	case types.Bool, types.Int, types.Uint, types.String:
		return v
	}
	return types.NewErr("a %s cannot be a key of a map; keys are bool, int, uint or string", v.Type().TypeName())
}

// keyed wraps the key of a map literal, unless it is a literal of an allowed kind.
func (b *rebuilder) keyed(e *plan.Expr, key ast.Expr) ast.Expr {
	if e.Kind == plan.Literal && mapKey(key.AsLiteral()) == key.AsLiteral() {
		return key
	}
	id := b.id(e.Type)
	b.refs[id] = ast.NewFunctionReference(mapKeyOverload)
	return b.fac.NewCall(id, mapKeyName, key)
}
