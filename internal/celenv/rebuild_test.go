package celenv_test

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

func column(name string, t plan.Type) *plan.Expr {
	return &plan.Expr{Kind: plan.Column, Name: name, Type: t}
}

func literal(v plan.Value) *plan.Expr {
	return &plan.Expr{Kind: plan.Literal, Lit: v, Type: plan.T(v.Kind())}
}

func call(name, overload string, t plan.Type, args ...*plan.Expr) *plan.Expr {
	return &plan.Expr{Kind: plan.Call, Name: name, Overloads: []string{overload}, Type: t, Args: args}
}

var intT, boolT = plan.T(plan.Int), plan.T(plan.Bool)

func evalPlan(t *testing.T, e *plan.Expr, vars map[string]any) (plan.Value, error) {
	t.Helper()
	prg, err := celenv.Plan(e)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := prg.Eval(vars)
	if err != nil {
		return plan.Value{}, err
	}
	return celenv.FromRef(out, e.Type)
}

func TestInputName(t *testing.T) {
	for want, e := range map[string]*plan.Expr{
		"amount":         {Kind: plan.Column, Name: "amount"},
		"@agg3":          {Kind: plan.Aggregate, Index: 3},
		"@feature0":      {Kind: plan.FeatureRef, Name: "spend"},
		"request.amount": {Kind: plan.Request, Name: "amount"},
		"now":            {Kind: plan.Now},
		"":               {Kind: plan.Local, Name: "x"},
	} {
		if got := celenv.InputName(e); got != want {
			t.Errorf("the name of %+v is %q, want %q", e, got, want)
		}
	}
}

func TestPlan_EveryInput(t *testing.T) {
	sum := column("amount", intT)
	for _, e := range []*plan.Expr{
		{Kind: plan.Aggregate, Index: 3, Type: intT}, {Kind: plan.FeatureRef, Index: 1, Name: "spend", Type: intT},
		{Kind: plan.Request, Name: "amount", Type: intT}, literal(plan.IntValue(1)),
	} {
		sum = call("_+_", "add_int64", intT, sum, e)
	}
	got, err := evalPlan(t, sum, map[string]any{"amount": 10000, "@agg3": 1000, "@feature1": 100, "request.amount": 10})
	if err != nil || got.Int() != 11111 {
		t.Errorf("the sum is %v, %v", got, err)
	}
}

// mapOver is range.map(x, step) as the macro expands it.
func mapOver(over, step *plan.Expr) *plan.Expr {
	list := plan.ListOf(step.Type)
	accu := &plan.Expr{Kind: plan.Local, Name: "@result", Type: list}
	return &plan.Expr{Kind: plan.Comprehension, Type: list, Comp: &plan.Comp{
		IterVar: "x", AccuVar: "@result", Range: over,
		Init:   &plan.Expr{Kind: plan.ListLit, Type: list},
		Cond:   literal(plan.BoolValue(true)),
		Step:   call("_+_", "add_list", list, accu, &plan.Expr{Kind: plan.ListLit, Type: list, Args: []*plan.Expr{step}}),
		Result: accu,
	}}
}

// TestPlan_MapsInKeyOrder: cel-go alone would use a random order.
func TestPlan_MapsInKeyOrder(t *testing.T) {
	m := &plan.Expr{Kind: plan.MapLit, Type: plan.MapOf(intT, intT)}
	for i := range int64(20) {
		m.Args = append(m.Args, literal(plan.IntValue(19-i)), literal(plan.IntValue(i)))
	}
	e := mapOver(m, &plan.Expr{Kind: plan.Local, Name: "x", Type: intT})
	got, err := evalPlan(t, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.List() {
		if v.Int() != int64(i) {
			t.Fatalf("the order of the keys is %v", got)
		}
	}
}

// TestPlan_ShadowedColumn: a column keeps its meaning inside a comprehension that has a
// variable of the same name.
func TestPlan_ShadowedColumn(t *testing.T) {
	list := &plan.Expr{Kind: plan.ListLit, Type: plan.ListOf(intT), Args: []*plan.Expr{literal(plan.IntValue(1))}}
	local := &plan.Expr{Kind: plan.Local, Name: "x", Type: intT}
	e := mapOver(list, call("_-_", "subtract_int64", intT, column("x", intT), local))
	got, err := evalPlan(t, e, map[string]any{"x": 10})
	if err != nil || len(got.List()) != 1 || got.List()[0].Int() != 9 {
		t.Errorf("column minus variable is %v, %v", got, err)
	}
}

// TestPlan_OptimisesNothingAway: cel-go's optimiser would replace the first by false and
// refuse to plan the second.
func TestPlan_OptimisesNothingAway(t *testing.T) {
	div := call("_/_", "divide_int64", intT, literal(plan.IntValue(1)), column("x", intT))
	in := call("@in", "in_list", boolT, div, &plan.Expr{Kind: plan.ListLit, Type: plan.ListOf(intT)})
	if got, err := evalPlan(t, in, map[string]any{"x": 0}); err == nil {
		t.Errorf("1/0 in [] is %v", got)
	}
	bad := call("int", "string_to_int64", intT, literal(plan.StringValue("x")))
	or := call("_||_", "logical_or", boolT, column("b", boolT), call("_==_", "equals", boolT, bad, literal(plan.IntValue(1))))
	if got, err := evalPlan(t, or, map[string]any{"b": true}); err != nil || !got.Bool() {
		t.Errorf("true || int('x') == 1 is %v, %v", got, err)
	}
}

func TestRebuild_Malformed(t *testing.T) {
	for _, e := range []*plan.Expr{
		{Kind: 99, Type: intT},
		{Kind: plan.Select, Name: "a", Type: intT},
		{Kind: plan.Call, Name: "size", Member: true, Type: intT},
		{Kind: plan.MapLit, Type: plan.MapOf(intT, intT), Args: []*plan.Expr{literal(plan.IntValue(1))}},
	} {
		e.Pos = plan.Pos{File: "f.yaml", Line: 2, Col: 3}
		if _, err := celenv.Rebuild(e); err == nil || !strings.HasPrefix(err.Error(), "f.yaml:2:3: malformed") {
			t.Errorf("%+v gives %v", e, err)
		}
	}
}
