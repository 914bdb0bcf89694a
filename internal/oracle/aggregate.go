package oracle

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// row is an event in S(T), with the values of the slot's expressions; a value is null if
// the slot has no such expression.
type row struct {
	t              plan.EventTime
	id             string
	arg, by, group plan.Value
}

// maxGroups is the largest number of keys of agg.by(s).
const maxGroups = 1000

// Exact reports whether §4 defines the value of f exactly. For the others it bounds the
// error: approx_distinct estimates distinct_count without its cap, approx_quantile is within
// 1 % of the value of rank floor(q·(n-1)). The oracle computes that exact value for both.
func Exact(f plan.AggFunc) bool {
	return f != plan.ApproxDistinct && f != plan.ApproxQuantile
}

// Within reports whether got is a valid value of f, given the oracle's value want. An
// estimate of distinct values may be off by one plus six standard errors of 0.81 %.
func Within(f plan.AggFunc, want, got plan.Value) bool {
	switch {
	case Exact(f) || want.IsNull() || got.IsNull():
		return want.Equal(got)
	case f == plan.ApproxDistinct:
		return math.Abs(float64(want.Int()-got.Int())) <= 1+float64(0.0486*float64(want.Int()))
	}
	x, y := want.Double(), got.Double()
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x == y || math.IsNaN(x) && math.IsNaN(y)
	}
	return math.Abs(y/x-1) <= 0.01
}

// aggregate is the value of a slot over the rows of S(T), an optional value if the result is
// optional. The error is that of the aggregate.
func aggregate(slot *plan.Slot, rows []row) (plan.Value, error) {
	rows = slices.SortedFunc(slices.Values(rows), byEventOrder)
	if slot.Group != nil {
		return grouped(slot, rows)
	}
	return ungrouped(slot, rows)
}

// byEventOrder is the order of ties: (t, event id bytes, canonical argument).
func byEventOrder(a, b row) int {
	return cmp.Or(
		cmp.Compare(a.t, b.t),
		cmp.Compare(a.id, b.id),
		slices.Compare(plan.AppendCanonical(nil, a.arg), plan.AppendCanonical(nil, b.arg)))
}

func grouped(slot *plan.Slot, rows []row) (plan.Value, error) {
	groups := map[string][]row{}
	for _, r := range rows {
		groups[r.group.Str()] = append(groups[r.group.Str()], r)
	}
	if len(groups) > maxGroups {
		return plan.Value{}, fmt.Errorf("%s by group: %d keys, more than %d", slot.Func, len(groups), maxGroups)
	}
	one := *slot
	one.Type = *slot.Type.Elem
	var keys, values []plan.Value
	for key, rows := range groups {
		v, err := ungrouped(&one, rows)
		if err != nil {
			return plan.Value{}, err
		}
		if v.Kind() == plan.Optional && one.Type.Kind != plan.Optional {
			v = v.List()[0] // never none, because every group has a row
		}
		keys, values = append(keys, plan.StringValue(key)), append(values, v)
	}
	return plan.MapValue(keys, values), nil
}

// ungrouped computes aggregates without .by(s). rows must be in event order.
func ungrouped(slot *plan.Slot, rows []row) (plan.Value, error) {
	args := column(rows, func(r row) plan.Value { return r.arg })
	switch slot.Func {
	case plan.Count:
		return plan.IntValue(int64(len(rows))), nil
	case plan.Sum:
		return sum(slot.Type.Kind, args)
	case plan.Any:
		return plan.BoolValue(slices.ContainsFunc(args, plan.Value.Bool)), nil
	case plan.All:
		return plan.BoolValue(!slices.ContainsFunc(args, func(v plan.Value) bool { return !v.Bool() })), nil
	case plan.LatestN:
		return plan.ListValue(args[max(0, len(args)-slot.N):]), nil
	case plan.EarliestN:
		return plan.ListValue(args[:min(len(args), slot.N)]), nil
	case plan.TopK:
		return plan.ListValue(topK(args, slot.N)), nil
	case plan.DistinctCount:
		if n := len(distinct(args)); n > slot.N {
			return plan.Value{}, fmt.Errorf("distinct_count: %d values, more than the cap of %d", n, slot.N)
		}
		return plan.IntValue(int64(len(distinct(args)))), nil
	case plan.ApproxDistinct:
		return plan.IntValue(int64(len(distinct(args)))), nil
	}
	if len(rows) == 0 {
		return plan.NoneValue(), nil
	}
	v, ok := optional(slot, rows, args)
	if !ok {
		return plan.NoneValue(), nil
	}
	return plan.OptionalValue(v), nil
}

// optional computes the aggregates that need at least one row. It reports false if they need
// two and there is one.
func optional(slot *plan.Slot, rows []row, args []plan.Value) (plan.Value, bool) {
	first, last := rows[0], rows[len(rows)-1]
	switch slot.Func {
	case plan.Mean:
		return plan.DoubleValue(roundedSum(args) / float64(len(args))), true
	case plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp:
		return variance(slot.Func, args)
	case plan.Min:
		return extreme(args, -1), true
	case plan.Max:
		return extreme(args, +1), true
	case plan.Earliest:
		return first.arg, true
	case plan.Latest:
		return last.arg, true
	case plan.EarliestTime:
		return plan.TimestampValue(first.t), true
	case plan.LatestTime:
		return plan.TimestampValue(last.t), true
	case plan.MinBy:
		return slices.MinFunc(rows, byY).arg, true // the first of equal ones is the earliest
	case plan.MaxBy:
		slices.Reverse(rows)
		return slices.MaxFunc(rows, byY).arg, true // the first of equal ones is the latest
	case plan.ApproxQuantile:
		return quantile(args, slot.Quantile), true
	}
	panic(fmt.Sprintf("oracle: no definition of the aggregate %s", slot.Func))
}

