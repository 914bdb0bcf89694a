package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// rule is a rule about definitions that compile. Each is a value in a file of its own and
// in one of the lists.
type rule[D any] struct {
	diag.Rule
	check func(d D, report reportFunc)
}

// reportFunc reports a finding of the rule that is being checked.
type reportFunc func(pos plan.Pos, format string, args ...any)

// The rules, by what they are about.
var (
	sourceRules   = []rule[*sourceDecl]{streamWithoutID}
	trainingRules = []rule[*trainingDecl]{labelColumn, columnCase, holdoutEntity}
	planRules     = []rule[*plan.Plan]{affordableCost}
)

// check applies rules to what has been compiled without errors.
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
