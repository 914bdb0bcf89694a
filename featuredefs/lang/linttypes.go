package lang

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// types reports the innermost expressions whose type is unknown or is always null. No other
// rule can check the expressions around them.
func (l *linter) types(root ast.Expr) {
	if !l.typesBelow(root) && isNullLiteral(root) {
		l.nullType(root)
	}
}

func (l *linter) typesBelow(e ast.Expr) bool {
	found := l.nullLiterals(e)
	for _, child := range children(e) {
		found = l.typesBelow(child) || found
	}
	if found || isNullLiteral(e) || e.Kind() == ast.IdentKind {
		return found // the type of a name is reported at its definition
	}
	switch t := l.tree.GetType(e.ID()); {
	case mentions(t, types.NullTypeKind):
		l.nullType(e)
	case mentions(t, types.DynKind, types.AnyKind, types.TypeParamKind):
		l.c.r.Errorf(l.x.pos(e), RuleDynamicType, "the type of this expression is only known at run time; give all elements the same type, and use empty lists, maps and optionals where their element type is determined")
	default:
		return false
	}
	return true
}

// mentions reports whether t is, or contains, a type of one of the kinds. The type of a type
// is not searched.
func mentions(t *types.Type, kinds ...types.Kind) bool {
	for _, k := range kinds {
		if t.Kind() == k {
			return true
		}
	}
	if t.Kind() == types.TypeKind {
		return false
	}
	for _, p := range t.Parameters() {
		if mentions(p, kinds...) {
			return true
		}
	}
	return false
}

func isNullLiteral(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue
}

// nullLiterals reports nulls passed to an aggregate or a variable: elsewhere a null is
// compared with, or stands for a missing value.
func (l *linter) nullLiterals(e ast.Expr) bool {
	var given []ast.Expr
	switch {
	case e.Kind() == ast.ComprehensionKind:
		given = []ast.Expr{e.AsComprehension().AccuInit()}
	case e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() && isAggregate(e.AsCall().FunctionName()):
		given = e.AsCall().Args()
	}
	found := false
	for _, a := range given {
		if isNullLiteral(a) {
			l.nullType(a)
			found = true
		}
	}
	return found
}

// branchHint explains how a conditional with a null branch gets the type of its values.
const branchHint = "CEL takes the type of c ? null : x from the first branch; write !c ? x : null"

func (l *linter) nullType(e ast.Expr) {
	message := "this is always null; leave it out, or name a column or another value"
	switch branch := e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional; {
	case branch && l.hasValue(e.AsCall().Args()[1:]):
		message = "CEL gives this the type null; " + branchHint
	case e.Kind() == ast.ListKind && l.hasValue(e.AsList().Elements()), e.Kind() == ast.MapKind && l.hasValue(mapValues(e)):
		message = "CEL gives all of these the type null, because it takes the element type from the last one; put the null before a value"
	}
	l.c.r.Errorf(l.x.pos(e), RuleNullType, "%s", message)
}

// hasValue reports whether one of them is not null.
func (l *linter) hasValue(es []ast.Expr) bool {
	return slices.ContainsFunc(es, func(e ast.Expr) bool { return !mentions(l.tree.GetType(e.ID()), types.NullTypeKind) })
}

func mapValues(e ast.Expr) []ast.Expr {
	var out []ast.Expr
	for _, entry := range e.AsMap().Entries() {
		out = append(out, entry.AsMapEntry().Value())
	}
	return out
}
