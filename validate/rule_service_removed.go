package validate

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// serviceRemoved finds services that are gone.
var serviceRemoved = rule{
	diag.Rule{ID: "service-removed", Severity: diag.Error, Purpose: "A service that models read stays."},
	func(before, now *plan.Plan, report reportFunc) {
		for _, old := range before.Services {
			if _, ok := now.Service(old.Name); !ok {
				report(old.Pos, "service %s is gone; the models that read it have nothing to read", old.Name)
			}
		}
	},
}
