package agg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

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

// newKind checks the slot and returns its kind of cell, nil if its partials have no fixed
// size.
func newKind(slot *plan.Slot) (cellKind, error) {
	if slot.Group != nil {
		return nil, nil
	}
	if err := checkShape(slot); err != nil {
		return nil, err
	}
	if make := makers[slot.Func.Keeps()].cell; make != nil {
		return make(slot), nil
	}
	return nil, nil
}

// newColumn makes the Column of a slot whose partials are not cells.
func newColumn(slot *plan.Slot) (movable, error) {
	if slot.Group != nil {
		return newGrouped(slot)
	}
	if make := makers[slot.Func.Keeps()].column; make != nil {
		return make(slot)
	}
	return nil, fmt.Errorf("aggregate %s has no partials; add it to makers in internal/kernel/agg/new.go", slot.Func.Keeps())
}

// Removable reports whether the Columns of the slot can Remove.
func Removable(slot *plan.Slot) bool { return slot.Func.Row().Removable }

// maker makes the partials of an aggregate: cells, or a column if cell is nil or returns
// nil.
type maker struct {
	cell   func(*plan.Slot) cellKind
	column func(*plan.Slot) (movable, error)
	tile   func(*plan.Slot) (cellKind, error) // in a Block, replaces column: cells with a dictionary
	equal  bool                               // values are only compared for equality, so any scalar type will do
}

// makers has an entry for each aggregate with partials of its own, see plan.AggRow.Family.
var makers = map[plan.AggFunc]maker{
	plan.Count:          {cell: func(*plan.Slot) cellKind { return countKind{} }},
	plan.Sum:            {cell: newSum},
	plan.VarPop:         {column: newMoments},
	plan.Min:            {cell: newFixedExtreme, column: newStringExtreme},
	plan.Max:            {cell: newFixedExtreme, column: newStringExtreme},
	plan.Latest:         {column: newEvent},
	plan.Earliest:       {column: newEvent},
	plan.LatestN:        {column: newEvents},
	plan.EarliestN:      {column: newEvents},
	plan.LatestTime:     {cell: newTimeExtreme},
	plan.EarliestTime:   {cell: newTimeExtreme},
	plan.MaxBy:          {column: newExtremeBy},
	plan.MinBy:          {column: newExtremeBy},
	plan.DistinctCount:  {column: newTally, tile: newDistinctKind, equal: true},
	plan.ApproxDistinct: {column: newHyperLogLog, equal: true},
	plan.ApproxQuantile: {column: newSketch},
	plan.TopK:           {column: newTally, equal: true},
	plan.Any:            {cell: func(*plan.Slot) cellKind { return boolKind{} }},
}

// checkShape checks the parts of a slot against those that its aggregate takes.
func checkShape(slot *plan.Slot) error {
	row := slot.Func.Row()
	switch {
	case row == nil:
		return fmt.Errorf("aggregate %q does not exist", slot.Func)
	case slot.Arg != nil && !row.Has(plan.RoleValue):
		return fmt.Errorf("aggregate %s: it takes no argument", slot.Func)
	case slot.Arg == nil && row.Has(plan.RoleValue) && !row.NoValue:
		return fmt.Errorf("aggregate %s: it needs an argument", slot.Func)
	case row.Has(plan.RoleBy) != (slot.By != nil):
		return fmt.Errorf("aggregate %s: a value to order by is required for %s and not allowed for others", slot.Func, plan.Which(func(a *plan.AggRow) bool { return a.Has(plan.RoleBy) }))
	case row.Has(plan.RoleN) && (slot.N < 1 || slot.N > plan.MaxElements):
		return fmt.Errorf("aggregate %s: n is %d; it goes from 1 to %d", slot.Func, slot.N, plan.MaxElements)
	case row.Has(plan.RoleQuantile) && !(slot.Quantile >= 0 && slot.Quantile <= 1):
		return fmt.Errorf("aggregate %s: q is %v; it goes from 0 to 1", slot.Func, slot.Quantile)
	}
	if slot.Arg != nil && !row.Composite && !(makers[slot.Func.Keeps()].equal && slot.Arg.Type.Unwrap().Kind.Scalar()) {
		if err := checkKind(slot.Func, "argument", slot.Arg, row.Kinds); err != nil {
			return err
		}
	}
	if slot.By != nil {
		return checkKind(slot.Func, "value to order by", slot.By, plan.OrderedKinds)
	}
	return nil
}

