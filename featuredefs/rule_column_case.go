package featuredefs

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
)

// columnCase refuses a service with outputs whose names differ only in case, because most
// readers do not distinguish them.
var columnCase = rule[*trainingDecl]{
	diag.Rule{ID: "column-case", Severity: diag.Error, Purpose: "The columns of a training set differ in more than case."},
	func(t *trainingDecl, report reportFunc) {
		seen := map[string]string{}
		for _, o := range t.set.Service.Outputs() {
			folded := strings.ToLower(o.Name)
			if other, ok := seen[folded]; ok {
				report(t.serviceNode.Pos, "a training set of service %s would have the columns %q and %q, which differ only in case; rename a feature, or a role with as:",
					t.set.Service.Name, other, o.Name)
			}
			seen[folded] = o.Name
		}
	},
}
