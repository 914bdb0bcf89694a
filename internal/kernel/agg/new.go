package agg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// maxListed bounds the n of latest_n and earliest_n, by docs/semantics.md §4.
const maxListed = 1000

// New makes an empty Column for the slot. It fails when the slot is not an
// aggregate of docs/semantics.md §4 over arguments of the types given there.
func New(slot *plan.Slot) (Column, error) {
	k, err := newKind(slot)
	switch x := k.(type) {
	case nil:
		if err != nil {
			return nil, err
		}
		return newColumn(slot)
	case *extremeKind:
		return newExtremes(x, slot.Func), nil
	}
	return newCells(k, slot.Func), nil
}

// newKind checks the slot and is its aggregate's kind of cell, nil where the partials
// have no fixed size.
func newKind(slot *plan.Slot) (cellKind, error) {
	if slot.Group != nil {
		return nil, nil
	}
	if err := checkShape(slot); err != nil {
		return nil, err
	}
	smallest := slot.Func == plan.Min || slot.Func == plan.EarliestTime
	switch slot.Func {
	case plan.Count:
		return countKind{}, nil
	case plan.Any, plan.All:
		return boolKind{}, nil
	case plan.Sum, plan.Mean:
		if slot.Arg.Type.Unwrap().Kind == plan.Double {
			return doubleSumKind{}, nil
		}
		return intSumKind{}, nil
	case plan.LatestTime, plan.EarliestTime:
		return newExtremeKind(laneOf(plan.T(plan.Timestamp)), true, smallest), nil
	case plan.Min, plan.Max:
		if l := laneOf(slot.Arg.Type); l.fixed {
			return newExtremeKind(l, false, smallest), nil
		}
	}
	return nil, nil
}

// newColumn makes the Column of a slot whose partials are no cells.
func newColumn(slot *plan.Slot) (movable, error) {
	if slot.Group != nil {
		return newGrouped(slot)
	}
	build, ok := makers[slot.Func]
	if !ok {
		return nil, fmt.Errorf("aggregate %q does not exist", slot.Func)
	}
	return build(slot)
}

// Removable reports whether the Columns of the slot can Remove.
func Removable(slot *plan.Slot) bool { return removable[slot.Func] }

var removable = map[plan.AggFunc]bool{
	plan.Count: true, plan.Sum: true, plan.Mean: true,
	plan.VarPop: true, plan.VarSamp: true, plan.StddevPop: true, plan.StddevSamp: true,
	plan.DistinctCount: true, plan.TopK: true, plan.ApproxQuantile: true,
	plan.Any: true, plan.All: true,
}

// groupable are the aggregates that have .by.
var groupable = []plan.AggFunc{plan.Count, plan.Sum, plan.Mean, plan.Min, plan.Max}

var makers = map[plan.AggFunc]func(*plan.Slot) (movable, error){
	plan.VarPop:         newMoments,
	plan.VarSamp:        newMoments,
	plan.StddevPop:      newMoments,
	plan.StddevSamp:     newMoments,
	plan.Min:            newStringExtreme,
	plan.Max:            newStringExtreme,
	plan.Latest:         newEvent,
	plan.Earliest:       newEvent,
	plan.LatestN:        newEvents,
	plan.EarliestN:      newEvents,
	plan.MaxBy:          newExtremeBy,
	plan.MinBy:          newExtremeBy,
	plan.DistinctCount:  newTally,
	plan.TopK:           newTally,
	plan.ApproxDistinct: newHyperLogLog,
	plan.ApproxQuantile: newSketch,
}

// argumentKinds are the argument types of each aggregate; none: any type. The
// language is narrower in places (docs/semantics.md §4).
var argumentKinds = map[plan.AggFunc][]plan.Kind{
	plan.Sum:            {plan.Int, plan.Double, plan.Duration},
	plan.Mean:           {plan.Int, plan.Double},
	plan.VarPop:         {plan.Int, plan.Double},
	plan.VarSamp:        {plan.Int, plan.Double},
	plan.StddevPop:      {plan.Int, plan.Double},
	plan.StddevSamp:     {plan.Int, plan.Double},
	plan.Min:            ordered,
	plan.Max:            ordered,
	plan.DistinctCount:  discrete,
	plan.ApproxDistinct: discrete,
	plan.ApproxQuantile: {plan.Int, plan.Double},
	plan.TopK:           discrete,
	plan.Any:            {plan.Bool},
	plan.All:            {plan.Bool},
}

var (
	ordered  = []plan.Kind{plan.Int, plan.Double, plan.String, plan.Timestamp, plan.Duration}
	discrete = []plan.Kind{plan.Bool, plan.Int, plan.Uint, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration}
)

