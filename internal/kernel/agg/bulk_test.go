package agg

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

func rowNumbers(from, to int) []int32 {
	var rows []int32
	for i := from; i < to; i++ {
		rows = append(rows, int32(i))
	}
	return rows
}

// TestBulkIsOneByOne: adding and removing many rows at once gives the same partials as one by
// one.
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

// TestSpansAreRowsAddedAndRemoved: the value of a span is that of a partial of its rows, also if the
// spans of several windows share the totals of their rows.
func TestSpansAreRowsAddedAndRemoved(t *testing.T) {
	read, shared := map[string]int{}, 0
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c, in := column(testingOf(t), slot), input(slot, rows)
		s := Spans{Rows: rowNumbers(0, len(rows)), Dense: rapid.Bool().Draw(t, "dense")}
		windows := make([][]int32, rapid.IntRange(1, 3).Draw(t, "windows"))
		for i := range rapid.IntRange(1, 6).Draw(t, "spans") {
			last := int32(0)
			if i > 0 {
				last = s.To[i-1]
			}
			to := rapid.Int32Range(last, int32(len(rows))).Draw(t, "to")
			s.To, s.At = append(s.To, to), append(s.At, int32(i))
			for w, from := range windows {
				last := int32(0)
				if i > 0 {
					last = from[i-1]
				}
				windows[w] = append(from, rapid.Int32Range(last, to).Draw(t, "from"))
			}
		}
		var totals Totals
		s.Totals = totals.Choose(windows, s.To)
		for _, s.From = range windows {
			out := vector.New(slot.Type, len(s.At))
			if !ReadSpans(c, in, &s, []SpanValue{{slot.Func, out}}) {
				continue
			}
			if read[name(slot)]++; totals.state == totalsMade {
				shared++
			}
			right := vector.New(slot.Type, len(s.At))
			for i := range s.At {
				c.Truncate(0)
				c.Grow(1)
				AddRows(c, 0, in, s.Rows[s.From[i]:s.To[i]])
				ValueAs(slot.Func, c, 0, right, i)
				if got, want := out.Value(i), right.Value(i); !got.Equal(want) || out.IsErr(i) != right.IsErr(i) {
					t.Fatalf("span %d is %v, want %v", i, got, want)
				}
			}
		}
	})
	if shared < 10 {
		t.Errorf("spans shared totals %d times", shared)
	}
	t.Log(read)
	for _, slot := range everySlot() {
		if f := slot.Func; slot.Group == nil && (f == plan.Count || f == plan.Sum || f == plan.Mean) && read[name(slot)] < 10 {
			t.Errorf("%s: spans were read %d times", name(slot), read[name(slot)])
		}
	}
}

// TestChainsKeepEverySuffix: the winner among a row and all later rows is the first of them
// in the chain, however the chain was extended.
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
					out := vector.New(slot.Type, 3)
					if c.RowValue(in, int(chain[first]), out, 1); !out.Value(1).Equal(got.value) {
						t.Fatalf("the value of row %d is %v, want %v", chain[first], out.Value(1), got.value)
					}
					mustEqual(t, "the first row of the chain", got, look(slot, c, addAll(c, in, upTo(len(rows))[from:])))
				}
			})
		})
	}
	if chained < 8 {
		t.Fatalf("only %d slots have chains", chained)
	}
}
