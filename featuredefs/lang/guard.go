package lang

import (
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/internal/celenv"
)

// checked is a type-checked expression or part of one.
type checked struct {
	ast.Expr
	tree     *ast.AST
	meanings map[string]Meaning // of the names in it
}

// of returns another part of the same expression.
func (x checked) of(e ast.Expr) checked { return checked{e, x.tree, x.meanings} }

// let returns the expression that a name stands for.
func (x checked) let() (checked, bool) {
	if x.Kind() != ast.IdentKind {
		return checked{}, false
	}
	text := x.meanings[x.AsIdent()].Let.text
	return text, text.tree != nil
}

func (x checked) isInteger() bool {
	t, err := celenv.FromCEL(x.tree.GetType(x.ID()))
	return err == nil && (t.String() == "int" || t.String() == "uint")
}

// guard is a condition whose outcome is known where an expression is evaluated, or that
// decides whether its error has an effect; and that outcome.
type guard struct {
	condition checked
	holds     bool
}

// guarded returns gs with one more guard; gs is not modified.
func guarded(gs []guard, condition checked, holds bool) []guard {
	return append(gs[:len(gs):len(gs)], guard{condition, holds})
}

func (l *linter) with(gs []guard, condition ast.Expr, holds bool) []guard {
	return guarded(gs, checked{condition, l.tree, l.meanings}, holds)
}
