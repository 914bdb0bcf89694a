package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// rule is a rule about compiled definitions. Each one is a value in its own file and is
// listed below.
type rule[D any] struct {
	diag.Rule
	check func(d D, report reportFunc)
}

// reportFunc reports a finding of the current rule.
type reportFunc func(pos plan.Pos, format string, args ...any)

// The rules, by what they check.
var (
	sourceRules   = []rule[*sourceDecl]{streamWithoutID, outcomeWindow}
	trainingRules = []rule[*trainingDecl]{labelColumn, columnCase, holdoutEntity}
	planRules     = []rule[*plan.Plan]{affordableCost}
)

// check applies rules to definitions that compiled without errors.
func check[D any](l *loader, rules []rule[D], d D) {
	for _, r := range rules {
		r.check(d, func(pos plan.Pos, format string, args ...any) { l.Reportf(pos, r.Rule, format, args...) })
	}
}

func describe[D any](rules []rule[D]) (out []diag.Rule) {
	for _, r := range rules {
		out = append(out, r.Rule)
	}
	return out
}
