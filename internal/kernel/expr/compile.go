package expr

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// term is a compiled sub-expression with the properties that its parent must know.
type term struct {
	block
	typ plan.Type
	// floored: a timestamp that was rounded down to a microsecond, so it must not be compared
	// or computed with any more; its fields are still right.
	floored bool
	// zoned: a timestamp that in cel-go may have a zone other than UTC, which its text would
	// show.
	zoned bool
	// mayBeNull: an optional that may be a plain null at run time; lanes do not distinguish
	// null and none.
	mayBeNull bool
	// lit is the value of a literal, nil for anything else.
	lit *constant
}

// plain reports whether the lanes of t contain everything that cel-go would know.
func (t *term) plain() bool { return !t.floored && !t.zoned && !t.mayBeNull }

// builder makes the kernel of a call from its compiled operands, or nil when
// there is none for these operands.
type builder func(c *compiler, e *plan.Expr, args []*term) *term

// rule is a kernel with the kinds of its operands.
type rule struct {
	args  []plan.Kind
	build builder
}

// rules maps overload ids to kernels. Calls of other overloads fall back to cel-go.
var rules = map[string]rule{}

func init() {
	for _, family := range []map[string]rule{
		arithmeticRules, comparisonRules, logicRules, stringRules, temporalRules, fieldRules, conversionRules, mathRules,
	} {
		for id, r := range family {
			rules[id] = r
		}
	}
}

type compiler struct {
	inputs []Input
	index  map[string]int             // index in inputs, by name
	plans  map[*plan.Expr]cel.Program // of sub-trees that cel-go runs; memo may compile one twice
	bias   int                        // added to costs, see memo
	locals []local
	read   []*input      // by index of the input; nil: not read so far
	dicts  []*dictionary // by index of the input; nil: it has none
	inMemo bool
	halt   *halt
	err    error // why the expression cannot be compiled
}

// local is a variable bound by cel.bind or optMap.
type local struct {
	name string
	term *term
}

func compile(e *plan.Expr, inputs []Input, bias int, h *halt) (*block, error) {
	c := &compiler{
		inputs: inputs,
		index:  map[string]int{},
		plans:  map[*plan.Expr]cel.Program{},
		bias:   bias,
		halt:   h,
		read:   make([]*input, len(inputs)),
		dicts:  make([]*dictionary, len(inputs)),
	}
	for i, in := range inputs {
		c.index[in.Name] = i
	}
	t := c.compile(e)
	if c.err != nil {
		return nil, c.err
	}
	if t == nil {
		return nil, fmt.Errorf("%s: the expression reads an unbound variable", position(e))
	}
	return &t.block, nil
}

func position(e *plan.Expr) string {
	return fmt.Sprintf("%s:%d:%d", e.Pos.File, e.Pos.Line, e.Pos.Col)
}

func (c *compiler) fail(e *plan.Expr, format string, args ...any) *term {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %s", position(e), fmt.Sprintf(format, args...))
	}
	return nil
}

// compile compiles e, natively or as a sub-tree for cel-go. It returns nil after an error,
// and if e reads a bound variable that kernels cannot pass to cel-go; then the expression
// that binds the variable must run in cel-go as a whole.
func (c *compiler) compile(e *plan.Expr) *term {
	if t := c.memo(e); t != nil || c.err != nil {
		return t
	}
	if t := c.native(e); t != nil || c.err != nil {
		return t
	}
	return c.fallback(e)
}

// native compiles e such that at least its root is a kernel; nil if there is none.
func (c *compiler) native(e *plan.Expr) *term {
	switch e.Kind {
	case plan.Literal:
		return c.literal(e)
	case plan.Column, plan.Aggregate, plan.FeatureRef, plan.Request, plan.Now:
		return c.input(e)
	case plan.Local:
		return c.local(e)
	}
	if !native(e.Type) {
		return nil
	}
	if isConstant(e) {
		return c.constant(e)
	}
	switch e.Kind {
	case plan.Call:
		return c.call(e)
	case plan.Comprehension:
		return c.let(e)
	}
	return nil
}

// native reports whether kernels handle values of type t.
func native(t plan.Type) bool {
	return t.Kind.Scalar() || t.Kind == plan.Optional && t.Elem.Kind.Scalar()
}

func (c *compiler) call(e *plan.Expr) *term {
	switch e.Name {
	case operators.LogicalAnd, operators.LogicalOr:
		return c.junction(e)
	case operators.Conditional:
		return c.conditional(e)
	case operators.Equals, operators.NotEquals:
		return c.equality(e)
	case operators.In:
		return c.membership(e)
	}
	if len(e.Overloads) != 1 {
		return nil
	}
	if build, ok := optionalCalls[e.Overloads[0]]; ok {
		return build(c, e)
	}
	r, ok := rules[e.Overloads[0]]
	if !ok || len(r.args) != len(e.Args) {
		return nil
	}
	for i, a := range e.Args {
		if a.Type.Kind != r.args[i] {
			return nil
		}
	}
	args := c.operands(e.Args)
	if args == nil {
		return nil
	}
	return r.build(c, e, args)
}

// operands compiles the operands of a call; nil if one cannot be compiled.
func (c *compiler) operands(list []*plan.Expr) []*term {
	args := make([]*term, len(list))
	for i, a := range list {
		if args[i] = c.compile(a); args[i] == nil {
			return nil
		}
	}
	return args
}

func (c *compiler) input(e *plan.Expr) *term {
	name := celenv.InputName(e)
	i, ok := c.index[name]
	if !ok {
		return c.fail(e, "the expression reads %q, which is not among its inputs", name)
	}
	if !c.inputs[i].Type.Equal(e.Type) {
		return c.fail(e, "the expression reads %q as %v, but the input is %v", name, e.Type, c.inputs[i].Type)
	}
	if c.read[i] == nil {
		c.read[i] = &input{i, newCol(e.Type)}
	}
	return &term{block: block{out: c.read[i].out, inputs: c.read[i : i+1 : i+1]}, typ: e.Type}
}

func (c *compiler) local(e *plan.Expr) *term {
	b := c.bound(e.Name)
	if b == nil {
		return nil
	}
	t := *b.term
	t.block, t.lit = block{out: b.term.out}, nil
	return &t
}

func (c *compiler) bound(name string) *local {
	for i := len(c.locals) - 1; i >= 0; i-- {
		if c.locals[i].name == name {
			return &c.locals[i]
		}
	}
	return nil
}

// let compiles what cel.bind and optMap expand to: a comprehension over an empty
// list, which only binds its accumulator.
func (c *compiler) let(e *plan.Expr) *term {
	x := e.Comp
	if x.Range.Kind != plan.ListLit || len(x.Range.Args) != 0 {
		return nil
	}
	if !native(x.Init.Type) {
		return nil
	}
	init := c.compile(x.Init)
	if init == nil {
		return nil
	}
	c.locals = append(c.locals, local{name: x.AccuVar, term: init})
	body := c.compile(x.Result)
	c.locals = c.locals[:len(c.locals)-1]
	if body == nil {
		return nil
	}
	t := *body
	t.block, t.lit = init.block, nil
	t.add(&body.block)
	t.out = body.out
	return &t
}
