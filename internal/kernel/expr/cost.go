package expr

import (
	"strings"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// cheap is the cost below which a condition costs less than looking up a string.
const cheap = 8

// price is an estimate of a block's cost per row, in nanoseconds, for short strings.
type price struct {
	always int // of what runs for most rows
	maybe  int // of operands that a cheap condition may skip
}

// price adds up the nodes that are expensive for strings; the others cost next to nothing.
func (x *block) price() (p price) {
	for _, n := range x.steps {
		b, ok := n.(branching)
		if !ok {
			p.always += nodePrice(n)
			continue
		}
		for _, y := range b.branches() {
			q := y.price()
			if b.conditionCost() < cheap {
				p.maybe += q.always
			} else {
				p.always += q.always
			}
			p.maybe += q.maybe
		}
	}
	return p
}

func nodePrice(n node) int {
	switch n := n.(type) {
	case *matchNode:
		return patternPrice(n.re.String())
	case *fallbackNode:
		return estimate(n.expr)
	case *formatNode:
		return 20
	case *convertNode:
		if vector.Lane(n.arg.Type) == plan.String {
			return 12
		}
	case *inNode:
		if n.strs != nil {
			return 15
		}
	case *predicateNode:
		return n.price
	case *mapNode, *orderNode, *concatNode:
		return 5
	}
	return 0
}

// patternPrice distinguishes patterns that may match in several ways, which cost 10 ns per
// byte of the string, from those that need at most one scan.
func patternPrice(pattern string) int {
	if strings.ContainsAny(pattern, "*+?{|") {
		return 200
	}
	return 40
}

// The parts of estimate in nanoseconds, measured with cel-go v0.33.2 on one machine.
const (
	nsPerEval  = 90
	nsPerNode  = 35
	elements   = 16 // assumed length of lists and maps
	nsPerRegex = 2500
)

// estimate is a rough cost of evaluating e in cel-go for one row, in nanoseconds.
func estimate(e *plan.Expr) int { return nsPerEval + interpreted(e) }

func interpreted(e *plan.Expr) int {
	ns := nsPerNode
	switch {
	case e.Kind == plan.Comprehension:
		x := e.Comp
		each := interpreted(x.Cond) + interpreted(x.Step)
		return ns + interpreted(x.Range) + interpreted(x.Init) + interpreted(x.Result) + elements*each
	case e.Kind == plan.Call && compilesPattern(e):
		ns = nsPerRegex
	}
	e.Children(func(a *plan.Expr) { ns += interpreted(a) })
	return ns
}

// compilesPattern reports whether cel-go compiles a regular expression for every row.
func compilesPattern(e *plan.Expr) bool {
	if strings.HasPrefix(e.Name, "regex.") {
		return true
	}
	return e.Name == overloads.Matches && e.Args[len(e.Args)-1].Kind != plan.Literal
}
