package agg

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// ValueAs stores the value of aggregate f, which is of the family of c's slot; out has f's
// type. See Column.Value.
func ValueAs(f plan.AggFunc, c Column, p int, out *vector.Vector, i int) {
	switch c := c.(type) {
	case *cellColumn:
		c.kind.value(f, &c.grid, c.row(p), out, i)
	case *intMomentsColumn:
		c.value(spreadOf(f), p, out, i)
	case *doubleMomentsColumn:
		c.value(spreadOf(f), p, out, i)
	default:
		c.Value(p, out, i)
	}
}
