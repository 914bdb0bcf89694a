package celcost

import "github.com/unskew/unskew/featuredefs/plan"

// atMost bounds an int expression by the literals in it; ok is false if there is no bound.
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

// count bounds argument i, a number of elements or characters, by its literals and by n.
func count(e *plan.Expr, i int, n uint64) uint64 {
	if i < len(e.Args) {
		if bound, ok := atMost(e.Args[i]); ok {
			return min(n, uint64(max(bound, 0)))
		}
	}
	return n
}

// between bounds the length of the range from argument 1 to argument 2, of n.
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

// sliced: a slice has at most as many nodes and bytes as its number of largest elements.
func sliced(e *plan.Expr, args []Size) (uint64, Size) {
	list := args[0]
	elem, n := list.element(), between(e, list.items)
	part := Size{items: n, nodes: min(list.nodes, add(1, mul(n, elem.nodes))), text: min(list.text, mul(n, elem.text)), elem: list.elem}
	return add(8, mul(n, add(30, mul(list.links, 8)))), part
}

// maxCharacter is the largest number of bytes of a character.
const maxCharacter = 4

// substring counts characters, for which it reads the whole text.
func substring(e *plan.Expr, args []Size) (uint64, Size) {
	text := args[0].text
	return add(4, text), textOf(min(text, mul(between(e, text), maxCharacter)))
}

// split: the parts together are no longer than the text. A negative limit means none.
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
