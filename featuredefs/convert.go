package featuredefs

import (
	"slices"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// treeConverter turns a checked CEL tree into plan expressions.
type treeConverter struct {
	c        *compiler
	x        *expression
	tree     *ast.AST
	meanings map[string]meaning
	// aggregate converts an aggregate call; nil where none can stand.
	aggregate func(*aggregateCall) *plan.Expr
	locals    []string
}

// convert makes the plan expression of e; nil after a report.
func (t *treeConverter) convert(e ast.Expr) *plan.Expr {
	before := t.c.r.errors
	out := t.expr(e)
	if t.c.r.errors > before {
		return nil
	}
	return out
}

func (t *treeConverter) expr(e ast.Expr) *plan.Expr {
	if e.Kind() == ast.CallKind && t.aggregate != nil {
		if call := aggregateChain(e); call != nil {
			return t.aggregate(call)
		}
	}
	out := &plan.Expr{Type: t.typeOf(e), Pos: t.x.pos(e)}
	switch e.Kind() {
	case ast.LiteralKind:
		out.Kind = plan.Literal
		lit, err := celenv.FromRef(e.AsLiteral(), out.Type)
		if err != nil {
			t.c.r.errorf(out.Pos, RuleFeatureType, "%v", err)
		}
		out.Lit = lit
	case ast.IdentKind:
		return t.ident(out, e.AsIdent())
	case ast.SelectKind:
		s := e.AsSelect()
		out.Kind, out.Name, out.TestOnly = plan.Select, s.FieldName(), s.IsTestOnly()
		out.Args = []*plan.Expr{t.expr(s.Operand())}
	case ast.CallKind:
		t.call(out, e)
	case ast.ListKind:
		out.Kind = plan.ListLit
		out.Args = t.exprs(e.AsList().Elements())
		for _, i := range e.AsList().OptionalIndices() {
			out.Optional = append(out.Optional, int(i))
		}
	case ast.MapKind:
		t.mapLiteral(out, e.AsMap())
	case ast.ComprehensionKind:
		t.comprehension(out, e.AsComprehension())
	}
	return out
}

func (t *treeConverter) exprs(list []ast.Expr) []*plan.Expr {
	out := make([]*plan.Expr, len(list))
	for i, e := range list {
		out[i] = t.expr(e)
	}
	return out
}

func (t *treeConverter) typeOf(e ast.Expr) plan.Type {
	typ, err := celenv.FromCEL(t.tree.GetType(e.ID()))
	if err != nil {
		t.c.r.errorf(t.x.pos(e), RuleFeatureType, "%v", err)
	}
	return typ
}

func (t *treeConverter) ident(out *plan.Expr, name string) *plan.Expr {
	if slices.Contains(t.locals, name) {
		out.Kind, out.Name = plan.Local, name
		return out
	}
	m, ok := t.meanings[name]
	if !ok {
		t.c.r.errorf(out.Pos, RuleFeatureType, "%q is a type here; types cannot be used as values", name)
		return out
	}
	out.Name = m.name
	switch m.kind {
	case columnName:
		out.Kind = plan.Column
	case letName:
		return m.let
	case featureName, viewFeatureName:
		out.Kind, out.Index = plan.FeatureRef, m.index
	case requestName:
		out.Kind = plan.Request
	case nowName:
		out.Kind, out.Name = plan.Now, ""
	}
	return out
}

func (t *treeConverter) call(out *plan.Expr, e ast.Expr) {
	call := e.AsCall()
	out.Kind, out.Name = plan.Call, call.FunctionName()
	out.Overloads = t.tree.GetOverloadIDs(e.ID())
	if call.IsMemberFunction() {
		out.Member = true
		out.Args = append(out.Args, t.expr(call.Target()))
	}
	out.Args = append(out.Args, t.exprs(call.Args())...)
}

func (t *treeConverter) mapLiteral(out *plan.Expr, m ast.MapExpr) {
	out.Kind = plan.MapLit
	for i, entry := range m.Entries() {
		e := entry.AsMapEntry()
		out.Args = append(out.Args, t.expr(e.Key()), t.expr(e.Value()))
		if e.IsOptional() {
			out.Optional = append(out.Optional, i)
		}
	}
}

func (t *treeConverter) comprehension(out *plan.Expr, c ast.ComprehensionExpr) {
	out.Kind = plan.Comprehension
	comp := &plan.Comp{IterVar: c.IterVar(), IterVar2: c.IterVar2(), AccuVar: c.AccuVar()}
	comp.Range, comp.Init = t.expr(c.IterRange()), t.expr(c.AccuInit())
	depth := len(t.locals)
	t.locals = append(t.locals, comp.AccuVar, comp.IterVar)
	if c.HasIterVar2() {
		t.locals = append(t.locals, comp.IterVar2)
	}
	comp.Cond, comp.Step = t.expr(c.LoopCondition()), t.expr(c.LoopStep())
	t.locals = append(t.locals[:depth], comp.AccuVar)
	comp.Result = t.expr(c.Result())
	t.locals = t.locals[:depth]
	out.Comp = comp
}