// checkShape checks what the slot has against what its aggregate takes.
func checkShape(slot *plan.Slot) error {
	argless := slot.Func == plan.LatestTime || slot.Func == plan.EarliestTime
	by := slot.Func == plan.MaxBy || slot.Func == plan.MinBy
	switch {
	case slot.Arg != nil && argless:
		return fmt.Errorf("aggregate %s: it takes no argument", slot.Func)
	case slot.Arg == nil && !argless && slot.Func != plan.Count:
		return fmt.Errorf("aggregate %s: it needs an argument", slot.Func)
	case by != (slot.By != nil):
		return fmt.Errorf("aggregate %s: only max_by and min_by have, and need, a value to order by", slot.Func)
	}
	if slot.Arg != nil {
		if err := checkKind(slot.Func, "argument", slot.Arg, argumentKinds[slot.Func]); err != nil {
			return err
		}
	}
	if by {
		return checkKind(slot.Func, "value to order by", slot.By, ordered)
	}
	return nil
}

func checkKind(f plan.AggFunc, what string, x *plan.Expr, kinds []plan.Kind) error {
	if len(kinds) == 0 || slices.Contains(kinds, x.Type.Unwrap().Kind) {
		return nil
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return fmt.Errorf("aggregate %s: its %s is of type %v; it takes %s", f, what, x.Type, strings.Join(names, ", "))
}

func newGrouped(slot *plan.Slot) (movable, error) {
	switch {
	case !slices.Contains(groupable, slot.Func):
		return nil, fmt.Errorf("aggregate %s: .by(…) exists for count, sum, mean, min and max only", slot.Func)
	case slot.Group.Type.Unwrap().Kind != plan.String:
		return nil, fmt.Errorf("aggregate %s: .by(…) takes a string, not %v", slot.Func, slot.Group.Type)
	case slot.Type.Kind != plan.Map:
		return nil, fmt.Errorf("aggregate %s: its result by group is declared as %v, not as a map", slot.Func, slot.Type)
	}
	one := *slot
	one.Group, one.Type = nil, *slot.Type.Elem
	inner, err := New(&one)
	if err != nil {
		return nil, err
	}
	return newGroupColumn(inner, slot.Type), nil
}

func newMoments(slot *plan.Slot) (movable, error) {
	f := spreadOf(slot.Func)
	if slot.Arg.Type.Unwrap().Kind == plan.Double {
		return &doubleMomentsColumn{spread: f}, nil
	}
	return &intMomentsColumn{spread: f}, nil
}

// direction is all ones where the smallest or earliest wins.
func direction(smallest bool) uint64 {
	if smallest {
		return ^uint64(0)
	}
	return 0
}

func newStringExtreme(slot *plan.Slot) (movable, error) {
	sign := 1
	if slot.Func == plan.Min {
		sign = -1
	}
	return &stringExtremeColumn{lane: laneOf(slot.Arg.Type), sign: sign}, nil
}

func newEvent(slot *plan.Slot) (movable, error) {
	order := eventOrder{arg: laneOf(slot.Arg.Type), dir: direction(slot.Func == plan.Earliest)}
	return &eventColumn{eventOrder: order}, nil
}

func newEvents(slot *plan.Slot) (movable, error) {
	if slot.N < 1 || slot.N > maxListed {
		return nil, fmt.Errorf("aggregate %s: n is %d; it goes from 1 to %d", slot.Func, slot.N, maxListed)
	}
	return &eventsColumn{arg: laneOf(slot.Arg.Type), n: slot.N, earliest: slot.Func == plan.EarliestN}, nil
}

func newExtremeBy(slot *plan.Slot) (movable, error) {
	order := eventOrder{arg: laneOf(slot.Arg.Type), dir: direction(slot.Func == plan.MinBy)}
	return &extremeByColumn{eventOrder: order, by: laneOf(slot.By.Type)}, nil
}

func newTally(slot *plan.Slot) (movable, error) {
	top, limit := 0, slot.N
	switch {
	case slot.Func == plan.TopK:
		if top = slot.N; top < 1 {
			return nil, fmt.Errorf("aggregate top_k: k is %d; it must be at least 1", slot.N)
		}
	case limit == 0:
		limit = plan.DistinctCap
	case limit < 0 || limit > plan.MaxDistinctCap:
		return nil, fmt.Errorf("aggregate distinct_count: its cap is %d; it goes from 1 to %d", slot.N, plan.MaxDistinctCap)
	}
	l := laneOf(slot.Arg.Type)
	if l.fixed {
		return &tallyColumn[uint64]{keys: fixedKeys(l), topK: top, limit: limit}, nil
	}
	return &tallyColumn[string]{keys: stringKeys(l), topK: top, limit: limit}, nil
}

func newHyperLogLog(slot *plan.Slot) (movable, error) {
	return &hllColumn{lane: laneOf(slot.Arg.Type)}, nil
}

func newSketch(slot *plan.Slot) (movable, error) {
	if !(slot.Quantile >= 0 && slot.Quantile <= 1) {
		return nil, fmt.Errorf("aggregate approx_quantile: q is %v; it goes from 0 to 1", slot.Quantile)
	}
	return &sketchColumn{q: slot.Quantile, ints: slot.Arg.Type.Unwrap().Kind == plan.Int}, nil
}
