package lang

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// lint reports what type-checks but probably does not mean what was intended, or could differ
// between implementations. The guards hold for the expression.
func (c *Compiler) lint(x *Expression, tree *ast.AST, meanings map[string]Meaning, guards []guard) {
	l := &linter{c: c, x: x, tree: tree, meanings: meanings}
	l.types(tree.Expr())
	l.visit(tree.Expr(), guards)
}

type linter struct {
	c        *Compiler
	x        *Expression
	tree     *ast.AST
	meanings map[string]Meaning
}

// children returns the operands of e in order, without the range of a comprehension that has
// no loop, as macros such as cel.bind produce.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var out []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return out
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		inside := []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
		if c.IterRange().Kind() == ast.ListKind && c.IterRange().AsList().Size() == 0 {
			return inside
		}
		return append([]ast.Expr{c.IterRange()}, inside...)
	}
	return nil
}

// visit checks e and its subexpressions under the guards.
func (l *linter) visit(e ast.Expr, guards []guard) {
	for _, r := range exprRules {
		r.check(&part{linter: l, rule: r.Rule, Expr: e, guards: guards})
	}
	if e.Kind() != ast.CallKind {
		for _, child := range children(e) {
			l.visit(child, guards)
		}
		return
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Conditional:
		args := call.Args()
		l.visit(args[0], guards)
		l.visit(args[1], l.with(guards, args[0], true))
		l.visit(args[2], l.with(guards, args[0], false))
		return
	case operators.LogicalAnd, operators.LogicalOr:
		a, b, holds := call.Args()[0], call.Args()[1], call.FunctionName() == operators.LogicalAnd
		l.visit(a, l.with(guards, b, holds)) // if b decides, an error of a is absorbed
		l.visit(b, l.with(guards, a, holds))
		return
	case whereName, byName, capName:
		l.modified(aggregateChain(e), guards)
		return
	}
	for _, child := range children(e) {
		l.visit(child, guards)
	}
}

// modified visits an aggregate whose filters hold for everything that it reads.
func (l *linter) modified(call *aggregateCall, guards []guard) {
	for i, w := range call.wheres {
		others := guards
		for j, o := range call.wheres {
			if i != j {
				others = l.with(others, o.AsCall().Args()[0], true)
			}
		}
		l.visit(w.AsCall().Args()[0], others)
	}
	for _, w := range call.wheres {
		guards = l.with(guards, w.AsCall().Args()[0], true)
	}
	l.visit(call.base, guards)
	for _, b := range call.bys {
		l.visit(b.AsCall().Args()[0], guards)
	}
}

func isOptionalType(t *types.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName()
}
