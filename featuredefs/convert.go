package featuredefs

import (
	"fmt"

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
	// aggregate converts an aggregate call of a type; nil where none can stand.
	aggregate func(*aggregateCall, plan.Type) *plan.Expr
}

// convert makes the plan expression of e; nil after a report.
func (t *treeConverter) convert(e ast.Expr) *plan.Expr {
	before := t.c.r.errors
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
	if t.c.r.errors > before {
		return nil
	}
	return out
}

// checked is the tree for converting what holds no aggregates.
func (t *treeConverter) checked() *celenv.Checked {
	return &celenv.Checked{
		Tree: t.tree, Pos: t.x.pos, Variable: t.variable,
		Fail: func(pos plan.Pos, err error) { t.c.r.errorf(pos, RuleFeatureType, "%v", err) },
	}
}

func (t *treeConverter) variable(out *plan.Expr, name string) (*plan.Expr, error) {
	m, ok := t.meanings[name]
	if !ok {
		return nil, fmt.Errorf("%q is a type here; types cannot be used as values", name)
	}
	out.Name = m.name
	switch m.kind {
	case columnName:
		out.Kind = plan.Column
	case letName:
		return m.let, nil
	case featureName, viewFeatureName:
		out.Kind, out.Index = plan.FeatureRef, m.index
	case requestName:
		out.Kind = plan.Request
	case nowName:
		out.Kind, out.Name = plan.Now, ""
	}
	return out, nil
}
