package celcost

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Bound is a bound of the cost of evaluating an expression once.
type Bound struct {
	Units  uint64     // of about ten nanoseconds; Unknown if there is no bound
	Most   *plan.Expr // the most expensive part
	Reason Reason     // why that part is expensive
}

// Reason says why a part of an expression is expensive, for messages.
type Reason uint8

// The reasons.
const (
	Large            Reason = iota // it makes or reads a large value
	InLoop                         // it is evaluated for each element of a list
	LoopInLoop                     // it is a loop that runs for each element of a list
	PatternUnknown                 // the pattern is not a literal
	PatternLookahead               // the search for one match may read beyond other matches
	PatternLong                    // the pattern has many instructions
)

// share is the cost of a part of an expression, without its operands.
type share struct {
	units  uint64
	at     *plan.Expr
	reason Reason
}

// greater is the more expensive of two parts, a if they cost the same.
func greater(a, b share) share {
	if b.at != nil && (a.at == nil || b.units > a.units) {
		return b
	}
	return a
}

func (c *coster) spend(e *plan.Expr, units uint64, reason Reason) {
	c.most = greater(c.most, share{units, e, reason})
}

// spendCall attributes the cost of a call to its pattern or to the loops around it.
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

// patternReason is the reason why the pattern of a call is expensive; false if it has none.
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

// spendLoop attributes the cost of the turns of a loop, without their bodies, to the loop.
func (c *coster) spendLoop(e *plan.Expr, turns uint64) {
	reason := Large
	if len(c.loops) > 1 {
		reason = LoopInLoop
	}
	c.spend(e, mul(turns, loopUnits), reason)
}
