package validate

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// serviceRemoved finds services that were removed.
var serviceRemoved = rule{
	diag.Rule{ID: "service-removed", Severity: diag.Error, Purpose: "A service is not removed, because models read it."},
	func(before, now *plan.Plan, report reportFunc) {
		for _, old := range before.Services {
			if _, ok := now.Service(old.Name); !ok {
				report(old.Pos, "service %s was removed; models that read it will fail", old.Name)
			}
		}
	},
}
