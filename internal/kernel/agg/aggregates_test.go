package agg

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

func doublesOf(list ...float64) []row {
	rows := make([]row, len(list))
	for i, x := range list {
		rows[i].arg = plan.DoubleValue(x)
	}
	return rows
}

func intsOf(list ...int64) []row {
	rows := make([]row, len(list))
	for i, x := range list {
		rows[i].arg = plan.IntValue(x)
	}
	return rows
}

// TestExamples gives values of the definitions for small inputs, for people to read.
func TestExamples(t *testing.T) {
	double, integer, duration := plan.T(plan.Double), plan.T(plan.Int), plan.T(plan.Duration)
	optionalMean := grouped(plan.Mean, double)
	optionalMean.Type = plan.MapOf(plan.T(plan.String), plan.OptionalOf(double))
	inf, nan, negZero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	minutes := func(m ...time.Duration) (rows []row) {
		for _, d := range m {
			rows = append(rows, row{arg: plan.DurationValue(d)})
		}
		return rows
	}
	for _, test := range []struct {
		slot *plan.Slot
		rows []row
		want string
	}{
		{slotOf(plan.Sum, double), nil, "0.0"},
		{slotOf(plan.Sum, double), doublesOf(negZero), "0.0"},
		{slotOf(plan.Sum, double), doublesOf(0.1, 0.2, 0.3), "0.6"},
		{slotOf(plan.Sum, double), doublesOf(1e16, 1, -1e16), "1.0"},
		{slotOf(plan.Sum, double), doublesOf(inf, -inf), "NaN"},
		{slotOf(plan.Sum, double), doublesOf(inf, 1), "+Inf"},
		{slotOf(plan.Sum, integer), intsOf(math.MaxInt64, 1), "error"},
		{slotOf(plan.Sum, integer), intsOf(math.MaxInt64, 1, -1), "9223372036854775807"},
		{slotOf(plan.Sum, integer), intsOf(math.MinInt64, -1, 1), "-9223372036854775808"},
		{slotOf(plan.Sum, duration), minutes(time.Minute, -time.Second), "59s"},
		{slotOf(plan.Sum, duration), minutes(math.MaxInt64, 1), "error"},
		{slotOf(plan.Mean, integer), intsOf(math.MaxInt64, math.MaxInt64), "9.223372036854776e+18"},
		{slotOf(plan.Mean, integer), nil, "null"},
		{slotOf(plan.Mean, double), doublesOf(1, 2), "1.5"},
		{slotOf(plan.Mean, double), doublesOf(math.MaxFloat64, math.MaxFloat64), "+Inf"},
		{slotOf(plan.VarPop, double), doublesOf(5), "0.0"},
		{slotOf(plan.VarSamp, double), doublesOf(5), "null"},
		{slotOf(plan.VarSamp, double), doublesOf(inf), "null"},
		{slotOf(plan.VarPop, double), doublesOf(inf), "NaN"},
		{slotOf(plan.VarPop, double), doublesOf(1e8+1, 1e8+2, 1e8+3), "0.6666666666666666"},
		{slotOf(plan.VarPop, double), doublesOf(1e200, -1e200), "+Inf"},
		{slotOf(plan.StddevPop, double), doublesOf(1e-162, -1e-162), "0.0"},
		{slotOf(plan.StddevPop, double), doublesOf(1e-161, -1e-161), "9.940479322862118e-162"},
		{slotOf(plan.StddevSamp, integer), intsOf(1, 3), "1.4142135623730951"},
		{slotOf(plan.VarPop, integer), intsOf(math.MinInt64, math.MaxInt64), "8.507059173023462e+37"},
		{slotOf(plan.Min, double), doublesOf(0, negZero), "-0.0"},
		{slotOf(plan.Max, double), doublesOf(negZero, 0), "0.0"},
		{slotOf(plan.Min, double), doublesOf(-inf, nan), "NaN"},
		{slotOf(plan.Max, double), doublesOf(inf, nan), "NaN"},
		{slotOf(plan.DistinctCount, double), doublesOf(0, negZero, nan, -nan), "2"},
		{withN(slotOf(plan.DistinctCount, integer), 2), intsOf(1, 2, 3), "error"},
		{withN(slotOf(plan.TopK, integer), 2), intsOf(5, 9, 9, 5, 1), "[5, 9]"},
		{slotOf(plan.ApproxDistinct, double), doublesOf(0, negZero), "1"},
		{withQuantile(slotOf(plan.ApproxQuantile, double), 0.5), doublesOf(1, nan), "NaN"},
		{withQuantile(slotOf(plan.ApproxQuantile, double), 0), doublesOf(-inf, 0, inf), "-Inf"},
		{withQuantile(slotOf(plan.ApproxQuantile, double), 0.5), doublesOf(-inf, negZero, inf), "0.0"},
		{slotOf(plan.Any, plan.T(plan.Bool)), nil, "false"},
		{slotOf(plan.All, plan.T(plan.Bool)), nil, "true"},
		{grouped(plan.Sum, integer), nil, "{}"},
		{grouped(plan.Sum, integer), []row{
			{group: "b", arg: plan.IntValue(1)}, {group: "a\x00", arg: plan.IntValue(2)}, {group: "b", arg: plan.IntValue(3)},
		}, `{"a\x00": 2, "b": 4}`},
		{grouped(plan.Sum, integer), intsOf(math.MaxInt64, 1), "error"},
		{optionalMean, doublesOf(1, 2), `{"": 1.5}`},
	} {
		c := column(t, test.slot)
		got := look(test.slot, c, addAll(c, input(test.slot, test.rows), upTo(len(test.rows))))
		text := got.value.String()
		if got.fails {
			text = "error"
		}
		if text != test.want || !got.value.HasType(test.slot.Type.Unwrap()) {
			t.Errorf("%s of %v is %s, want %s", name(test.slot), test.rows, text, test.want)
		}
	}
}

