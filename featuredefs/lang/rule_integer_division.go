package lang

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/diag"
)

// RuleIntegerDivision is the rule of integerDivision.
var RuleIntegerDivision = diag.Rule{ID: "integer-division", Severity: diag.Error, Purpose: "An integer division by zero is an error at run time."}

// integerDivision warns about divisors that may be zero, and refuses those that always are.
var integerDivision = exprRule{RuleIntegerDivision, func(p *part) {
	name, args := p.call()
	if name != operators.Divide && name != operators.Modulo {
		return
	}
	divisor := checked{args[1], p.tree, p.meanings}
	if !divisor.isInteger() {
		return
	}
	if n, ok := integer(divisor); ok && n == 0 {
		p.errorf(p.Expr, "an integer division by zero fails for every row")
		return
	}
	if !divisor.neverZero(p.guards) {
		p.warnf(p.Expr, "the divisor may be zero, and an integer division by zero is an error; guard it like n == 0 ? 0 : m / n, or divide doubles")
	}
}}

// neverZero reports whether x cannot be zero, because of the guards or of its own form.
func (x checked) neverZero(guards []guard) bool {
	if n, ok := integer(x); ok {
		return n != 0
	}
	if slices.ContainsFunc(guards, func(g guard) bool { return g.excludesZero(x) }) {
		return true
	}
	if text, ok := x.let(); ok {
		return text.neverZero(guards)
	}
	return x.Kind() == ast.CallKind && x.callNeverZero(guards)
}

func (x checked) callNeverZero(guards []guard) bool {
	args := x.AsCall().Args()
	switch x.AsCall().FunctionName() {
	case operators.Conditional:
		c := x.of(args[0])
		return x.of(args[1]).neverZero(guarded(guards, c, true)) && x.of(args[2]).neverZero(guarded(guards, c, false))
	case "int", "uint": // of the other, not of a double
		return x.of(args[0]).isInteger() && x.of(args[0]).neverZero(guards)
	case "math.@max":
		return slices.ContainsFunc(operands(args), func(e ast.Expr) bool { n, ok := integer(e); return ok && n > 0 })
	case "math.@min":
		return slices.ContainsFunc(operands(args), func(e ast.Expr) bool { n, ok := integer(e); return ok && n < 0 })
	}
	return false
}

// operands are the arguments, or the elements of the list that is the only one.
func operands(args []ast.Expr) []ast.Expr {
	if len(args) == 1 && args[0].Kind() == ast.ListKind {
		return args[0].AsList().Elements()
	}
	return args
}

// integer returns the value of literals and of what is computed from them, if it is small.
func integer(e ast.Expr) (types.Int, bool) {
	const small = 1 << 31
	switch e.Kind() {
	case ast.LiteralKind:
		if n, ok := e.AsLiteral().(types.Uint); ok {
			return types.Int(n), n < small
		}
		return intLiteral(e)
	case ast.CallKind:
		args := e.AsCall().Args()
		calculate := calculations[e.AsCall().FunctionName()]
		if calculate == nil || len(args) != 2 {
			return 0, false
		}
		a, ok := integer(args[0])
		b, also := integer(args[1])
		return calculate(a, b), ok && also && max(a, -a, b, -b) < small
	}
	return 0, false
}

var calculations = map[string]func(a, b types.Int) types.Int{
	operators.Add:      func(a, b types.Int) types.Int { return a + b },
	operators.Subtract: func(a, b types.Int) types.Int { return a - b },
	operators.Multiply: func(a, b types.Int) types.Int { return a * b },
}

// excludesZero reports whether the guard implies that e is not zero.
func (g guard) excludesZero(e ast.Expr) bool {
	if text, ok := g.condition.let(); ok {
		return guard{text, g.holds}.excludesZero(e)
	}
	if g.condition.Kind() != ast.CallKind {
		return false
	}
	call := g.condition.AsCall()
	of := func(i int, holds bool) bool { return guard{g.condition.of(call.Args()[i]), holds}.excludesZero(e) }
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

// membersExcludeZero handles guards with in: e in a list without zero, or not in a list with
// zero.
func membersExcludeZero(list ast.Expr, holds bool) bool {
	if list.Kind() != ast.ListKind {
		return false
	}
	isZero := func(e ast.Expr) bool { n, ok := integer(e); return ok && n == 0 }
	isOther := func(e ast.Expr) bool { n, ok := integer(e); return ok && n != 0 }
	if holds {
		return !slices.ContainsFunc(list.AsList().Elements(), func(e ast.Expr) bool { return !isOther(e) })
	}
	return slices.ContainsFunc(list.AsList().Elements(), isZero)
}

// relations evaluates comparisons of zero with n.
var relations = map[string]func(n types.Int) bool{
	operators.Equals:        func(n types.Int) bool { return n == 0 },
	operators.NotEquals:     func(n types.Int) bool { return n != 0 },
	operators.Less:          func(n types.Int) bool { return n > 0 },
	operators.LessEquals:    func(n types.Int) bool { return n >= 0 },
	operators.Greater:       func(n types.Int) bool { return n < 0 },
	operators.GreaterEquals: func(n types.Int) bool { return n <= 0 },
}

// mirrored maps a comparison to the one with its operands swapped.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

// comparisonExcludesZero handles a guard that compares e with a literal and would have the
// opposite outcome for zero.
func (g guard) comparisonExcludesZero(call ast.CallExpr, e ast.Expr) bool {
	relation := call.FunctionName()
	if relations[relation] == nil {
		return false
	}
	left, right := call.Args()[0], call.Args()[1]
	if _, ok := integer(left); ok {
		left, right, relation = right, left, mirrored[relation]
	}
	n, ok := integer(right)
	return ok && ast.EquivExpr(left, e) && relations[relation](n) != g.holds
}
