package celcost

import (
	"math"

	"cel.dev/cel-go/common/operators"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
)

// The sizes of inputs for which costs are bounded.
const (
	// MaxText is the length of a text in bytes: the limit of a request field, and more than
	// the usual length in a column.
	MaxText = limits.RequestTextBytes
	// maxListText is the length of all texts of a list together, in bytes.
	maxListText = 64 * MaxText
	// maxItems is the number of elements of a list from an aggregate or lists.range, and of
	// keys of .by.
	maxItems = plan.MaxElements
)

// Unknown is the cost of an expression that has no bound.
const Unknown = math.MaxUint64

// maxVisits bounds the work of computing a bound: each loop in a loop is visited twice.
const maxVisits = 1 << 18

// Of bounds the cost of evaluating e once and the size of its value, given the sizes
// of its leaves. The bound is for cel-go; the kernels are not slower.
func Of(e *plan.Expr, leaf func(*plan.Expr) Size) (Bound, Size) {
	c := &coster{leaf: leaf, literals: map[*plan.Expr]Size{}, most: share{at: e, reason: Large}}
	cost, size := c.expr(e)
	if c.visits > maxVisits {
		return Bound{Units: Unknown, Most: e, Reason: LoopInLoop}, size
	}
	out := add(mul(size.inside(), 10), size.text/64) // converting the result to a plan value
	c.spend(e, out, Large)
	return Bound{Units: add(cost, out), Most: c.most.at, Reason: c.most.reason}, size
}

// coster adds up costs. For the body of a loop it considers the total size of all elements (see
// loop), so that a loop over the parts of a text is not charged for the whole text each time.
type coster struct {
	leaf     func(*plan.Expr) Size
	literals map[*plan.Expr]Size
	locals   []local
	visits   int
	loops    []*plan.Expr // the loops around the current node
	most     share
}

type local struct {
	name string
	size Size
}

// nodeUnits is the cost of visiting a node, including boxing its value.
const nodeUnits = 3

func (c *coster) expr(e *plan.Expr) (uint64, Size) {
	c.visits++
	if c.visits > maxVisits {
		return Unknown, scalar
	}
	switch e.Kind {
	case plan.Literal:
		size, ok := c.literals[e]
		if !ok {
			size = SizeOf(e.Lit)
			c.literals[e] = size
		}
		return nodeUnits, size
	case plan.Local:
		return nodeUnits, c.local(e)
	case plan.Comprehension:
		return c.comprehension(e)
	case plan.Call, plan.Select, plan.ListLit, plan.MapLit:
	default:
		return nodeUnits, c.leaf(e)
	}
	sum, args := uint64(nodeUnits), make([]Size, len(e.Args))
	for i, a := range e.Args {
		cost, size := c.expr(a)
		sum, args[i] = add(sum, cost), size
	}
	var cost uint64
	var size Size
	switch e.Kind {
	case plan.Call:
		cost, size = callCost(e, args)
		c.spendCall(e, args, cost)
	case plan.Select:
		cost, size = 2+uint64(len(e.Name))/16, args[0].element()
		if e.TestOnly {
			size = scalar
		}
	case plan.ListLit:
		size = listOf(args)
	case plan.MapLit:
		cost, size = 40+30*uint64(len(args)/2), mapOf(args)
	}
	return add(sum, cost), size
}

func (c *coster) local(e *plan.Expr) Size {
	for i := len(c.locals) - 1; i >= 0; i-- {
		if c.locals[i].name == e.Name {
			return c.locals[i].size
		}
	}
	return SizeOfType(e.Type) // e is bound outside the expression
}

// with prices e with the given variables bound.
func (c *coster) with(e *plan.Expr, bound ...local) (uint64, Size) {
	depth := len(c.locals)
	c.locals = append(c.locals, bound...)
	cost, size := c.expr(e)
	c.locals = c.locals[:depth]
	return cost, size
}

// loopUnits is the cost of one turn of a loop besides its condition and its step.
const loopUnits = 12

func (c *coster) comprehension(e *plan.Expr) (uint64, Size) {
	f := e.Comp
	before, over := c.expr(f.Range)
	cost, accu := c.expr(f.Init)
	cost = add(before, cost)
	if f.Range.Kind != plan.ListLit || len(f.Range.Args) > 0 { // else it is cel.bind, which binds Init
		turns, grown := c.loop(e, over, accu)
		cost, accu = add(cost, turns), grown
	}
	after, size := c.with(f.Result, local{f.AccuVar, accu})
	return add(cost, after), size
}

