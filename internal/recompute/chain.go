package recompute

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
)

// A replay sees an event in all rows from a time on. What a server had applied is not a matter of time, though: it is that up to
// positions. So rows are divided into chains, in which a row of an entity has applied whatever an earlier one has. There each record of the log
// gets the time from which on the rows of its entity have it, and a replay over these times sees in each row exactly what was applied.
// Mostly one chain has all rows; others come about where servers with different clocks, or with kept states, read the same entity.

// chain is rows in order of their entities and times.
type chain struct {
	first     []int32 // of each entity, the first of its rows, and the end
	rows      []int32
	at        []plan.EventTime // by row of the pass
	positions []logpos.Vector  // by row of the pass
}

// maxChains bounds how many replays of a view there are.
const maxChains = 64

// chains divides the rows for which wanted is true. of has the chain of each of them, -1 for one that would need one too many.
func chains(entity []int32, entities int, at []plan.EventTime, positions []logpos.Vector, wanted func(row int) bool) (out []*chain, of []int8) {
	order := make([]int32, 0, len(entity))
	for row, e := range entity {
		if e > 0 && wanted(row) {
			order = append(order, int32(row))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(entity[a], entity[b]), cmp.Compare(at[a], at[b]), cmp.Compare(positions[a].Sum(), positions[b].Sum()), cmp.Compare(a, b))
	})
	of = make([]int8, len(entity))
	var last []int32 // the last row of each chain of the current entity
	for i, row := range order {
		if i == 0 || entity[order[i-1]] != entity[row] {
			last = last[:0]
		}
		c := slices.IndexFunc(last, func(before int32) bool { return follows(at, positions, before, row) })
		switch {
		case c >= 0:
			last[c] = row
		case len(last) == maxChains:
			of[row] = -1
			continue
		default:
			c = len(last)
			last = append(last, row)
		}
		of[row] = int8(c)
		for len(out) <= c {
			out = append(out, &chain{first: make([]int32, entities+2), at: at, positions: positions})
		}
		out[c].rows = append(out[c].rows, row)
		out[c].first[entity[row]+1]++
	}
	for _, c := range out {
		for e := range entities + 1 {
			c.first[e+1] += c.first[e]
		}
	}
	return out, of
}

// follows reports whether a row can come after another one of its entity in a chain.
func follows(at []plan.EventTime, positions []logpos.Vector, before, row int32) bool {
	return positions[row].Covers(positions[before]) && (at[row] > at[before] || positions[before].Covers(positions[row]))
}

// since is the time from which on the rows of an entity have a record of the log; Never if none has it.
func (c *chain) since(entity int32, shard int, position uint64) plan.EventTime {
	rows := c.rows[c.first[entity]:c.first[entity+1]]
	i, _ := slices.BinarySearchFunc(rows, position, func(row int32, p uint64) int { return cmp.Compare(c.positions[row].At(shard), p) })
	switch i {
	case 0:
		return plan.Always
	case len(rows):
		return plan.Never
	}
	return c.at[rows[i-1]]
}
