package recompute

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// tally is what one goroutine has counted.
type tally struct {
	rows        int64
	first, last plan.EventTime
	left        map[Reason]int64
	leftKnown   int64
	days        map[int64][]counts // by output
	day         int64              // of current
	current     []counts
	hours       map[int64]*counts  // of all outputs
	cohorts     map[string]*counts // the same, by the value of Config.By
	hour        int64              // of currentHour
	currentHour *counts
	features    map[int]*differing
	entities    map[string]int64
	examples    map[exampleKey][]Example
}

// counts are the counts of an output on a day: of the values over what had been applied, and of those that training sees.
type counts struct{ compute, known Tally }

// differing is how the values of an output differ from those of training.
type differing struct {
	statuses map[string]int64
	distance Distance
}

type exampleKey struct {
	output int
	cause  Cause
	of     string
}

// Limits of what a report has.
const (
	countedEntities = 1 << 16
	countedCohorts  = 1 << 10 // values of Config.By that are counted; further ones count together
	examplesOfEach  = 3
	shownBits       = 32 // bytes of a value that is no number
)

func newTally() *tally {
	return &tally{first: plan.Never, last: plan.Always, left: map[Reason]int64{}, days: map[int64][]counts{}, hours: map[int64]*counts{}, cohorts: map[string]*counts{}, features: map[int]*differing{},
		entities: map[string]int64{}, examples: map[exampleKey][]Example{}}
}

// row counts a row that was read at a time.
func (t *tally) row(at plan.EventTime) {
	t.rows++
	t.first, t.last = min(t.first, at), max(t.last, at)
}

func (t *tally) leftOut(why Reason) { t.left[why]++ }

func (t *tally) leftOutOfKnown(*rowCompare, int) { t.leftKnown++ }

const (
	hourMicros = int64(plan.Hour)
	dayMicros  = 24 * hourMicros
)

// of are the counts of an output on the day of a row.
func (t *tally) of(x *rowCompare, o int) *counts {
	day := int64(x.read) / dayMicros
	if t.current == nil || day != t.day {
		if t.days[day] == nil {
			t.days[day] = make([]counts, len(x.compute.cols))
		}
		t.day, t.current = day, t.days[day]
	}
	return &t.current[o]
}

// inHour are the counts of all outputs in the hour of a row.
func (t *tally) inHour(x *rowCompare) *counts {
	hour := int64(x.read) / hourMicros
	if t.currentHour == nil || hour != t.hour {
		if t.hours[hour] == nil {
			t.hours[hour] = &counts{}
		}
		t.hour, t.currentHour = hour, t.hours[hour]
	}
	return t.currentHour
}

// otherCohorts are the values of Config.By of which there are too many to be counted by themselves.
const otherCohorts = "others"

// inCohort are the counts of all outputs in rows with a value of Config.By.
func (t *tally) inCohort(value string) *counts {
	if len(value) > shownBits {
		value = value[:shownBits] + "…"
	}
	if t.cohorts[value] == nil {
		if len(t.cohorts) >= countedCohorts {
			value = otherCohorts
		}
		if t.cohorts[value] == nil {
			t.cohorts[value] = &counts{}
		}
	}
	return t.cohorts[value]
}

// compute counts a value that was compared with the one over what had been applied, or was not.
func (t *tally) compute(x *rowCompare, o int, why Reason, cause Cause, served *servedlog.OutputColumns, computed *kernel.FeatureColumn) {
	if why != compared {
		t.leftOut(why)
		return
	}
	t.of(x, o).compute.count(cause)
	t.inHour(x).compute.count(cause)
	if x.cohort != nil {
		x.cohort.compute.count(cause)
	}
	if cause != "" {
		t.example(x, o, cause, "compute", served, nil, computed, nil)
	}
}

// known counts a value that was compared with the one that training sees. The one over what had been applied is nil if it cannot be had.
func (t *tally) known(x *rowCompare, o int, cause Cause, served *servedlog.OutputColumns, computed, known *kernel.FeatureColumn, events []Event) {
	t.of(x, o).known.count(cause)
	t.inHour(x).known.count(cause)
	if x.cohort != nil {
		x.cohort.known.count(cause)
	}
	if cause == "" {
		return
	}
	f := t.features[o]
	if f == nil {
		f = &differing{statuses: map[string]int64{}}
		t.features[o] = f
	}
	f.statuses[served.Status.Str[x.place]+" → "+known.Status[x.i].String()]++
	f.distance.add(served.Value, x.place, known.Vec, x.i)
	if key := x.keys(); len(t.entities) < countedEntities || t.entities[key] > 0 {
		t.entities[key]++
	}
	t.example(x, o, cause, "data", served, computed, known, events)
}

func (c *Tally) count(cause Cause) {
	c.Compared++
	if cause == "" {
		return
	}
	c.Different++
	if c.Causes == nil {
		c.Causes = map[Cause]int64{}
	}
	c.Causes[cause]++
}

