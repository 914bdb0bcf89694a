package celcost

import (
	"math/bits"
	"strings"

	"cel.dev/cel-go/common/operators"

	"github.com/unskew/unskew/featuredefs/plan"
)

// price returns the cost of a call, without its arguments, and the size of its value. The cost
// must be monotonic in the sizes of the arguments, and at least proportional to the size of an
// element of a list.
type price func(e *plan.Expr, args []Size) (uint64, Size)

// callCost is the price of a call, Unknown if the function has none.
func callCost(e *plan.Expr, args []Size) (uint64, Size) {
	if p, ok := prices[e.Name]; ok && len(args) > 0 {
		return p(e, args)
	}
	if e.Name == "optional.none" {
		return 0, scalar
	}
	return Unknown, scalar
}

var prices = map[string]price{
	operators.Add: concat, operators.Subtract: flat, operators.Negate: flat, operators.Multiply: flat,
	operators.Divide: flat, operators.Modulo: flat,
	operators.LogicalNot: free, operators.LogicalAnd: free, operators.LogicalOr: free, operators.NotStrictlyFalse: free,
	operators.Conditional: func(_ *plan.Expr, args []Size) (uint64, Size) { return 0, JoinSizes(args[1], args[2]) },
	operators.Equals:      compared, operators.NotEquals: compared,
	operators.Less: compared, operators.LessEquals: compared, operators.Greater: compared, operators.GreaterEquals: compared,
	operators.In: member, operators.Index: element, operators.OptIndex: element,

	"bool": parsed, "double": parsed, "duration": parsed, "int": parsed, "uint": parsed, "timestamp": parsed,
	"bytes": copied(16), "string": printed, "type": flat, "size": measured,

	"charAt": copied(1), "substring": substring, "lowerAscii": copied(1), "upperAscii": copied(1), "trim": copied(1), "reverse": reversed,
	"contains": scanned(4), "startsWith": scanned(4), "endsWith": scanned(4), "indexOf": found, "lastIndexOf": found,
	"replace": replaced, "split": split, "join": joinedText, "format": formatted, "strings.quote": quoted,
	"matches": matched, "regex.extract": extracted, "regex.extractAll": extractedAll, "regex.replace": replacedAll,

	"getFullYear": flat, "getMonth": flat, "getDate": flat, "getDayOfMonth": flat, "getDayOfWeek": flat, "getDayOfYear": flat,
	"getHours": flat, "getMinutes": flat, "getSeconds": flat, "getMilliseconds": flat,

	"math.abs": flat, "math.ceil": flat, "math.floor": flat, "math.round": flat, "math.trunc": flat, "math.sign": flat, "math.sqrt": flat,
	"math.isNaN": flat, "math.isInf": flat, "math.isFinite": flat, "math.bitAnd": flat, "math.bitOr": flat, "math.bitXor": flat,
	"math.bitNot": flat, "math.bitShiftLeft": flat, "math.bitShiftRight": flat, "math.@max": extreme, "math.@min": extreme,

	"optional.of": same, "optional.ofNonZeroValue": same, "value": same, "hasValue": compared, "or": oneOf, "orValue": oneOf,
	"optional.unwrap": relisted, "unwrapOpt": relisted,

	"first": element, "last": element, "slice": sliced, "flatten": flattened, "distinct": distinct,
	"sort": sorted, "@sortByAssociatedKeys": sortedBy,
	"lists.range": ranged,

	"sets.contains": pairs, "sets.equivalent": pairs, "sets.intersects": pairs,
	"hasAll": pairs, "hasAny": pairs, "hasExactly": pairs, "hasOnly": pairs,
}

// flat functions take and return scalars; getHours and similar ones also take a zone.
func flat(*plan.Expr, []Size) (uint64, Size) { return 2, scalar }

func free(*plan.Expr, []Size) (uint64, Size) { return 0, scalar }

func same(_ *plan.Expr, args []Size) (uint64, Size) { return 10, args[0] }

