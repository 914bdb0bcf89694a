package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// NameKind is what a name in an expression refers to.
type NameKind uint8

const (
	ColumnName NameKind = iota
	LetName
	FeatureName // another feature of the view, or a derived feature of the service
	ViewFeatureName
	RequestName
	NowName
	strayName // unresolved
)

// Reference is a name used in an expression. The tree gets internal instead, which authors
// cannot write, so that a column and a feature with the same name are distinct.
type Reference struct {
	Kind     NameKind
	Name     string // as written
	internal string
	Pos      plan.Pos // of its first use
	Within   string   // the aggregate or key that makes it a row name, for messages
}

// Vocabulary is what an expression may refer to.
type Vocabulary struct {
	Row        bool   // the whole expression is about one event: where, let
	What       string // what contains the expression, for messages
	Lets       map[string]bool
	Features   map[string]bool
	Roles      map[string]map[string]bool // in services: the features of each role
	Request    map[string]bool
	Aggregates bool // aggregates are allowed
}

// resolver walks a parsed expression once: it replaces names by what they refer to and
// reports misplaced or malformed aggregates. It needs no types.
type resolver struct {
	c     *Compiler
	x     *Expression
	words Vocabulary
	refs  map[string]*Reference // by internal name
}

// Resolve returns the names x uses, and whether its structure is sound.
func (c *Compiler) Resolve(x *Expression, words Vocabulary) (refs map[string]*Reference, ok bool) {
	before := c.r.Errors
	x.row = words.Row
	r := &resolver{c: c, x: x, words: words, refs: map[string]*Reference{}}
	r.expr(x.tree(), scope{row: words.Row, within: words.What})
	return r.refs, c.r.Errors == before
}

// scope describes the current point of the walk.
type scope struct {
	row    bool     // names are columns
	within string   // the aggregate or key that makes it so
	nested bool     // within is an aggregate
	locals []string // variables of the enclosing comprehensions, innermost last
	barred int      // number of locals that are outside the aggregate
}

func (p scope) bind(names ...string) scope {
	p.locals = append(p.locals[:len(p.locals):len(p.locals)], names...)
	return p
}

func (r *resolver) errorf(e ast.Expr, rule diag.Rule, format string, args ...any) {
	r.c.r.Errorf(r.x.pos(e), rule, format, args...)
}

func (r *resolver) expr(e ast.Expr, p scope) {
	switch e.Kind() {
	case ast.IdentKind:
		r.ident(e, p)
	case ast.SelectKind:
		r.selection(e, p)
	case ast.CallKind:
		r.call(e, p)
	case ast.ListKind:
		r.exprs(e.AsList().Elements(), p)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.expr(entry.AsMapEntry().Key(), p)
			r.expr(entry.AsMapEntry().Value(), p)
		}
	case ast.StructKind:
		r.errorf(e, RuleFeatureType, "messages such as %s{…} are not part of the language; use maps and lists", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		r.comprehension(e.AsComprehension(), p)
	}
}

func (r *resolver) exprs(list []ast.Expr, p scope) {
	for _, e := range list {
		r.expr(e, p)
	}
}

func (r *resolver) comprehension(c ast.ComprehensionExpr, p scope) {
	r.expr(c.IterRange(), p)
	r.expr(c.AccuInit(), p)
	inside := p.bind(c.AccuVar(), c.IterVar())
	if c.HasIterVar2() {
		inside = inside.bind(c.IterVar2())
	}
	r.expr(c.LoopCondition(), inside)
	r.expr(c.LoopStep(), inside)
	r.expr(c.Result(), p.bind(c.AccuVar()))
}

// local finds the innermost comprehension variable with this name.
func (p scope) local(name string) (index int, ok bool) {
	for i := len(p.locals) - 1; i >= 0; i-- {
		if p.locals[i] == name {
			return i, true
		}
	}
	return 0, false
}

func (r *resolver) ident(e ast.Expr, p scope) {
	name := strings.TrimPrefix(e.AsIdent(), ".")
	if i, ok := p.local(e.AsIdent()); ok {
		if i < p.barred {
			r.errorf(e, RuleLoopVariable, "%s cannot use %q, a variable of a loop around it: an aggregate has one value for all iterations", p.within, name)
		}
		return
	}
	if strings.HasPrefix(name, "@") {
		return // already resolved: macros may use a node twice
	}
	switch {
	case p.row:
		r.rowName(e, name, p)
	case name == "now":
		r.refer(e, NowName, name, p)
	case r.words.Features[name]:
		r.refer(e, FeatureName, name, p)
	case r.words.Roles[name] != nil:
		r.errorf(e, RuleUnknownName, "%q is a view; name one of its features, like %s.%s", name, name, anyOf(r.words.Roles[name]))
	default:
		r.refer(e, strayName, name, p)
	}
}

