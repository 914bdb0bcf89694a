package agg

import (
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

func col(t plan.Type) *plan.Expr { return &plan.Expr{Kind: plan.Column, Type: t, Name: "c"} }

// slotOf makes a slot of f with an argument of type arg, without one if arg is Invalid.
func slotOf(f plan.AggFunc, arg plan.Type) *plan.Slot {
	s := &plan.Slot{Func: f, Type: f.Row().ResultOf(arg)}
	if arg.Kind != plan.Invalid {
		s.Arg = col(arg)
	}
	return s
}

func grouped(f plan.AggFunc, arg plan.Type) *plan.Slot {
	s := slotOf(f, arg)
	s.Group = col(plan.T(plan.String))
	s.Type = plan.MapOf(plan.T(plan.String), s.Type.Unwrap())
	return s
}

func withN(s *plan.Slot, n int) *plan.Slot { s.N = n; return s }

func withBy(s *plan.Slot, by plan.Kind) *plan.Slot { s.By = col(plan.T(by)); return s }

func withQuantile(s *plan.Slot, q float64) *plan.Slot { s.Quantile = q; return s }

// name describes a slot in tests.
func name(s *plan.Slot) string {
	text := string(s.Func)
	if s.Arg != nil {
		text += "_" + s.Arg.Type.String()
	}
	if s.By != nil {
		text += "_by_" + s.By.Type.String()
	}
	if s.Group != nil {
		text += "_grouped"
	}
	if s.N != 0 {
		text += fmt.Sprintf("_%d", s.N)
	}
	if s.Func == plan.ApproxQuantile {
		text += fmt.Sprintf("_q%v", s.Quantile)
	}
	return text
}

// everySlot covers every aggregate over every kind of argument.
func everySlot() []*plan.Slot {
	var slots []*plan.Slot
	for i := range plan.Aggregates {
		slots = append(slots, slotsOfRow(&plan.Aggregates[i])...)
	}
	for _, by := range plan.OrderedKinds {
		slots = append(slots, withBy(slotOf(plan.MaxBy, plan.T(plan.String)), by), withBy(slotOf(plan.MinBy, plan.T(plan.Double)), by))
	}
	strings := plan.ListOf(plan.T(plan.String))
	slots = append(slots,
		withN(slotOf(plan.DistinctCount, plan.T(plan.Int)), 4),
		withN(slotOf(plan.LatestN, plan.T(plan.Int)), 1),
		withN(slotOf(plan.EarliestN, plan.T(plan.Int)), 1000),
		slotOf(plan.Latest, strings), slotOf(plan.Earliest, plan.ListOf(strings)), withN(slotOf(plan.LatestN, strings), 4),
		slotOf(plan.Latest, plan.ListOf(plan.T(plan.Double))), slotOf(plan.Latest, plan.ListOf(plan.T(plan.Bool))),
		slotOf(plan.Earliest, plan.MapOf(plan.T(plan.String), plan.T(plan.Int))), withN(slotOf(plan.LatestN, plan.ListOf(plan.T(plan.Timestamp))), 2),
		withBy(slotOf(plan.MinBy, strings), plan.Int),
		grouped(plan.Count, plan.Type{}), grouped(plan.Count, plan.T(plan.Int)),
		grouped(plan.Sum, plan.T(plan.Int)), grouped(plan.Sum, plan.T(plan.Double)), grouped(plan.Sum, plan.T(plan.Duration)),
		grouped(plan.Mean, plan.T(plan.Int)), grouped(plan.Mean, plan.T(plan.Double)),
		grouped(plan.Min, plan.T(plan.Double)), grouped(plan.Max, plan.T(plan.String)),
	)
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		slots = append(slots, withQuantile(slotOf(plan.ApproxQuantile, plan.T(plan.Double)), q))
	}
	return append(slots, withQuantile(slotOf(plan.ApproxQuantile, plan.T(plan.Int)), 0.9))
}

// slotsOfRow is the aggregate over each kind of argument that its partials take. everySlot
// adds the aggregates with a y or a quantile.
func slotsOfRow(row *plan.AggRow) (slots []*plan.Slot) {
	kinds := row.Kinds
	if row.Composite || makers[row.Func.Keeps()].equal {
		kinds = []plan.Kind{plan.Bool, plan.Int, plan.Uint, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration}
	}
	switch {
	case row.Has(plan.RoleBy), row.Has(plan.RoleQuantile):
		return nil
	case row.Func == plan.Count:
		kinds = []plan.Kind{plan.String}
	}
	if row.NoValue || len(row.Roles) == 0 {
		slots = append(slots, slotOf(row.Func, plan.Type{}))
	}
	for _, k := range kinds {
		s := slotOf(row.Func, plan.T(k))
		switch {
		case row.Func == plan.TopK:
			s.N = 2
		case row.Has(plan.RoleN):
			s.N = 3
		}
		slots = append(slots, s)
	}
	return slots
}

func column(t testing.TB, slot *plan.Slot) Column {
	t.Helper()
	c, err := New(slot)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