func oneOf(_ *plan.Expr, args []Size) (uint64, Size) { return 0, JoinSizes(args[0], args[1]) }

// element looks up an element by an index or a key.
func element(_ *plan.Expr, args []Size) (uint64, Size) {
	if len(args) == 1 { // first, last
		return add(8, mul(args[0].items, 3)), args[0].element()
	}
	return add(8, args[1].text/64, mul(args[0].links, 8)), args[0].element()
}

// relisted functions return a list of the elements of their argument.
func relisted(_ *plan.Expr, args []Size) (uint64, Size) { return mul(args[0].items, 30), args[0] }

func extreme(_ *plan.Expr, args []Size) (uint64, Size) { return add(4, mul(args[0].nodes, 8)), scalar }

// scanned functions read texts, at the given number of bytes per unit.
func scanned(bytes uint64) price {
	return func(_ *plan.Expr, args []Size) (uint64, Size) {
		cost := uint64(4)
		for _, a := range args {
			cost = add(cost, a.text/bytes)
		}
		return cost, scalar
	}
}

// measured: the characters of a text are counted; the size of a collection is known.
func measured(e *plan.Expr, args []Size) (uint64, Size) {
	if k := e.Args[0].Type.Kind; k == plan.List || k == plan.Map {
		return add(4, mul(args[0].links, 2)), scalar
	}
	return add(4, args[0].text/8), scalar
}

// copied functions return at most as much text as they are given, at the given number of bytes
// per unit.
func copied(bytes uint64) price {
	return func(_ *plan.Expr, args []Size) (uint64, Size) {
		return add(4, args[0].text/bytes), textOf(args[0].text)
	}
}

func parsed(_ *plan.Expr, args []Size) (uint64, Size) { return add(20, args[0].text), scalar }

// printed: the text of a value other than a text is shorter than 64 bytes.
func printed(_ *plan.Expr, args []Size) (uint64, Size) {
	return add(30, args[0].text/8), textOf(max(args[0].text, 64))
}

func quoted(_ *plan.Expr, args []Size) (uint64, Size) {
	return mul(args[0].text, 4), textOf(add(2, mul(args[0].text, 3)))
}

func reversed(e *plan.Expr, args []Size) (uint64, Size) {
	if e.Type.Kind == plan.List {
		return relisted(e, args)
	}
	return add(4, mul(args[0].text, 3)), textOf(args[0].text)
}

// found: the part is compared at each position where it fits.
func found(_ *plan.Expr, args []Size) (uint64, Size) {
	text, part := args[0].text, args[1].text
	compared := min(part, text/2)
	return add(4, text, part, mul(compared, text-compared)/8), scalar
}

// walk is the cost of visiting every node of a value once.
func walk(s Size) uint64 { return add(mul(s.inside(), 4), s.text/64) }

func compared(_ *plan.Expr, args []Size) (uint64, Size) {
	if len(args) < 2 {
		return 2, scalar
	}
	return add(2, walk(args[0]), walk(args[1])), scalar
}

func member(e *plan.Expr, args []Size) (uint64, Size) {
	if e.Args[1].Type.Kind == plan.Map {
		return add(20, args[0].text/64), scalar
	}
	one, list := args[0], args[1]
	return add(8, mul(list.nodes, 4), add(list.text, mul(list.items, one.text))/512), scalar
}

// pairs compares every element of one list with every element of another.
func pairs(_ *plan.Expr, args []Size) (uint64, Size) {
	a, b := args[0], args[1]
	return add(8, mul(a.items, b.inside(), 3), mul(b.items, a.inside(), 3), add(mul(a.items, b.text), mul(b.items, a.text))/512), scalar
}

// distinct compares every element with the distinct ones before it.
func distinct(_ *plan.Expr, args []Size) (uint64, Size) {
	l := args[0]
	inside := mul(l.items, l.inside()-min(l.items, l.inside()), 3)
	return add(8, mul(l.items, l.items)/2, mul(l.items, l.text)/1024, inside), l
}

