package expr

import (
	"math"
	"time"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

var temporalRules = map[string]rule{
	overloads.AddTimestampDuration:       {[]plan.Kind{plan.Timestamp, plan.Duration}, shiftRule(1, 0)},
	overloads.AddDurationTimestamp:       {[]plan.Kind{plan.Duration, plan.Timestamp}, shiftRule(1, 1)},
	overloads.SubtractTimestampDuration:  {[]plan.Kind{plan.Timestamp, plan.Duration}, shiftRule(-1, 0)},
	overloads.SubtractTimestampTimestamp: {[]plan.Kind{plan.Timestamp, plan.Timestamp}, elapsed},
	overloads.DurationToHours:            {[]plan.Kind{plan.Duration}, durationField(func(d time.Duration) int64 { return int64(d.Hours()) })},
	overloads.DurationToMinutes:          {[]plan.Kind{plan.Duration}, durationField(func(d time.Duration) int64 { return int64(d.Minutes()) })},
	overloads.DurationToSeconds:          {[]plan.Kind{plan.Duration}, durationField(func(d time.Duration) int64 { return int64(d.Seconds()) })},
}

// shiftRule adds sign times a duration to the timestamp at operand ts. The result is exact
// if the duration is a constant of whole microseconds, else floored.
func shiftRule(sign int64, ts int) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		t, d := args[ts], args[1-ts]
		if t.floored {
			return nil
		}
		k := d.lit
		whole := k != nil && (k.err || k.null || k.val.Duration()%time.Microsecond == 0)
		x := &shiftNode{two(e.Type, t, d), sign}
		out := then(x, x.out, t, d)
		out.floored, out.zoned = !whole, t.zoned
		return out
	}
}

// shiftNode moves timestamps by durations. Times outside the years 0001 to 9999
// are errors.
type shiftNode struct {
	binary
	sign int64
}

func (x *shiftNode) eval(n int, need vector.Bitmap) {
	t, d, o := x.l, x.r, x.out
	o.reset(n)
	o.strictBoth(t, d)
	for i := range o.Int {
		ns := d.Int[i]
		if x.sign < 0 {
			if ns == math.MinInt64 {
				o.errs().Set(i)
				continue
			}
			ns = -ns
		}
		// |ns|/1000 is below 2^54 and times below 2^58 µs, so nothing overflows.
		sum := t.Int[i] + plan.FloorDiv(ns, 1000)
		if !plan.EventTime(sum).Valid() {
			o.errs().Set(i)
		}
		o.Int[i] = sum
	}
}

// elapsed is the duration between two timestamps. Like cel-go, it scales whole seconds to
// nanoseconds before it adds the fractions; either step may overflow, which is an error.
func elapsed(_ *compiler, e *plan.Expr, args []*term) *term {
	if args[0].floored || args[1].floored {
		return nil
	}
	x := &intNode{two(e.Type, args[0], args[1]), subTime}
	return then(x, x.out, args[0], args[1])
}

// maxSeconds is the largest number of seconds whose nanoseconds fit an int64.
const maxSeconds = math.MaxInt64 / int64(time.Second)

func subTime(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		as, bs := plan.FloorDiv(a[i], microsPerSecond), plan.FloorDiv(b[i], microsPerSecond)
		sec := as - bs
		nanos := ((a[i] - as*microsPerSecond) - (b[i] - bs*microsPerSecond)) * 1000
		if sec > maxSeconds || sec < -maxSeconds {
			bad |= 1 << i
			continue
		}
		sec *= int64(time.Second)
		sum := sec + nanos
		bad |= uint64((sec^sum)&(nanos^sum)) >> 63 << i
		dst[i] = sum
	}
	return bad
}

func durationField(f func(time.Duration) int64) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		return mapTerm(e.Type, args[0], func(o, a *col) {
			for i := range o.Int {
				o.Int[i] = f(time.Duration(a.Int[i]))
			}
		})
	}
}
