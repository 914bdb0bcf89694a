package lang

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// Splitter collects the aggregates of a view's features; equal slots and equal windowed
// aggregates are stored once.
type Splitter struct {
	view       *plan.View
	where      Row // the view's filter; without an expression: every event
	slots      map[string]int
	aggregates map[plan.WindowedAggregate]int
}

// NewSplitter returns a splitter that adds to v, whose events pass the filter where.
func NewSplitter(v *plan.View, where Row) *Splitter {
	return &Splitter{view: v, where: where, slots: map[string]int{}, aggregates: map[plan.WindowedAggregate]int{}}
}

// leaf returns the node for an aggregate call in the outer expression, and adds its slot and
// window to the view.
func (s *Splitter) leaf(t *treeConverter, call *aggregateCall, typ plan.Type) *plan.Expr {
	slot, window := s.slot(t, call, typ)
	out := &plan.Expr{Kind: plan.Aggregate, Type: slot.Type, Pos: t.x.pos(call.base)}
	key := plan.SlotKey(s.view.Source, &slot)
	i, ok := s.slots[key]
	if !ok {
		i = len(s.view.Slots)
		s.slots[key] = i
		s.view.Slots = append(s.view.Slots, slot)
	}
	w := plan.WindowedAggregate{Slot: i, Window: window}
	index, ok := s.aggregates[w]
	if !ok {
		index = len(s.view.Aggregates)
		s.aggregates[w] = index
		s.view.Aggregates = append(s.view.Aggregates, w)
	}
	out.Index = index
	return out
}

// slot converts the parts of an aggregate call.
func (s *Splitter) slot(t *treeConverter, call *aggregateCall, typ plan.Type) (plan.Slot, plan.Window) {
	slot := plan.Slot{Func: call.decl.Func, Type: typ, Filter: s.where.Expr}
	args, window := call.split()
	for i, a := range args {
		switch call.decl.Roles[i] {
		case plan.RoleValue:
			slot.Arg = t.stored(a)
		case plan.RoleBy:
			slot.By = t.stored(a)
		case plan.RoleN:
			slot.N = int(a.AsLiteral().(types.Int))
		case plan.RoleQuantile:
			slot.Quantile = float64(a.AsLiteral().(types.Double))
		}
	}
	if call.decl.Capped {
		slot.N = plan.DistinctCap
	}
	for _, c := range call.caps {
		slot.N = int(c.AsCall().Args()[0].AsLiteral().(types.Int))
	}
	for _, b := range call.bys {
		slot.Group = t.stored(b.AsCall().Args()[0])
	}
	for _, w := range call.wheres {
		slot.Filter = and(slot.Filter, celenv.FromAST(t.checked(), w.AsCall().Args()[0]))
	}
	slot.KnownColumns = knownColumns(s.view.Source, &slot)
	return slot, windowOf(window)
}

// stored converts what an aggregate stores of its events, which must not be nested too deeply
// to be decoded again.
func (t *treeConverter) stored(e ast.Expr) *plan.Expr {
	out := celenv.FromAST(t.checked(), e)
	if depth := out.Type.Depth(); depth > plan.MaxDepth {
		t.c.r.Errorf(t.x.pos(e), RuleAggregateCall, "an aggregate stores values with at most %d levels of lists, maps and optionals, and these have %d; aggregate an element of them",
			plan.MaxDepth, depth)
	}
	return out
}

// windowOf parses a checked window literal; without one the window is unbounded.
func windowOf(e ast.Expr) plan.Window {
	if e == nil {
		return plan.Window{}
	}
	w, err := plan.ParseWindow(string(e.AsLiteral().(types.String)))
	if err != nil {
		panic("lang: a window that was not checked: " + err.Error())
	}
	return w
}

// and is a && b; a nil operand is true.
func and(a, b *plan.Expr) *plan.Expr {
	if a == nil {
		return b
	}
	return &plan.Expr{
		Kind: plan.Call, Type: plan.T(plan.Bool), Name: operators.LogicalAnd,
		Overloads: []string{overloads.LogicalAnd}, Args: []*plan.Expr{a, b}, Pos: b.Pos,
	}
}

// knownColumns returns the columns read by a slot that have a known time of their own.
func knownColumns(src *plan.Source, s *plan.Slot) []string {
	var names []string
	for _, name := range plan.Columns(s.Arg, s.By, s.Group, s.Filter) {
		if c, ok := src.Column(name); ok && c.Known != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
