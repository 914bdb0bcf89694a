package lang

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// comparedOptional finds comparisons of an optional with null. An optional is never null, so
// the result is constant.
var comparedOptional = exprRule{RuleOptionalValue, func(p *part) {
	name, args := p.call()
	if name != operators.Equals && name != operators.NotEquals {
		return
	}
	a, b := args[0], args[1]
	if p.isNull(b) && p.isOptional(a) || p.isNull(a) && p.isOptional(b) {
		p.errorf(p.Expr, "an optional is never null; test it with .hasValue(), or unwrap it with .orValue(…)")
	}
}}

func (l *linter) isNull(e ast.Expr) bool {
	return l.tree.GetType(e.ID()).Kind() == types.NullTypeKind
}

func (l *linter) isOptional(e ast.Expr) bool { return isOptionalType(l.tree.GetType(e.ID())) }
