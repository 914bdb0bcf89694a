package celenv

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Checked is a checked CEL tree and how to convert it: the meaning of its names and the
// positions of its nodes.
type Checked struct {
	Tree *ast.AST
	// Pos is the position of a node in the definitions.
	Pos func(ast.Expr) plan.Pos
	// Variable returns the leaf for a name: out, whose type and position are set, or another
	// node in its place. It is not called for comprehension variables. Names with dots are
	// passed as a whole and without a leading dot.
	Variable func(out *plan.Expr, name string) (*plan.Expr, error)
	// Leaf, if set, is called for every call before its operands. If its result is not nil,
	// it replaces the call with its operands.
	Leaf func(call ast.Expr, t plan.Type) *plan.Expr
	// Fail receives what cannot be part of a plan. The conversion continues in order to find
	// further failures; its result must not be used then.
	Fail func(plan.Pos, error)
}

// FromAST converts e, a node of c.Tree, to a plan expression. It inverts Rebuild, except for
// the functions that Rebuild adds: to sort maps in comprehensions, and to check the keys of
// map literals.
func FromAST(c *Checked, e ast.Expr) *plan.Expr {
	r := &reader{Checked: c}
	return r.expr(e)
}

type reader struct {
	*Checked
	locals []string // variables of the enclosing comprehensions
}

func (r *reader) expr(e ast.Expr) *plan.Expr {
	out := &plan.Expr{Pos: r.Pos(e)}
	var err error
	if out.Type, err = FromCEL(r.Tree.GetType(e.ID())); err != nil {
		r.Fail(out.Pos, err)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		out.Kind = plan.Literal
		if out.Lit, err = FromRef(e.AsLiteral(), out.Type); err != nil {
			r.Fail(out.Pos, err)
		}
	case ast.IdentKind:
		return r.ident(out, e.AsIdent())
	case ast.SelectKind:
		return r.selection(out, e)
	case ast.CallKind:
		return r.call(out, e)
	case ast.ListKind:
		out.Kind, out.Args = plan.ListLit, r.exprs(e.AsList().Elements())
		for _, i := range e.AsList().OptionalIndices() {
			out.Optional = append(out.Optional, int(i))
		}
	case ast.MapKind:
		r.mapLit(out, e.AsMap())
	case ast.ComprehensionKind:
		out.Kind, out.Comp = plan.Comprehension, r.comprehension(e.AsComprehension())
	default:
		r.Fail(out.Pos, fmt.Errorf("an expression of CEL kind %d is not supported", e.Kind()))
	}
	return out
}

func (r *reader) exprs(list []ast.Expr) []*plan.Expr {
	out := make([]*plan.Expr, len(list))
	for i, e := range list {
		out[i] = r.expr(e)
	}
	return out
}

func (r *reader) ident(out *plan.Expr, name string) *plan.Expr {
	if slices.Contains(r.locals, name) {
		out.Kind, out.Name = plan.Local, name
		return out
	}
	return r.variable(out, name)
}

func (r *reader) variable(out *plan.Expr, name string) *plan.Expr {
	v, err := r.Variable(out, strings.TrimPrefix(name, "."))
	if err != nil {
		r.Fail(out.Pos, err)
		return out
	}
	return v
}

// selection is a field of a map, or a variable with dots in its name.
func (r *reader) selection(out *plan.Expr, e ast.Expr) *plan.Expr {
	if ref, ok := r.Tree.ReferenceMap()[e.ID()]; ok {
		return r.variable(out, ref.Name)
	}
	s := e.AsSelect()
	out.Kind, out.Name, out.TestOnly = plan.Select, s.FieldName(), s.IsTestOnly()
	out.Args = []*plan.Expr{r.expr(s.Operand())}
	return out
}

func (r *reader) call(out *plan.Expr, e ast.Expr) *plan.Expr {
	if r.Leaf != nil {
		if leaf := r.Leaf(e, out.Type); leaf != nil {
			return leaf
		}
	}
	c := e.AsCall()
	out.Kind, out.Name, out.Member = plan.Call, c.FunctionName(), c.IsMemberFunction()
	out.Overloads = r.Tree.GetOverloadIDs(e.ID())
	if out.Member {
		out.Args = append(out.Args, r.expr(c.Target()))
	}
	out.Args = append(out.Args, r.exprs(c.Args())...)
	return out
}

func (r *reader) mapLit(out *plan.Expr, m ast.MapExpr) {
	out.Kind = plan.MapLit
	for i, entry := range m.Entries() {
		e := entry.AsMapEntry()
		out.Args = append(out.Args, r.expr(e.Key()), r.expr(e.Value()))
		if e.IsOptional() {
			out.Optional = append(out.Optional, i)
		}
	}
}

func (r *reader) comprehension(c ast.ComprehensionExpr) *plan.Comp {
	out := &plan.Comp{IterVar: c.IterVar(), IterVar2: c.IterVar2(), AccuVar: c.AccuVar()}
	out.Range, out.Init = r.expr(c.IterRange()), r.expr(c.AccuInit())
	depth := len(r.locals)
	r.locals = append(r.locals, c.AccuVar(), c.IterVar(), c.IterVar2())
	out.Cond, out.Step = r.expr(c.LoopCondition()), r.expr(c.LoopStep())
	r.locals = r.locals[:depth+1]
	out.Result = r.expr(c.Result())
	r.locals = r.locals[:depth]
	return out
}
