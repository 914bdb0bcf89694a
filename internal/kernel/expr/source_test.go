package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// testInputs are the variables of test expressions.
var testInputs = []Input{
	{"b", plan.T(plan.Bool)}, {"c", plan.T(plan.Bool)},
	{"i", plan.T(plan.Int)}, {"j", plan.T(plan.Int)},
	{"u", plan.T(plan.Uint)}, {"v", plan.T(plan.Uint)},
	{"d", plan.T(plan.Double)}, {"f", plan.T(plan.Double)},
	{"s", plan.T(plan.String)}, {"t", plan.T(plan.String)},
	{"y", plan.T(plan.Bytes)},
	{"ts", plan.T(plan.Timestamp)}, {"tu", plan.T(plan.Timestamp)},
	{"du", plan.T(plan.Duration)}, {"dv", plan.T(plan.Duration)},
	{"oi", plan.OptionalOf(plan.T(plan.Int))},
	{"od", plan.OptionalOf(plan.T(plan.Double))},
	{"os", plan.OptionalOf(plan.T(plan.String))},
	{"ot", plan.OptionalOf(plan.T(plan.Timestamp))},
	{"li", plan.ListOf(plan.T(plan.Int))},
	{"m", plan.MapOf(plan.T(plan.String), plan.T(plan.Int))},
	{"request.amount", plan.T(plan.Double)},
	{"now", plan.T(plan.Timestamp)},
}

// testEnv declares testInputs.
func testEnv(t testing.TB) *cel.Env {
	t.Helper()
	var opts []cel.EnvOption
	for _, in := range testInputs {
		opts = append(opts, cel.Variable(in.Name, celenv.NullableToCEL(in.Type)))
	}
	env, err := celenv.NewEnv(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// source is a test expression, as cel-go's and as the plan's tree.
type source struct {
	checked *cel.Ast
	expr    *plan.Expr
}

func parse(env *cel.Env, text string) (source, error) {
	checked, iss := env.Compile(text)
	if iss.Err() != nil {
		return source{}, iss.Err()
	}
	tree := checked.NativeRep()
	var failed error
	e := celenv.FromAST(&celenv.Checked{
		Tree: tree, Variable: testVariable,
		Pos: func(e ast.Expr) plan.Pos {
			loc := tree.SourceInfo().GetStartLocation(e.ID())
			return plan.Pos{File: "test", Line: loc.Line(), Col: loc.Column() + 1}
		},
		Fail: func(_ plan.Pos, err error) { failed = errors.Join(failed, err) },
	}, tree.Expr())
	return source{checked, e}, failed
}

// testVariable makes out a reference to one of testInputs.
func testVariable(out *plan.Expr, name string) (*plan.Expr, error) {
	out.Kind, out.Name = plan.Column, name
	if field, ok := strings.CutPrefix(name, "request."); ok {
		out.Kind, out.Name = plan.Request, field
	} else if name == celenv.NowName {
		out.Kind, out.Name = plan.Now, ""
	}
	if !slices.ContainsFunc(testInputs, func(in Input) bool { return in.Name == name }) {
		return nil, fmt.Errorf("unknown variable %s", name)
	}
	return out, nil
}
