package expr

import (
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// isConstant reports whether e reads no variable.
func isConstant(e *plan.Expr) bool {
	constant := true
	e.Walk(func(n *plan.Expr) {
		if n.Kind == plan.Local || celenv.InputName(n) != "" {
			constant = false
		}
	})
	return constant
}

func (c *compiler) literal(e *plan.Expr) *term {
	if !native(e.Type) {
		return nil
	}
	return constTerm(e.Type, celenv.ToRef(e.Lit, e.Type))
}

// constant evaluates e once, by cel-go.
func (c *compiler) constant(e *plan.Expr) *term {
	prg, err := c.program(e)
	if err != nil {
		return c.fail(e, "%v", err)
	}
	v, _, err := prg.Eval(interpreter.EmptyActivation())
	if err != nil {
		v = types.WrapErr(err)
	}
	return constTerm(e.Type, v)
}

// constTerm makes a constant of native type t, nil if v is not a value of t.
func constTerm(t plan.Type, v ref.Val) *term {
	x := &constant{mem: newCol(t), out: newCol(t)}
	out := &term{block: block{out: x.out, consts: []*constant{x}}, typ: t, lit: x}
	if o, ok := v.(*types.Optional); ok && t.Kind == plan.Optional {
		if !o.HasValue() {
			x.null = true
			return out
		}
		v = o.GetValue()
		if v == types.NullValue {
			x.ofNull = true
			return out
		}
	}
	switch v := v.(type) {
	case *types.Err:
		x.err = true
		return out
	case types.Null:
		x.null = true
		out.mayBeNull = t.Kind == plan.Optional
		return out
	case types.Timestamp:
		out.floored = v.Nanosecond()%int(time.Microsecond) != 0
		out.zoned = v.Location() != time.UTC
	}
	val, err := celenv.FromRef(v, t.Unwrap())
	if err != nil {
		return nil
	}
	x.val = val
	return out
}

// nullTerm makes a null of native type t.
func nullTerm(t plan.Type) *term { return constTerm(t, types.NullValue) }

// isNull reports whether e is the literal null.
func isNull(e *plan.Expr) bool {
	return e.Kind == plan.Literal && e.Type.Kind == plan.Null
}
