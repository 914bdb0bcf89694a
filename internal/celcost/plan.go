package celcost

import "github.com/unskew/unskew/featuredefs/plan"

// Limit is the largest bound that an expression may have, in units of Bound: about a tenth of
// a second. A typical feature costs a few hundred units.
const Limit = 10_000_000

// OfPlan bounds the cost of evaluating each expression of a plan once, see Of.
func OfPlan(p *plan.Plan) map[*plan.Expr]Bound {
	c := &costs{of: map[*plan.Expr]Bound{}, views: map[*plan.View][]Size{}}
	for _, v := range p.Views {
		c.view(v)
	}
	for _, s := range p.Services {
		c.service(s)
	}
	return c.of
}

type costs struct {
	of    map[*plan.Expr]Bound
	views map[*plan.View][]Size // sizes of the features' values
}

func (c *costs) expr(e *plan.Expr, leaf func(*plan.Expr) Size) Size {
	if e == nil {
		return SizeOfType(plan.T(plan.Null))
	}
	cost, size := Of(e, leaf)
	c.of[e] = cost
	return size
}

// sizeOfInput bounds a leaf by its type.
func sizeOfInput(leaf *plan.Expr) Size { return SizeOfType(leaf.Type) }

func (c *costs) view(v *plan.View) {
	slots := make([]Size, len(v.Slots))
	for i := range v.Slots {
		slots[i] = c.slot(&v.Slots[i])
	}
	sizes := make([]Size, len(v.Features))
	for _, i := range v.Order {
		sizes[i] = c.feature(v.Features[i], func(leaf *plan.Expr) Size {
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

// slot bounds the value of an aggregate.
func (c *costs) slot(s *plan.Slot) Size {
	c.expr(s.Filter, sizeOfInput)
	c.expr(s.By, sizeOfInput)
	arg, group := c.expr(s.Arg, sizeOfInput), c.expr(s.Group, sizeOfInput)
	switch {
	case s.Group != nil:
		return MapSize(group, sizeLike(*s.Type.Elem, s.Arg, arg))
	case s.Type.Kind == plan.List:
		return ListSize(uint64(s.N), arg)
	}
	return sizeLike(s.Type, s.Arg, arg)
}

// sizeLike bounds a value of type t. If t is the type of the argument, the value may be one of
// the argument's.
func sizeLike(t plan.Type, arg *plan.Expr, size Size) Size {
	if arg != nil && t.Unwrap().Equal(arg.Type.Unwrap()) {
		return size
	}
	return SizeOfType(t)
}

func (c *costs) service(s *plan.Service) {
	sizes := make([]Size, len(s.Features)+len(s.Derived))
	for i, f := range s.Features {
		if features := c.views[s.Views[f.Ref].View]; f.Feature < len(features) { // else the view has errors
			sizes[i] = features[f.Feature]
		}
	}
	for _, d := range s.Order {
		sizes[len(s.Features)+d] = c.feature(s.Derived[d], func(leaf *plan.Expr) Size {
			if leaf.Kind == plan.FeatureRef {
				return sizes[leaf.Index]
			}
			return sizeOfInput(leaf)
		})
	}
}

// feature bounds the value of f for expressions that refer to it.
func (c *costs) feature(f *plan.Feature, leaf func(*plan.Expr) Size) Size {
	size := c.expr(f.Expr, leaf)
	if f.Default != nil {
		return JoinSizes(size, SizeOf(*f.Default))
	}
	return size
}