func anyOf(set map[string]bool) string {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		return name
	}
	return "feature"
}

func (r *resolver) rowName(e ast.Expr, name string, p scope) {
	switch {
	case name == "now":
		r.errorf(e, RuleNowInRow, "%s reads events, which have no now; use now outside of it, or use a window", p.within)
	case r.words.Lets[name]:
		r.refer(e, LetName, name, p)
	default:
		r.refer(e, ColumnName, name, p)
	}
}

var namePrefixes = [...]string{
	ColumnName: "@column:", LetName: "@let:", FeatureName: "@feature:", ViewFeatureName: "@view:",
	RequestName: "@request:", NowName: "@now:", strayName: "@stray:",
}

// refer records what e refers to and replaces e by the internal name.
func (r *resolver) refer(e ast.Expr, kind NameKind, name string, p scope) {
	pos := r.x.pos(e)
	internal := namePrefixes[kind] + name
	if _, ok := r.refs[internal]; !ok {
		r.refs[internal] = &Reference{kind, name, internal, pos, p.within}
	}
	e.SetKindCase(r.c.factory.NewIdent(e.ID(), internal))
}

// selection resolves role.feature, request.field, or a field of a map.
func (r *resolver) selection(e ast.Expr, p scope) {
	s := e.AsSelect()
	root := ""
	if s.Operand().Kind() == ast.IdentKind {
		root = s.Operand().AsIdent()
	}
	_, isLocal := p.local(root)
	features, isRole := r.words.Roles[root]
	switch {
	case root == "" || isLocal || p.row:
		r.expr(s.Operand(), p)
	case root == "request" && r.words.Request != nil:
		r.requestField(e, s, p)
	case isRole:
		r.viewFeature(e, s, root, features, p)
	default:
		r.expr(s.Operand(), p)
	}
}

func (r *resolver) requestField(e ast.Expr, s ast.SelectExpr, p scope) {
	if !r.words.Request[s.FieldName()] {
		r.errorf(e, RuleUnknownName, "request has no field %q%s; declare it under request:",
			s.FieldName(), diag.DidYouMean(s.FieldName(), slices.Sorted(maps.Keys(r.words.Request))))
		return
	}
	r.refer(e, RequestName, s.FieldName(), p)
}

func (r *resolver) viewFeature(e ast.Expr, s ast.SelectExpr, role string, features map[string]bool, p scope) {
	name := s.FieldName()
	if !features[name] {
		r.errorf(e, RuleUnknownName, "the service has no feature %q%s; add it under features:",
			role+"."+name, diag.DidYouMean(name, slices.Sorted(maps.Keys(features))))
		return
	}
	if s.IsTestOnly() {
		r.errorf(e, RuleOptionalValue, "has() is for columns and maps; for an optional feature write %s.%s.hasValue()", role, name)
		return
	}
	r.refer(e, ViewFeatureName, role+"."+name, p)
}

func (r *resolver) call(e ast.Expr, p scope) {
	call := e.AsCall()
	if chain := aggregateChain(e); chain != nil {
		r.aggregate(chain, p)
		return
	}
	if call.IsMemberFunction() && !r.namespaced(e, p) {
		r.expr(call.Target(), p)
		r.memberName(e, call)
	} else if !call.IsMemberFunction() {
		r.globalName(e, call)
	}
	r.exprs(call.Args(), p)
}

// globalName reports an unknown function.
func (r *resolver) globalName(e ast.Expr, call ast.CallExpr) {
	name := strings.TrimPrefix(call.FunctionName(), ".")
	if r.c.env.HasFunction(name) {
		return
	}
	if other, ok := otherNames[name]; ok {
		r.errorf(e, RuleUnknownName, "there is no function %q; it is called %s here", name, other)
		return
	}
	r.errorf(e, RuleUnknownName, "there is no function %q%s", name, diag.DidYouMean(name, r.c.globals))
}

