package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celcost"
)

// RuleCost is the rule of affordableCost.
var RuleCost = diag.Rule{ID: "cost", Severity: diag.Error, Purpose: "One evaluation of an expression has a bounded, affordable cost."}

// affordableCost refuses expressions that are too expensive for a request, such as nested
// loops over long lists.
var affordableCost = rule[*plan.Plan]{RuleCost, func(p *plan.Plan, report reportFunc) {
	costs := celcost.OfPlan(p)
	for _, v := range p.Views {
		for i := range v.Slots {
			s := &v.Slots[i]
			checkCost(report, costs, s.Arg, s.By, s.Group, s.Filter)
		}
		for _, f := range v.Features {
			checkCost(report, costs, f.Expr)
		}
	}
	for _, s := range p.Services {
		for _, d := range s.Derived {
			checkCost(report, costs, d.Expr)
		}
	}
}}

func checkCost(report reportFunc, costs map[*plan.Expr]celcost.Bound, exprs ...*plan.Expr) {
	for _, e := range exprs {
		b := costs[e]
		switch {
		case e == nil || b.Units <= celcost.Limit:
		case b.Units == celcost.Unknown:
			report(b.Most.Pos, "the cost of one evaluation has no bound because of this: %s", costHints[b.Reason])
		default:
			report(b.Most.Pos, "one evaluation may cost %d units, more than the %d that are allowed, and this is the largest part: %s", b.Units, celcost.Limit, costHints[b.Reason])
		}
	}
}

// costHints explain the cause of a high cost and the fix.
var costHints = map[celcost.Reason]string{
	celcost.Large:            "it reads or makes too much; shorten texts with substring(0, n) and lists with slice(0, n)",
	celcost.InLoop:           "it is done for every element; move what is the same for all of them out of the loop with cel.bind, or bound the list with slice(0, n), split(…, n) or lists.range(n) of a literal n",
	celcost.LoopInLoop:       "this loop runs for every element of another; bound the lists with slice(0, n), split(…, n) or lists.range(n) of a literal n",
	celcost.PatternUnknown:   "the cost of a pattern that is not a literal is unbounded; write it as a literal",
	celcost.PatternLookahead: "the pattern may read far beyond a match, again for each; anchor it, or exclude the character that it stops at from what it repeats, as in \"[^\"]*\"",
	celcost.PatternLong:      "the pattern repeats too much; use smaller counts",
}