// TestRemovingNaNRestoresTheSum checks that a NaN or infinity affects a sum only until its
// row is removed.
func TestRemovingNaNRestoresTheSum(t *testing.T) {
	for _, f := range []plan.AggFunc{plan.Sum, plan.Mean, plan.VarPop} {
		slot := slotOf(f, plan.T(plan.Double))
		rows := doublesOf(1, 2, math.NaN(), math.Inf(1))
		c, in := column(t, slot), input(slot, rows)
		want := look(slot, c, addAll(c, in, upTo(2)))
		p := addAll(c, in, upTo(4))
		if got := look(slot, c, p); !math.IsNaN(got.value.Double()) {
			t.Errorf("%s with NaN is %v", f, got.value)
		}
		c.Remove(p, in, 2)
		c.Remove(p, in, 3)
		mustEqual(t, string(f), look(slot, c, p), want)
	}
}

// TestPartialsStayExactBeyondCaps exceeds the caps: the value fails, and is right again
// after rows are removed.
func TestPartialsStayExactBeyondCaps(t *testing.T) {
	const cap = 1000
	slot := grouped(plan.Count, plan.Type{})
	rows := make([]row, cap+1)
	for i := range rows {
		rows[i].group = fmt.Sprint(i)
	}
	c, in := column(t, slot), input(slot, rows)
	want := look(slot, c, addAll(c, in, upTo(cap)))
	p := addAll(c, in, upTo(cap+1))
	if got := look(slot, c, p); want.fails || !got.fails {
		t.Fatalf("fails with %d groups: %v, with one more: %v", cap, want.fails, got.fails)
	}
	c.Remove(p, in, cap)
	mustEqual(t, "back under the cap", look(slot, c, p), want)

	slot = slotOf(plan.DistinctCount, plan.T(plan.Int))
	rows = nil
	for i := range int64(10_001) {
		rows = append(rows, row{arg: plan.IntValue(i * i)})
	}
	c, in = column(t, slot), input(slot, rows)
	want = look(slot, c, addAll(c, in, upTo(10_000)))
	p = addAll(c, in, upTo(10_001))
	if got := look(slot, c, p); want.fails || !got.fails {
		t.Fatalf("distinct_count fails at its cap: %v, past it: %v", want.fails, got.fails)
	}
	c.Remove(p, in, 10_000)
	mustEqual(t, "back under the cap", look(slot, c, p), want)
}

// TestLargePartials checks the laws for tables, sketches and lists that have outgrown
// their small representations.
func TestLargePartials(t *testing.T) {
	slots := []*plan.Slot{
		slotOf(plan.DistinctCount, plan.T(plan.Int)), slotOf(plan.DistinctCount, plan.T(plan.String)),
		withN(slotOf(plan.TopK, plan.T(plan.String)), 10), grouped(plan.Sum, plan.T(plan.Double)),
		slotOf(plan.ApproxDistinct, plan.T(plan.Int)), slotOf(plan.ApproxDistinct, plan.T(plan.String)),
		withQuantile(slotOf(plan.ApproxQuantile, plan.T(plan.Double)), 0.9),
		withN(slotOf(plan.LatestN, plan.T(plan.Int)), 100), withN(slotOf(plan.EarliestN, plan.T(plan.String)), 100),
	}
	for _, slot := range slots {
		t.Run(name(slot), func(t *testing.T) {
			for _, n := range []int{100, 700, 20_000} {
				checkLarge(t, slot, largeRows(slot, n))
			}
		})
	}
}

