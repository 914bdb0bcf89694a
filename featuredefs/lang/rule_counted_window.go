package lang

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
)

// countedWindow finds count(w) where w is the same string for every event: it would be taken
// as the value and not as the intended window.
var countedWindow = exprRule{RuleWindowLiteral, func(p *part) {
	name, args := p.call()
	if name != string(plan.Count) || len(args) != 1 || isString(args[0]) ||
		p.tree.GetType(args[0].ID()).Kind() != types.StringKind || p.readsColumn(args[0]) {
		return
	}
	p.errorf(args[0], "the window of count must be a string literal like \"7d\"; to count events with a value, use a column in it")
}}

// readsColumn reports whether the value of e can differ between events.
func (l *linter) readsColumn(e ast.Expr) bool {
	if e.Kind() == ast.IdentKind {
		m, ok := l.meanings[e.AsIdent()]
		return ok && (m.Let.Expr == nil || len(plan.Columns(m.Let.Expr)) > 0)
	}
	return slices.ContainsFunc(children(e), l.readsColumn)
}
