package featuredefs

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
)

// holdoutEntity refuses a holdout of an entity that the service does not read.
var holdoutEntity = rule[*trainingDecl]{
	diag.Rule{ID: "holdout-entity", Severity: diag.Error, Purpose: "What is held out is an entity of the service."},
	func(t *trainingDecl, report reportFunc) {
		if t.set.Split == nil || t.set.Split.Holdout == nil {
			return
		}
		h, seen := t.set.Split.Holdout, map[string]bool{}
		var names []string
		for _, ref := range t.set.Service.Views {
			if name := ref.View.Entity.Name; !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		if !seen[h.Entity] {
			report(h.Pos, "no view of service %s is of an entity %q%s; its views are of %s", t.set.Service.Name, h.Entity, diag.DidYouMean(h.Entity, names), strings.Join(names, ", "))
		}
	},
}
