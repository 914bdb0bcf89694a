package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// RuleOutcomeWindow is the rule of outcomeWindow.
var RuleOutcomeWindow = diag.Rule{ID: "outcome-window", Severity: diag.Warning, Purpose: "Event ids are remembered as long as outcomes take."}

// outcomeWindow warns about streams whose outcomes may take any time, and that do not say how long.
var outcomeWindow = rule[*sourceDecl]{RuleOutcomeWindow, func(d *sourceDecl, report reportFunc) {
	s := d.source
	if !s.Stream || s.EventID == "" || d.window != nil {
		return
	}
	for _, c := range d.columns {
		inData := c.Known != nil && c.Known.Kind == plan.KnownColumn || c.Known == nil && c.Outcome
		if inData && c.Name != s.Known.Column {
			report(c.node.Pos, "an outcome in column %s that is pushed more than %v after its event may be rejected, because event ids are not remembered longer; write how long outcomes take in dedup_window: of source %s",
				c.Name, s.DedupWindow, s.Name)
			return
		}
	}
}}
