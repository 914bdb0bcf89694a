package lang

import (
	"fmt"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// treeConverter converts a checked CEL tree to plan expressions.
type treeConverter struct {
	c        *Compiler
	x        *Expression
	tree     *ast.AST
	meanings map[string]Meaning
	// aggregate converts an aggregate call of a type; nil if aggregates are not allowed.
	aggregate func(*aggregateCall, plan.Type) *plan.Expr
	nodes     int // of the expression so far, with all lets expanded
}

// maxNodes bounds the nodes of an expression with all lets expanded. Lets that each use the
// previous one twice double at every step, and everything done with an expression, from
// fingerprints to programs, visits every node.
const maxNodes = 20_000

func (c *Compiler) newConverter(x *Expression, tree *ast.AST, meanings map[string]Meaning) *treeConverter {
	return &treeConverter{c: c, x: x, tree: tree, meanings: meanings, nodes: countNodes(tree.Expr())}
}

func countNodes(e ast.Expr) int {
	n := 1
	for _, child := range children(e) {
		n += countNodes(child)
	}
	return n
}

// use adds a let to the expression; it returns false after reporting an error.
func (t *treeConverter) use(let Row, pos plan.Pos) bool {
	before := t.nodes
	t.nodes += let.nodes
	if before <= maxNodes && t.nodes > maxNodes {
		t.c.r.Errorf(pos, RuleExpressionSize, "with this let the expression has more than %d parts: lets that use others more than once double at every step; use each let once, or compute a column with sql:", maxNodes)
	}
	return t.nodes <= maxNodes
}

// convert returns the plan expression of e; nil after reporting an error.
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

// checked returns the tree for converting an expression without aggregates.
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
		if t.use(m.Let, out.Pos) {
			return m.Let.Expr, nil
		}
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
	Expr  *plan.Expr
	text  checked // the checked text it was compiled from
	nodes int
}

// CompileRow type-checks and converts an expression about one event; meanings maps internal
// names to their meaning. It returns false after reporting an error.
func (c *Compiler) CompileRow(x *Expression, meanings map[string]Meaning) (Row, bool) {
	tree := c.check(x, meanings)
	if tree == nil {
		return Row{}, false
	}
	t := c.newConverter(x, tree, meanings)
	expr := t.convert(tree.Expr())
	return Row{expr, checked{tree.Expr(), tree, meanings}, t.nodes}, expr != nil
}

// CompileFeature type-checks and converts the expression of a feature; nil after reporting an
// error. Its aggregates go to split, which is nil if aggregates are not allowed.
func (c *Compiler) CompileFeature(x *Expression, meanings map[string]Meaning, split *Splitter) *plan.Expr {
	var guards []guard
	if split != nil && split.where.Expr != nil {
		guards = []guard{{split.where.text, true}}
	}
	tree := c.check(x, meanings, guards...)
	if tree == nil {
		return nil
	}
	t := c.newConverter(x, tree, meanings)
	if split != nil {
		t.aggregate = func(call *aggregateCall, typ plan.Type) *plan.Expr { return split.leaf(t, call, typ) }
	}
	return t.convert(tree.Expr())
}
