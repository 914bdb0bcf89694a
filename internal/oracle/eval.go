package oracle

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// outcome is the result of an expression: a value or an error.
type outcome struct {
	value plan.Value
	err   error
	exact bool
}

// scope is the inputs of an expression: columns for a row expression, the others for an outer
// expression.
type scope struct {
	columns, request     map[string]plan.Value
	aggregates, features []outcome
	now                  plan.EventTime
}

// input is the value of a leaf.
func (s *scope) input(leaf *plan.Expr) outcome {
	switch leaf.Kind {
	case plan.Column:
		return outcome{value: s.columns[leaf.Name], exact: true}
	case plan.Request:
		return outcome{value: s.request[leaf.Name], exact: true}
	case plan.Aggregate:
		return s.aggregates[leaf.Index]
	case plan.FeatureRef:
		return s.features[leaf.Index]
	}
	return outcome{value: plan.TimestampValue(s.now), exact: true}
}

// programs caches compiled expressions.
type programs map[*plan.Expr]cel.Program

// celEnvironment declares no variables, because expressions are checked already.
var celEnvironment = sync.OnceValues(func() (*cel.Env, error) { return celenv.NewEnv() })

func (p programs) compile(e *plan.Expr) (cel.Program, error) {
	if prg, ok := p[e]; ok {
		return prg, nil
	}
	env, err := celEnvironment()
	if err != nil {
		return nil, err
	}
	tree, err := celenv.Rebuild(e)
	if err != nil {
		return nil, err
	}
	p[e], err = env.PlanProgram(tree)
	return p[e], err
}

// eval evaluates e with cel-go. Failed inputs are error values, which && and || may
// absorb. The error result means that e cannot be compiled.
func (p programs) eval(e *plan.Expr, s scope) (outcome, error) {
	prg, err := p.compile(e)
	if err != nil {
		return outcome{}, fmt.Errorf("compile for cel-go: %w", err)
	}
	vars, exact := map[string]any{}, true
	e.Walk(func(leaf *plan.Expr) {
		name := celenv.InputName(leaf)
		if name == "" {
			return
		}
		in := s.input(leaf)
		vars[name], exact = refOf(in, leaf.Type), exact && in.exact
	})
	got, _, err := prg.Eval(vars)
	if err != nil {
		return outcome{err: err, exact: exact}, nil
	}
	value, err := celenv.FromRef(got, e.Type)
	return outcome{value: value, err: err, exact: exact}, nil
}

func refOf(in outcome, t plan.Type) ref.Val {
	if in.err != nil {
		return types.WrapErr(in.err)
	}
	return celenv.ToRef(in.value, t)
}