func (r *resolver) memberName(e ast.Expr, call ast.CallExpr) {
	name := call.FunctionName()
	switch {
	case name == capName:
		r.errorf(e, RuleAggregatePlace, ".cap() must directly follow distinct_count, like distinct_count(country, \"7d\").cap(50000)")
	case name == whereName || name == byName:
		r.errorf(e, RuleAggregatePlace, ".%s() must directly follow an aggregate, like count(\"7d\").%s(…)", name, name)
	case r.c.macros[name]:
		r.errorf(e, RuleTypeMismatch, "%s() does not take these arguments; a loop names its variable first, like list.%s(x, x > 0)", name, name)
	case !r.c.env.HasFunction(name):
		r.errorf(e, RuleUnknownName, "there is no function %q%s", name, diag.DidYouMean(name, r.c.members))
	}
}

// otherNames maps names of aggregates in other systems to ours.
var otherNames = map[string]string{
	"avg": "mean", "average": "mean", "last": "latest", "first": "earliest", "most_recent": "latest",
	"stddev": "stddev_samp", "std": "stddev_samp", "variance": "var_samp", "var": "var_samp",
	"count_distinct": "distinct_count", "nunique": "distinct_count", "approx_count_distinct": "approx_distinct",
	"median": "approx_quantile(value, 0.5)", "percentile": "approx_quantile", "quantile": "approx_quantile",
	"argmax": "max_by", "argmin": "min_by", "arg_max": "max_by", "arg_min": "min_by", "mode": "top_k(value, 1)",
}

// namespaced reports whether e is a call like math.sqrt(x), whose target is part of the
// function's name. An unknown one is reported.
func (r *resolver) namespaced(e ast.Expr, p scope) bool {
	call := e.AsCall()
	if call.Target().Kind() != ast.IdentKind {
		return false
	}
	space := strings.TrimPrefix(call.Target().AsIdent(), ".")
	if _, isLocal := p.local(space); isLocal || !r.c.namespaces[space] {
		return false
	}
	name := space + "." + call.FunctionName()
	if !r.c.env.HasFunction(name) {
		r.errorf(e, RuleUnknownName, "there is no function %q%s", name, diag.DidYouMean(name, r.c.globals))
	}
	return true
}

// aggregateCall is an aggregate with the .where, .by and .cap that follow it.
type aggregateCall struct {
	root   ast.Expr // the whole chain
	base   ast.Expr // the aggregate itself
	decl   aggregate
	wheres []ast.Expr // the calls
	bys    []ast.Expr
	caps   []ast.Expr
}

// aggregateChain splits e if it is an aggregate, possibly followed by .where, .by or .cap.
func aggregateChain(e ast.Expr) *aggregateCall {
	call := &aggregateCall{root: e}
	for {
		if e.Kind() != ast.CallKind {
			return nil
		}
		c := e.AsCall()
		if !c.IsMemberFunction() {
			decl, ok := aggregateOf(c.FunctionName())
			if !ok {
				return nil
			}
			call.base, call.decl = e, decl
			slices.Reverse(call.wheres)
			slices.Reverse(call.bys)
			slices.Reverse(call.caps)
			return call
		}
		switch c.FunctionName() {
		case whereName:
			call.wheres = append(call.wheres, e)
		case byName:
			call.bys = append(call.bys, e)
		case capName:
			call.caps = append(call.caps, e)
		default:
			return nil
		}
		e = c.Target()
	}
}

// aggregate checks the position and form of an aggregate call and resolves its arguments as
// row expressions.
func (r *resolver) aggregate(call *aggregateCall, p scope) {
	name := string(call.decl.Func)
	switch {
	case p.nested:
		r.errorf(call.base, RuleNestedAggregate, "%s is inside %s; an aggregate reads columns, so make %s a feature of its own and combine the two outside", name, p.within, name)
		return
	case p.row:
		r.errorf(call.base, RuleAggregatePlace, "%s reads one event, so %s cannot be used here; use it in a feature", p.within, name)
		return
	case !r.words.Aggregates:
		r.errorf(call.base, RuleAggregatePlace, "%s cannot aggregate events; make %s a feature of a view and refer to it", r.words.What, name)
		return
	}
	inside := scope{row: true, nested: true, within: name + "(…)", locals: p.locals, barred: len(p.locals)}
	r.arguments(call, inside)
	for _, w := range call.wheres {
		r.modifier(w, inside)
	}
	for i, b := range call.bys {
		if i > 0 || !call.decl.Groups {
			r.errorf(b, RuleAggregateCall, "only %s take .by(), and only once", plan.Which(func(a *plan.AggRow) bool { return a.Groups }))
		}
		r.modifier(b, inside)
	}
	r.caps(call)
}

