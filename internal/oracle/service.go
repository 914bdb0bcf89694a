package oracle

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Service computes the outputs of s as of T, in the order of s.Outputs. keys are the
// values of s.Keys by name, request those of s.Request; a request field may be null.
func (o *Oracle) Service(s *plan.Service, events []Event, keys, request map[string]plan.Value, at plan.EventTime) ([]Result, error) {
	views := make([][]Result, len(s.Views))
	outcomes := make([]outcome, len(s.Features)+len(s.Derived))
	known := make([]bool, len(s.Views))
	for i, ref := range s.Views {
		key := make([]plan.Value, len(ref.Keys))
		for j, name := range ref.Keys {
			key[j] = keys[name]
		}
		r, err := o.view(ref.View, events, key, at)
		if err != nil {
			return nil, fmt.Errorf("service %s, %s: %w", s.Name, ref.As, err)
		}
		views[i], known[i] = r.results, r.known
		for j, f := range s.Features {
			if f.Ref == i {
				outcomes[j] = r.features[f.Feature]
			}
		}
	}
	out := make([]Result, len(outcomes))
	for i, f := range s.Features {
		out[i] = views[f.Ref][f.Feature]
		out[i].Name = f.Name
	}
	scope := scope{features: outcomes, request: request, now: at}
	for _, i := range s.Order {
		d := s.Derived[i]
		got, err := o.programs.eval(d.Expr, scope)
		if err != nil {
			return nil, fmt.Errorf("service %s: derived %s: %w", s.Name, d.Name, err)
		}
		j := len(s.Features) + i
		out[j], outcomes[j] = read(d, got, anyKnown(s, d.Expr, known))
	}
	return out, nil
}

// anyKnown reports whether a derived feature without a value is EMPTY: some view that it
// reads, directly or through others, knows its entity, or it reads no view.
func anyKnown(s *plan.Service, e *plan.Expr, known []bool) bool {
	some, refers := false, false
	e.Walk(func(x *plan.Expr) {
		if x.Kind != plan.FeatureRef {
			return
		}
		refers = true
		if n := len(s.Features); x.Index >= n {
			some = some || anyKnown(s, s.Derived[x.Index-n].Expr, known)
		} else {
			some = some || known[s.Features[x.Index].Ref]
		}
	})
	return some || !refers
}