// loop prices the turns over a collection and bounds what they accumulate. The cost of a turn
// is at least proportional to the size of its element, so all turns together cost most if as
// few elements as possible have the whole size and the others are empty.
func (c *coster) loop(e *plan.Expr, over, accu Size) (uint64, Size) {
	f, sort := e.Comp, uint64(0)
	if f.Range.Type.Kind == plan.Map {
		sort = sortCost(over.items, *over.key)
	}
	full, k := over.variables(), over.items
	if !full.single() {
		k = over.heaviest()
	}
	rest := over.items - k
	c.loops = append(c.loops, e)
	heavy := c.turns(f, accu, full, k)
	light := heavy
	if !full.single() {
		light = c.turns(f, accu, full.empty(), rest)
	}
	c.spendLoop(e, over.items)
	c.loops = c.loops[:len(c.loops)-1]
	cost := add(sort, mul(k, heavy.cost), mul(rest, light.cost))
	if !heavy.grows {
		return cost, heavy.accu
	}
	grown := Size{
		items: add(accu.items, mul(k, heavy.accu.items), mul(rest, light.accu.items)),
		nodes: add(accu.nodes, mul(k, heavy.accu.inside()), mul(rest, light.accu.inside())),
		text:  add(accu.text, mul(k, heavy.accu.text), mul(rest, light.accu.text)),
		elem:  JoinSizes(accu.element(), heavy.accu.element()).ref(),
	}
	return cost, grown
}

// variables are the sizes of the variables of a loop.
type variables struct{ first, second Size }

func (v variables) single() bool     { return v.first.single() && v.second.single() }
func (v variables) empty() variables { return variables{v.first.empty(), v.second.empty()} }

type turn struct {
	cost  uint64
	accu  Size // after the turn; if it grows, what the turn appends
	grows bool // the accumulator is a list
}

// turns prices one of n equal turns.
func (c *coster) turns(f *plan.Comp, accu Size, v variables, n uint64) turn {
	before := c.most
	c.most = share{}
	t := c.turn(f, accu, v)
	inside := c.most
	inside.units = mul(inside.units, n)
	c.most = greater(before, inside)
	return t
}

func (c *coster) turn(f *plan.Comp, accu Size, v variables) turn {
	bound := []local{{f.AccuVar, accu}, {f.IterVar, v.first}, {f.IterVar2, v.second}}
	appends := f.Step.Type.Kind == plan.List
	if appends {
		bound[0].size = listOf(nil) // the cost of appending depends only on what is appended
	}
	cond, _ := c.with(f.Cond, bound...)
	step, after := c.with(f.Step, bound...)
	cost := add(loopUnits, cond, step)
	// Macros accumulate a scalar, or a list by appending to it; nothing else has a bound.
	if appends && !appendsTo(f.Step, f.AccuVar) || !appends && !after.single() {
		cost = Unknown
	}
	return turn{cost: cost, accu: after, grows: appends}
}

// appendsTo reports whether e is the accumulator, or the accumulator with a list appended that
// does not depend on it.
func appendsTo(e *plan.Expr, accu string) bool {
	switch {
	case e.Kind == plan.Local:
		return e.Name == accu
	case e.Kind == plan.Call && e.Name == operators.Conditional:
		return !mentions(e.Args[0], accu) && appendsTo(e.Args[1], accu) && appendsTo(e.Args[2], accu)
	case e.Kind == plan.Call && e.Name == operators.Add:
		return appendsTo(e.Args[0], accu) && !mentions(e.Args[1], accu)
	}
	return false
}

// mentions reports whether e uses the variable. Loops in e may bind another one of that name.
func mentions(e *plan.Expr, name string) bool {
	if e.Kind == plan.Local {
		return e.Name == name
	}
	found := false
	if f := e.Comp; f != nil && (f.AccuVar == name || f.IterVar == name || f.IterVar2 == name) {
		return mentions(f.Range, name) || mentions(f.Init, name) || f.AccuVar != name && mentions(f.Result, name)
	}
	e.Children(func(child *plan.Expr) { found = found || mentions(child, name) })
	return found
}
