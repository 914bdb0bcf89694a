package arrival

import (
	"fmt"
	"math"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/cron"
	"github.com/unskew/unskew/internal/kernel"
)

// delays counts how long arrivals took, to within a hundredth.
type delays struct {
	known   *plan.Known // declared; nil: nothing is
	runs    *cron.Schedule
	n       int64
	later   int64
	longest int64           // microseconds
	buckets map[int32]int64 // by the logarithm
	days    map[int64]bool
	minutes [24 * 60]int64 // arrivals by minute of the day
}

func newDelays(known *plan.Known) (*delays, error) {
	d := &delays{known: known, buckets: map[int32]int64{}, days: map[int64]bool{}}
	if known != nil && known.Kind == plan.KnownSchedule {
		var err error
		if d.runs, err = cron.Parse(known.Schedule); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// step is the logarithm of the width of a bucket.
var step = math.Log(1.01)

// mostDays bounds the days that are remembered.
const mostDays = 1000

// add counts something of event i that arrived.
func (d *delays) add(arrived plan.EventTime, ev *kernel.Events, i int) {
	d.n++
	took := max(0, int64(arrived-ev.Time[i]))
	d.longest = max(d.longest, took)
	d.buckets[int32(math.Log(float64(took+1))/step)]++
	if d.known != nil && arrived > d.declared(ev, i) {
		d.later++
	}
	minute := int64(arrived) / int64(plan.Minute)
	if day := minute / (24 * 60); minute >= 0 {
		d.minutes[minute%(24*60)]++
		if len(d.days) < mostDays {
			d.days[day] = true
		}
	}
}

// declared is when known_at says that it is known.
func (d *delays) declared(ev *kernel.Events, i int) plan.EventTime {
	t := ev.Time[i]
	switch d.known.Kind {
	case plan.KnownColumn:
		if c := ev.Batch.Col(d.known.Column); c != nil && c.Valid(i) {
			return max(t, plan.EventTime(c.Int[i]))
		}
	case plan.KnownDelay:
		return t + plan.EventTime(d.known.Delay)
	case plan.KnownSchedule:
		if run := d.runs.AtOrAfter(t); run != plan.Never {
			return run + plan.EventTime(d.known.Delay)
		}
		return plan.Never
	}
	return t
}

// quantile is the delay that a part of the arrivals keep, rounded up to the end of a bucket.
func (d *delays) quantile(q float64) plan.Micros {
	least, most := int32(math.MaxInt32), int32(0)
	for b := range d.buckets {
		least, most = min(least, b), max(most, b)
	}
	left := int64(math.Ceil(q * float64(d.n)))
	for b := least; b <= most; b++ {
		if left -= d.buckets[b]; left <= 0 {
			return plan.Micros(min(d.longest, int64(math.Exp(float64(b+1)*step))))
		}
	}
	return plan.Micros(d.longest)
}

func (d *delays) report(column string) Delays {
	r := Delays{Column: column, Count: d.n, Later: d.later, Declared: "not declared"}
	if d.known != nil {
		r.Declared = d.known.String()
	}
	if d.n == 0 {
		return r
	}
	r.P50, r.P90, r.P99, r.Longest = text(d.quantile(0.5)), text(d.quantile(0.9)), text(d.quantile(0.99)), text(plan.Micros(d.longest))
	r.Suggested = d.suggest()
	return r
}

// suggest is the known_at that 99 % of the arrivals keep; "" if the declared one does, and is not much longer.
func (d *delays) suggest() string {
	if d.n < fewest {
		return ""
	}
	p99 := rounded(d.quantile(0.99))
	switch good := d.known != nil && d.later*100 <= d.n; {
	case good && d.known.Kind == plan.KnownDelay && d.known.Delay > 2*p99:
	case good:
		return ""
	}
	if schedule := d.schedule(); schedule != "" {
		return schedule
	}
	return fmt.Sprintf("{delay: %s}", text(p99))
}

// fewest is how many arrivals tell something.
const fewest = 100

// schedule is a known_at of a job that runs once a day or an hour, if arrivals look like it: 99 % of them within half an hour of the day, on
// three days at least, or within five minutes of the hour; and long after the events.
func (d *delays) schedule() string {
	if len(d.days) < 3 {
		return ""
	}
	half := d.quantile(0.5)
	if at, lasts, ok := d.window(24*60, 30); ok && half > 2*plan.Micros(plan.Hour) {
		return fmt.Sprintf("{schedule: \"%d %d * * *\", delay: %s}", at%60, at/60, text(rounded(plan.Micros(lasts)*plan.Micros(plan.Minute))))
	}
	if at, lasts, ok := d.window(60, 5); ok && half > 10*plan.Micros(plan.Minute) {
		return fmt.Sprintf("{schedule: \"%d * * * *\", delay: %s}", at, text(rounded(plan.Micros(lasts)*plan.Micros(plan.Minute))))
	}
	return ""
}

// window finds the shortest run of minutes, in a period of so many, in which 99 % of the arrivals are, if it is not longer than most.
func (d *delays) window(period, most int) (first, lasts int, ok bool) {
	counts := make([]int64, period)
	for m, n := range d.minutes {
		counts[m%period] += n
	}
	for lasts = 1; lasts <= most; lasts++ {
		for first = range period {
			in := int64(0)
			for m := range lasts {
				in += counts[(first+m)%period]
			}
			if in*100 >= 99*d.n {
				return first, lasts, true
			}
		}
	}
	return 0, 0, false
}

// nice are the delays that people write.
var nice = []plan.Micros{plan.Micros(plan.Second), 2 * plan.Micros(plan.Second), 5 * plan.Micros(plan.Second), 10 * plan.Micros(plan.Second), 15 * plan.Micros(plan.Second), 30 * plan.Micros(plan.Second),
	plan.Micros(plan.Minute), 2 * plan.Micros(plan.Minute), 5 * plan.Micros(plan.Minute), 10 * plan.Micros(plan.Minute), 15 * plan.Micros(plan.Minute), 30 * plan.Micros(plan.Minute),
	plan.Micros(plan.Hour), 2 * plan.Micros(plan.Hour), 3 * plan.Micros(plan.Hour), 6 * plan.Micros(plan.Hour), 12 * plan.Micros(plan.Hour), plan.Micros(plan.Day), 2 * plan.Micros(plan.Day), 3 * plan.Micros(plan.Day),
	5 * plan.Micros(plan.Day), 7 * plan.Micros(plan.Day), 10 * plan.Micros(plan.Day), 14 * plan.Micros(plan.Day), 21 * plan.Micros(plan.Day), 30 * plan.Micros(plan.Day), 45 * plan.Micros(plan.Day), 60 * plan.Micros(plan.Day), 90 * plan.Micros(plan.Day)}

// rounded is a delay rounded up to one that people write.
func rounded(d plan.Micros) plan.Micros {
	for _, n := range nice {
		if d <= n {
			return n
		}
	}
	day := plan.Micros(plan.Day)
	return (d + 30*day - 1) / (30 * day) * 30 * day
}

// text is a delay as definitions have it where it is whole, else for people.
func text(d plan.Micros) string {
	for _, u := range []struct {
		unit plan.Micros
		name string
	}{{plan.Micros(plan.Day), "d"}, {plan.Micros(plan.Hour), "h"}, {plan.Micros(plan.Minute), "m"}, {plan.Micros(plan.Second), "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	exact := time.Duration(d) * time.Microsecond
	switch {
	case exact > time.Hour:
		return exact.Round(time.Minute).String()
	case exact > time.Minute:
		return exact.Round(time.Second).String()
	case exact > time.Second:
		return exact.Round(10 * time.Millisecond).String()
	}
	return exact.String()
}
