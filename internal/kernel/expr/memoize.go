package expr

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// fewRows is the number of rows below which the work that a memo does for each batch
// counts.
const fewRows = 16

// worths says what a sub-expression must cost, in nanoseconds per row, to be worth a
// memo, by the mean length of the strings: to find one and to copy a result takes 7 up
// to 16 bytes, where the string is its own key, 14 to 20 up to 128, and as much as a
// simple pattern beyond.
var worths = []struct{ length, bulk, few int }{
	{maxKey, 15, 60},
	{128, 40, 120},
	{512, 200, 200},
}

// longest is the mean length up to which a memo of a body of that cost is worth it, for
// many rows and for few; -1 when it never is.
func longest(cost int) (bulk, few int) {
	bulk, few = -1, -1
	for _, w := range worths {
		if cost >= w.bulk {
			bulk = w.length
		}
		if cost >= w.few {
			few = w.length
		}
	}
	return bulk, few
}

// memo compiles a sub-expression of one column of strings so that it is evaluated once
// for each string. It is nil when e is no such sub-expression, or when what is
// expensive in it is an operand that a cheap condition may spare: that may have a memo.
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
	// The body's constants are not adopted: their number of rows is the memo's business.
	return like(body, &term{typ: e.Type, block: block{
		steps: []node{x}, out: x.out, inputs: body.inputs, dicts: []*dictionary{x.dict},
	}})
}

// onlyInput is the name of the one variable that e reads, once or more, or "".
func onlyInput(e *plan.Expr) string {
	if e.Kind != plan.Call && e.Kind != plan.Comprehension {
		return ""
	}
	var names []string
	free(e, nil, func(v *plan.Expr) {
		if name := celenv.InputName(v); !slices.Contains(names, name) {
			names = append(names, name) // that of a bound variable is "", and so no input's
		}
	})
	if len(names) != 1 {
		return ""
	}
	return names[0]
}

// dictionary is the one dictionary of input i.
func (c *compiler) dictionary(i int) *dictionary {
	if c.dicts[i] == nil {
		c.dicts[i] = newDictionary(c.read[i].out)
	}
	return c.dicts[i]
}
