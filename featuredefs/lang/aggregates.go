package lang

import (
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// roleNames are the names of arguments in signatures.
var roleNames = [...]string{plan.RoleValue: "value", plan.RoleBy: "y", plan.RoleN: "n", plan.RoleQuantile: "q"}

// aggregate declares a row of plan.Aggregates as functions of CEL.
type aggregate struct{ *plan.AggRow }

// aggregateOf is the aggregate with a name, if there is one.
func aggregateOf(function string) (aggregate, bool) {
	r := plan.AggFunc(function).Row()
	return aggregate{r}, r != nil
}

// isAggregate reports whether a function name is that of an aggregate.
func isAggregate(function string) bool {
	_, ok := aggregateOf(function)
	return ok
}

// result is the type of the result for values of a type.
func (a aggregate) result(value *cel.Type) *cel.Type { return resultType(a.Result, value) }

func resultType(t plan.Type, value *cel.Type) *cel.Type {
	switch t.Kind {
	case plan.Dyn:
		return value
	case plan.Optional:
		return cel.OptionalType(resultType(*t.Elem, value))
	case plan.List:
		return cel.ListType(resultType(*t.Elem, value))
	}
	return celenv.ToCEL(t)
}

// The member functions on aggregates.
const (
	whereName = "where"
	byName    = "by"
	capName   = "cap"
)

// signature returns the call as documented.
func (a aggregate) signature() string {
	var parts []string
	for _, r := range a.Roles {
		parts = append(parts, roleNames[r])
	}
	if a.NoValue {
		parts[0] += "?"
	}
	return string(a.Func) + "(" + strings.Join(append(parts, `"window"?`), ", ") + ")"
}

// declareAggregates declares the functions of docs/semantics.md §4. They are bound late, so
// no CEL program can run them and no optimiser folds them.
func declareAggregates() []cel.EnvOption {
	var opts []cel.EnvOption
	for i := range plan.Aggregates {
		a := aggregate{&plan.Aggregates[i]}
		opts = append(opts, cel.Function(string(a.Func), a.overloads()...))
	}
	return append(opts, declareWhere(), declareBy(), declareCap())
}

// overloads declares one overload for each type of the value (and y), with and without a
// window. count("7d") matches the overload of count(country); the split of the expression
// tells them apart.
func (a aggregate) overloads() []cel.FunctionOpt {
	id := "agg_" + string(a.Func)
	var out []cel.FunctionOpt
	add := func(id string, result *cel.Type, params ...*cel.Type) {
		out = append(out, cel.Overload(id, params, result, cel.LateFunctionBinding()))
	}
	if a.NoValue || len(a.Roles) == 0 {
		add(id, a.result(nil))
	}
	if len(a.Roles) == 0 {
		add(id+"_window", a.result(nil), cel.StringType)
	}
	for _, v := range a.valueTypes() {
		for _, rest := range a.otherTypes() {
			name := id + "_" + v.name + rest.name
			params := append([]*cel.Type{v.cel}, rest.params...)
			add(name, a.result(v.cel), params...)
			add(name+"_window", a.result(v.cel), append(params[:len(params):len(params)], cel.StringType)...)
		}
	}
	return out
}

type namedType struct {
	name string
	cel  *cel.Type
}

func (a aggregate) valueTypes() []namedType {
	if len(a.Roles) == 0 {
		return nil
	}
	var out []namedType
	for _, k := range a.Kinds {
		out = append(out, namedType{k.String(), celenv.ToCEL(plan.T(k))})
	}
	if a.Composite {
		out = append(out,
			namedType{"uint", cel.UintType},
			namedType{"list", cel.ListType(cel.TypeParamType("E"))},
			namedType{"map", cel.MapType(cel.TypeParamType("K"), cel.TypeParamType("V"))})
	}
	if a.Nones {
		out = append(out, namedType{"optional", cel.OptionalType(cel.TypeParamType("O"))})
	}
	return out
}

type namedParams struct {
	name   string
	params []*cel.Type
}

// otherTypes returns the types of the arguments after the value.
func (a aggregate) otherTypes() []namedParams {
	if len(a.Roles) < 2 {
		return []namedParams{{}}
	}
	switch a.Roles[1] {
	case plan.RoleN:
		return []namedParams{{"", []*cel.Type{cel.IntType}}}
	case plan.RoleQuantile:
		return []namedParams{{"", []*cel.Type{cel.DoubleType}}}
	}
	var out []namedParams
	for _, k := range plan.OrderedKinds {
		out = append(out, namedParams{"_" + k.String(), []*cel.Type{celenv.ToCEL(plan.T(k))}})
	}
	return out
}

func declareWhere() cel.EnvOption {
	t := cel.TypeParamType("T")
	return cel.Function(whereName,
		cel.MemberOverload("agg_where", []*cel.Type{t, cel.BoolType}, t, cel.LateFunctionBinding()))
}

// declareBy: a group in the map has rows, so an optional result becomes its element type.
// Which aggregate has that type does not matter; the result is the same.
func declareBy() cel.EnvOption {
	var overloads []cel.FunctionOpt
	for _, k := range plan.OrderedKinds {
		t := celenv.ToCEL(plan.T(k))
		grouped := cel.MapType(cel.StringType, t)
		overloads = append(overloads,
			cel.MemberOverload("agg_by_"+k.String(), []*cel.Type{t, cel.StringType}, grouped, cel.LateFunctionBinding()),
			cel.MemberOverload("agg_by_optional_"+k.String(), []*cel.Type{cel.OptionalType(t), cel.StringType}, grouped, cel.LateFunctionBinding()))
	}
	return cel.Function(byName, overloads...)
}

// declareCap declares .cap for the capped aggregates, which return ints; resolver.caps
// refuses it on all others.
func declareCap() cel.EnvOption {
	return cel.Function(capName,
		cel.MemberOverload("agg_cap", []*cel.Type{cel.IntType, cel.IntType}, cel.IntType, cel.LateFunctionBinding()))
}
