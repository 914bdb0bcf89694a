package main

import (
	"fmt"
	"time"

	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/expr"
)

// A form says which literals of an expression become columns. Without any, a constant
// expression would never reach a kernel; and kernels may have special code for a constant left
// or right operand.
type form struct {
	name  string
	lifts func(arg int) bool // by the index of the operand
	// times also lifts timestamps and durations made from literals, if a column can hold them
	// exactly; otherwise their text is lifted.
	times bool
}

var forms = []form{
	{"constants", func(int) bool { return false }, false},
	{"columns", func(int) bool { return true }, false},
	{"columns of times", func(int) bool { return true }, true},
	{"left operands as columns", func(arg int) bool { return arg == 0 }, true},
	{"right operands as columns", func(arg int) bool { return arg > 0 }, true},
}

// column is an input with its value in the rows of the test.
type column struct {
	expr.Input
	value plan.Value
}

// lifter copies an expression and replaces literals by columns.
type lifter struct {
	form form
	cols []column // the variables of the expression, then the lifted literals
}

// lift is e in the given form, and how many literals became columns.
func lift(e *plan.Expr, f form, vars []column) (*plan.Expr, []column, int) {
	l := &lifter{form: f, cols: vars[:len(vars):len(vars)]}
	return l.expr(e, 0), l.cols, len(l.cols) - len(vars)
}

func (l *lifter) expr(e *plan.Expr, arg int) *plan.Expr {
	out := *e
	if v, ok := l.literal(e); ok {
		if l.form.lifts(arg) {
			return l.column(e, v)
		}
		return &out
	}
	if e.Args != nil {
		out.Args = make([]*plan.Expr, len(e.Args))
	}
	for i, a := range e.Args {
		out.Args[i] = l.expr(a, i)
	}
	if c := e.Comp; c != nil {
		comp := *c
		comp.Range, comp.Init = l.expr(c.Range, 0), l.expr(c.Init, 0)
		comp.Cond, comp.Step, comp.Result = l.expr(c.Cond, 0), l.expr(c.Step, 0), l.expr(c.Result, 0)
		out.Comp = &comp
	}
	return &out
}

func (l *lifter) column(e *plan.Expr, v plan.Value) *plan.Expr {
	name := fmt.Sprintf("@literal%d", len(l.cols))
	l.cols = append(l.cols, column{expr.Input{Name: name, Type: e.Type}, v})
	return &plan.Expr{Kind: plan.Column, Name: name, Type: e.Type, Pos: e.Pos}
}

// literal is the value of e, if e is a literal that a column can hold.
func (l *lifter) literal(e *plan.Expr) (plan.Value, bool) {
	switch {
	case e.Kind == plan.Literal:
		return e.Lit, e.Type.Kind.Scalar()
	case l.form.times && e.Kind == plan.Call && len(e.Args) == 1 && e.Args[0].Kind == plan.Literal:
		return timeLiteral(e)
	}
	return plan.Value{}, false
}

// timeLiteral is the value of timestamp('…') or duration('…'). Columns hold
// timestamps in whole microseconds and in UTC.
func timeLiteral(e *plan.Expr) (plan.Value, bool) {
	if len(e.Overloads) != 1 || e.Overloads[0] != overloads.StringToTimestamp && e.Overloads[0] != overloads.StringToDuration {
		return plan.Value{}, false
	}
	prg, err := celenv.Plan(e)
	if err != nil {
		return plan.Value{}, false
	}
	got, _, err := prg.Eval(interpreter.EmptyActivation())
	if err != nil {
		return plan.Value{}, false
	}
	if ts, ok := got.(types.Timestamp); ok && (ts.Location() != time.UTC || ts.Nanosecond()%int(time.Microsecond) != 0) {
		return plan.Value{}, false
	}
	v, err := celenv.FromRef(got, e.Type)
	return v, err == nil
}
