package lang

import (
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// role is what an argument of an aggregate is for.
type role uint8

const (
	argRole      role = iota // the value accumulated
	byRole                   // the ordered y of max_by and min_by
	countRole                // n or k, an int literal
	quantileRole             // q, a double literal
)

var roleNames = [...]string{argRole: "value", byRole: "y", countRole: "n", quantileRole: "q"}

// aggregate declares one row of docs/semantics.md §4.
type aggregate struct {
	fn       plan.AggFunc
	roles    []role
	optional bool        // the value may be left out, as in count()
	args     []plan.Kind // scalar types the value may have
	any      bool        // the value may also be a uint, a list or a map
	nones    bool        // the value may also be an optional; none is left out
	result   func(value *cel.Type) *cel.Type
}

var (
	oneValue  = []role{argRole}
	withY     = []role{argRole, byRole}
	withN     = []role{argRole, countRole}
	withQ     = []role{argRole, quantileRole}
	numeric   = []plan.Kind{plan.Int, plan.Double}
	summable  = []plan.Kind{plan.Int, plan.Double, plan.Duration}
	ordered   = []plan.Kind{plan.Int, plan.Double, plan.String, plan.Timestamp, plan.Duration}
	discrete  = []plan.Kind{plan.Int, plan.String, plan.Bool, plan.Bytes, plan.Timestamp}
	countable = []plan.Kind{plan.String, plan.Int}
	boolean   = []plan.Kind{plan.Bool}
)

func same(t *cel.Type) *cel.Type       { return t }
func maybe(t *cel.Type) *cel.Type      { return cel.OptionalType(t) }
func list(t *cel.Type) *cel.Type       { return cel.ListType(t) }
func anInt(*cel.Type) *cel.Type        { return cel.IntType }
func aBool(*cel.Type) *cel.Type        { return cel.BoolType }
func maybeDouble(*cel.Type) *cel.Type  { return cel.OptionalType(cel.DoubleType) }
func maybeInstant(*cel.Type) *cel.Type { return cel.OptionalType(cel.TimestampType) }

// aggregates are the rows of docs/semantics.md §4, in its order.
var aggregates = []aggregate{
	{fn: plan.Count, roles: oneValue, optional: true, args: plan.ColumnKinds, any: true, nones: true, result: anInt},
	{fn: plan.Sum, roles: oneValue, args: summable, result: same},
	{fn: plan.Mean, roles: oneValue, args: numeric, result: maybeDouble},
	{fn: plan.VarPop, roles: oneValue, args: numeric, result: maybeDouble},
	{fn: plan.VarSamp, roles: oneValue, args: numeric, result: maybeDouble},
	{fn: plan.StddevPop, roles: oneValue, args: numeric, result: maybeDouble},
	{fn: plan.StddevSamp, roles: oneValue, args: numeric, result: maybeDouble},
	{fn: plan.Min, roles: oneValue, args: ordered, result: maybe},
	{fn: plan.Max, roles: oneValue, args: ordered, result: maybe},
	{fn: plan.Latest, roles: oneValue, args: plan.ColumnKinds, any: true, result: maybe},
	{fn: plan.Earliest, roles: oneValue, args: plan.ColumnKinds, any: true, result: maybe},
	{fn: plan.LatestN, roles: withN, args: plan.ColumnKinds, any: true, result: list},
	{fn: plan.EarliestN, roles: withN, args: plan.ColumnKinds, any: true, result: list},
	{fn: plan.LatestTime, result: maybeInstant},
	{fn: plan.EarliestTime, result: maybeInstant},
	{fn: plan.MaxBy, roles: withY, args: plan.ColumnKinds, any: true, result: maybe},
	{fn: plan.MinBy, roles: withY, args: plan.ColumnKinds, any: true, result: maybe},
	{fn: plan.DistinctCount, roles: oneValue, args: discrete, result: anInt},
	{fn: plan.ApproxDistinct, roles: oneValue, args: discrete, result: anInt},
	{fn: plan.ApproxQuantile, roles: withQ, args: numeric, result: maybeDouble},
	{fn: plan.TopK, roles: withN, args: countable, result: list},
	{fn: plan.Any, roles: oneValue, args: boolean, result: aBool},
	{fn: plan.All, roles: oneValue, args: boolean, result: aBool},
}

// maxN bounds the n of latest_n, earliest_n and top_k, by docs/semantics.md §4.
const maxN = 1000

// groupable are the aggregates that take .by(string).
var groupable = map[plan.AggFunc]bool{plan.Count: true, plan.Sum: true, plan.Mean: true, plan.Min: true, plan.Max: true}

var aggregateByName = func() map[string]*aggregate {
	m := map[string]*aggregate{}
	for i := range aggregates {
		m[string(aggregates[i].fn)] = &aggregates[i]
	}
	return m
}()

// The member functions on aggregates.
const (
	whereName = "where"
	byName    = "by"
	capName   = "cap"
)

// signature is the call as the documentation writes it.
func (a *aggregate) signature() string {
	var parts []string
	for _, r := range a.roles {
		parts = append(parts, roleNames[r])
	}
	if a.optional {
		parts[0] += "?"
	}
	return string(a.fn) + "(" + strings.Join(append(parts, `"window"?`), ", ") + ")"
}

// declareAggregates are the functions of docs/semantics.md §4. They are bound
// late, so no CEL program can run them and no optimiser folds them.
func declareAggregates() []cel.EnvOption {
	var opts []cel.EnvOption
	for i := range aggregates {
		opts = append(opts, cel.Function(string(aggregates[i].fn), aggregates[i].overloads()...))
	}
	return append(opts, declareWhere(), declareBy(), declareCap())
}

// overloads are one for each type of the value (and y), each with and without a
// window. count("7d") is the overload of count(country); which of the two is
// meant shows when the call is split.
func (a *aggregate) overloads() []cel.FunctionOpt {
	id := "agg_" + string(a.fn)
	var out []cel.FunctionOpt
	add := func(id string, result *cel.Type, params ...*cel.Type) {
		out = append(out, cel.Overload(id, params, result, cel.LateFunctionBinding()))
	}
	if a.optional || len(a.roles) == 0 {
		add(id, a.result(nil))
	}
	if len(a.roles) == 0 {
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

func (a *aggregate) valueTypes() []namedType {
	if len(a.roles) == 0 {
		return nil
	}
	var out []namedType
	for _, k := range a.args {
		out = append(out, namedType{k.String(), celenv.ToCEL(plan.T(k))})
	}
	if a.any {
		out = append(out,
			namedType{"uint", cel.UintType},
			namedType{"list", cel.ListType(cel.TypeParamType("E"))},
			namedType{"map", cel.MapType(cel.TypeParamType("K"), cel.TypeParamType("V"))})
	}
	if a.nones {
		out = append(out, namedType{"optional", cel.OptionalType(cel.TypeParamType("O"))})
	}
	return out
}

type namedParams struct {
	name   string
	params []*cel.Type
}

// otherTypes are the types of the arguments after the value.
func (a *aggregate) otherTypes() []namedParams {
	if len(a.roles) < 2 {
		return []namedParams{{}}
	}
	switch a.roles[1] {
	case countRole:
		return []namedParams{{"", []*cel.Type{cel.IntType}}}
	case quantileRole:
		return []namedParams{{"", []*cel.Type{cel.DoubleType}}}
	}
	var out []namedParams
	for _, k := range ordered {
		out = append(out, namedParams{"_" + k.String(), []*cel.Type{celenv.ToCEL(plan.T(k))}})
	}
	return out
}

func declareWhere() cel.EnvOption {
	t := cel.TypeParamType("T")
	return cel.Function(whereName,
		cel.MemberOverload("agg_where", []*cel.Type{t, cel.BoolType}, t, cel.LateFunctionBinding()))
}

// declareBy: a group that is in the map has rows, so an optional loses its
// option; what an aggregate of that type is of no matter, its result is the same.
func declareBy() cel.EnvOption {
	var overloads []cel.FunctionOpt
	for _, k := range ordered {
		t := celenv.ToCEL(plan.T(k))
		grouped := cel.MapType(cel.StringType, t)
		overloads = append(overloads,
			cel.MemberOverload("agg_by_"+k.String(), []*cel.Type{t, cel.StringType}, grouped, cel.LateFunctionBinding()),
			cel.MemberOverload("agg_by_optional_"+k.String(), []*cel.Type{cel.OptionalType(t), cel.StringType}, grouped, cel.LateFunctionBinding()))
	}
	return cel.Function(byName, overloads...)
}

// declareCap: of the aggregates only distinct_count gets here with it, see resolver.caps.
func declareCap() cel.EnvOption {
	return cel.Function(capName,
		cel.MemberOverload("agg_cap", []*cel.Type{cel.IntType, cel.IntType}, cel.IntType, cel.LateFunctionBinding()))
}