func sorted(_ *plan.Expr, args []Size) (uint64, Size) {
	return sortCost(args[0].items, args[0]), args[0]
}

func sortedBy(_ *plan.Expr, args []Size) (uint64, Size) {
	return sortCost(args[1].items, args[1]), args[0]
}

// sortCost is the cost of sorting n values; all is the size of the list of them.
func sortCost(n uint64, all Size) uint64 {
	rounds := uint64(bits.Len64(n))
	return add(8, mul(n, rounds, add(14, mul(all.links, 8))), mul(all.text, rounds)/64)
}

func flattened(_ *plan.Expr, args []Size) (uint64, Size) {
	l := args[0]
	inner := l.element().element()
	return mul(l.nodes, 10), Size{items: l.inside(), nodes: l.nodes, text: l.text, elem: &inner}
}

// concat is +. Lists are concatenated by a link, and later reads follow the links.
func concat(e *plan.Expr, args []Size) (uint64, Size) {
	a, b := args[0], args[1]
	switch e.Type.Kind {
	case plan.String, plan.Bytes:
		return add(4, add(a.text, b.text)/8), textOf(add(a.text, b.text))
	case plan.List:
		return add(4, mul(add(a.items, b.items), 4)), Size{
			items: add(a.items, b.items), nodes: add(a.nodes, b.inside()), text: add(a.text, b.text), elem: joined(a.elem, b.elem),
			links: add(a.links, b.links, 1),
		}
	}
	return flat(e, args)
}

// literalText is the text of an argument that is a literal.
func literalText(e *plan.Expr) (string, bool) {
	if e.Kind == plan.Literal && e.Lit.Kind() == plan.String {
		return e.Lit.Str(), true
	}
	return "", false
}

// occurrences bounds how often argument i, a separator, occurs in a text of the given length.
func occurrences(e *plan.Expr, i int, text uint64) uint64 {
	if s, ok := literalText(e.Args[i]); ok && len(s) > 0 {
		return text / uint64(len(s))
	}
	return add(text, 1)
}

func replaced(e *plan.Expr, args []Size) (uint64, Size) {
	n := occurrences(e, 1, args[0].text)
	size := textOf(add(args[0].text, mul(n, args[2].text)))
	return add(4, args[0].text/4, n, size.text/8), size
}

func joinedText(_ *plan.Expr, args []Size) (uint64, Size) {
	text := args[0].text
	if len(args) > 1 {
		text = add(text, mul(args[0].items, args[1].text))
	}
	return add(4, mul(args[0].items, 6), text/4), textOf(text)
}

// formatted: each clause prints one argument.
func formatted(e *plan.Expr, args []Size) (uint64, Size) {
	text := add(args[0].text, clauses(e, args[1]))
	return add(8, args[0].text, mul(args[1].nodes, 40), text/2), textOf(text)
}

// printedBytes bounds the text of a value in a clause, by kind; that of a string is counted
// separately. 512 is for a double with all its digits.
var printedBytes = map[plan.Kind]uint64{plan.String: 0, plan.Bool: 72, plan.Int: 72, plan.Uint: 72, plan.Timestamp: 72, plan.Duration: 72, plan.Double: 512}

// clauses bounds the text of the values of a list in clauses. A text is printed as it is or,
// by %x, with two digits per byte; inside other values it is quoted.
func clauses(e *plan.Expr, list Size) uint64 {
	nested := add(mul(list.text, 4), mul(list.nodes, 512))
	if e.Args[1].Kind != plan.ListLit {
		return nested
	}
	sum := list.text
	if format, known := literalText(e.Args[0]); !known || strings.ContainsAny(format, "xX") {
		sum = mul(sum, 2)
	}
	for _, a := range e.Args[1].Args {
		bytes, ok := printedBytes[a.Type.Kind]
		if !ok {
			return nested
		}
		sum = add(sum, bytes)
	}
	return sum
}
