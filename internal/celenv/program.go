package celenv

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"

	"github.com/unskew/unskew/featuredefs/plan"
)

// runtime is the environment in which programs are planned. It declares no variables,
// because rebuilt trees are checked already.
var runtime = sync.OnceValues(func() (*cel.Env, error) { return NewEnv() })

// Plan makes a CEL program of e. The program is safe for concurrent use. Its variables are
// named by InputName; free comprehension variables have their own names.
func Plan(e *plan.Expr) (cel.Program, error) {
	env, err := runtime()
	if err != nil {
		return nil, fmt.Errorf("set up the CEL environment: %w", err)
	}
	tree, err := Rebuild(e)
	if err != nil {
		return nil, err
	}
	if optimizable(e) {
		// The optimiser fails for constant conversions and patterns that fail. Without it,
		// only the rows that reach them fail.
		if p, err := env.PlanProgram(tree, cel.EvalOptions(cel.OptOptimize)); err == nil {
			return p, nil
		}
	}
	p, err := env.PlanProgram(tree)
	if err != nil {
		return nil, fmt.Errorf("%s:%d:%d: plan expression: %w", e.Pos.File, e.Pos.Line, e.Pos.Col, err)
	}
	return p, nil
}

// optimizable reports whether cel-go's optimiser keeps the meaning of e. It replaces
// `x in []` by false, even if x is an error.
func optimizable(e *plan.Expr) bool {
	ok := true
	e.Walk(func(n *plan.Expr) {
		if n.Kind != plan.Call || n.Name != operators.In || len(n.Args) != 2 {
			return
		}
		if l := n.Args[1]; l.Kind == plan.ListLit && len(l.Args) == 0 {
			ok = false
		}
	})
	return ok
}
