package lang

import (
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/diag"
)

// exprRule is a rule about type-checked expressions. Each one is a value in its own file.
type exprRule struct {
	diag.Rule
	check func(*part)
}

// exprRules are applied to every part of every expression.
var exprRules = []exprRule{comparedOptional, countedWindow, integerDivision, zoneLiteral}

// part is the part of an expression that a rule checks.
type part struct {
	ast.Expr
	*linter
	rule   diag.Rule
	guards []guard // conditions known to hold where the part is evaluated
}

// call returns the name and the arguments of a call, "" for other expressions. The target of
// a member function is not an argument.
func (p *part) call() (name string, args []ast.Expr) {
	if p.Kind() != ast.CallKind {
		return "", nil
	}
	return p.AsCall().FunctionName(), p.AsCall().Args()
}

func (p *part) errorf(at ast.Expr, format string, args ...any) {
	p.c.r.Errorf(p.x.pos(at), p.rule, format, args...)
}

func (p *part) warnf(at ast.Expr, format string, args ...any) {
	p.c.r.Warnf(p.x.pos(at), p.rule, format, args...)
}
