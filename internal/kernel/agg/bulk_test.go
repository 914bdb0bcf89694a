package agg

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

func rowNumbers(from, to int) []int32 {
	var rows []int32
	for i := from; i < to; i++ {
		rows = append(rows, int32(i))
	}
	return rows
}

// TestBulkIsOneByOne: many rows at once give what one after the other gives.
func TestBulkIsOneByOne(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c, in := column(testingOf(t), slot), input(slot, rows)
		cut := rapid.IntRange(0, len(rows)).Draw(t, "cut")
		c.Grow(4)
		AddRows(c, 0, in, rowNumbers(0, len(rows)))
		mustEqual(t, "rows added at once", look(slot, c, 0), look(slot, c, addAll(c, in, upTo(len(rows)))))
		AddRows(c, 1, in, rowNumbers(0, cut))
		AddRows(c, 2, in, rowNumbers(cut, len(rows)))
		c.Merge(3, c, 2)
		c.Merge(3, c, 1)
		mustEqual(t, "partials merged", look(slot, c, 3), look(slot, c, 0))
		if Removable(slot) {
			RemoveRows(c, 3, in, rowNumbers(cut, len(rows)))
			mustEqual(t, "rows removed at once", look(slot, c, 3), look(slot, c, 1))
		}
	})
}

// TestChainsKeepEverySuffix: from any row on, the partial is the first of these rows
// that is in the chain, however the chain was extended.
func TestChainsKeepEverySuffix(t *testing.T) {
	chained := 0
	for _, slot := range everySlot() {
		c, ok := column(t, slot).(Chained)
		if !ok {
			continue
		}
		chained++
		t.Run(name(slot), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				rows := rowsOf(slot, 12).Draw(t, "rows")
				in := input(slot, rows)
				cut := rapid.IntRange(0, len(rows)).Draw(t, "cut")
				chain := c.Extend(nil, in, rowNumbers(0, cut))
				chain = c.Extend(chain, in, rowNumbers(cut, len(rows)))
				for from := range rows {
					c.Truncate(0)
					first := slices.IndexFunc(chain, func(r int32) bool { return int(r) >= from })
					got := look(slot, c, addAll(c, in, []int{int(chain[first])}))
					mustEqual(t, "the first row of the chain", got, look(slot, c, addAll(c, in, upTo(len(rows))[from:])))
				}
			})
		})
	}
	if chained < 8 {
		t.Fatalf("only %d slots have chains", chained)
	}
}
