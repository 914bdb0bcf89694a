package agg

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// reference computes an aggregate of rows from its definition, with math/big and by
// sorting. fails means that there is no value; null stands for none.
func reference(slot *plan.Slot, rows []row) (v plan.Value, fails bool) {
	if slot.Group != nil {
		return referenceGroups(slot, rows)
	}
	args := make([]plan.Value, len(rows))
	for i, r := range rows {
		args[i] = r.arg
	}
	switch slot.Func {
	case plan.Count:
		return plan.IntValue(int64(len(rows))), false
	case plan.Sum:
		return referenceSum(slot.Arg.Type.Kind, args)
	case plan.Mean:
		return referenceMean(args), false
	case plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp:
		return referenceVariance(slot.Func, args), false
	case plan.Min, plan.Max:
		return referenceExtreme(slot.Func, args), false
	case plan.LatestTime, plan.EarliestTime:
		return referenceTime(slot.Func, rows), false
	case plan.Latest, plan.Earliest, plan.MaxBy, plan.MinBy, plan.LatestN, plan.EarliestN:
		return referenceEvents(slot, rows), false
	case plan.DistinctCount:
		n := len(referenceTally(args))
		return plan.IntValue(int64(n)), n > cmp.Or(slot.N, 10000)
	case plan.TopK:
		return referenceTop(args, slot.N), false
	case plan.Any, plan.All:
		yes := plan.BoolValue(slot.Func == plan.Any)
		if slices.ContainsFunc(args, yes.Equal) {
			return yes, false
		}
		return plan.BoolValue(!yes.Bool()), false
	}
	panic("no reference for " + string(slot.Func))
}

func referenceGroups(slot *plan.Slot, rows []row) (plan.Value, bool) {
	one := *slot
	one.Group = nil
	byKey := map[string][]row{}
	for _, r := range rows {
		byKey[r.group] = append(byKey[r.group], r)
	}
	var keys, values []plan.Value
	for k, rows := range byKey {
		v, fails := reference(&one, rows)
		if fails {
			return plan.Value{}, true
		}
		keys, values = append(keys, plan.StringValue(k)), append(values, v)
	}
	return plan.MapValue(keys, values), len(keys) > 1000
}

// special is the sum of the NaNs and infinities among doubles, and whether there are any.
func special(args []plan.Value) (float64, bool) {
	sum := 0.0
	for _, a := range args {
		if f := a.Double(); a.Kind() == plan.Double && (f != f || math.IsInf(f, 0)) {
			sum += f
		}
	}
	return sum, sum != 0
}

func rat(v plan.Value) *big.Rat {
	if v.Kind() == plan.Double {
		return new(big.Rat).SetFloat64(v.Double())
	}
	return new(big.Rat).SetInt64(v.Int())
}

// exactly is Σx of finite values.
func exactly(args []plan.Value) *big.Rat {
	sum := new(big.Rat)
	for _, a := range args {
		sum.Add(sum, rat(a))
	}
	return sum
}

func rounded(r *big.Rat) float64 {
	f, _ := r.Float64()
	return f
}

func referenceSum(kind plan.Kind, args []plan.Value) (plan.Value, bool) {
	if f, ok := special(args); ok {
		return plan.DoubleValue(f), false
	}
	sum := exactly(args)
	switch {
	case kind == plan.Double:
		return plan.DoubleValue(rounded(sum)), false
	case !sum.Num().IsInt64():
		return plan.Value{}, true
	case kind == plan.Duration:
		return plan.DurationValue(time.Duration(sum.Num().Int64())), false
	}
	return plan.IntValue(sum.Num().Int64()), false
}

func referenceMean(args []plan.Value) plan.Value {
	if len(args) == 0 {
		return plan.NullValue()
	}
	sum, ok := special(args)
	if !ok {
		sum = rounded(exactly(args))
	}
	return plan.DoubleValue(sum / float64(len(args)))
}

