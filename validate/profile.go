package validate

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celcost"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/expr"
)

// Profile is the cost of an expression and the parts of it that have no kernel.
type Profile struct {
	Owner     string // "view.feature", or "service.derived"
	Part      string // "value", "filter", "by", "group" of an aggregate, or "result"
	Pos       plan.Pos
	Units     uint64 // bound of the cost of one evaluation, see celcost.Of
	Fallbacks []expr.Fallback
}

// Profiles lists every expression of a plan: for each feature those of the aggregates that no
// earlier feature reads, then the expression over them.
func Profiles(p *plan.Plan) ([]Profile, error) {
	var out []Profile
	costs := celcost.OfPlan(p)
	add := func(owner, part string, e *plan.Expr, typeOf func(*plan.Expr) plan.Type) error {
		if e == nil {
			return nil
		}
		x, err := profile(e, typeOf)
		x.Owner, x.Part, x.Units = owner, part, costs[e].Units
		out = append(out, x)
		return err
	}
	for _, v := range p.Views {
		if err := profileView(v, add); err != nil {
			return nil, err
		}
	}
	for _, s := range p.Services {
		for _, d := range s.Derived {
			if err := add(s.Name+"."+d.Name, "result", d.Expr, serviceLeaf(s)); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func profileView(v *plan.View, add func(owner, part string, e *plan.Expr, typeOf func(*plan.Expr) plan.Type) error) error {
	seen := map[int]bool{}
	for _, f := range v.Features {
		var slots []int
		f.Expr.Walk(func(e *plan.Expr) {
			if e.Kind == plan.Aggregate {
				if slot := v.Aggregates[e.Index].Slot; !seen[slot] {
					seen[slot] = true
					slots = append(slots, slot)
				}
			}
		})
		for _, i := range slots {
			s := &v.Slots[i]
			for _, part := range []struct {
				name string
				e    *plan.Expr
			}{{"filter", s.Filter}, {"value", s.Arg}, {"y", s.By}, {"group", s.Group}} {
				if err := add(v.Name+"."+f.Name, part.name, part.e, leafType); err != nil {
					return err
				}
			}
		}
		if err := add(v.Name+"."+f.Name, "result", f.Expr, viewLeaf(v)); err != nil {
			return err
		}
	}
	return nil
}

func profile(e *plan.Expr, typeOf func(*plan.Expr) plan.Type) (Profile, error) {
	x := Profile{Pos: e.Pos}
	program, err := expr.Compile(e, inputsOf(e, typeOf))
	if err != nil {
		return x, err
	}
	x.Fallbacks = program.Fallbacks()
	return x, nil
}

// inputsOf lists the variables of e without duplicates.
func inputsOf(e *plan.Expr, typeOf func(*plan.Expr) plan.Type) []expr.Input {
	var inputs []expr.Input
	seen := map[string]bool{}
	e.Walk(func(n *plan.Expr) {
		if name := celenv.InputName(n); name != "" && n.Kind != plan.Local && !seen[name] {
			seen[name] = true
			inputs = append(inputs, expr.Input{Name: name, Type: typeOf(n)})
		}
	})
	return inputs
}

func leafType(e *plan.Expr) plan.Type { return e.Type }

func viewLeaf(v *plan.View) func(*plan.Expr) plan.Type {
	return func(e *plan.Expr) plan.Type {
		switch e.Kind {
		case plan.Aggregate:
			return v.Slots[v.Aggregates[e.Index].Slot].Type
		case plan.FeatureRef:
			return v.Features[e.Index].RefType()
		}
		return e.Type
	}
}

func serviceLeaf(s *plan.Service) func(*plan.Expr) plan.Type {
	return func(e *plan.Expr) plan.Type {
		if e.Kind != plan.FeatureRef {
			return e.Type
		}
		return feature(s, e.Index).RefType()
	}
}
