package expr

import (
	"strings"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// cheap is the cost below which a condition costs less than to look a string up.
const cheap = 8

// price is a guess of what a block takes for a row, in nanoseconds, on short strings.
type price struct {
	always int // what runs for most rows
	maybe  int // what a cheap condition may spare
}

// price counts nodes that take their time for strings; the others cost next to nothing.
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

// patternPrice tells patterns that may match in several ways, which cost 10 ns for each
// byte of the string, from those that are decided by one scan at most.
func patternPrice(pattern string) int {
	if strings.ContainsAny(pattern, "*+?{|") {
		return 200
	}
	return 40
}

// The parts of estimate, measured for cel-go v0.33.2 on one machine.
const (
	nsPerEval    = 90
	nsPerNode    = 35
	nsPerElement = 16 // assumed length of lists and maps
	nsPerRegex   = 2500
)

// estimate guesses what cel-go takes for one row of e.
func estimate(e *plan.Expr) int { return nsPerEval + interpreted(e) }

func interpreted(e *plan.Expr) int {
	ns := nsPerNode
	switch {
	case e.Kind == plan.Comprehension:
		x := e.Comp
		each := interpreted(x.Cond) + interpreted(x.Step)
		return ns + interpreted(x.Range) + interpreted(x.Init) + interpreted(x.Result) + nsPerElement*each
	case e.Kind == plan.Call && compilesPattern(e):
		ns = nsPerRegex
	}
	e.Children(func(a *plan.Expr) { ns += interpreted(a) })
	return ns
}

// compilesPattern reports whether cel-go compiles a regular expression per row.
func compilesPattern(e *plan.Expr) bool {
	if strings.HasPrefix(e.Name, "regex.") {
		return true
	}
	return e.Name == overloads.Matches && e.Args[len(e.Args)-1].Kind != plan.Literal
}
