package expr

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// Fallback is a sub-expression without kernels: cel-go evaluates it row by row.
type Fallback struct {
	Text     string
	Pos      plan.Pos
	NsPerRow int // a rough estimate, for display
}

// fallbackNode runs a sub-tree in cel-go for every needed row.
type fallbackNode struct {
	expr *plan.Expr
	prg  cel.Program
	act  activation
	halt *halt
	out  *col
}

// fallback makes cel-go run all of e. It returns nil if e reads a bound variable whose
// lanes do not contain everything that cel-go would know.
func (c *compiler) fallback(e *plan.Expr) *term {
	vars := &freeVars{c: c, seen: map[string]plan.ExprKind{}, ok: true}
	free(e, nil, vars.add)
	if !vars.ok || c.err != nil {
		return nil
	}
	prg, err := c.program(e)
	if err != nil {
		return c.fail(e, "%v", err)
	}
	x := &fallbackNode{expr: e, prg: prg, act: activation{vars: vars.vars}, halt: c.halt, out: newCol(e.Type)}
	isTime := e.Type.Unwrap().Kind == plan.Timestamp
	t := then(x, x.out, vars.terms...)
	t.floored, t.zoned, t.mayBeNull = isTime, isTime, e.Type.Kind == plan.Optional
	return t
}

// program plans e, once even if memo compiles it twice.
func (c *compiler) program(e *plan.Expr) (cel.Program, error) {
	if p, ok := c.plans[e]; ok {
		return p, nil
	}
	p, err := celenv.Plan(e)
	if err == nil {
		c.plans[e] = p
	}
	return p, err
}

// freeVars collects the variables of an expression.
type freeVars struct {
	c     *compiler
	vars  []variable
	terms []*term // of vars
	seen  map[string]plan.ExprKind
	ok    bool
}

// free calls f for the free variables of e that are not in bound: inputs, and variables that
// enclosing expressions bind.
func free(e *plan.Expr, bound []string, f func(*plan.Expr)) {
	switch {
	case e.Kind == plan.Comprehension:
		x := e.Comp
		free(x.Range, bound, f)
		free(x.Init, bound, f)
		inner := append(bound[:len(bound):len(bound)], x.AccuVar)
		free(x.Result, inner, f)
		inner = append(inner, x.IterVar, x.IterVar2)
		free(x.Cond, inner, f)
		free(x.Step, inner, f)
		return
	case e.Kind == plan.Local:
		if !slices.Contains(bound, e.Name) {
			f(e)
		}
	case celenv.InputName(e) != "":
		f(e)
	}
	e.Children(func(a *plan.Expr) { free(a, bound, f) })
}

// add records a variable. It clears ok if an input and a bound variable have the same name,
// because cel-go can be passed only one of them.
func (f *freeVars) add(e *plan.Expr) {
	name := e.Name
	if e.Kind != plan.Local {
		name = celenv.InputName(e)
	}
	isLocal := func(k plan.ExprKind) bool { return k == plan.Local }
	if kind, ok := f.seen[name]; ok {
		f.ok = f.ok && isLocal(kind) == isLocal(e.Kind)
		return
	}
	f.seen[name] = e.Kind
	var t *term
	if e.Kind == plan.Local {
		t = f.c.local(e)
	} else {
		t = f.c.input(e)
	}
	if t == nil || !t.plain() {
		f.ok = false
		return
	}
	f.vars, f.terms = append(f.vars, variable{name, t.out}), append(f.terms, t)
}

func (x *fallbackNode) eval(n int, need vector.Bitmap) {
	x.out.reset(n)
	for i := 0; i < n; i++ {
		if need != nil && !need.Get(i) {
			continue
		}
		x.halt.check()
		x.act.row = i
		v, _, err := x.prg.Eval(&x.act)
		if err != nil {
			x.out.errs().Set(i)
			continue
		}
		x.out.store(i, v)
	}
}

// store puts a CEL value in row i; one of another type is an error.
func (c *col) store(i int, v ref.Val) {
	if o, ok := v.(*types.Optional); ok && c.Type.Kind == plan.Optional {
		if !o.HasValue() {
			c.nulls().Set(i)
			return
		}
		if v = o.GetValue(); v == types.NullValue {
			c.ofNulls().Set(i)
			return
		}
	}
	if v == types.NullValue {
		c.nulls().Set(i)
		return
	}
	if !c.storeScalar(i, v) {
		c.storeAny(i, v)
	}
}

// storeScalar stores scalars without boxing them.
func (c *col) storeScalar(i int, v ref.Val) bool {
	kind := c.Type.Unwrap().Kind
	switch v := v.(type) {
	case types.Bool:
		if kind == plan.Bool {
			c.Bits.Put(i, bool(v))
			return true
		}
	case types.Int:
		if kind == plan.Int {
			c.Int[i] = int64(v)
			return true
		}
	case types.Double:
		if kind == plan.Double {
			c.Double[i] = float64(v)
			return true
		}
	case types.String:
		if kind == plan.String {
			c.Str[i] = string(v)
			return true
		}
	}
	return false
}

func (c *col) storeAny(i int, v ref.Val) {
	val, err := celenv.FromRef(v, c.Type.Unwrap())
	if err != nil {
		c.errs().Set(i)
		return
	}
	switch vector.Lane(c.Type) {
	case plan.Int:
		c.Int[i] = val.Int()
	case plan.String:
		c.Str[i] = val.Str()
	case plan.Dyn:
		c.Any[i] = val
	default:
		c.errs().Set(i)
	}
}

// activation gives cel-go the variables of one row, boxing only those that it reads.
type activation struct {
	vars []variable
	row  int
}

type variable struct {
	name string
	col  *col
}

var _ interpreter.Activation = (*activation)(nil)

// ResolveName finds a variable of the current row.
func (a *activation) ResolveName(name string) (any, bool) {
	for i := range a.vars {
		if a.vars[i].name == name {
			return a.vars[i].col.box(a.row), true
		}
	}
	return nil, false
}

// Parent is nil: there are no other variables.
func (a *activation) Parent() interpreter.Activation { return nil }

// InputFailed is the error text of an expression that reads an input that failed.
const InputFailed = "the input of the expression failed"

var errInput = types.NewErr(InputFailed)

// box is row i as a CEL value.
func (c *col) box(i int) ref.Val {
	optional := c.Type.Kind == plan.Optional
	switch {
	case c.Err.Get(i):
		return errInput
	case c.ofNull.Get(i):
		return types.OptionalOf(types.NullValue)
	case c.Null.Get(i) && optional:
		return types.OptionalNone
	case c.Null.Get(i):
		return types.NullValue
	}
	v := c.boxValue(i)
	if optional {
		return types.OptionalOf(v)
	}
	return v
}

func (c *col) boxValue(i int) ref.Val {
	switch t := c.Type.Unwrap(); t.Kind {
	case plan.Bool:
		return types.Bool(c.Bits.Get(i))
	case plan.Int:
		return types.Int(c.Int[i])
	case plan.Double:
		return types.Double(c.Double[i])
	case plan.String:
		return types.String(c.Str[i])
	default:
		return celenv.ToRef(c.Value(i), t)
	}
}
