package expr

import (
	"strings"

	"cel.dev/cel-go/common/operators"

	"github.com/unskew/unskew/featuredefs/plan"
)

// fallbacks lists the fallbacks of x and of the blocks that its nodes evaluate.
func (x *block) fallbacks() []Fallback {
	var out []Fallback
	for _, n := range x.steps {
		switch n := n.(type) {
		case *fallbackNode:
			out = append(out, Fallback{Text: text(n.expr), Pos: n.expr.Pos, NsPerRow: estimate(n.expr)})
		case branching:
			for _, y := range n.branches() {
				out = append(out, y.fallbacks()...)
			}
		}
	}
	return out
}

// text formats e for display; macros stay expanded.
func text(e *plan.Expr) string {
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = text(a)
	}
	switch e.Kind {
	case plan.Literal:
		return e.Lit.String()
	case plan.Aggregate:
		return "aggregate"
	case plan.Request:
		return "request." + e.Name
	case plan.Now:
		return "now"
	case plan.Call:
		return callText(e, args)
	case plan.Select:
		if e.TestOnly {
			return "has(" + args[0] + "." + e.Name + ")"
		}
		return args[0] + "." + e.Name
	case plan.ListLit:
		return "[" + strings.Join(args, ", ") + "]"
	case plan.MapLit:
		return mapText(args)
	case plan.Comprehension:
		return comprehensionText(e.Comp)
	}
	return e.Name
}

func callText(e *plan.Expr, args []string) string {
	if op, ok := operators.FindReverseBinaryOperator(e.Name); ok && len(args) == 2 {
		return args[0] + " " + op + " " + args[1]
	}
	if op, ok := operators.FindReverse(e.Name); ok && len(args) == 1 {
		return op + args[0]
	}
	switch {
	case e.Name == operators.Conditional && len(args) == 3:
		return args[0] + " ? " + args[1] + " : " + args[2]
	case e.Name == operators.Index && len(args) == 2:
		return args[0] + "[" + args[1] + "]"
	case e.Name == operators.OptIndex && len(args) == 2:
		return args[0] + "[?" + args[1] + "]"
	case e.Member && len(args) > 0:
		return args[0] + "." + e.Name + "(" + strings.Join(args[1:], ", ") + ")"
	}
	return e.Name + "(" + strings.Join(args, ", ") + ")"
}

func mapText(args []string) string {
	entries := make([]string, len(args)/2)
	for i := range entries {
		entries[i] = args[2*i] + ": " + args[2*i+1]
	}
	return "{" + strings.Join(entries, ", ") + "}"
}

func comprehensionText(x *plan.Comp) string {
	if x.Range.Kind == plan.ListLit && len(x.Range.Args) == 0 {
		return "cel.bind(" + x.AccuVar + ", " + text(x.Init) + ", " + text(x.Result) + ")"
	}
	return text(x.Range) + ".fold(" + x.IterVar + ", " + text(x.Step) + ")"
}
