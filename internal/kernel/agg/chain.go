package agg

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Chained is implemented by the Columns whose value is that of one row: the one that beats
// all others. The winners of a moving window are kept in a chain, a monotonic stack of rows.
type Chained interface {
	Column
	// Extend pops from the end of a chain the rows that a new row beats or equals, and
	// pushes the new rows in turn. After every row was pushed in order, this holds for any
	// row: the winner among it and all later rows is the first of them in the chain.
	Extend(chain []int32, in *Input, rows []int32) []int32
	// RowValue stores the value of a partial that holds only the given row.
	RowValue(in *Input, row int, out *vector.Vector, i int)
}

// extend pushes rows to a chain; beaten reports whether row r beats or equals row old.
func extend(chain, rows []int32, beaten func(old, r int) bool) []int32 {
	for _, r := range rows {
		for len(chain) > 0 && beaten(int(chain[len(chain)-1]), int(r)) {
			chain = chain[:len(chain)-1]
		}
		chain = append(chain, r)
	}
	return chain
}

func (c *extremeColumn) RowValue(in *Input, row int, out *vector.Vector, i int) {
	c.of.lane.put(out, i, c.of.direct(c.of.directed(in, row)), nil)
}

func (c *stringExtremeColumn) RowValue(in *Input, row int, out *vector.Vector, i int) {
	c.lane.putRow(out, i, in.Arg, row)
}

func (o *eventOrder) RowValue(in *Input, row int, out *vector.Vector, i int) {
	o.arg.putRow(out, i, in.Arg, row)
}

func (c *extremeColumn) Extend(chain []int32, in *Input, rows []int32) []int32 {
	if c.of.lane.kind == plan.Double {
		return c.extendDoubles(chain, in.Arg.Double, rows)
	}
	for _, r := range rows {
		key := c.of.directed(in, int(r))
		for len(chain) > 0 && c.of.directed(in, int(chain[len(chain)-1])) <= key {
			chain = chain[:len(chain)-1]
		}
		chain = append(chain, r)
	}
	return chain
}

// extendDoubles goes backward through the new rows, of which mostly the last few stay, so that what
// stays is easy to predict.
func (c *extremeColumn) extendDoubles(chain []int32, xs []float64, rows []int32) []int32 {
	if len(rows) == 0 {
		return chain
	}
	old, best := len(chain), xs[rows[len(rows)-1]]
	chain = append(chain, rows[len(rows)-1])
	for i := len(rows) - 2; i >= 0; i-- {
		if x := xs[rows[i]]; c.beats(x, best) {
			chain, best = append(chain, rows[i]), x
		}
	}
	added := chain[old:]
	slices.Reverse(added)
	for old > 0 && !c.beats(xs[chain[old-1]], best) {
		old--
	}
	return append(chain[:old], added...)
}

// beats reports whether x wins against y, which comes later: equal doubles do not. It compares the
// doubles themselves, and their keys only for zeros of either sign, equal values and NaN.
func (c *extremeColumn) beats(x, y float64) bool {
	if x < y || x > y {
		return x > y == (c.of.dir == 0)
	}
	return c.of.direct(plan.OrderedDouble(x)) > c.of.direct(plan.OrderedDouble(y))
}

func (c *stringExtremeColumn) Extend(chain []int32, in *Input, rows []int32) []int32 {
	return extend(chain, rows, func(old, r int) bool {
		return strings.Compare(c.lane.str(in.Arg, old), c.lane.str(in.Arg, r))*c.sign <= 0
	})
}

func (c *eventColumn) Extend(chain []int32, in *Input, rows []int32) []int32 {
	if n := len(rows); c.dir == 0 && n > 1 && latestLast(in.Time, rows) {
		rows = rows[n-1:] // the last row beats all others
	}
	return extend(chain, rows, func(old, r int) bool { return c.compareRows(in, old, r) <= 0 })
}

func (c *extremeByColumn) Extend(chain []int32, in *Input, rows []int32) []int32 {
	return extend(chain, rows, func(old, r int) bool {
		cmp := 0
		if c.by.fixed {
			cmp = compareKeys(c.by.key(in.By, old)^c.dir, c.by.key(in.By, r)^c.dir)
		} else {
			cmp = c.directed(strings.Compare(c.by.str(in.By, old), c.by.str(in.By, r)))
		}
		return cmp < 0 || cmp == 0 && c.compareRows(in, old, r) <= 0
	})
}

// latestLast reports whether every row is earlier than the last one.
func latestLast(times []plan.EventTime, rows []int32) bool {
	last, before := times[rows[len(rows)-1]], plan.Always
	for _, r := range rows[:len(rows)-1] {
		before = max(before, times[r])
	}
	return before < last
}

// compareRows is negative if row b beats row a.
func (o *eventOrder) compareRows(in *Input, a, b int) int {
	if c := compareKeys(o.rank(in.Time[a]), o.rank(in.Time[b])); c != 0 {
		return c
	}
	if c := strings.Compare(idOf(in, a), idOf(in, b)); c != 0 {
		return o.directed(c)
	}
	if o.arg.fixed {
		return compareKeys(o.arg.key(in.Arg, a)^o.dir, o.arg.key(in.Arg, b)^o.dir)
	}
	return o.directed(strings.Compare(o.arg.str(in.Arg, a), o.arg.str(in.Arg, b)))
}
