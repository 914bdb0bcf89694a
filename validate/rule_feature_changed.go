package validate

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// featureChanged finds features of services whose meaning has changed.
var featureChanged = rule{
	diag.Rule{ID: "feature-changed", Severity: diag.Error, Purpose: "A feature that a service reads keeps its meaning, because models were trained on it."},
	func(before, now *plan.Plan, report reportFunc) {
		kept(before, now, func(old, s *plan.Service) {
			for _, o := range old.Outputs() {
				i, ok := output(s, o.Name)
				if !ok {
					continue
				}
				if p := s.Outputs()[i].Fingerprint; p != o.Fingerprint {
					report(feature(s, i).Pos, "the meaning of %s has changed (version %s, before %s), and service %s reads it; give the new meaning a new name, or retrain its models",
						o.Name, p.Short(), o.Fingerprint.Short(), s.Name)
				}
			}
		})
	},
}
