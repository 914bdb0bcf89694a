package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// CostLimit bounds what one evaluation of an expression may cost, in the units of
// celenv.Cost: it is about a tenth of a second. An ordinary feature costs a few hundred.
const CostLimit = 10_000_000

// Costs bounds what one evaluation of each expression of a plan can cost, see celenv.Cost.
func Costs(p *plan.Plan) map[*plan.Expr]celenv.Bound {
	c := &costs{of: map[*plan.Expr]celenv.Bound{}, views: map[*plan.View][]celenv.Size{}}
	for _, v := range p.Views {
		c.view(v)
	}
	for _, s := range p.Services {
		c.service(s)
	}
	return c.of
}

type costs struct {
	of    map[*plan.Expr]celenv.Bound
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

func (l *loader) checkCost(costs map[*plan.Expr]celenv.Bound, exprs ...*plan.Expr) {
	for _, e := range exprs {
		b := costs[e]
		switch {
		case e == nil || b.Units <= CostLimit:
		case b.Units == celenv.UnknownCost:
			l.Errorf(b.Most.Pos, RuleCost, "the cost of one evaluation has no bound because of this: %s", costHints[b.Reason])
		default:
			l.Errorf(b.Most.Pos, RuleCost, "one evaluation may cost %d units, more than the %d that are allowed, and most of them here: %s", b.Units, CostLimit, costHints[b.Reason])
		}
	}
}

// costHints say why something costs much and what to do.
var costHints = map[celenv.Reason]string{
	celenv.Large:          "it reads or makes too much; shorten texts with substring(0, n) and lists with slice(0, n)",
	celenv.InLoop:         "it is done for every element; move what is the same for all of them out of the loop with cel.bind, or bound the list with slice(0, n), split(…, n) or lists.range(n) of a literal n",
	celenv.LoopInLoop:     "this loop runs for every element of another; bound the lists with slice(0, n), split(…, n) or lists.range(n) of a literal n",
	celenv.PatternUnknown: "a pattern that is no literal can be as expensive as it likes; write it as a literal",
	celenv.PatternWaste:   "the pattern may read far beyond a match, again for each; anchor it, or exclude the character that it stops at from what it repeats, as in \"[^\"]*\"",
	celenv.PatternLong:    "the pattern repeats too much; use smaller counts",
}