func largeRows(slot *plan.Slot, n int) []row {
	rows := make([]row, n)
	for i := range rows {
		h := mix(uint64(i))
		rows[i] = row{t: plan.EventTime(h >> 54), id: fmt.Sprint(h % 5), group: fmt.Sprint(h % 300)}
		switch k := int64(h>>20) % int64(n); slot.Arg.Type.Kind {
		case plan.Int:
			rows[i].arg = plan.IntValue(k)
		case plan.Double:
			rows[i].arg = plan.DoubleValue(float64(k-int64(n)/3) / 7)
		default:
			rows[i].arg = plan.StringValue(fmt.Sprint("value ", k))
		}
	}
	return rows
}

func checkLarge(t *testing.T, slot *plan.Slot, rows []row) {
	c, in := column(t, slot), input(slot, rows)
	order := upTo(len(rows))
	want := look(slot, c, addAll(c, in, order))
	slices.Reverse(order)
	mustEqual(t, "backwards", look(slot, c, addAll(c, in, order)), want)
	third := len(rows) / 3
	p, q, r := addAll(c, in, order[:third]), addAll(c, in, order[third:2*third]), addAll(c, in, order[2*third:])
	for _, x := range []int{p, q, r} {
		if _, err := c.Decode(x, c.Append(nil, x)); err != nil {
			t.Fatal(err)
		}
	}
	before := look(slot, c, q)
	c.Merge(r, c, p)
	c.Merge(r, c, q)
	mustEqual(t, "three parts", look(slot, c, r), want)
	mustEqual(t, "the source", look(slot, c, q), before)
	if Removable(slot) {
		for _, i := range order[third:] {
			c.Remove(r, in, i)
		}
		mustEqual(t, "one part", look(slot, c, r), look(slot, c, p))
		for _, i := range order[:third] {
			c.Remove(r, in, i)
		}
		if !c.Empty(r) {
			t.Error("not empty after every row left")
		}
	}
}

// TestHugeCounts merges a partial into a copy of itself 50 times over: moments of
// 2^50·k rows, whose divisors no longer fit 64 bits.
func TestHugeCounts(t *testing.T) {
	for _, f := range []plan.AggFunc{plan.VarPop, plan.VarSamp} {
		for slot, rows := range map[*plan.Slot][]row{
			slotOf(f, plan.T(plan.Double)): doublesOf(0.1, 12.34, -7e10, 1e-30, 3),
			slotOf(f, plan.T(plan.Int)):    intsOf(math.MinInt64, math.MaxInt64, 3, 4, 5),
		} {
			c := column(t, slot)
			p, q := addAll(c, input(slot, rows), upTo(len(rows))), addAll(c, nil, nil)
			for range 50 {
				c.Reset(q)
				c.Merge(q, c, p)
				c.Merge(p, c, q)
			}
			if got, want := look(slot, c, p).value.Double(), hugeVariance(f, rows); got != want {
				t.Errorf("%s of %v 2^50 times is %v, want %v", f, rows, got, want)
			}
		}
	}
}

// hugeVariance is the variance of 2^50 copies of the rows.
func hugeVariance(f plan.AggFunc, rows []row) float64 {
	copies := new(big.Rat).SetInt64(1 << 50)
	n := new(big.Rat).Mul(copies, new(big.Rat).SetInt64(int64(len(rows))))
	sum, sq := new(big.Rat), new(big.Rat)
	for _, r := range rows {
		x := rat(r.arg)
		sum.Add(sum, x)
		sq.Add(sq, x.Mul(x, x))
	}
	sum.Mul(sum, copies)
	sq.Mul(sq, copies).Mul(sq, n)
	sq.Sub(sq, sum.Mul(sum, sum)).Quo(sq, n)
	if f == plan.VarSamp {
		n.Sub(n, new(big.Rat).SetInt64(1))
	}
	return rounded(sq.Quo(sq, n))
}