// add adds the difference of two numbers.
func (d *Distance) add(a *vector.Vector, i int, b *vector.Vector, j int) {
	x, ok := number(a, i)
	y, also := number(b, j)
	if !ok || !also || x == y || math.IsNaN(x-y) || math.IsInf(x-y, 0) {
		return
	}
	by := math.Abs(x - y)
	d.Values++
	d.sum = finite(d.sum + by)
	d.Mean, d.Max = d.sum/float64(d.Values), max(d.Max, by)
	if m := math.Max(math.Abs(x), math.Abs(y)); m > 0 {
		d.MaxRelative = max(d.MaxRelative, by/m)
	}
}

func number(v *vector.Vector, i int) (float64, bool) {
	switch {
	case !v.Valid(i):
	case v.Type.Unwrap().Kind == plan.Double:
		return v.Double[i], true
	case v.Type.Unwrap().Kind == plan.Int:
		return float64(v.Int[i]), true
	}
	return 0, false
}

// keys are the keys of a row for people.
func (x *rowCompare) keys() string {
	var parts []string
	for c, f := range x.u.keys.Fields {
		parts = append(parts, fmt.Sprintf("%s=%v", f.Name, x.u.keys.Cols[c].Value(x.j)))
	}
	return strings.Join(parts, " ")
}

// example keeps an example if it is among the newest of its kind.
func (t *tally) example(x *rowCompare, o int, cause Cause, of string, served *servedlog.OutputColumns, computed, want *kernel.FeatureColumn, events []Event) {
	key := exampleKey{o, cause, of}
	list := t.examples[key]
	if len(list) == examplesOfEach && x.read < list[examplesOfEach-1].at {
		return
	}
	e := Example{
		Feature: x.cfg.Service.Outputs()[o].Name, Cause: cause, Comparison: of, at: x.read, ReadAt: x.read.String(), AsOf: x.t.String(), Keys: x.keys(),
		Served: NewCell(served.Value.Value(x.place), served.Status.Str[x.place]), Want: CellOf(want, x.i),
		Events: events, RequestID: x.b.RequestID.Str[x.place], Row: x.b.Row.Int[x.place],
	}
	if served.Reason.Valid(x.place) {
		e.Served.Reason = served.Reason.Str[x.place]
	}
	if computed != nil {
		c := CellOf(computed, x.i)
		e.Computed = &c
	}
	t.examples[key] = newest(append(list, e), examplesOfEach)
}

// newest are the newest n examples.
func newest(list []Example, n int) []Example {
	slices.SortStableFunc(list, func(a, b Example) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Keys, b.Keys), cmp.Compare(a.RequestID, b.RequestID), cmp.Compare(a.Row, b.Row),
			cmp.Compare(a.Comparison, b.Comparison), cmp.Compare(a.Cause, b.Cause))
	})
	return list[:min(n, len(list))]
}

// bitsOf is a value so that different bits are different texts.
func bitsOf(v plan.Value) string {
	if v.IsNull() {
		return ""
	}
	if v.Kind() == plan.Double {
		return fmt.Sprintf("%016x", plan.DoubleBits(v.Double()))
	}
	b := plan.AppendCanonical(nil, v)
	if len(b) > shownBits {
		return hex.EncodeToString(b[:shownBits]) + "…"
	}
	return hex.EncodeToString(b)
}

// merge adds what another goroutine has counted.
func (t *tally) merge(o *tally) {
	t.rows += o.rows
	t.leftKnown += o.leftKnown
	t.first, t.last = min(t.first, o.first), max(t.last, o.last)
	for why, n := range o.left {
		t.left[why] += n
	}
	for day, list := range o.days {
		if t.days[day] == nil {
			t.days[day] = make([]counts, len(list))
		}
		for i := range list {
			t.days[day][i].compute.Add(&list[i].compute)
			t.days[day][i].known.Add(&list[i].known)
		}
	}
	for hour, c := range o.hours {
		if t.hours[hour] == nil {
			t.hours[hour] = &counts{}
		}
		t.hours[hour].compute.Add(&c.compute)
		t.hours[hour].known.Add(&c.known)
	}
	for value, c := range o.cohorts {
		to := t.inCohort(value)
		to.compute.Add(&c.compute)
		to.known.Add(&c.known)
	}
	for i, f := range o.features {
		if t.features[i] == nil {
			t.features[i] = &differing{statuses: map[string]int64{}}
		}
		for s, n := range f.statuses {
			t.features[i].statuses[s] += n
		}
		t.features[i].distance.merge(&f.distance)
	}
	for key, n := range o.entities {
		t.entities[key] += n
	}
	for _, key := range slices.Collect(maps.Keys(o.examples)) {
		t.examples[key] = newest(append(t.examples[key], o.examples[key]...), examplesOfEach)
	}
}

// Add adds the counts of another tally.
func (c *Tally) Add(o *Tally) {
	c.Compared, c.Different = c.Compared+o.Compared, c.Different+o.Different
	for cause, n := range o.Causes {
		if c.Causes == nil {
			c.Causes = map[Cause]int64{}
		}
		c.Causes[cause] += n
	}
}

func (d *Distance) merge(o *Distance) {
	d.Values, d.sum = d.Values+o.Values, finite(d.sum+o.sum)
	d.Max, d.MaxRelative = max(d.Max, o.Max), max(d.MaxRelative, o.MaxRelative)
	if d.Values > 0 {
		d.Mean = d.sum / float64(d.Values)
	}
}
