package lang

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/celenv"
)

// Compiler holds the CEL environment that all expressions of a project share.
type Compiler struct {
	r          *diag.Reporter
	env        *cel.Env
	factory    ast.ExprFactory
	globals    []string        // functions called as f(x), for suggestions
	members    []string        // functions called as x.f()
	macros     map[string]bool // member macros, such as map
	namespaces map[string]bool // the part before the dot of math.sqrt
	// optionalFunctions are the member functions of optionals.
	optionalFunctions map[string]bool
}

func New(r *diag.Reporter) (*Compiler, error) {
	opts := append(declareAggregates(),
		cel.Macros(hasMacro()),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
		))
	env, err := celenv.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("declare the language: %w", err)
	}
	c := &Compiler{r: r, env: env, factory: ast.NewExprFactory(), macros: map[string]bool{}, namespaces: map[string]bool{}, optionalFunctions: map[string]bool{}}
	c.listNames()
	return c, nil
}

func (c *Compiler) listNames() {
	for name, f := range c.env.Functions() {
		if strings.ContainsAny(name, "@_") && !yamldoc.IsIdentifier(name) {
			continue
		}
		if space, _, ok := strings.Cut(name, "."); ok {
			c.namespaces[space] = true
		}
		for _, o := range f.OverloadDecls() {
			if o.IsMemberFunction() {
				c.members = append(c.members, name)
				if isOptionalType(o.ArgTypes()[0]) {
					c.optionalFunctions[name] = true
				}
			} else {
				c.globals = append(c.globals, name)
			}
		}
	}
	for _, m := range c.env.Macros() {
		if m.IsReceiverStyle() {
			c.macros[m.Function()] = true
			c.members = append(c.members, m.Function())
		}
	}
	slices.Sort(c.globals)
	slices.Sort(c.members)
	c.globals, c.members = slices.Compact(c.globals), slices.Compact(c.members)
}

// hasMacro turns has(column) and has(request.field) into a comparison with null; has(map.key)
// stays as in CEL.
func hasMacro() cel.Macro {
	return cel.GlobalMacro(operators.Has, 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		arg := args[0]
		switch arg.Kind() {
		case ast.IdentKind:
			return f.NewCall(operators.NotEquals, arg, f.NewLiteral(types.NullValue)), nil
		case ast.SelectKind:
			s := arg.AsSelect()
			if s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == "request" {
				return f.NewCall(operators.NotEquals, arg, f.NewLiteral(types.NullValue)), nil
			}
			return f.NewPresenceTest(s.Operand(), s.FieldName()), nil
		}
		return nil, f.NewError(arg.ID(), "has() takes a column, a request field or a key of a map")
	})
}

// Meaning is what a name in an expression refers to.
type Meaning struct {
	Kind     NameKind
	Type     plan.Type
	Nullable bool // it may be null
	Name     string
	Index    int // features: into View.Features or Service.Features
	Let      Row // lets: the expression that the name stands for
}

func (m Meaning) cel() *cel.Type {
	if m.Nullable {
		return celenv.NullableToCEL(m.Type)
	}
	return celenv.ToCEL(m.Type)
}

// check type-checks x. meanings maps internal names to their meaning, and the guards are
// known to hold. It returns nil after reporting an error.
func (c *Compiler) check(x *Expression, meanings map[string]Meaning, guards ...guard) *ast.AST {
	vars := make([]cel.EnvOption, 0, len(meanings))
	for _, internal := range slices.Sorted(maps.Keys(meanings)) {
		vars = append(vars, cel.Variable(internal, meanings[internal].cel()))
	}
	env, err := c.env.Extend(vars...)
	if err != nil {
		panic("lang: declaring the names of an expression: " + err.Error())
	}
	checked, iss := env.Check(x.parsed)
	if iss.Err() != nil {
		for _, e := range iss.Errors() {
			c.reportCheck(x, e)
		}
		return nil
	}
	tree := checked.NativeRep()
	before := c.r.Errors
	c.lint(x, tree, meanings, guards)
	if c.r.Errors > before {
		return nil
	}
	return tree
}

var (
	noOverload = regexp.MustCompile(`^found no matching overload for '(.*)' applied to '(.*)'$`)
	wrongType  = regexp.MustCompile(`^expected type '(.*)' but found '(.*)'$`)
)

// reportCheck translates a type checker's error into terms of the language.
func (c *Compiler) reportCheck(x *Expression, e *common.Error) {
	msg := tidyTypes(e.Message)
	if m := noOverload.FindStringSubmatch(msg); m != nil {
		c.reportOverload(x, e, m[1], m[2])
		return
	}
	pos := x.posOf(e.Location)
	m := wrongType.FindStringSubmatch(msg)
	switch {
	case m != nil && strings.HasPrefix(m[2], "optional("):
		c.r.Errorf(pos, RuleOptionalValue, "expected %s, found %s; %s", m[1], m[2], unwrapHint)
	case strings.HasPrefix(msg, "invalid "):
		c.r.Errorf(pos, RuleLiteralArgument, "%s: the literal would fail for every row", msg)
	default:
		c.r.Errorf(pos, RuleTypeMismatch, "%s", msg)
	}
}

