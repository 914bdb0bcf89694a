package main

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/vector"
)

// kernels runs the suite like features: in the environment of definitions, over columns.
type kernels struct {
	env, plain *cel.Env // plain is without macros
	sizes      []int
	rows       int // compared so far
}

func newKernels(sizes []int) (*kernels, error) {
	env, err := celenv.NewEnv()
	if err != nil {
		return nil, err
	}
	plain, err := celenv.NewEnv(cel.ClearMacros())
	return &kernels{env: env, plain: plain, sizes: sizes}, err
}

// outcome is the result for a row: an error or a value, null for none.
type outcome struct {
	err bool
	val plan.Value
}

func (o outcome) String() string {
	if o.err {
		return "an error"
	}
	return o.val.String()
}

func (o outcome) equal(p outcome) bool { return o.err == p.err && (o.err || o.val.Equal(p.val)) }

// run runs a test in every form; native is true if some form with columns had no fallback to
// cel-go.
func (k *kernels) run(c *testCase) (native bool, err error) {
	tree, err := k.check(c)
	if err != nil || c.GetCheckOnly() {
		return false, err
	}
	e, err := convert(tree.NativeRep())
	if err != nil {
		return false, err
	}
	want, err := k.want(c, e.Type)
	if err != nil {
		return false, err
	}
	vars, err := k.variables(c, e)
	if err != nil {
		return false, err
	}
	for i, f := range forms {
		x, cols, lifted := lift(e, f, vars)
		if i > 0 && lifted == 0 {
			continue // the same as the previous form
		}
		p, err := k.compare(x, cols, want)
		if err != nil {
			return false, fmt.Errorf("with %s: %w", f.name, err)
		}
		native = native || len(cols) > 0 && len(p.Fallbacks()) == 0
	}
	return native, nil
}

func (k *kernels) check(c *testCase) (*cel.Ast, error) {
	env := k.env
	if c.GetDisableMacros() {
		env = k.plain
	}
	env, err := declared(env, c)
	if err != nil {
		return nil, err
	}
	tree, iss := env.Compile(c.GetExpr())
	if iss.Err() != nil {
		return nil, fmt.Errorf("it is not a feature: %w", iss.Err())
	}
	return tree, checkType(c, tree)
}

// want is the expected outcome for a row.
func (k *kernels) want(c *testCase, t plan.Type) (outcome, error) {
	if c.GetEvalError() != nil {
		return outcome{err: true}, nil
	}
	val, err := cel.ProtoAsValue(k.env.CELTypeAdapter(), wantValue(c))
	if err != nil {
		return outcome{}, err
	}
	v, err := celenv.FromRef(val, t)
	return outcome{val: content(v)}, err
}

// content is an optional as in a vector: its content, or null.
func content(v plan.Value) plan.Value {
	if v.Kind() != plan.Optional {
		return v
	}
	if len(v.List()) == 0 {
		return plan.NullValue()
	}
	return v.List()[0]
}

// variables are the variables that e reads, with the values from the test.
func (k *kernels) variables(c *testCase, e *plan.Expr) ([]column, error) {
	var cols []column
	var failed error
	seen := map[string]bool{}
	e.Walk(func(n *plan.Expr) {
		if n.Kind != plan.Column || seen[n.Name] {
			return
		}
		seen[n.Name] = true
		col := column{Input: expr.Input{Name: n.Name, Type: n.Type}}
		if bound, ok := c.GetBindings()[n.Name]; ok {
			val, err := refOf(k.env, bound)
			if err == nil {
				col.value, err = celenv.FromRef(val, n.Type)
			}
			failed = errors.Join(failed, err)
			col.value = content(col.value)
		} else {
			failed = errors.Join(failed, fmt.Errorf("the test does not bind %q", n.Name))
		}
		cols = append(cols, col)
	})
	return cols, failed
}

// compare evaluates e in batches of rows whose outcome must be want, then with a row of nulls
// and a row of errors among them, whose outcome must be cel-go's.
func (k *kernels) compare(e *plan.Expr, cols []column, want outcome) (*expr.Program, error) {
	inputs := make([]expr.Input, len(cols))
	for i, c := range cols {
		inputs[i] = c.Input
	}
	p, err := expr.Compile(e, inputs)
	if err != nil {
		return nil, err
	}
	nulls, errs, err := k.absentOutcomes(e, cols)
	if err != nil {
		return nil, err
	}
	for _, n := range k.sizes {
		wants := make([]outcome, n)
		for i := range wants {
			wants[i] = want
		}
		if err := k.batch(p, cols, n, wants, -1, -1); err != nil {
			return nil, err
		}
		if n == 1 || len(cols) == 0 {
			continue
		}
		wants[n/2], wants[n-1] = nulls, errs
		if err := k.batch(p, cols, n, wants, n/2, n-1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// batch evaluates n rows, one of which may have nulls and one errors (-1: none).
func (k *kernels) batch(p *expr.Program, cols []column, n int, wants []outcome, nullRow, errRow int) error {
	vectors := make([]*vector.Vector, len(cols))
	for c, col := range cols {
		v := vector.New(col.Type, n)
		for i := range n {
			switch i {
			case nullRow:
				v.SetNull(i)
			case errRow:
				v.SetErr(i)
			default:
				v.Set(i, col.value)
			}
		}
		vectors[c] = v
	}
	out := p.Eval(vectors, n, nil)
	for i, want := range wants {
		k.rows++
		if got := (outcome{out.IsErr(i), out.Value(i)}); !got.equal(want) {
			return fmt.Errorf("row %d of %d is %v, want %v", i, n, got, want)
		}
	}
	return nil
}

// absentOutcomes are cel-go's outcomes if every column is null, and if every column is an
// error.
func (k *kernels) absentOutcomes(e *plan.Expr, cols []column) (nulls, errs outcome, err error) {
	tree, err := celenv.Rebuild(e)
	if err != nil {
		return nulls, errs, err
	}
	prg, err := k.env.PlanProgram(tree)
	if err != nil {
		return nulls, errs, err
	}
	null, failed := map[string]any{}, map[string]any{}
	for _, c := range cols {
		null[c.Name] = celenv.ToRef(plan.NullValue(), c.Type)
		failed[c.Name] = types.NewErr("the input failed")
	}
	return evaluate(prg, null, e.Type), evaluate(prg, failed, e.Type), nil
}

func evaluate(prg cel.Program, vars map[string]any, t plan.Type) outcome {
	got, _, err := prg.Eval(vars)
	if err != nil {
		return outcome{err: true}
	}
	v, err := celenv.FromRef(got, t)
	if err != nil {
		return outcome{err: true}
	}
	return outcome{val: content(v)}
}
