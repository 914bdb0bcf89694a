// Package validate compares definitions with an earlier version of them. Rules about one
// version are in featuredefs.
package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// rule is a rule about changes of definitions. Each is a value in its own file.
type rule struct {
	diag.Rule
	check func(before, now *plan.Plan, report reportFunc)
}

// reportFunc reports a finding of the current rule.
type reportFunc func(pos plan.Pos, format string, args ...any)

var rules = []rule{featureChanged, featureRemoved, serviceRemoved, serviceInputs}

// Rules lists the rules of Against.
func Rules() (out []diag.Rule) {
	for _, r := range rules {
		out = append(out, r.Rule)
	}
	return out
}

// Against reports the changes from before to now that break existing models: outputs of
// services that are gone or have another meaning, and changed inputs. Changes of formatting,
// file names and descriptions, and new features, are compatible.
func Against(before, now *plan.Plan) diag.Diagnostics {
	var found diag.Diagnostics
	for _, r := range rules {
		r.check(before, now, func(pos plan.Pos, format string, args ...any) {
			found = append(found, diag.Diagnostic{Pos: pos, Severity: r.Severity, Rule: r.ID, Message: fmt.Sprintf(format, args...)})
		})
	}
	slices.SortStableFunc(found, func(a, b diag.Diagnostic) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// kept calls f for every service that is in both plans.
func kept(before, now *plan.Plan, f func(old, s *plan.Service)) {
	for _, old := range before.Services {
		if s, ok := now.Service(old.Name); ok {
			f(old, s)
		}
	}
}

// output finds an output of a service by name.
func output(s *plan.Service, name string) (index int, ok bool) {
	index = slices.IndexFunc(s.Outputs(), func(o plan.Output) bool { return o.Name == name })
	return index, index >= 0
}

// feature is the definition of an output.
func feature(s *plan.Service, output int) *plan.Feature {
	if d := output - len(s.Features); d >= 0 {
		return s.Derived[d]
	}
	f := s.Features[output]
	return s.Views[f.Ref].View.Features[f.Feature]
}