// caps checks that .cap follows distinct_count and has a literal within bounds.
func (r *resolver) caps(call *aggregateCall) {
	for i, c := range call.caps {
		if i > 0 || !call.decl.Capped {
			r.errorf(c, RuleAggregateCall, "only %s takes .cap(), and only once", plan.Which(func(a *plan.AggRow) bool { return a.Capped }))
			continue
		}
		args := c.AsCall().Args()
		if len(args) != 1 {
			r.errorf(c, RuleAggregateCall, ".cap() takes one argument, an int literal from 1 to %d", plan.MaxDistinctCap)
			continue
		}
		if n, ok := intLiteral(args[0]); !ok || n < 1 || n > plan.MaxDistinctCap {
			r.errorf(args[0], RuleLiteralArgument, "the cap of distinct_count must be an int literal from 1 to %d; approx_distinct has no cap", plan.MaxDistinctCap)
		}
	}
}

// modifier resolves the argument of .where or .by.
func (r *resolver) modifier(e ast.Expr, p scope) {
	call := e.AsCall()
	if len(call.Args()) != 1 {
		r.errorf(e, RuleAggregateCall, ".%s() takes one argument, a %s expression over the columns",
			call.FunctionName(), map[string]string{whereName: "bool", byName: "string"}[call.FunctionName()])
		return
	}
	r.exprs(call.Args(), p)
}

// arguments checks the number of arguments and the literals among them.
func (r *resolver) arguments(call *aggregateCall, p scope) {
	args, window := call.split()
	if len(args) != len(call.decl.Roles) && !(call.decl.NoValue && len(args) == 0) {
		r.wrongCount(call, args, window)
		return
	}
	if window != nil {
		r.window(call, window)
	}
	for i, a := range args {
		switch call.decl.Roles[i] {
		case plan.RoleN:
			r.countLiteral(call, a)
		case plan.RoleQuantile:
			r.quantileLiteral(a)
		default:
			r.expr(a, p)
		}
	}
}

// split separates the window from the other arguments: a string literal in the last position,
// or whatever follows the aggregate's last argument.
func (call *aggregateCall) split() (args []ast.Expr, window ast.Expr) {
	args = call.base.AsCall().Args()
	if n := len(args); n > 0 && (isString(args[n-1]) || n == len(call.decl.Roles)+1) {
		return args[:n-1], args[n-1]
	}
	return args, nil
}

func (r *resolver) wrongCount(call *aggregateCall, args []ast.Expr, window ast.Expr) {
	hint := ""
	if window != nil && isString(window) && len(args) == len(call.decl.Roles)-1 {
		hint = fmt.Sprintf(": the string literal %s is the window", literalText(window))
	}
	r.errorf(call.base, RuleAggregateCall, "%s is called as %s%s", call.decl.Func, call.decl.signature(), hint)
}

func isString(e ast.Expr) bool {
	if e.Kind() != ast.LiteralKind {
		return false
	}
	_, ok := e.AsLiteral().(types.String)
	return ok
}

func literalText(e ast.Expr) string {
	return fmt.Sprintf("%q", fmt.Sprint(e.AsLiteral().Value()))
}

func (r *resolver) window(call *aggregateCall, e ast.Expr) {
	if !isString(e) {
		r.errorf(e, RuleWindowLiteral, "the window of %s must be a string literal like \"7d\", \"7d/1h\" or \"7d/exact\": tiles are planned before any event is read", call.decl.Func)
		return
	}
	if _, err := plan.ParseWindow(string(e.AsLiteral().(types.String))); err != nil {
		r.errorf(e, RuleWindow, "%v", err)
	}
}

func (r *resolver) countLiteral(call *aggregateCall, e ast.Expr) {
	if n, ok := intLiteral(e); ok && n >= 1 && n <= plan.MaxElements {
		return
	}
	r.errorf(e, RuleLiteralArgument, "the number of values of %s must be an int literal from 1 to %d", call.decl.Func, plan.MaxElements)
}

func intLiteral(e ast.Expr) (n types.Int, ok bool) {
	if e.Kind() == ast.LiteralKind {
		n, ok = e.AsLiteral().(types.Int)
	}
	return n, ok
}

func (r *resolver) quantileLiteral(e ast.Expr) {
	if e.Kind() == ast.LiteralKind {
		if q, ok := e.AsLiteral().(types.Double); ok && q >= 0 && q <= 1 {
			return
		}
	}
	r.errorf(e, RuleLiteralArgument, "the quantile must be a double literal from 0.0 to 1.0")
}
