package main

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// converter turns a checked tree into a plan expression whose variables are columns.
type converter struct {
	tree   *ast.AST
	locals []string
	err    error // the first failure
}

func convert(tree *ast.AST) (*plan.Expr, error) {
	x := &converter{tree: tree}
	e := x.expr(tree.Expr())
	return e, x.err
}

func (x *converter) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf(format, args...)
	}
}

func (x *converter) expr(e ast.Expr) *plan.Expr {
	t, err := celenv.FromCEL(x.tree.GetType(e.ID()))
	if err != nil {
		x.fail("%w", err)
	}
	out := &plan.Expr{Type: t, Pos: x.pos(e)}
	switch e.Kind() {
	case ast.LiteralKind:
		out.Kind = plan.Literal
		if out.Lit, err = celenv.FromRef(e.AsLiteral(), t); err != nil {
			x.fail("%w", err)
		}
	case ast.IdentKind:
		x.variable(out, e.AsIdent())
	case ast.SelectKind:
		x.selection(out, e)
	case ast.CallKind:
		x.call(out, e)
	case ast.ListKind:
		out.Kind, out.Args = plan.ListLit, x.exprs(e.AsList().Elements())
		for _, i := range e.AsList().OptionalIndices() {
			out.Optional = append(out.Optional, int(i))
		}
	case ast.MapKind:
		x.mapLiteral(out, e.AsMap())
	case ast.ComprehensionKind:
		x.comprehension(out, e.AsComprehension())
	default:
		x.fail("an expression of kind %v", e.Kind())
	}
	return out
}

func (x *converter) pos(e ast.Expr) plan.Pos {
	loc := x.tree.SourceInfo().GetStartLocation(e.ID())
	return plan.Pos{File: "test", Line: loc.Line(), Col: loc.Column() + 1}
}

func (x *converter) exprs(list []ast.Expr) []*plan.Expr {
	out := make([]*plan.Expr, len(list))
	for i, e := range list {
		out[i] = x.expr(e)
	}
	return out
}

func (x *converter) variable(out *plan.Expr, name string) {
	if slices.Contains(x.locals, name) {
		out.Kind, out.Name = plan.Local, name
		return
	}
	out.Kind, out.Name = plan.Column, strings.TrimPrefix(name, ".")
}

// selection converts a field of a map, or a variable with a dot in its name.
func (x *converter) selection(out *plan.Expr, e ast.Expr) {
	if ref, ok := x.tree.ReferenceMap()[e.ID()]; ok {
		out.Kind, out.Name = plan.Column, ref.Name
		return
	}
	s := e.AsSelect()
	out.Kind, out.Name, out.TestOnly = plan.Select, s.FieldName(), s.IsTestOnly()
	out.Args = []*plan.Expr{x.expr(s.Operand())}
}

func (x *converter) call(out *plan.Expr, e ast.Expr) {
	c := e.AsCall()
	out.Kind, out.Name = plan.Call, c.FunctionName()
	out.Overloads = x.tree.GetOverloadIDs(e.ID())
	args := c.Args()
	// A name with dots such as math.abs looks like a member until it is checked.
	if out.Member = c.IsMemberFunction(); out.Member {
		args = append([]ast.Expr{c.Target()}, args...)
	}
	out.Args = x.exprs(args)
}

func (x *converter) mapLiteral(out *plan.Expr, m ast.MapExpr) {
	out.Kind = plan.MapLit
	for i, entry := range m.Entries() {
		kv := entry.AsMapEntry()
		out.Args = append(out.Args, x.expr(kv.Key()), x.expr(kv.Value()))
		if kv.IsOptional() {
			out.Optional = append(out.Optional, i)
		}
	}
}

func (x *converter) comprehension(out *plan.Expr, c ast.ComprehensionExpr) {
	out.Kind = plan.Comprehension
	out.Comp = &plan.Comp{
		IterVar: c.IterVar(), IterVar2: c.IterVar2(), AccuVar: c.AccuVar(),
		Range: x.expr(c.IterRange()), Init: x.expr(c.AccuInit()),
	}
	outer := x.locals
	defer func() { x.locals = outer }()
	x.locals = append(slices.Clone(outer), c.AccuVar())
	out.Comp.Result = x.expr(c.Result())
	x.locals = append(x.locals, c.IterVar(), c.IterVar2())
	out.Comp.Cond, out.Comp.Step = x.expr(c.LoopCondition()), x.expr(c.LoopStep())
}
