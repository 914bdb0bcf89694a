package validate

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// serviceInputs finds keys and request fields that were removed or added or have another type.
var serviceInputs = rule{
	diag.Rule{ID: "service-inputs", Severity: diag.Error, Purpose: "A service keeps its keys and request fields, because callers send them."},
	func(before, now *plan.Plan, report reportFunc) {
		kept(before, now, func(old, s *plan.Service) {
			compareInputs(s, "key", old.Keys, s.Keys, report)
			compareInputs(s, "request field", old.Request, s.Request, report)
		})
	},
}

func compareInputs(s *plan.Service, kind string, old, now []plan.Field, report reportFunc) {
	for _, f := range old {
		i := slices.IndexFunc(now, func(g plan.Field) bool { return g.Name == f.Name })
		switch {
		case i < 0:
			report(s.Pos, "service %s no longer takes the %s %s that its callers send", s.Name, kind, f.Name)
		case !now[i].Type.Equal(f.Type):
			report(s.Pos, "service %s now takes the %s %s as %v; its callers send %v", s.Name, kind, f.Name, now[i].Type, f.Type)
		}
	}
	for _, f := range now {
		if !slices.ContainsFunc(old, func(g plan.Field) bool { return g.Name == f.Name }) {
			report(s.Pos, "service %s now also needs the %s %s, which its callers do not send", s.Name, kind, f.Name)
		}
	}
}
