package validate

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// featureRemoved finds features that a service no longer returns.
var featureRemoved = rule{
	diag.Rule{ID: "feature-removed", Severity: diag.Error, Purpose: "A feature that a service returns is not removed."},
	func(before, now *plan.Plan, report reportFunc) {
		kept(before, now, func(old, s *plan.Service) {
			for i, o := range old.Outputs() {
				if _, ok := output(s, o.Name); !ok {
					report(feature(old, i).Pos, "service %s no longer returns %s", s.Name, o.Name)
				}
			}
		})
	},
}
