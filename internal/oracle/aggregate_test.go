package oracle

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

var (
	none  = plan.NoneValue
	some  = plan.OptionalValue
	dbl   = plan.DoubleValue
	inf   = math.Inf(1)
	tiny  = math.SmallestNonzeroFloat64
	large = math.MaxFloat64
)

func doubles(xs ...float64) []plan.Value {
	out := []plan.Value{}
	for _, x := range xs {
		out = append(out, dbl(x))
	}
	return out
}

func ints(xs ...int64) []plan.Value {
	out := []plan.Value{}
	for _, x := range xs {
		out = append(out, plan.IntValue(x))
	}
	return out
}

func words(xs ...string) []plan.Value {
	out := []plan.Value{}
	for _, x := range xs {
		out = append(out, plan.StringValue(x))
	}
	return out
}

// rowsOf are rows one microsecond apart in the given order.
func rowsOf(args []plan.Value) []row {
	rows := make([]row, len(args))
	for i, a := range args {
		rows[i] = row{t: plan.EventTime(i), arg: a}
	}
	return rows
}

func TestAggregate(t *testing.T) {
	optDouble := plan.OptionalOf(plan.T(plan.Double))
	for name, tc := range map[string]struct {
		slot plan.Slot
		args []plan.Value
		want plan.Value
	}{
		"count":                      {plan.Slot{Func: plan.Count}, ints(1, 2), plan.IntValue(2)},
		"sum without rows":           {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, nil, dbl(0)},
		"sum of -0 is +0":            {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(math.Copysign(0, -1), math.Copysign(0, -1)), dbl(0)},
		"sum is exact":               {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(large, tiny, -large, tiny), dbl(2 * tiny)},
		"sum rounds once to even":    {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(1<<53, 0.5, 0.5), dbl(1 << 53)},
		"sum beyond a tie":           {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(1<<53, 1, tiny), dbl(1<<53 + 2)},
		"sum overflows to Inf":       {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(large, large), dbl(inf)},
		"sum of Inf and -Inf":        {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(inf, 1, -inf), dbl(math.NaN())},
		"sum of -Inf":                {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Double)}, doubles(-inf, 1, -inf), dbl(-inf)},
		"sum of ints passes int64":   {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Int)}, ints(math.MaxInt64, 1, -1), plan.IntValue(math.MaxInt64)},
		"sum of durations":           {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Duration)}, []plan.Value{plan.DurationValue(1), plan.DurationValue(2)}, plan.DurationValue(3 * time.Nanosecond)},
		"mean without rows":          {plan.Slot{Func: plan.Mean, Type: optDouble}, nil, none()},
		"mean divides a rounded sum": {plan.Slot{Func: plan.Mean, Type: optDouble}, doubles(0.1, 0.2, 0.3), some(dbl(0.19999999999999998))},
		"mean of ints":               {plan.Slot{Func: plan.Mean, Type: optDouble}, ints(math.MaxInt64, math.MaxInt64), some(dbl(1 << 63))},
		"mean below the denormals":   {plan.Slot{Func: plan.Mean, Type: optDouble}, doubles(-tiny, 0), some(dbl(math.Copysign(0, -1)))},
		"var_pop cancels":            {plan.Slot{Func: plan.VarPop, Type: optDouble}, doubles(1e16, 1e16+2), some(dbl(1))},
		"var_pop of tiny doubles":    {plan.Slot{Func: plan.VarPop, Type: optDouble}, doubles(tiny, -tiny), some(dbl(0))},
		"var_pop overflows":          {plan.Slot{Func: plan.VarPop, Type: optDouble}, doubles(large, -large), some(dbl(inf))},
		"var_pop of Inf":             {plan.Slot{Func: plan.VarPop, Type: optDouble}, doubles(inf, 1), some(dbl(math.NaN()))},
		"var_samp of one":            {plan.Slot{Func: plan.VarSamp, Type: optDouble}, doubles(1), none()},
		"var_samp":                   {plan.Slot{Func: plan.VarSamp, Type: optDouble}, ints(1, 2, 4), some(dbl(7.0 / 3))},
		"stddev_pop":                 {plan.Slot{Func: plan.StddevPop, Type: optDouble}, doubles(1, 3), some(dbl(1))},
		"stddev_samp":                {plan.Slot{Func: plan.StddevSamp, Type: optDouble}, doubles(1, 3), some(dbl(math.Sqrt2))},
		"min has -0 below +0":        {plan.Slot{Func: plan.Min, Type: optDouble}, doubles(0, math.Copysign(0, -1)), some(dbl(math.Copysign(0, -1)))},
		"max has +0 above -0":        {plan.Slot{Func: plan.Max, Type: optDouble}, doubles(math.Copysign(0, -1), 0), some(dbl(0))},
		"min with NaN":               {plan.Slot{Func: plan.Min, Type: optDouble}, doubles(1, math.NaN(), -inf), some(dbl(math.NaN()))},
		"max of strings is by bytes": {plan.Slot{Func: plan.Max}, words("z", "é", ""), some(plan.StringValue("é"))},
		"latest":                     {plan.Slot{Func: plan.Latest}, ints(3, 1, 2), some(plan.IntValue(2))},
		"earliest":                   {plan.Slot{Func: plan.Earliest}, ints(3, 1, 2), some(plan.IntValue(3))},
		"latest_n is oldest first":   {plan.Slot{Func: plan.LatestN, N: 2}, ints(3, 1, 2), plan.ListValue(ints(1, 2))},
		"latest_n of fewer":          {plan.Slot{Func: plan.LatestN, N: 5}, ints(3), plan.ListValue(ints(3))},
		"earliest_n":                 {plan.Slot{Func: plan.EarliestN, N: 2}, ints(3, 1, 2), plan.ListValue(ints(3, 1))},
		"latest_time":                {plan.Slot{Func: plan.LatestTime}, ints(3, 1), some(plan.TimestampValue(1))},
		"earliest_time":              {plan.Slot{Func: plan.EarliestTime}, nil, none()},
		"top_k":                      {plan.Slot{Func: plan.TopK, N: 2}, words("b", "a", "c", "c"), plan.ListValue(words("c", "a"))},
		"top_k without rows":         {plan.Slot{Func: plan.TopK, N: 2}, nil, plan.ListValue(nil)},
		"distinct_count":             {plan.Slot{Func: plan.DistinctCount, N: 2}, words("a", "b", "a"), plan.IntValue(2)},
		"distinct_count at its cap":  {plan.Slot{Func: plan.DistinctCount, N: 3}, words("c", "a", "b", "a"), plan.IntValue(3)},
		"any without rows":           {plan.Slot{Func: plan.Any}, nil, plan.BoolValue(false)},
		"all without rows":           {plan.Slot{Func: plan.All}, nil, plan.BoolValue(true)},
		"all":                        {plan.Slot{Func: plan.All}, []plan.Value{plan.BoolValue(true), plan.BoolValue(false)}, plan.BoolValue(false)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := aggregate(&tc.slot, rowsOf(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAggregate_Errors(t *testing.T) {
	many := make([]row, maxGroups+1)
	for i := range many {
		many[i].group = plan.StringValue(strconv.Itoa(i))
	}
	for name, tc := range map[string]struct {
		slot plan.Slot
		rows []row
	}{
		"sum of ints overflows": {plan.Slot{Func: plan.Sum, Type: plan.T(plan.Int)}, rowsOf(ints(math.MinInt64, -1))},
		"distinct_count's cap":  {plan.Slot{Func: plan.DistinctCount, N: 1}, rowsOf(words("a", "b"))},
		"a greater cap":         {plan.Slot{Func: plan.DistinctCount, N: 3}, rowsOf(words("a", "b", "c", "d", "d"))},
		"too many groups":       {plan.Slot{Func: plan.Count, Group: &plan.Expr{}, Type: plan.MapOf(plan.T(plan.String), plan.T(plan.Int))}, many},
	} {
		if v, err := aggregate(&tc.slot, tc.rows); err == nil {
			t.Errorf("%s: got %v, want an error", name, v)
		}
	}
}

// Events are ordered by time, then by the bytes of the id, then by the argument, in whatever
// order the rows arrive.
func TestO3_TiesDoNotDependOnArrival(t *testing.T) {
	rows := []row{
		{t: 1, id: "z", arg: words("early")[0], by: dbl(2)},
		{t: 2, id: "", arg: words("x")[0], by: dbl(1)},
		{t: 2, id: "a", arg: words("p")[0], by: dbl(2)},
		{t: 2, id: "a", arg: words("q")[0], by: dbl(2)},
	}
	for _, tc := range []struct {
		f    plan.AggFunc
		want string
	}{{plan.Latest, "q"}, {plan.Earliest, "early"}, {plan.MaxBy, "q"}, {plan.MinBy, "x"}} {
		for range len(rows) {
			rows = append(rows[1:], rows[0])
			got, err := aggregate(&plan.Slot{Func: tc.f}, slices.Clone(rows))
			if err != nil || !got.Equal(some(plan.StringValue(tc.want))) {
				t.Errorf("%s: got %v, %v, want %q", tc.f, got, err, tc.want)
			}
		}
	}
	rows[0].by, rows[1].by, rows[2].by, rows[3].by = dbl(7), dbl(7), dbl(7), dbl(7)
	if got, _ := aggregate(&plan.Slot{Func: plan.MinBy}, rows); !got.Equal(some(plan.StringValue("early"))) {
		t.Errorf("min_by of a tie: got %v, want the earliest", got)
	}
}

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		f         plan.AggFunc
		want, got plan.Value
		ok        bool
	}{
		{plan.Sum, dbl(0), dbl(math.Copysign(0, -1)), false},
		{plan.ApproxDistinct, plan.IntValue(3), plan.IntValue(2), true},
		{plan.ApproxDistinct, plan.IntValue(3), plan.IntValue(5), false},
		{plan.ApproxQuantile, dbl(-100), dbl(-100.9), true},
		{plan.ApproxQuantile, dbl(-100), dbl(-101.5), false},
		{plan.ApproxQuantile, dbl(0), dbl(tiny), false},
		{plan.ApproxQuantile, dbl(inf), dbl(inf), true},
		{plan.ApproxQuantile, dbl(math.NaN()), dbl(1), false},
		{plan.ApproxQuantile, plan.NullValue(), dbl(1), false},
	} {
		if got := Within(tc.f, tc.want, tc.got); got != tc.ok {
			t.Errorf("%s: %v for %v: got %v", tc.f, tc.got, tc.want, got)
		}
	}
}

func TestAggregate_ByGroup(t *testing.T) {
	rows := rowsOf(doubles(1, 2, 4))
	for i, s := range []string{"b", "", "b"} {
		rows[i].group = plan.StringValue(s)
	}
	slot := plan.Slot{Func: plan.Mean, Group: &plan.Expr{}, Type: plan.MapOf(plan.T(plan.String), plan.T(plan.Double))}
	want := plan.MapValue(words("", "b"), doubles(2, 2.5))
	if got, err := aggregate(&slot, rows); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	slot.Func = plan.Sum
	if got, err := aggregate(&slot, rows); err != nil || !got.Equal(plan.MapValue(words("", "b"), doubles(2, 5))) {
		t.Errorf("sum: got %v, %v", got, err)
	}
	if got, err := aggregate(&slot, nil); err != nil || !got.Equal(plan.MapValue(nil, nil)) {
		t.Errorf("of no rows: got %v, %v", got, err)
	}
}