func byY(a, b row) int { return plan.Compare(a.by, b.by) }

func column(rows []row, of func(row) plan.Value) []plan.Value {
	out := make([]plan.Value, len(rows))
	for i, r := range rows {
		out[i] = of(r)
	}
	return out
}

// sum is the exact sum: of ints and durations an error if it does not fit, of doubles rounded
// once.
func sum(kind plan.Kind, args []plan.Value) (plan.Value, error) {
	if kind == plan.Double {
		return plan.DoubleValue(roundedSum(args)), nil
	}
	total := new(big.Int)
	for _, v := range args {
		total.Add(total, big.NewInt(v.Int()))
	}
	if !total.IsInt64() {
		return plan.Value{}, fmt.Errorf("sum: %v overflows int64", total)
	}
	if kind == plan.Duration {
		return plan.DurationValue(time.Duration(total.Int64())), nil
	}
	return plan.IntValue(total.Int64()), nil
}

// roundedSum is the exact sum rounded once to the nearest double, ties to even;
// zero is +0. NaN, and +Inf with -Inf, give NaN.
func roundedSum(args []plan.Value) float64 {
	if special, ok := specialSum(args); ok {
		return special
	}
	total := new(big.Rat)
	for _, v := range args {
		total.Add(total, rational(v))
	}
	rounded, _ := total.Float64()
	return rounded
}

// specialSum is the sum of the NaNs and infinities among args, if there are any.
func specialSum(args []plan.Value) (total float64, any bool) {
	for _, v := range args {
		if x := v.Double(); v.Kind() == plan.Double && (math.IsNaN(x) || math.IsInf(x, 0)) {
			total, any = total+x, true
		}
	}
	return total, any
}

func rational(v plan.Value) *big.Rat {
	if v.Kind() == plan.Double {
		return new(big.Rat).SetFloat64(v.Double())
	}
	return new(big.Rat).SetInt64(v.Int())
}

// variance is (nΣx² − (Σx)²) / n² or / n(n−1), rounded once; stddev is its square root.
func variance(f plan.AggFunc, args []plan.Value) (plan.Value, bool) {
	sample := f == plan.VarSamp || f == plan.StddevSamp
	if sample && len(args) == 1 {
		return plan.Value{}, false
	}
	if _, special := specialSum(args); special {
		return plan.DoubleValue(math.NaN()), true
	}
	n, sum, squares := big.NewRat(int64(len(args)), 1), new(big.Rat), new(big.Rat)
	for _, v := range args {
		x := rational(v)
		sum.Add(sum, x)
		squares.Add(squares, new(big.Rat).Mul(x, x))
	}
	divisor := new(big.Rat).Set(n)
	if sample {
		divisor.Sub(n, big.NewRat(1, 1))
	}
	divisor.Mul(divisor, n)
	squares.Mul(squares, n)
	squares.Sub(squares, sum.Mul(sum, sum))
	rounded, _ := squares.Quo(squares, divisor).Float64()
	if f == plan.StddevPop || f == plan.StddevSamp {
		rounded = math.Sqrt(rounded)
	}
	return plan.DoubleValue(rounded), true
}

// extreme is the least (sign -1) or greatest (+1) argument; NaN if any argument is NaN.
func extreme(args []plan.Value, sign int) plan.Value {
	if i := slices.IndexFunc(args, isNaN); i >= 0 {
		return args[i]
	}
	return slices.MaxFunc(args, func(a, b plan.Value) int { return sign * plan.Compare(a, b) })
}

func isNaN(v plan.Value) bool { return v.Kind() == plan.Double && math.IsNaN(v.Double()) }

// tally is a value and its number of occurrences.
type tally struct {
	value plan.Value
	n     int
}

// distinct lists the different values in ascending order.
func distinct(args []plan.Value) []tally {
	var out []tally
	for _, v := range slices.SortedFunc(slices.Values(args), plan.Compare) {
		if len(out) == 0 || !out[len(out)-1].value.Equal(v) {
			out = append(out, tally{value: v})
		}
		out[len(out)-1].n++
	}
	return out
}

// topK is the first k values, by descending count and then ascending value.
func topK(args []plan.Value, k int) []plan.Value {
	tallies := distinct(args)
	slices.SortStableFunc(tallies, func(a, b tally) int { return cmp.Compare(b.n, a.n) })
	out := []plan.Value{}
	for _, t := range tallies[:min(k, len(tallies))] {
		out = append(out, t.value)
	}
	return out
}

// quantile is the value of rank floor(q·(n-1)), as a double.
func quantile(args []plan.Value, q float64) plan.Value {
	if i := slices.IndexFunc(args, isNaN); i >= 0 {
		return args[i]
	}
	sorted := slices.SortedFunc(slices.Values(args), plan.Compare)
	v := sorted[int(math.Floor(q*float64(len(sorted)-1)))]
	if v.Kind() == plan.Int {
		return plan.DoubleValue(float64(v.Int()))
	}
	return v
}
