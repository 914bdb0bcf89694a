package celenv_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// read converts a tree whose variables are columns, without positions.
func read(tree *ast.AST) (*plan.Expr, error) {
	var failed error
	e := celenv.FromAST(&celenv.Checked{
		Tree: tree,
		Pos:  func(ast.Expr) plan.Pos { return plan.Pos{} },
		Variable: func(out *plan.Expr, name string) (*plan.Expr, error) {
			if name == "stranger" {
				return nil, errors.New("unknown variable")
			}
			out.Kind, out.Name = plan.Column, name
			return out, nil
		},
		Fail: func(_ plan.Pos, err error) { failed = errors.Join(failed, err) },
	}, tree.Expr())
	return e, failed
}

func TestFromAST_InvertsRebuild(t *testing.T) {
	env, err := newEnv(t).Extend(cel.Variable("request.amount", cel.DoubleType), cel.Variable("stranger", cel.IntType))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`1`, `null`, `d`, `request.amount + d`, `s.startsWith("a") && size(s) > 2`, `math.abs(-d)`,
		`[1, 2, ?optional.of(3)]`, `{"a": 1, ?"b": m[?s]}`, `m.a`, `has(m.a)`, `m[?"a"].orValue(l[0])`, `type(1) == int`,
		`l.map(x, l.exists(y, y > x))`, `l.filter(x, x > 0).all(x, x < 10)`, `cel.bind(x, d + d, x * x)`,
		`[1.0].map(d, d + .d)`, `[1.0].map(d, [d].map(e, e + d + .d))`,
	} {
		checked, iss := env.Compile(text)
		if iss.Err() != nil {
			t.Errorf("%s: %v", text, iss.Err())
			continue
		}
		e, err := read(checked.NativeRep())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		tree, err := celenv.Rebuild(e)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := read(tree); err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%s comes back as %+v, %v; it was %+v", text, again, err, e)
		}
	}
}

// TestFromAST_LocalsEndWithTheirLoop: the result of a comprehension sees only the accumulator,
// and what follows the comprehension sees neither variable.
func TestFromAST_LocalsEndWithTheirLoop(t *testing.T) {
	checked, iss := newEnv(t).Compile(`[1.0].map(d, d)[0] + d`)
	if iss.Err() != nil {
		t.Fatal(iss.Err())
	}
	e, err := read(checked.NativeRep())
	if err != nil {
		t.Fatal(err)
	}
	if last := e.Args[1]; last.Kind != plan.Column || last.Name != "d" {
		t.Errorf("d after the loop is %+v", last)
	}
	comp := e.Args[0].Args[0].Comp
	if comp.Result.Kind != plan.Local || comp.Step.Args[1].Args[0].Kind != plan.Local {
		t.Errorf("in the loop the result is %+v and d is %+v", comp.Result, comp.Step.Args[1].Args[0])
	}
}

// TestFromAST_ReportsEveryFailure: the conversion continues after a failure.
func TestFromAST_ReportsEveryFailure(t *testing.T) {
	fac := ast.NewExprFactory()
	list := fac.NewList(1, []ast.Expr{
		fac.NewStruct(2, "a.Message", nil), fac.NewIdent(3, "stranger"), fac.NewLiteral(4, types.String("x")),
	}, nil)
	message := types.NewObjectType("a.Message")
	tree := ast.NewCheckedAST(ast.NewAST(list, ast.NewSourceInfo(nil)), map[int64]*types.Type{
		1: types.NewListType(types.IntType), 2: message, 3: types.IntType, 4: types.IntType,
	}, nil)
	_, err := read(tree)
	want := fmt.Sprint(errors.Join(
		errors.New("values of CEL type a.Message cannot be features; use a scalar, list, map or optional"),
		errors.New("an expression of CEL kind 8 is not supported"),
		errors.New("unknown variable"),
		errors.New("an expression of type int returned a value of type string"),
	))
	if fmt.Sprint(err) != want {
		t.Errorf("found\n%v\nwant\n%v", err, want)
	}
}
