package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// CostLimit bounds what one evaluation of an expression may cost, in the units of
// celenv.Cost: it is about a tenth of a second. An ordinary feature costs a few hundred.
const CostLimit = 10_000_000

// Costs bounds what one evaluation of each expression of a plan can cost, see celenv.Cost.
func Costs(p *plan.Plan) map[*plan.Expr]uint64 {
	c := &costs{of: map[*plan.Expr]uint64{}, views: map[*plan.View][]celenv.Size{}}
	for _, v := range p.Views {
		c.view(v)
	}
	for _, s := range p.Services {
		c.service(s)
	}
	return c.of
}

type costs struct {
	of    map[*plan.Expr]uint64
	views map[*plan.View][]celenv.Size // of their features' values
}

func (c *costs) expr(e *plan.Expr, leaf func(*plan.Expr) celenv.Size) celenv.Size {
	if e == nil {
		return celenv.SizeOfType(plan.T(plan.Null))
	}
	cost, size := celenv.Cost(e, leaf)
	c.of[e] = cost
	return size
}

// sizeOfInput is the size of a leaf that nothing but its type is known of.
func sizeOfInput(leaf *plan.Expr) celenv.Size { return celenv.SizeOfType(leaf.Type) }

func (c *costs) view(v *plan.View) {
	slots := make([]celenv.Size, len(v.Slots))
	for i := range v.Slots {
		slots[i] = c.slot(&v.Slots[i])
	}
	sizes := make([]celenv.Size, len(v.Features))
	for _, i := range v.Order {
		sizes[i] = c.feature(v.Features[i], func(leaf *plan.Expr) celenv.Size {
			switch leaf.Kind {
			case plan.Aggregate:
				return slots[v.Aggregates[leaf.Index].Slot]
			case plan.FeatureRef:
				return sizes[leaf.Index]
			}
			return sizeOfInput(leaf)
		})
	}
	c.views[v] = sizes
}

// slot is the size of what an aggregate gives.
func (c *costs) slot(s *plan.Slot) celenv.Size {
	c.expr(s.Filter, sizeOfInput)
	c.expr(s.By, sizeOfInput)
	arg, group := c.expr(s.Arg, sizeOfInput), c.expr(s.Group, sizeOfInput)
	switch {
	case s.Group != nil:
		return celenv.MapSize(group, arg)
	case s.Type.Kind == plan.List:
		return celenv.ListSize(uint64(s.N), arg)
	case s.Arg != nil && s.Type.Unwrap().Equal(s.Arg.Type.Unwrap()):
		return arg
	}
	return celenv.SizeOfType(s.Type)
}

func (c *costs) service(s *plan.Service) {
	sizes := make([]celenv.Size, len(s.Features)+len(s.Derived))
	for i, f := range s.Features {
		if features := c.views[s.Views[f.Ref].View]; f.Feature < len(features) { // else the view has mistakes
			sizes[i] = features[f.Feature]
		}
	}
	for _, d := range s.Order {
		sizes[len(s.Features)+d] = c.feature(s.Derived[d], func(leaf *plan.Expr) celenv.Size {
			if leaf.Kind == plan.FeatureRef {
				return sizes[leaf.Index]
			}
			return sizeOfInput(leaf)
		})
	}
}

// feature is the size of what who refers to f sees.
func (c *costs) feature(f *plan.Feature, leaf func(*plan.Expr) celenv.Size) celenv.Size {
	size := c.expr(f.Expr, leaf)
	if f.Default != nil {
		return celenv.JoinSizes(size, celenv.SizeOf(*f.Default))
	}
	return size
}

// checkCosts refuses expressions that no request could afford, such as loops in loops
// over long lists.
func (l *loader) checkCosts() {
	costs := Costs(l.project.Plan)
	for _, v := range l.project.Plan.Views {
		for i := range v.Slots {
			s := &v.Slots[i]
			l.checkCost(costs, s.Arg, s.By, s.Group, s.Filter)
		}
		for _, f := range v.Features {
			l.checkCost(costs, f.Expr)
		}
	}
	for _, s := range l.project.Plan.Services {
		for _, d := range s.Derived {
			l.checkCost(costs, d.Expr)
		}
	}
}

func (l *loader) checkCost(costs map[*plan.Expr]uint64, exprs ...*plan.Expr) {
	for _, e := range exprs {
		if e == nil || costs[e] <= CostLimit {
			continue
		}
		if costs[e] == celenv.UnknownCost {
			l.errorf(e.Pos, RuleCost, "the cost of one evaluation has no bound; loop over shorter lists, and write patterns as literals")
			continue
		}
		l.errorf(e.Pos, RuleCost, "one evaluation may cost %d units, more than the %d that are allowed; loop over shorter lists or not inside one another", costs[e], CostLimit)
	}
}
