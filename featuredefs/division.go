package featuredefs

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/internal/celenv"
)

// guard is a condition that has been decided, or decides whether an error shows, where
// an expression is evaluated, and how.
type guard struct {
	condition ast.Expr
	holds     bool
}

// with is gs and one more; gs stays as it is.
func with(gs []guard, condition ast.Expr, holds bool) []guard {
	return append(gs[:len(gs):len(gs)], guard{condition, holds})
}

// division warns of an int division whose divisor may be zero: it is no literal, and no
// guard excludes zero.
func (l *linter) division(e ast.Expr, call ast.CallExpr, guards []guard) {
	divisor := call.Args()[1]
	if t, err := celenv.FromCEL(l.tree.GetType(divisor.ID())); err != nil || t.String() != "int" {
		return
	}
	if n, ok := intLiteral(divisor); ok {
		if n == 0 {
			l.c.r.errorf(l.x.pos(e), RuleIntegerDivision, "an integer division by zero fails for every row")
		}
		return
	}
	if slices.ContainsFunc(guards, func(g guard) bool { return g.excludesZero(divisor) }) {
		return
	}
	l.c.r.warnf(l.x.pos(e), RuleIntegerDivision, "the divisor may be zero, and an integer division by zero is an error; guard it like n == 0 ? 0 : m / n, or divide doubles")
}

// excludesZero reports whether the guard leaves e no zero.
func (g guard) excludesZero(e ast.Expr) bool {
	if g.condition.Kind() != ast.CallKind {
		return false
	}
	call := g.condition.AsCall()
	of := func(i int, holds bool) bool { return guard{call.Args()[i], holds}.excludesZero(e) }
	switch f := call.FunctionName(); f {
	case operators.LogicalNot:
		return of(0, !g.holds)
	case operators.LogicalAnd, operators.LogicalOr:
		if g.holds == (f == operators.LogicalAnd) {
			return of(0, g.holds) || of(1, g.holds)
		}
		return of(0, g.holds) && of(1, g.holds)
	case operators.Conditional:
		return (of(0, true) || of(1, g.holds)) && (of(0, false) || of(2, g.holds))
	case operators.In:
		return ast.EquivExpr(call.Args()[0], e) && membersExcludeZero(call.Args()[1], g.holds)
	}
	return g.comparisonExcludesZero(call, e)
}

// membersExcludeZero: e is in the list has no zero in it, e is not in it has one.
func membersExcludeZero(list ast.Expr, holds bool) bool {
	if list.Kind() != ast.ListKind {
		return false
	}
	isZero := func(e ast.Expr) bool { n, ok := intLiteral(e); return ok && n == 0 }
	isOther := func(e ast.Expr) bool { n, ok := intLiteral(e); return ok && n != 0 }
	if holds {
		return !slices.ContainsFunc(list.AsList().Elements(), func(e ast.Expr) bool { return !isOther(e) })
	}
	return slices.ContainsFunc(list.AsList().Elements(), isZero)
}

// relations say of a comparison of zero with n whether it is true.
var relations = map[string]func(n types.Int) bool{
	operators.Equals:        func(n types.Int) bool { return n == 0 },
	operators.NotEquals:     func(n types.Int) bool { return n != 0 },
	operators.Less:          func(n types.Int) bool { return n > 0 },
	operators.LessEquals:    func(n types.Int) bool { return n >= 0 },
	operators.Greater:       func(n types.Int) bool { return n < 0 },
	operators.GreaterEquals: func(n types.Int) bool { return n <= 0 },
}

// mirrored is what a comparison becomes when its operands change places.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

// comparisonExcludesZero: a comparison of e with a literal, of which zero would make
// the opposite.
func (g guard) comparisonExcludesZero(call ast.CallExpr, e ast.Expr) bool {
	relation := call.FunctionName()
	if relations[relation] == nil {
		return false
	}
	left, right := call.Args()[0], call.Args()[1]
	if _, ok := intLiteral(left); ok {
		left, right, relation = right, left, mirrored[relation]
	}
	n, ok := intLiteral(right)
	return ok && ast.EquivExpr(left, e) && relations[relation](n) != g.holds
}
