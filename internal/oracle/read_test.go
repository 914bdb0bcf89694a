package oracle

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

func call(t plan.Type, name, overload string, args ...*plan.Expr) *plan.Expr {
	return &plan.Expr{Kind: plan.Call, Type: t, Name: name, Overloads: []string{overload}, Args: args}
}

func leaf(k plan.ExprKind, t plan.Type, name string, index int) *plan.Expr {
	return &plan.Expr{Kind: k, Type: t, Name: name, Index: index}
}

func literal(v plan.Value) *plan.Expr {
	return &plan.Expr{Kind: plan.Literal, Type: plan.T(v.Kind()), Lit: v}
}

// testView has max(x, "1h/exact").where(x > 0.0), sum(late) and features that refer to them.
func testView() *plan.View {
	double, integer := plan.T(plan.Double), plan.T(plan.Int)
	x := leaf(plan.Column, double, "x", 0)
	largest := leaf(plan.Aggregate, plan.OptionalOf(double), "", 0)
	total := leaf(plan.Aggregate, integer, "", 1)
	minusOne := dbl(-1)
	inverse := call(integer, "_/_", "divide_int64", literal(plan.IntValue(6)), leaf(plan.FeatureRef, integer, "total", 1))
	positive := func(e *plan.Expr) *plan.Expr {
		return call(plan.T(plan.Bool), "_>_", "greater_int64", e, literal(plan.IntValue(0)))
	}
	return &plan.View{
		Name: "v", Source: testSource, KeyColumns: []string{"user"},
		Slots: []plan.Slot{
			{Func: plan.Max, Arg: x, Filter: call(plan.T(plan.Bool), "_>_", "greater_double", x, literal(dbl(0))), Type: plan.OptionalOf(double)},
			{Func: plan.Sum, Arg: leaf(plan.Column, integer, "late", 0), Type: integer},
		},
		Aggregates: []plan.WindowedAggregate{{Slot: 0, Window: plan.Window{Width: plan.Hour, Hop: 1}}, {Slot: 1}},
		Features: []*plan.Feature{
			{Name: "largest", Expr: largest, Type: double},
			{Name: "total", Expr: total, Type: integer},
			{Name: "or", Expr: largest, Type: double, Default: &minusOne},
			{Name: "inverse", Expr: inverse, Type: integer},
			{Name: "absorbed", Type: plan.T(plan.Bool), Expr: call(plan.T(plan.Bool), "_||_", "logical_or",
				positive(leaf(plan.FeatureRef, integer, "inverse", 3)),
				call(plan.T(plan.Bool), "_==_", "equals", leaf(plan.FeatureRef, integer, "total", 1), literal(plan.IntValue(0))))},
			{Name: "on_error", Expr: inverse, Type: integer, Default: ptr(plan.IntValue(9)), OnErrorDefault: true},
			{Name: "seen", Expr: leaf(plan.FeatureRef, double, "or", 2), Type: double},
			{Name: "unseen", Expr: leaf(plan.FeatureRef, plan.OptionalOf(double), "largest", 0), Type: double},
			{Name: "now", Expr: leaf(plan.Now, plan.T(plan.Timestamp), "now", 0), Type: plan.T(plan.Timestamp)},
		},
		Order: []int{0, 1, 2, 3, 4, 5, 6, 7, 8},
	}
}

func ptr[T any](v T) *T { return &v }

func TestView(t *testing.T) {
	event := func(id string, time, known plan.EventTime, x plan.Value, late int64, lateAt plan.EventTime) Event {
		return Event{
			Source: "s", ID: id, Time: time, Known: known, ColumnKnown: map[string]plan.EventTime{"late": lateAt},
			Columns: map[string]plan.Value{"user": plan.IntValue(1), "x": x, "late": plan.IntValue(late)},
		}
	}
	const hour = plan.EventTime(plan.Hour)
	events := []Event{
		event("a", 0, 10, dbl(5), 2, 20),
		event("b", 5, 10, dbl(-7), 1, plan.Never),
		event("c", 6, 30, plan.NullValue(), -2, 30),
	}
	null := plan.NullValue()
	type want struct {
		value  plan.Value
		status Status
	}
	present := func(v plan.Value) want { return want{v, Present} }
	for _, tc := range []struct {
		at   plan.EventTime
		want []want
	}{
		{10, []want{
			{null, UnknownEntity}, present(plan.IntValue(0)), {dbl(-1), Defaulted}, {null, Failed}, present(plan.BoolValue(true)),
			{plan.IntValue(9), Failed}, present(dbl(-1)), {null, UnknownEntity}, present(plan.TimestampValue(10)),
		}},
		{21, []want{
			present(dbl(5)), present(plan.IntValue(2)), present(dbl(5)), present(plan.IntValue(3)), present(plan.BoolValue(true)),
			present(plan.IntValue(3)), present(dbl(5)), present(dbl(5)), present(plan.TimestampValue(21)),
		}},
		{hour, []want{
			present(dbl(5)), present(plan.IntValue(0)), present(dbl(5)), {null, Failed}, present(plan.BoolValue(true)),
			{plan.IntValue(9), Failed}, present(dbl(5)), present(dbl(5)), present(plan.TimestampValue(hour)),
		}},
		{hour + 1, []want{
			{null, Empty}, present(plan.IntValue(0)), {dbl(-1), Defaulted}, {null, Failed}, present(plan.BoolValue(true)),
			{plan.IntValue(9), Failed}, present(dbl(-1)), {null, Empty}, present(plan.TimestampValue(hour + 1)),
		}},
	} {
		got, err := New().View(testView(), events, ints(1), tc.at)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range tc.want {
			if got[i].Status != w.status || !got[i].Value.Equal(w.value) {
				t.Errorf("at %d: %s is %v %s (%s), want %v %s", tc.at, got[i].Name, got[i].Value, got[i].Status, got[i].Reason, w.value, w.status)
			}
		}
	}
	if _, err := New().View(testView(), events, nil, 0); err == nil {
		t.Error("a read without its key: no error")
	}
}
