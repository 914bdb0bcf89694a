package agg

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// outcome is everything observable of a partial.
type outcome struct {
	encoded []byte
	value   plan.Value
	fails   bool
	empty   bool
}

func look(slot *plan.Slot, c Column, p int) outcome {
	out := vector.New(slot.Type, 3)
	c.Value(p, out, 1)
	return outcome{c.Append(nil, p), out.Value(1), out.IsErr(1), c.Empty(p)}
}

func (o outcome) equal(w outcome) bool {
	return bytes.Equal(o.encoded, w.encoded) && o.value.Equal(w.value) && o.fails == w.fails && o.empty == w.empty
}

func mustEqual(t rapid.TB, what string, got, want outcome) {
	t.Helper()
	if !got.equal(want) {
		t.Fatalf("%s:\n got %v (fails %v, empty %v) %x\nwant %v (fails %v, empty %v) %x", what,
			got.value, got.fails, got.empty, got.encoded, want.value, want.fails, want.empty, want.encoded)
	}
}

// addAll adds rows to a new partial in the order given.
func addAll(c Column, in *Input, order []int) int {
	p := c.Len()
	c.Grow(1)
	for _, i := range order {
		c.Add(p, in, i)
	}
	return p
}

func upTo(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func shuffled(t *rapid.T, order []int) []int {
	return rapid.Permutation(order).Draw(t, "order")
}

// forEverySlot runs a property for every aggregate.
func forEverySlot(t *testing.T, property func(t *rapid.T, slot *plan.Slot, rows []row)) {
	for _, slot := range everySlot() {
		t.Run(name(slot), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				property(t, slot, rowsOf(slot, 24).Draw(t, "rows"))
			})
		})
	}
}

func TestValuesAgainstDefinitions(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c := column(testingOf(t), slot)
		got := look(slot, c, addAll(c, input(slot, rows), upTo(len(rows))))
		if got.empty != (len(rows) == 0) {
			t.Fatalf("Empty is %v for %d rows", got.empty, len(rows))
		}
		if !got.value.HasType(slot.Type.Unwrap()) {
			t.Fatalf("%v is not a %v", got.value, slot.Type)
		}
		switch slot.Func {
		case plan.ApproxDistinct:
			checkDistinct(t, got.value.Int(), rows)
		case plan.ApproxQuantile:
			checkQuantile(t, slot, got.value, rows)
		default:
			want, fails := reference(slot, rows)
			if got.fails != fails || !fails && !got.value.Equal(want) {
				t.Fatalf("got %v (fails %v), want %v (fails %v)", got.value, got.fails, want, fails)
			}
		}
	})
}

// checkDistinct tolerates the few register collisions that are likely among so few rows.
func checkDistinct(t *rapid.T, got int64, rows []row) {
	args := make([]plan.Value, len(rows))
	for i, r := range rows {
		args[i] = r.arg
	}
	if want := int64(len(referenceTally(args))); got > want || got < want-2 {
		t.Fatalf("got %d, want %d", got, want)
	}
}

// checkQuantile compares with the value of the same rank, within 1 %.
func checkQuantile(t *rapid.T, slot *plan.Slot, got plan.Value, rows []row) {
	if len(rows) == 0 {
		if !got.IsNull() {
			t.Fatalf("got %v for an empty partial", got)
		}
		return
	}
	var values []float64
	for _, r := range rows {
		if r.arg.Kind() == plan.Int {
			values = append(values, float64(r.arg.Int()))
		} else {
			values = append(values, r.arg.Double())
		}
	}
	if slices.ContainsFunc(values, math.IsNaN) {
		if !math.IsNaN(got.Double()) {
			t.Fatalf("got %v for values that include NaN", got)
		}
		return
	}
	slices.Sort(values)
	want := values[int(math.Floor(slot.Quantile*float64(len(values)-1)))]
	if want == 0 || math.IsInf(want, 0) {
		if got.Double() != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	} else if err := math.Abs(got.Double()/want - 1); !(err <= 0.01) && math.Abs(want) > 0x1p-1000 {
		t.Fatalf("got %v, want %v: %v off", got, want, err)
	} else if math.Abs(got.Double()-want) > max(math.Abs(want)/100, math.SmallestNonzeroFloat64) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestO1_AnyOrderSameBytes(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c, in := column(testingOf(t), slot), input(slot, rows)
		want := look(slot, c, addAll(c, in, upTo(len(rows))))
		mustEqual(t, "another order", look(slot, c, addAll(c, in, shuffled(t, upTo(len(rows))))), want)
	})
}

// TestO1_AnyMergeTreeSameBytes distributes the rows over partials, some in another Column,
// some encoded and decoded, and merges these in random order.
func TestO1_AnyMergeTreeSameBytes(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		in := input(slot, rows)
		columns := []Column{column(testingOf(t), slot), column(testingOf(t), slot)}
		want := look(slot, columns[0], addAll(columns[0], in, upTo(len(rows))))
		type place struct{ c, p int }
		var places []place
		order := shuffled(t, upTo(len(rows)))
		for {
			n := rapid.IntRange(0, len(order)).Draw(t, "rows of the partial")
			c := rapid.IntRange(0, 1).Draw(t, "column")
			places = append(places, place{c, addAll(columns[c], in, order[:n])})
			if order = order[n:]; len(order) == 0 {
				break
			}
		}
		for len(places) > 1 {
			i := rapid.IntRange(0, len(places)-2).Draw(t, "merge")
			a, b := places[i], places[i+1]
			if rapid.Bool().Draw(t, "swap") {
				a, b = b, a
			}
			if rapid.Bool().Draw(t, "persist") {
				persist(t, columns[a.c], a.p)
			}
			before := look(slot, columns[b.c], b.p)
			columns[a.c].Merge(a.p, columns[b.c], b.p)
			mustEqual(t, "the source of a merge", look(slot, columns[b.c], b.p), before)
			places[i] = a
			places = slices.Delete(places, i+1, i+2)
		}
		mustEqual(t, "a merge tree", look(slot, columns[places[0].c], places[0].p), want)
	})
}

