package expr

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// fewRows is the number of rows below which the fixed cost of a memo per batch matters.
const fewRows = 16

// thresholds are the costs, in nanoseconds per row, from which a sub-expression gets a memo,
// by the mean length of the strings; few is for batches of fewer than fewRows rows. Looking
// up a string and copying a result takes 7 ns up to 16 bytes, where the string is its own
// key, 14 to 20 ns up to 128 bytes, and as much as a simple pattern beyond.
var thresholds = []struct{ length, bulk, few int }{
	{maxKey, 15, 60},
	{128, 40, 120},
	{512, 200, 200},
}

// longest is the mean string length up to which a body of that cost should use its memo, in
// large batches and in batches of few rows; -1 means never.
func longest(cost int) (bulk, few int) {
	bulk, few = -1, -1
	for _, w := range thresholds {
		if cost >= w.bulk {
			bulk = w.length
		}
		if cost >= w.few {
			few = w.length
		}
	}
	return bulk, few
}

// memo compiles a sub-expression that reads only one column of strings, such that it is
// evaluated once per distinct string. It returns nil if e is no such sub-expression, or if
// the expensive part of e is an operand that a cheap condition may skip; then only that
// operand may get a memo.
func (c *compiler) memo(e *plan.Expr) *term {
	if c.inMemo || !native(e.Type) {
		return nil
	}
	i, ok := c.index[onlyInput(e)]
	if !ok || vector.Lane(c.inputs[i].Type) != plan.String {
		return nil
	}
	c.inMemo = true
	body := c.compile(e)
	c.inMemo = false
	if body == nil || len(body.steps) == 0 {
		return body
	}
	p := body.price()
	bulk, few := longest(p.always + c.bias)
	if bulk < 0 {
		if operands, _ := longest(p.always + p.maybe + c.bias); operands >= 0 {
			return nil
		}
		return body
	}
	x := &memoNode{dict: c.dictionary(i), body: body.block, longest: bulk, longestOfFew: few, filled: -1, copied: newCol(e.Type), out: newCol(e.Type)}
	// The body's constants are not adopted, because the memo resizes them itself.
	return like(body, &term{typ: e.Type, block: block{
		steps: []node{x}, out: x.out, inputs: body.inputs, dicts: []*dictionary{x.dict},
	}})
}

// onlyInput is the name of the only variable that e reads, "" if it reads none or several.
func onlyInput(e *plan.Expr) string {
	if e.Kind != plan.Call && e.Kind != plan.Comprehension {
		return ""
	}
	var names []string
	free(e, nil, func(v *plan.Expr) {
		if name := celenv.InputName(v); !slices.Contains(names, name) {
			names = append(names, name) // a bound variable has the name "", which no input has
		}
	})
	if len(names) != 1 {
		return ""
	}
	return names[0]
}

// dictionary is the dictionary of input i.
func (c *compiler) dictionary(i int) *dictionary {
	if c.dicts[i] == nil {
		c.dicts[i] = newDictionary(c.read[i].out)
	}
	return c.dicts[i]
}
