package validate

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// featureChanged finds features that a service returns and that mean something else now.
var featureChanged = rule{
	diag.Rule{ID: "feature-changed", Severity: diag.Error, Purpose: "A feature that a service reads keeps its meaning: a model was trained on it."},
	func(before, now *plan.Plan, report reportFunc) {
		kept(before, now, func(old, s *plan.Service) {
			for _, o := range old.Outputs() {
				i, ok := output(s, o.Name)
				if !ok {
					continue
				}
				if p := s.Outputs()[i].Fingerprint; p != o.Fingerprint {
					report(feature(s, i).Pos, "%s means something else now (version %s, before %s) and service %s reads it; give the new meaning a new name, or retrain its models",
						o.Name, p.Short(), o.Fingerprint.Short(), s.Name)
				}
			}
		})
	},
}
