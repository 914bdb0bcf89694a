package celcost

import "github.com/unskew/unskew/featuredefs/plan"

// atMost bounds an int by the literals in it; it reports that there is a bound.
func atMost(e *plan.Expr) (bound int64, ok bool) {
	switch {
	case e.Kind == plan.Literal && e.Lit.Kind() == plan.Int:
		return e.Lit.Int(), true
	case e.Kind == plan.Call && e.Name == "math.@min":
		args := e.Args
		if len(args) == 1 && args[0].Kind == plan.ListLit {
			args = args[0].Args
		}
		for _, a := range args {
			if n, found := atMost(a); found && (!ok || n < bound) {
				bound, ok = n, true
			}
		}
	}
	return bound, ok
}

// count is the most of argument i, a number of things, and no more than n.
func count(e *plan.Expr, i int, n uint64) uint64 {
	if i < len(e.Args) {
		if bound, ok := atMost(e.Args[i]); ok {
			return min(n, uint64(max(bound, 0)))
		}
	}
	return n
}

// between is how much there is from argument 1 to argument 2, of n.
func between(e *plan.Expr, n uint64) uint64 {
	end := count(e, 2, n)
	if from := e.Args[1]; from.Kind == plan.Literal && from.Lit.Kind() == plan.Int {
		return end - min(end, uint64(max(from.Lit.Int(), 0)))
	}
	return end
}

func ranged(e *plan.Expr, _ []Size) (uint64, Size) {
	n := count(e, 0, maxItems)
	return add(4, mul(n, 4)), ListSize(n, scalar)
}

// sliced: a part of a list has at most its share of the heaviest elements.
func sliced(e *plan.Expr, args []Size) (uint64, Size) {
	list := args[0]
	elem, n := list.element(), between(e, list.items)
	part := Size{items: n, nodes: min(list.nodes, add(1, mul(n, elem.nodes))), text: min(list.text, mul(n, elem.text)), elem: list.elem}
	return add(8, mul(n, add(30, mul(list.links, 8)))), part
}

// maxCharacter is the bytes of a character at most.
const maxCharacter = 4

// substring counts in characters, for which it reads all of the text.
func substring(e *plan.Expr, args []Size) (uint64, Size) {
	text := args[0].text
	return add(4, text), textOf(min(text, mul(between(e, text), maxCharacter)))
}

// split: the parts together are no longer than the text. A limit below zero is none.
func split(e *plan.Expr, args []Size) (uint64, Size) {
	text := args[0].text
	n := add(1, occurrences(e, 1, text))
	if len(e.Args) > 2 {
		if limit, ok := atMost(e.Args[2]); ok && limit >= 0 && e.Args[2].Kind == plan.Literal {
			n = min(n, uint64(limit))
		}
	}
	size := Size{items: n, nodes: add(1, n), text: text, elem: textOf(text).ref()}
	return add(4, mul(n, 4), text/4), size
}
