package expr

import (
	"fmt"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// testInputs are the variables of test expressions.
var testInputs = []Input{
	{"b", plan.T(plan.Bool)}, {"c", plan.T(plan.Bool)},
	{"i", plan.T(plan.Int)}, {"j", plan.T(plan.Int)},
	{"u", plan.T(plan.Uint)}, {"v", plan.T(plan.Uint)},
	{"d", plan.T(plan.Double)}, {"f", plan.T(plan.Double)},
	{"s", plan.T(plan.String)}, {"t", plan.T(plan.String)},
	{"y", plan.T(plan.Bytes)},
	{"ts", plan.T(plan.Timestamp)}, {"tu", plan.T(plan.Timestamp)},
	{"du", plan.T(plan.Duration)}, {"dv", plan.T(plan.Duration)},
	{"oi", plan.OptionalOf(plan.T(plan.Int))},
	{"od", plan.OptionalOf(plan.T(plan.Double))},
	{"os", plan.OptionalOf(plan.T(plan.String))},
	{"ot", plan.OptionalOf(plan.T(plan.Timestamp))},
	{"li", plan.ListOf(plan.T(plan.Int))},
	{"m", plan.MapOf(plan.T(plan.String), plan.T(plan.Int))},
	{"request.amount", plan.T(plan.Double)},
	{"now", plan.T(plan.Timestamp)},
}

// testEnv declares testInputs.
func testEnv(t testing.TB) *cel.Env {
	t.Helper()
	var opts []cel.EnvOption
	for _, in := range testInputs {
		opts = append(opts, cel.Variable(in.Name, celenv.NullableToCEL(in.Type)))
	}
	env, err := celenv.NewEnv(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// source is a test expression in both forms.
type source struct {
	checked *cel.Ast
	expr    *plan.Expr
}

func parse(env *cel.Env, text string) (source, error) {
	checked, iss := env.Compile(text)
	if iss.Err() != nil {
		return source{}, iss.Err()
	}
	x := &converter{tree: checked.NativeRep()}
	e, err := x.expr(x.tree.Expr(), nil)
	return source{checked, e}, err
}

// converter turns a checked tree over testInputs into a plan.Expr.
type converter struct{ tree *ast.AST }

func (x *converter) expr(e ast.Expr, locals []string) (*plan.Expr, error) {
	t, err := celenv.FromCEL(x.tree.GetType(e.ID()))
	if err != nil {
		return nil, err
	}
	loc := x.tree.SourceInfo().GetStartLocation(e.ID())
	out := &plan.Expr{Type: t, Pos: plan.Pos{File: "test", Line: loc.Line(), Col: loc.Column() + 1}}
	switch e.Kind() {
	case ast.LiteralKind:
		out.Kind = plan.Literal
		out.Lit, err = celenv.FromRef(e.AsLiteral(), t)
		return out, err
	case ast.IdentKind:
		return out, x.ident(out, e.AsIdent(), locals)
	case ast.SelectKind:
		return x.sel(out, e, locals)
	case ast.CallKind:
		return x.call(out, e, locals)
	case ast.ListKind:
		out.Kind = plan.ListLit
		for _, i := range e.AsList().OptionalIndices() {
			out.Optional = append(out.Optional, int(i))
		}
		out.Args, err = x.exprs(e.AsList().Elements(), locals)
		return out, err
	case ast.MapKind:
		return x.mapLit(out, e, locals)
	case ast.ComprehensionKind:
		return x.comprehension(out, e.AsComprehension(), locals)
	}
	return nil, fmt.Errorf("unexpected %v", e)
}

func (x *converter) exprs(list []ast.Expr, locals []string) ([]*plan.Expr, error) {
	var out []*plan.Expr
	for _, e := range list {
		a, err := x.expr(e, locals)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func (x *converter) ident(out *plan.Expr, name string, locals []string) error {
	for _, l := range locals {
		if l == name {
			out.Kind, out.Name = plan.Local, name
			return nil
		}
	}
	name = strings.TrimPrefix(name, ".")
	for _, in := range testInputs {
		if in.Name != name {
			continue
		}
		out.Type = in.Type
		switch field, isRequest := strings.CutPrefix(name, "request."); {
		case isRequest:
			out.Kind, out.Name = plan.Request, field
		case name == "now":
			out.Kind = plan.Now
		default:
			out.Kind, out.Name = plan.Column, name
		}
		return nil
	}
	return fmt.Errorf("unknown variable %s", name)
}

func (x *converter) sel(out *plan.Expr, e ast.Expr, locals []string) (*plan.Expr, error) {
	if ref, ok := x.tree.ReferenceMap()[e.ID()]; ok {
		return out, x.ident(out, ref.Name, nil)
	}
	s := e.AsSelect()
	operand, err := x.expr(s.Operand(), locals)
	out.Kind, out.Name, out.TestOnly, out.Args = plan.Select, s.FieldName(), s.IsTestOnly(), []*plan.Expr{operand}
	return out, err
}

func (x *converter) call(out *plan.Expr, e ast.Expr, locals []string) (*plan.Expr, error) {
	c := e.AsCall()
	args := c.Args()
	out.Kind, out.Name, out.Overloads = plan.Call, c.FunctionName(), x.tree.GetOverloadIDs(e.ID())
	if out.Member = c.IsMemberFunction(); out.Member {
		args = append([]ast.Expr{c.Target()}, args...)
	}
	var err error
	out.Args, err = x.exprs(args, locals)
	return out, err
}

func (x *converter) mapLit(out *plan.Expr, e ast.Expr, locals []string) (*plan.Expr, error) {
	out.Kind = plan.MapLit
	for i, entry := range e.AsMap().Entries() {
		kv, err := x.exprs([]ast.Expr{entry.AsMapEntry().Key(), entry.AsMapEntry().Value()}, locals)
		if err != nil {
			return nil, err
		}
		out.Args = append(out.Args, kv...)
		if entry.AsMapEntry().IsOptional() {
			out.Optional = append(out.Optional, i)
		}
	}
	return out, nil
}

func (x *converter) comprehension(out *plan.Expr, c ast.ComprehensionExpr, locals []string) (*plan.Expr, error) {
	out.Kind = plan.Comprehension
	comp := &plan.Comp{IterVar: c.IterVar(), IterVar2: c.IterVar2(), AccuVar: c.AccuVar()}
	out.Comp = comp
	outer := locals[:len(locals):len(locals)]
	inner := append(outer, c.AccuVar(), c.IterVar(), c.IterVar2())
	for _, part := range []struct {
		dst    **plan.Expr
		e      ast.Expr
		locals []string
	}{
		{&comp.Range, c.IterRange(), outer}, {&comp.Init, c.AccuInit(), outer},
		{&comp.Cond, c.LoopCondition(), inner}, {&comp.Step, c.LoopStep(), inner},
		{&comp.Result, c.Result(), inner[:len(outer)+1]},
	} {
		var err error
		if *part.dst, err = x.expr(part.e, part.locals); err != nil {
			return nil, err
		}
	}
	return out, nil
}
