// Package validate compares definitions with those before them. Rules about one
// version of the definitions alone are featuredefs' own.
package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// The rules of Against.
var (
	RuleFeatureChanged = diag.Rule{ID: "feature-changed", Severity: diag.Error, Purpose: "A feature that a service reads keeps its meaning: a model was trained on it."}
	RuleFeatureRemoved = diag.Rule{ID: "feature-removed", Severity: diag.Error, Purpose: "A feature that a service returns stays."}
	RuleServiceRemoved = diag.Rule{ID: "service-removed", Severity: diag.Error, Purpose: "A service that models read stays."}
	RuleServiceInputs  = diag.Rule{ID: "service-inputs", Severity: diag.Error, Purpose: "A service keeps its keys and request fields: callers send them."}
)

// Rules lists them.
func Rules() []diag.Rule {
	return []diag.Rule{RuleFeatureChanged, RuleFeatureRemoved, RuleServiceRemoved, RuleServiceInputs}
}

// Against reports what in the definitions now breaks the models of before: what a
// service returned and returns no longer, or with another meaning. Formatting, names of
// files, descriptions and new features break nothing.
func Against(before, now *plan.Plan) diag.Diagnostics {
	var found diag.Diagnostics
	for _, old := range before.Services {
		s, ok := now.Service(old.Name)
		if !ok {
			found = append(found, finding(old.Pos, RuleServiceRemoved, "service %s is gone; the models that read it have nothing to read", old.Name))
			continue
		}
		found = append(found, inputs(old, s)...)
		found = append(found, outputs(old, s)...)
	}
	slices.SortStableFunc(found, func(a, b diag.Diagnostic) int { return strings.Compare(a.String(), b.String()) })
	return found
}

func finding(pos plan.Pos, rule diag.Rule, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Pos: pos, Severity: rule.Severity, Rule: rule.ID, Message: fmt.Sprintf(format, args...)}
}

func inputs(old, s *plan.Service) diag.Diagnostics {
	var found diag.Diagnostics
	for _, kind := range []struct {
		name     string
		old, now []plan.Field
	}{{"key", old.Keys, s.Keys}, {"request field", old.Request, s.Request}} {
		for _, f := range kind.old {
			i := slices.IndexFunc(kind.now, func(g plan.Field) bool { return g.Name == f.Name })
			switch {
			case i < 0:
				found = append(found, finding(s.Pos, RuleServiceInputs, "service %s no longer takes the %s %s that its callers send", s.Name, kind.name, f.Name))
			case !kind.now[i].Type.Equal(f.Type):
				found = append(found, finding(s.Pos, RuleServiceInputs, "service %s takes the %s %s as %v now; its callers send %v", s.Name, kind.name, f.Name, kind.now[i].Type, f.Type))
			}
		}
		for _, f := range kind.now {
			if !slices.ContainsFunc(kind.old, func(g plan.Field) bool { return g.Name == f.Name }) {
				found = append(found, finding(s.Pos, RuleServiceInputs, "service %s now also needs the %s %s, which its callers do not send", s.Name, kind.name, f.Name))
			}
		}
	}
	return found
}

func outputs(old, s *plan.Service) diag.Diagnostics {
	var found diag.Diagnostics
	now := s.Outputs()
	for i, o := range old.Outputs() {
		j := slices.IndexFunc(now, func(p plan.Output) bool { return p.Name == o.Name })
		if j < 0 {
			found = append(found, finding(feature(old, i).Pos, RuleFeatureRemoved, "service %s no longer returns %s", s.Name, o.Name))
			continue
		}
		if now[j].Fingerprint != o.Fingerprint {
			found = append(found, finding(feature(s, j).Pos, RuleFeatureChanged,
				"%s means something else now (version %s, before %s) and service %s reads it; give the new meaning a new name, or retrain its models",
				o.Name, now[j].Fingerprint.Short(), o.Fingerprint.Short(), s.Name))
		}
	}
	return found
}

// feature is the definition of an output.
func feature(s *plan.Service, output int) *plan.Feature {
	if d := output - len(s.Features); d >= 0 {
		return s.Derived[d]
	}
	f := s.Features[output]
	return s.Views[f.Ref].View.Features[f.Feature]
}