func referenceVariance(f plan.AggFunc, args []plan.Value) plan.Value {
	n := int64(len(args))
	d := n
	if f == plan.VarSamp || f == plan.StddevSamp {
		d--
	}
	if d <= 0 {
		return plan.NullValue()
	}
	if _, ok := special(args); ok {
		return plan.DoubleValue(math.NaN())
	}
	sum, sq := exactly(args), new(big.Rat)
	for _, a := range args {
		sq.Add(sq, new(big.Rat).Mul(rat(a), rat(a)))
	}
	num := new(big.Rat).Mul(sq, new(big.Rat).SetInt64(n))
	num.Sub(num, new(big.Rat).Mul(sum, sum))
	den := new(big.Rat).Mul(new(big.Rat).SetInt64(n), new(big.Rat).SetInt64(d))
	v := rounded(num.Quo(num, den))
	if f == plan.StddevPop || f == plan.StddevSamp {
		v = math.Sqrt(v)
	}
	return plan.DoubleValue(v)
}

func referenceExtreme(f plan.AggFunc, args []plan.Value) plan.Value {
	if len(args) == 0 {
		return plan.NullValue()
	}
	greatest := slices.MaxFunc(args, plan.Compare)
	if f == plan.Max || greatest.Kind() == plan.Double && math.IsNaN(greatest.Double()) {
		return greatest
	}
	return slices.MinFunc(args, plan.Compare)
}

func referenceTime(f plan.AggFunc, rows []row) plan.Value {
	if len(rows) == 0 {
		return plan.NullValue()
	}
	byTime := func(a, b row) int { return cmp.Compare(a.t, b.t) }
	if f == plan.LatestTime {
		return plan.TimestampValue(slices.MaxFunc(rows, byTime).t)
	}
	return plan.TimestampValue(slices.MinFunc(rows, byTime).t)
}

// eventCompare compares by y, if there is one, and then in the event order.
func eventCompare(a, b row) int {
	return cmp.Or(
		plan.Compare(a.by, b.by),
		cmp.Compare(a.t, b.t),
		cmp.Compare(a.id, b.id),
		cmp.Compare(string(plan.AppendCanonical(nil, a.arg)), string(plan.AppendCanonical(nil, b.arg))),
	)
}

func referenceEvents(slot *plan.Slot, rows []row) plan.Value {
	sorted := slices.Clone(rows)
	if slot.By == nil {
		for i := range sorted {
			sorted[i].by = plan.NullValue()
		}
	}
	slices.SortFunc(sorted, eventCompare)
	n := max(slot.N, 1)
	last := slot.Func == plan.Latest || slot.Func == plan.LatestN || slot.Func == plan.MaxBy
	if last {
		sorted = sorted[max(0, len(sorted)-n):]
	} else {
		sorted = sorted[:min(n, len(sorted))]
	}
	if slot.N > 0 {
		list := make([]plan.Value, len(sorted))
		for i := range sorted {
			list[i] = sorted[i].arg
		}
		return plan.ListValue(list)
	}
	if len(sorted) == 0 {
		return plan.NullValue()
	}
	return sorted[0].arg
}

type tallied struct {
	v plan.Value
	n int
}

func referenceTally(args []plan.Value) []tallied {
	var list []tallied
	for _, a := range args {
		if a.Kind() == plan.Double && a.Double() == 0 {
			a = plan.DoubleValue(0)
		}
		if i := slices.IndexFunc(list, func(t tallied) bool { return t.v.Equal(a) }); i >= 0 {
			list[i].n++
		} else {
			list = append(list, tallied{a, 1})
		}
	}
	return list
}

func referenceTop(args []plan.Value, k int) plan.Value {
	list := referenceTally(args)
	slices.SortFunc(list, func(a, b tallied) int { return cmp.Or(cmp.Compare(b.n, a.n), plan.Compare(a.v, b.v)) })
	values := []plan.Value{}
	for _, t := range list[:min(k, len(list))] {
		values = append(values, t.v)
	}
	return plan.ListValue(values)
}
