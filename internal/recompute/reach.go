package recompute

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// reach is what of a view an output reads.
type reach struct {
	role    int
	windows []plan.Window
	columns []string // late ones
}

// reaches lists what each output of a service reads.
func reaches(s *plan.Service) [][]reach {
	out := make([][]reach, 0, len(s.Features)+len(s.Derived))
	for _, f := range s.Features {
		r := reach{role: f.Ref}
		r.addFeature(s.Views[f.Ref].View, f.Feature)
		out = append(out, []reach{r})
	}
	derived := make([][]reach, len(s.Derived))
	for _, d := range s.Order {
		s.Derived[d].Expr.Walk(func(e *plan.Expr) {
			if e.Kind != plan.FeatureRef {
				return
			}
			from := []reach(nil)
			if e.Index < len(s.Features) {
				from = out[e.Index]
			} else {
				from = derived[e.Index-len(s.Features)]
			}
			derived[d] = merged(derived[d], from)
		})
	}
	return append(out, derived...)
}

// addFeature adds what a feature of a view reads.
func (r *reach) addFeature(v *plan.View, feature int) {
	v.Features[feature].Expr.Walk(func(e *plan.Expr) {
		switch e.Kind {
		case plan.Aggregate:
			a := v.Aggregates[e.Index]
			if !slices.Contains(r.windows, a.Window) {
				r.windows = append(r.windows, a.Window)
			}
			for _, c := range v.Slots[a.Slot].KnownColumns {
				if !slices.Contains(r.columns, c) {
					r.columns = append(r.columns, c)
				}
			}
		case plan.FeatureRef:
			r.addFeature(v, e.Index)
		}
	})
}

func merged(to, from []reach) []reach {
	for _, f := range from {
		i := slices.IndexFunc(to, func(r reach) bool { return r.role == f.role })
		if i < 0 {
			to = append(to, reach{f.role, slices.Clone(f.windows), slices.Clone(f.columns)})
			continue
		}
		to[i].windows = append(to[i].windows, f.windows...)
		to[i].columns = append(to[i].columns, f.columns...)
	}
	return to
}

// sees reports whether the output may read an event as of t, or, if column is not empty, its column.
func (r *reach) sees(event, t plan.EventTime, column string) bool {
	if column != "" && !slices.Contains(r.columns, column) {
		return false
	}
	return slices.ContainsFunc(r.windows, func(w plan.Window) bool { return event >= w.Lower(t) })
}

// inherits lists, for each output of a service, the features that it derives its value from.
func inherits(s *plan.Service) [][]int {
	out := make([][]int, len(s.Features)+len(s.Derived))
	for _, d := range s.Order {
		to := &out[len(s.Features)+d]
		s.Derived[d].Expr.Walk(func(e *plan.Expr) {
			if e.Kind == plan.FeatureRef {
				*to = append(append(*to, e.Index), out[e.Index]...)
			}
		})
	}
	return out
}