// TestGrowAfterTruncateGivesEmptyPartials: partials are empty although memory is reused.
func TestGrowAfterTruncateGivesEmptyPartials(t *testing.T) {
	for _, slot := range everySlot() {
		rows := goldenRows(slot)
		c, in := column(t, slot), input(slot, rows)
		c.Grow(2)
		for i := range rows {
			c.Add(i%2, in, i)
		}
		kept := look(slot, c, 0)
		c.Truncate(1)
		c.Grow(1)
		if got := look(slot, c, 1); !got.empty || !slices.Equal(got.encoded, []byte{tagEmpty}) || c.Len() != 2 {
			t.Errorf("%s: after Truncate and Grow: %x", name(slot), got.encoded)
		}
		mustEqual(t, name(slot)+": the one kept", look(slot, c, 0), kept)
		c.Reset(0)
		if got := look(slot, c, 0); !got.empty || !slices.Equal(got.encoded, []byte{tagEmpty}) {
			t.Errorf("%s: after Reset: %x", name(slot), got.encoded)
		}
	}
}

func TestRemoveOnlyWhereRemovable(t *testing.T) {
	for _, slot := range everySlot() {
		rows := goldenRows(slot)
		c, in := column(t, slot), input(slot, rows)
		p := addAll(c, in, upTo(1))
		if got := !panics(func() { c.Remove(p, in, 0) }); got != Removable(slot) {
			t.Errorf("%s: Remove works: %v, Removable: %v", name(slot), got, Removable(slot))
		}
	}
}

// TestRemoveOfARowThatWasNotAddedPanics: tables notice it, because the key is missing.
func TestRemoveOfARowThatWasNotAddedPanics(t *testing.T) {
	for _, slot := range []*plan.Slot{slotOf(plan.DistinctCount, plan.T(plan.Int)), grouped(plan.Count, plan.Type{})} {
		rows := goldenRows(slot)
		c, in := column(t, slot), input(slot, rows)
		p := addAll(c, in, upTo(1))
		if !panics(func() { c.Remove(p, in, 1) }) {
			t.Errorf("%s: a row that was not added was removed", name(slot))
		}
	}
}

func TestMergeOfAnotherSlotPanics(t *testing.T) {
	a, b := column(t, slotOf(plan.Count, plan.Type{})), column(t, slotOf(plan.LatestTime, plan.Type{}))
	a.Grow(1)
	b.Grow(1)
	if !panics(func() { a.Merge(0, b, 0) }) {
		t.Error("a count merged a time")
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestWithoutEventIDs(t *testing.T) {
	slot := slotOf(plan.Latest, plan.T(plan.Int))
	c := column(t, slot)
	c.Grow(1)
	in := &Input{
		Arg:  vector.Of(plan.T(plan.Int), plan.IntValue(3), plan.IntValue(8), plan.IntValue(5)),
		Time: []plan.EventTime{1, 1, 1},
	}
	for i := range 3 {
		c.Add(0, in, i)
	}
	if got := look(slot, c, 0); got.value.Int() != 8 {
		t.Errorf("the latest is %v", got.value)
	}
}

func TestNewRefuses(t *testing.T) {
	str, integer := plan.T(plan.String), plan.T(plan.Int)
	noMap := grouped(plan.Count, plan.Type{})
	noMap.Type = integer
	intGroup := grouped(plan.Count, plan.Type{})
	intGroup.Group = col(integer)
	for _, test := range []struct {
		slot *plan.Slot
		want string
	}{
		{&plan.Slot{Func: "median", Arg: col(integer)}, "does not exist"},
		{slotOf(plan.Sum, str), "is of type string; it takes int, double, duration"},
		{slotOf(plan.Sum, plan.Type{}), "needs an argument"},
		{slotOf(plan.LatestTime, integer), "takes no argument"},
		{slotOf(plan.MaxBy, integer), "to order by"},
		{withBy(slotOf(plan.Max, integer), plan.Int), "to order by"},
		{withBy(slotOf(plan.MaxBy, integer), plan.Bool), "value to order by is of type bool"},
		{withN(slotOf(plan.LatestN, integer), 0), "1 to 1000"},
		{withN(slotOf(plan.EarliestN, integer), 1001), "1 to 1000"},
		{withN(slotOf(plan.TopK, integer), 0), "from 1 to 1000"},
		{withN(slotOf(plan.DistinctCount, integer), -1), "1 to 1000000"},
		{withN(slotOf(plan.DistinctCount, integer), 1_000_001), "1 to 1000000"},
		{withQuantile(slotOf(plan.ApproxQuantile, integer), math.NaN()), "0 to 1"},
		{withQuantile(slotOf(plan.ApproxQuantile, integer), 1.1), "0 to 1"},
		{grouped(plan.Latest, integer), "exists for count, sum, mean, min and max"},
		{grouped(plan.Sum, str), "takes int, double, duration"},
		{noMap, "not as a map"},
		{intGroup, "takes a string"},
	} {
		if _, err := New(test.slot); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New of %s: %v, want %q", name(test.slot), err, test.want)
		}
	}
}