const unwrapHint = "it may be none, which is not a value; unwrap it with .orValue(…), or refer to a feature that has a default"

func (c *Compiler) reportOverload(x *Expression, e *common.Error, function, operands string) {
	pos := x.posOfID(e.ExprID, function)
	name := displayName(function)
	target, args, isMember := strings.Cut(strings.TrimSuffix(operands, ")"), ".(")
	if !isMember {
		target, args = "", strings.TrimPrefix(target, "(")
	}
	a, known := aggregateOf(function)
	switch {
	case function == "getMilliseconds" && target == "duration":
		c.r.Errorf(pos, RuleMilliseconds, "getMilliseconds() of a duration is the total in some CEL implementations and only the fraction in others, so it is not supported; use getSeconds(), or compare durations")
	case isMember && args == "null" && (function == whereName || function == byName):
		c.r.Errorf(pos, RuleNullType, "%s does not take a null; %s", function, branchHint)
	case function == operators.Conditional && strings.Contains(args, "null"):
		c.r.Errorf(pos, RuleNullType, "? : does not take %s: only columns and request fields may be null; %s", joinOperands(target, args), x.absenceHint(e.ExprID))
	case function == whereName && isMember:
		c.r.Errorf(pos, RuleTypeMismatch, "where takes a bool, not %s; write a comparison", args)
	case function == byName && isMember:
		c.r.Errorf(pos, RuleTypeMismatch, "by takes a string, not %s; convert it with string(…)", args)
	case strings.HasPrefix(target, "optional(") && c.optionalFunctions[function]:
		c.r.Errorf(pos, RuleTypeMismatch, "%s of %s does not take (%s); give a value of the inner type, such as 0.0 for a double", name, target, args)
	case strings.Contains(operands, "optional("):
		c.r.Errorf(pos, RuleOptionalValue, "%s does not take %s: %s", name, joinOperands(target, args), unwrapHint)
	case known && !isMember:
		c.r.Errorf(pos, RuleTypeMismatch, "%s does not take (%s); it is called as %s with a value of type %s", name, args, a.signature(), a.typeNames())
	case args == "int, double" || args == "double, int":
		c.r.Errorf(pos, RuleTypeMismatch, "%s does not take %s; convert one of them, for example with double(…)", name, joinOperands(target, args))
	default:
		c.r.Errorf(pos, RuleTypeMismatch, "%s does not take %s", name, joinOperands(target, args))
	}
}

// absenceHint suggests what to write instead of null in the expression with this id.
func (x *Expression) absenceHint(id int64) string {
	if x.row || inAggregate(x.tree(), id, false) {
		return "leave the events without a value out of the aggregate with .where(…), as in .where(n != 0)"
	}
	return "use optional.of(…) and optional.none()"
}

// inAggregate reports whether the expression with an id is an argument of an aggregate.
func inAggregate(e ast.Expr, id int64, inside bool) bool {
	if e.ID() == id {
		return inside
	}
	if e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() {
		inside = inside || isAggregate(e.AsCall().FunctionName())
	}
	return slices.ContainsFunc(children(e), func(child ast.Expr) bool { return inAggregate(child, id, inside) })
}

func joinOperands(target, args string) string {
	if target == "" {
		return "(" + args + ")"
	}
	return target + ".(" + args + ")"
}

func (a aggregate) typeNames() string {
	text := kindNames(a.Kinds)
	if a.Composite {
		text += ", uint, list, map"
	}
	if a.Has(plan.RoleBy) {
		text += " and a y of type " + kindNames(plan.OrderedKinds)
	}
	return text
}

func kindNames(kinds []plan.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return strings.Join(names, ", ")
}

// displayName returns an operator as authors write it.
func displayName(function string) string {
	if d, ok := operators.FindReverse(function); ok && d != "" {
		return d
	}
	switch function {
	case operators.Conditional:
		return "? :"
	case operators.Index, operators.OptIndex:
		return "[ ]"
	}
	return function
}

// typeNames replaces CEL's type names by those of the language.
var typeNames = strings.NewReplacer(
	"optional_type(", "optional(",
	"google.protobuf.Timestamp", "timestamp",
	"google.protobuf.Duration", "duration",
	"null_type", "null",
)

var wrapper = regexp.MustCompile(`wrapper\((\w+)\)`)

func tidyTypes(s string) string {
	return wrapper.ReplaceAllString(typeNames.Replace(s), "$1")
}
