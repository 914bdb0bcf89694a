package celcost

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Bound is what evaluating an expression once can cost.
type Bound struct {
	Units  uint64     // of about ten nanoseconds; UnknownCost: there is no bound
	Most   *plan.Expr // the part that has the greatest share
	Reason Reason     // of its share
}

// Reason says why a part of an expression costs what it does, for people.
type Reason uint8

// The reasons.
const (
	Large            Reason = iota // it makes or reads much
	InLoop                         // it is done for each element of a list
	LoopInLoop                     // it is a loop that is run for each element of a list
	PatternUnknown                 // the pattern is not a literal
	PatternLookahead               // the search for one match may read what others are in
	PatternLong                    // the pattern has many instructions
)

// share is what a part of an expression costs, without its operands.
type share struct {
	units  uint64
	at     *plan.Expr
	reason Reason
}

// greater is the first of two that cost the same.
func greater(a, b share) share {
	if b.at != nil && (a.at == nil || b.units > a.units) {
		return b
	}
	return a
}

func (c *coster) spend(e *plan.Expr, units uint64, reason Reason) {
	c.most = greater(c.most, share{units, e, reason})
}

// spendCall blames a pattern for what it costs, and else the loops around the call.
func (c *coster) spendCall(e *plan.Expr, args []Size, units uint64) {
	reason, isPattern := patternReason(e, args)
	switch depth := len(c.loops); {
	case isPattern && (depth == 0 || reason != PatternLong):
		c.spend(e, units, reason)
	case depth == 0:
		c.spend(e, units, Large)
	case depth == 1:
		c.spend(e, units, InLoop)
	default:
		c.spend(c.loops[depth-1], units, LoopInLoop)
	}
}

// patternReason says what is to be said of the pattern of a call that has one.
func patternReason(e *plan.Expr, args []Size) (Reason, bool) {
	if e.Name != "matches" && !strings.HasPrefix(e.Name, "regex.") || len(args) < 2 {
		return 0, false
	}
	switch p := args[1].pattern; {
	case p == nil:
		return PatternUnknown, true
	case p.lookahead > 0 && (e.Name == "regex.replace" || e.Name == "regex.extractAll"):
		return PatternLookahead, true
	}
	return PatternLong, true
}

// spendLoop is for the turns themselves of a loop, the innermost one.
func (c *coster) spendLoop(e *plan.Expr, turns uint64) {
	reason := Large
	if len(c.loops) > 1 {
		reason = LoopInLoop
	}
	c.spend(e, mul(turns, loopUnits), reason)
}
