package parity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/recompute"
)

// Detail counts what a replay finds by feature and time, like the report on a served log: everything is in the comparison compute, and every
// difference has its cause, since both sides had the same history.
type Detail struct {
	service     *plan.Service
	rows        int64
	first, last plan.EventTime
	hours       map[plan.EventTime]*recompute.Tally
	days        map[plan.EventTime][]recompute.Tally // by output
	examples    [][]recompute.Example                // by output, the newest first
}

// Limits of the report.
const (
	detailHours    = 240
	detailExamples = 50
	examplesOfEach = 3
)

// NewDetail counts nothing yet.
func NewDetail(s *plan.Service) *Detail {
	return &Detail{service: s, first: plan.Never, last: plan.Always, hours: map[plan.EventTime]*recompute.Tally{}, days: map[plan.EventTime][]recompute.Tally{}, examples: make([][]recompute.Example, len(s.Outputs()))}
}

// Observe counts a row. It can be Config.Observe.
func (d *Detail) Observe(row Row, got []Cell) {
	d.rows++
	d.first, d.last = min(d.first, row.At), max(d.last, row.At)
	hour, day := row.At-row.At%plan.EventTime(plan.Hour), row.At-row.At%plan.EventTime(plan.Day)
	if d.hours[hour] == nil {
		d.hours[hour] = &recompute.Tally{}
	}
	if d.days[day] == nil {
		d.days[day] = make([]recompute.Tally, len(d.examples))
	}
	for o := range got {
		one := recompute.Tally{Compared: 1}
		if !got[o].Equal(row.Want[o]) {
			one.Different, one.Causes = 1, map[recompute.Cause]int64{recompute.Compute: 1}
			d.example(row, o, got[o])
		}
		d.hours[hour].Add(&one)
		d.days[day][o].Add(&one)
	}
}

func (d *Detail) example(row Row, o int, got Cell) {
	want := row.Want[o]
	keys := make([]string, len(row.Keys))
	for i, k := range row.Keys {
		keys[i] = fmt.Sprintf("%s=%v", d.service.Keys[i].Name, k)
	}
	list := append(d.examples[o], recompute.Example{
		Feature: d.service.Outputs()[o].Name, Cause: recompute.Compute, Comparison: "compute", ReadAt: row.At.String(), AsOf: row.At.String(), Keys: strings.Join(keys, " "), Row: int64(row.Number),
		Served: recompute.NewCell(got.Value, got.Status.String()), Want: recompute.NewCell(want.Value, want.Status.String()),
	})
	slices.SortStableFunc(list, newerExample)
	d.examples[o] = list[:min(len(list), examplesOfEach)]
}

func newerExample(a, b recompute.Example) int { return cmp.Compare(b.ReadAt, a.ReadAt) }

// Report is what was counted.
func (d *Detail) Report() *recompute.Report {
	r := &recompute.Report{Service: d.service.Name, Fingerprint: d.service.Fingerprint.String(), Rows: d.rows, OneIn: 1, NotComputed: map[recompute.Reason]int64{},
		Features: []recompute.Feature{}, Days: []recompute.Period{}, Entities: []recompute.Entity{}, Examples: []recompute.Example{}}
	if d.rows > 0 {
		r.First, r.Last = d.first.String(), d.last.String()
	}
	for o, output := range d.service.Outputs() {
		f := recompute.Feature{Name: output.Name, Days: []recompute.Period{}}
		for _, day := range slices.Sorted(maps.Keys(d.days)) {
			f.Compute.Add(&d.days[day][o])
			f.Days = append(f.Days, recompute.Period{From: day.String()[:len("2025-03-01")], Compute: d.days[day][o]})
		}
		r.Compute.Add(&f.Compute)
		r.Features = append(r.Features, f)
		r.Days = recompute.AddPeriods(r.Days, f.Days)
		r.Examples = append(r.Examples, d.examples[o]...)
	}
	if len(d.hours) <= detailHours {
		for _, hour := range slices.Sorted(maps.Keys(d.hours)) {
			r.Hours = append(r.Hours, recompute.Period{From: hour.String(), Compute: *d.hours[hour]})
		}
	}
	slices.SortStableFunc(r.Examples, newerExample)
	r.Examples = r.Examples[:min(len(r.Examples), detailExamples)]
	return r
}
