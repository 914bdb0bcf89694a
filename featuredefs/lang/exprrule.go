package lang

import (
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/diag"
)

// exprRule is a rule about expressions that type-check. Each is a value in a file of its
// own.
type exprRule struct {
	diag.Rule
	check func(*part)
}

// exprRules are checked of every part of every expression.
var exprRules = []exprRule{comparedOptional, countedWindow, integerDivision, zoneLiteral}

// part is a part of an expression that a rule is asked about.
type part struct {
	ast.Expr
	*linter
	rule   diag.Rule
	guards []guard // what is known to hold where it is evaluated
}

// call is the name and the arguments of a call, "" for other expressions. The target of a
// member function is not an argument.
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
