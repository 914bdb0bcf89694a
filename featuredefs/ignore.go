package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// ignoreMark begins a comment that acknowledges a warning about the line: # unskew:ignore
// RULE -- REASON.
const ignoreMark = "unskew:ignore"

// ignore is such a comment.
type ignore struct {
	yamldoc.Comment
	rule diag.RuleID
	used bool
}

// dropIgnored removes the warnings that comments acknowledge, and reports comments that
// acknowledge nothing.
func (l *loader) dropIgnored() {
	var ignores []*ignore
	for _, c := range l.comments {
		if text, ok := strings.CutPrefix(c.Text, ignoreMark); ok {
			if g := l.parseIgnore(c, text); g != nil {
				ignores = append(ignores, g)
			}
		}
	}
	l.Found = slices.DeleteFunc(l.Found, func(d diag.Diagnostic) bool {
		ignored := false
		for _, g := range ignores {
			if g.covers(d) {
				g.used, ignored = true, true
			}
		}
		return ignored
	})
	for _, g := range ignores {
		if !g.used && (l.opts.CheckData != nil || !needsData(g.rule)) {
			l.Warnf(g.Pos, RuleIgnore, "there is no warning %s here to ignore; remove the comment", g.rule)
		}
	}
}

// parseIgnore reads the text after the mark; nil if it reported an error.
func (l *loader) parseIgnore(c yamldoc.Comment, text string) *ignore {
	name, reason, _ := strings.Cut(text, "--")
	rule := diag.RuleID(strings.TrimSpace(name))
	var names []string
	for _, r := range Rules() {
		names = append(names, string(r.ID))
	}
	switch {
	case !slices.Contains(names, string(rule)):
		l.Errorf(c.Pos, RuleIgnore, "there is no rule %q%s; write # %s RULE -- REASON, with the rule in brackets at the end of the warning",
			rule, diag.DidYouMean(string(rule), names), ignoreMark)
		return nil
	case strings.TrimSpace(reason) == "":
		l.Errorf(c.Pos, RuleIgnore, "give the reason for ignoring %s: # %s %s -- REASON", rule, ignoreMark, rule)
		return nil
	}
	return &ignore{Comment: c, rule: rule}
}

func (g *ignore) covers(d diag.Diagnostic) bool {
	return d.Severity == diag.Warning && d.Rule == g.rule && d.Pos.File == g.Pos.File && g.First <= d.Pos.Line && d.Pos.Line <= g.Last
}

// needsData reports whether the findings of a rule are complete only if the data was read.
func needsData(rule diag.RuleID) bool {
	return slices.ContainsFunc([]diag.Rule{RuleSchema, RuleLockMismatch, RuleBadRow, RuleLogShards, RuleTimeIn1970}, func(r diag.Rule) bool { return r.ID == rule })
}
