package main

import (
	"errors"

	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// convert converts a checked tree to a plan expression whose variables are columns.
func convert(tree *ast.AST) (*plan.Expr, error) {
	var failed error
	e := celenv.FromAST(&celenv.Checked{
		Tree: tree,
		Pos: func(e ast.Expr) plan.Pos {
			loc := tree.SourceInfo().GetStartLocation(e.ID())
			return plan.Pos{File: "test", Line: loc.Line(), Col: loc.Column() + 1}
		},
		Variable: func(out *plan.Expr, name string) (*plan.Expr, error) {
			out.Kind, out.Name = plan.Column, name
			return out, nil
		},
		Fail: func(_ plan.Pos, err error) { failed = errors.Join(failed, err) },
	}, tree.Expr())
	return e, failed
}