// persist encodes a partial and decodes it again.
func persist(t *rapid.T, c Column, p int) {
	rest, err := c.Decode(p, append(c.Append(nil, p), "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatalf("decoding what Append wrote: %v, rest %q", err, rest)
	}
}

// TestO6_MergeDoesNotChangeItsSource merges q into p, then changes p in every way: q does
// not change.
func TestO6_MergeDoesNotChangeItsSource(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c, in := column(testingOf(t), slot), input(slot, rows)
		half := len(rows) / 2
		q := addAll(c, in, upTo(half))
		before := look(slot, c, q)
		p := addAll(c, in, nil)
		c.Merge(p, c, q)
		mustEqual(t, "a merge into nothing", look(slot, c, p), before)
		for i := half; i < len(rows); i++ {
			c.Add(p, in, i)
		}
		mustEqual(t, "the source after adds to the target", look(slot, c, q), before)
		if Removable(slot) {
			for i := range half {
				c.Remove(p, in, i)
			}
			mustEqual(t, "the source after removals from the target", look(slot, c, q), before)
		}
		target := look(slot, c, p)
		c.Reset(q)
		mustEqual(t, "the target after its source was reset", look(slot, c, p), target)
	})
}

func TestRemoveUndoesAdd(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c, in := column(testingOf(t), slot), input(slot, rows)
		if !Removable(slot) {
			return
		}
		keep := rapid.IntRange(0, len(rows)).Draw(t, "kept rows")
		want := look(slot, c, addAll(c, in, upTo(keep)))
		p := addAll(c, in, shuffled(t, upTo(len(rows))))
		for _, i := range shuffled(t, upTo(len(rows))) {
			if rapid.IntRange(0, 9).Draw(t, "persist") == 0 {
				persist(t, c, p)
			}
			if i >= keep {
				c.Remove(p, in, i)
			}
		}
		mustEqual(t, "add then remove", look(slot, c, p), want)
	})
}

func TestO5_EqualRowsCountTwice(t *testing.T) {
	rows := []row{
		{arg: plan.IntValue(7), t: 1, id: "x"},
		{arg: plan.IntValue(7), t: 1, id: "x"},
	}
	for _, test := range []struct {
		slot *plan.Slot
		want plan.Value
	}{
		{slotOf(plan.Count, plan.Type{}), plan.IntValue(2)},
		{slotOf(plan.Sum, plan.T(plan.Int)), plan.IntValue(14)},
		{withN(slotOf(plan.LatestN, plan.T(plan.Int)), 3), plan.ListValue([]plan.Value{plan.IntValue(7), plan.IntValue(7)})},
		{slotOf(plan.DistinctCount, plan.T(plan.Int)), plan.IntValue(1)},
	} {
		c := column(t, test.slot)
		if got := look(test.slot, c, addAll(c, input(test.slot, rows), upTo(2))); !got.value.Equal(test.want) {
			t.Errorf("%s: got %v, want %v", name(test.slot), got.value, test.want)
		}
	}
}

// TestO3_TiesByIDThenValue checks the event order for equal times.
func TestO3_TiesByIDThenValue(t *testing.T) {
	s := plan.StringValue
	rows := []row{
		{arg: s("b"), by: plan.IntValue(1), t: 5, id: "x"},
		{arg: s("a\x00"), by: plan.IntValue(1), t: 5, id: "y"},
		{arg: s("a"), by: plan.IntValue(1), t: 5, id: "y"},
		{arg: s("z"), by: plan.IntValue(0), t: 4, id: "z"},
	}
	str := plan.T(plan.String)
	for _, test := range []struct {
		slot *plan.Slot
		want string
	}{
		{slotOf(plan.Latest, str), `"a\x00"`},
		{slotOf(plan.Earliest, str), `"z"`},
		{withN(slotOf(plan.LatestN, str), 3), `["b", "a", "a\x00"]`},
		{withN(slotOf(plan.EarliestN, str), 2), `["z", "b"]`},
		{withBy(slotOf(plan.MaxBy, str), plan.Int), `"a\x00"`},
		{withBy(slotOf(plan.MinBy, str), plan.Int), `"z"`},
	} {
		rapid.Check(t, func(t *rapid.T) {
			c, in := column(testingOf(t), test.slot), input(test.slot, rows)
			got := look(test.slot, c, addAll(c, in, shuffled(t, upTo(len(rows)))))
			if got.value.String() != test.want {
				t.Fatalf("%s: got %v, want %s", name(test.slot), got.value, test.want)
			}
		})
	}
}

// TestInputsAreNotKept overwrites every string and number of an Input after use. Neither the
// partials nor values read from them change.
func TestInputsAreNotKept(t *testing.T) {
	forEverySlot(t, func(t *rapid.T, slot *plan.Slot, rows []row) {
		c := column(testingOf(t), slot)
		in := input(slot, rows)
		backing := detach(in)
		p := addAll(c, in, upTo(len(rows)))
		want := look(slot, c, p)
		if fresh := input(slot, rows); !sameInput(in, fresh) {
			t.Fatal("Add changed its input")
		}
		for i := range backing {
			backing[i] ^= 0x55
		}
		mustEqual(t, "after the input's strings changed", look(slot, c, p), want)
	})
}