func checkKind(f plan.AggFunc, what string, x *plan.Expr, kinds []plan.Kind) error {
	if slices.Contains(kinds, x.Type.Unwrap().Kind) {
		return nil
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return fmt.Errorf("aggregate %s: its %s is of type %v; it takes %s", f, what, x.Type, strings.Join(names, ", "))
}

func newGrouped(slot *plan.Slot) (movable, error) {
	row := slot.Func.Row()
	switch {
	case row == nil || !row.Groups:
		return nil, fmt.Errorf("aggregate %s: .by(…) exists for %s only", slot.Func, plan.Which(func(a *plan.AggRow) bool { return a.Groups }))
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

func newSum(slot *plan.Slot) cellKind {
	if slot.Arg.Type.Unwrap().Kind == plan.Double {
		return doubleSumKind{}
	}
	return intSumKind{}
}

// newFixedExtreme returns nil if the values have no fixed size.
func newFixedExtreme(slot *plan.Slot) cellKind {
	if l := laneOf(slot.Arg.Type); l.fixed {
		return newExtremeKind(l, false, slot.Func == plan.Min)
	}
	return nil
}

func newTimeExtreme(slot *plan.Slot) cellKind {
	return newExtremeKind(laneOf(plan.T(plan.Timestamp)), true, slot.Func == plan.EarliestTime)
}

func newMoments(slot *plan.Slot) (movable, error) {
	f := spreadOf(slot.Func)
	if slot.Arg.Type.Unwrap().Kind == plan.Double {
		return &doubleMomentsColumn{spread: f}, nil
	}
	return &intMomentsColumn{spread: f}, nil
}

// direction is all ones if the smallest or earliest wins, else 0.
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
	return &eventsColumn{arg: laneOf(slot.Arg.Type), n: slot.N, earliest: slot.Func == plan.EarliestN}, nil
}

func newExtremeBy(slot *plan.Slot) (movable, error) {
	order := eventOrder{arg: laneOf(slot.Arg.Type), dir: direction(slot.Func == plan.MinBy)}
	return &extremeByColumn{eventOrder: order, by: laneOf(slot.By.Type)}, nil
}

func newTally(slot *plan.Slot) (movable, error) {
	top, limit := 0, 0
	var err error
	if slot.Func == plan.TopK {
		top = slot.N
	} else if limit, err = distinctLimit(slot); err != nil {
		return nil, err
	}
	l := laneOf(slot.Arg.Type)
	if l.fixed {
		return &tallyColumn[uint64]{keys: fixedKeys(l), topK: top, limit: limit}, nil
	}
	return &tallyColumn[string]{keys: stringKeys(l), topK: top, limit: limit}, nil
}

// distinctLimit is the largest number of values with which distinct_count has a value.
func distinctLimit(slot *plan.Slot) (int, error) {
	switch {
	case slot.N == 0:
		return plan.DistinctCap, nil
	case slot.N < 0 || slot.N > plan.MaxDistinctCap:
		return 0, fmt.Errorf("aggregate distinct_count: its cap is %d; it goes from 1 to %d", slot.N, plan.MaxDistinctCap)
	}
	return slot.N, nil
}

func newHyperLogLog(slot *plan.Slot) (movable, error) {
	return &hllColumn{lane: laneOf(slot.Arg.Type)}, nil
}

func newSketch(slot *plan.Slot) (movable, error) {
	return &sketchColumn{q: slot.Quantile, ints: slot.Arg.Type.Unwrap().Kind == plan.Int}, nil
}
