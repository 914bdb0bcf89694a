package lang

import (
	"fmt"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// treeConverter turns a checked CEL tree into plan expressions.
type treeConverter struct {
	c        *Compiler
	x        *Expression
	tree     *ast.AST
	meanings map[string]Meaning
	// aggregate converts an aggregate call of a type; nil where none can stand.
	aggregate func(*aggregateCall, plan.Type) *plan.Expr
}

// convert makes the plan expression of e; nil after a report.
func (t *treeConverter) convert(e ast.Expr) *plan.Expr {
	before := t.c.r.Errors
	checked := t.checked()
	if t.aggregate != nil {
		checked.Leaf = func(e ast.Expr, typ plan.Type) *plan.Expr {
			if call := aggregateChain(e); call != nil {
				return t.aggregate(call, typ)
			}
			return nil
		}
	}
	out := celenv.FromAST(checked, e)
	if t.c.r.Errors > before {
		return nil
	}
	return out
}

// checked is the tree for converting what holds no aggregates.
func (t *treeConverter) checked() *celenv.Checked {
	return &celenv.Checked{
		Tree: t.tree, Pos: t.x.pos, Variable: t.variable,
		Fail: func(pos plan.Pos, err error) { t.c.r.Errorf(pos, RuleFeatureType, "%v", err) },
	}
}

func (t *treeConverter) variable(out *plan.Expr, name string) (*plan.Expr, error) {
	m, ok := t.meanings[name]
	if !ok {
		return nil, fmt.Errorf("%q is a type here; types cannot be used as values", name)
	}
	out.Name = m.Name
	switch m.Kind {
	case ColumnName:
		out.Kind = plan.Column
	case LetName:
		return m.Let.Expr, nil
	case FeatureName, ViewFeatureName:
		out.Kind, out.Index = plan.FeatureRef, m.Index
	case RequestName:
		out.Kind = plan.Request
	case NowName:
		out.Kind, out.Name = plan.Now, ""
	}
	return out, nil
}

// Row is an expression about one event.
type Row struct {
	Expr *plan.Expr
	text checked // what it was made of
}

// CompileRow type-checks and converts an expression about one event, in which names mean
// what meanings says by their internal names; false after a report.
func (c *Compiler) CompileRow(x *Expression, meanings map[string]Meaning) (Row, bool) {
	tree := c.check(x, meanings)
	if tree == nil {
		return Row{}, false
	}
	t := &treeConverter{c: c, x: x, tree: tree, meanings: meanings}
	expr := t.convert(tree.Expr())
	return Row{expr, checked{tree.Expr(), tree, meanings}}, expr != nil
}

// CompileFeature type-checks and converts the expression of a feature; nil after a report.
// Its aggregates go to split, which is nil where none can stand.
func (c *Compiler) CompileFeature(x *Expression, meanings map[string]Meaning, split *Splitter) *plan.Expr {
	var guards []guard
	if split != nil && split.where.Expr != nil {
		guards = []guard{{split.where.text, true}}
	}
	tree := c.check(x, meanings, guards...)
	if tree == nil {
		return nil
	}
	t := &treeConverter{c: c, x: x, tree: tree, meanings: meanings}
	if split != nil {
		t.aggregate = func(call *aggregateCall, typ plan.Type) *plan.Expr { return split.leaf(t, call, typ) }
	}
	return t.convert(tree.Expr())
}
