package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// node is one operator. Its result col and the cols of its operands are fixed when it is
// made. eval fills the result from the operands, which must be filled already. It computes
// the rows of need (nil: all); the other rows are unspecified.
type node interface {
	eval(n int, need vector.Bitmap)
}

// block is an expression as nodes in the order of evaluation. A block without nodes
// is a leaf.
//
// A col holds its value until the node that fills it runs again. Every node that reads it
// comes after that node: in the same block, or in a block that a later node of the same
// block evaluates. Such a block may run for fewer rows than the node did, never for others:
// a bound variable is read only for rows for which it was computed. A node runs once per
// batch, except that the body of a memo runs twice if its first run, over entries, finds no
// room for the results.
type block struct {
	steps  []node
	out    *col // the result, until the block's next evaluation
	inputs []*input
	consts []*constant
	dicts  []*dictionary
}

func (x *block) eval(n int, need vector.Bitmap) *col {
	for _, s := range x.steps {
		s.eval(n, need)
	}
	return x.out
}

// last is the node that is evaluated last, nil for a leaf.
func (x *block) last() node {
	if len(x.steps) == 0 {
		return nil
	}
	return x.steps[len(x.steps)-1]
}

// add appends the nodes of y, so that later nodes can read y's result.
func (x *block) add(y *block) {
	x.steps = append(x.steps, y.steps...)
	x.adopt(y)
}

// adopt records the leaves of y, a block that a node of x evaluates.
func (x *block) adopt(y *block) {
	x.inputs = append(x.inputs, y.inputs...)
	x.consts = append(x.consts, y.consts...)
	x.dicts = append(x.dicts, y.dicts...)
}

// branching is a node that evaluates blocks of its own for some rows only.
type branching interface {
	node
	branches() []*block
	conditionCost() int // the cost of the operand that decides about the rows
}

// then makes the term of a node that fills out from the results of operands.
func then(n node, out *col, operands ...*term) *term {
	t := &term{typ: out.Type}
	for _, a := range operands {
		t.add(&a.block)
	}
	if n, ok := n.(branching); ok {
		for _, x := range n.branches() {
			t.adopt(x)
		}
	}
	t.steps, t.out = append(t.steps, n), out
	return t
}

// unary and binary are embedded by nodes: their operands and their result.
type unary struct{ arg, out *col }

func one(t plan.Type, a *term) unary { return unary{a.out, newCol(t)} }

type binary struct{ l, r, out *col }

func two(t plan.Type, l, r *term) binary { return binary{l.out, r.out, newCol(t)} }
