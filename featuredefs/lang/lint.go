package lang

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// lint reports what type-checks but does not mean what it says, or would not
// mean the same everywhere, where the guards hold.
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

// children are the operands of e in order. The range of a comprehension without
// a loop, which macros such as cel.bind expand to, is left out.
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

// visit checks e and what is below it, where the guards hold.
func (l *linter) visit(e ast.Expr, guards []guard) {
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
		l.visit(a, l.with(guards, b, holds)) // what b decides absorbs an error of a
		l.visit(b, l.with(guards, a, holds))
		return
	case whereName, byName, capName:
		l.modified(aggregateChain(e), guards)
		return
	case string(plan.Count):
		l.countedWindow(call)
	case operators.Equals, operators.NotEquals:
		l.optionalNull(e, call)
	case operators.Divide, operators.Modulo:
		l.division(e, call, guards)
	}
	if hasZone(l.tree.GetOverloadIDs(e.ID())) {
		l.zone(call.Args()[0])
	}
	for _, child := range children(e) {
		l.visit(child, guards)
	}
}

// modified visits an aggregate whose filters hold for all that it reads.
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

// countedWindow reports count(w) where w is the same string for every event: as the
// argument it would make count ignore what was meant to be a window.
func (l *linter) countedWindow(call ast.CallExpr) {
	args := call.Args()
	if len(args) != 1 || isString(args[0]) || l.tree.GetType(args[0].ID()).Kind() != types.StringKind || l.readsColumn(args[0]) {
		return
	}
	l.c.r.Errorf(l.x.pos(args[0]), RuleWindowLiteral, "the window of count must be a string literal like \"7d\"; to count events by a value, name a column in it")
}

// readsColumn reports whether the value of e can differ between events.
func (l *linter) readsColumn(e ast.Expr) bool {
	if e.Kind() == ast.IdentKind {
		m, ok := l.meanings[e.AsIdent()]
		return ok && (m.Let.Expr == nil || len(plan.Columns(m.Let.Expr)) > 0)
	}
	return slices.ContainsFunc(children(e), l.readsColumn)
}

// optionalNull: an optional is never null, so the comparison has one answer.
func (l *linter) optionalNull(e ast.Expr, call ast.CallExpr) {
	a, b := call.Args()[0], call.Args()[1]
	if l.isNull(b) && l.isOptional(a) || l.isNull(a) && l.isOptional(b) {
		l.c.r.Errorf(l.x.pos(e), RuleOptionalValue, "an optional is never null; ask with .hasValue(), or unwrap it with .orValue(…)")
	}
}

func (l *linter) isNull(e ast.Expr) bool {
	return l.tree.GetType(e.ID()).Kind() == types.NullTypeKind
}

func (l *linter) isOptional(e ast.Expr) bool { return isOptionalType(l.tree.GetType(e.ID())) }

func isOptionalType(t *types.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName()
}

// hasZone reports whether an overload is an accessor like ts.getHours("UTC").
func hasZone(overloads []string) bool {
	return len(overloads) == 1 && strings.HasPrefix(overloads[0], "timestamp_to_") && strings.HasSuffix(overloads[0], "_with_tz")
}

var zoneOffset = regexp.MustCompile(`^[+-]?(0?[0-9]|1[0-4]):[0-5][0-9]$`)

// zone checks the argument of a zone accessor. Names other than offsets are looked up
// where evaluation looks them up, in the embedded zone database: a host may know more.
func (l *linter) zone(e ast.Expr) {
	if !isString(e) {
		l.c.r.Errorf(l.x.pos(e), RuleZoneLiteral, "a time zone must be a string literal like \"Europe/Berlin\" or \"+02:00\"")
		return
	}
	name := string(e.AsLiteral().(types.String))
	if zoneOffset.MatchString(name) {
		return
	}
	if _, err := celenv.Location(name); name == "" || err != nil {
		l.c.r.Errorf(l.x.pos(e), RuleZoneLiteral, "%q is neither an offset nor a name of the zone database; use one like \"Europe/Berlin\" or \"UTC\"", name)
	}
}
