package against

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/recompute"
)

// Report is what a comparison has found.
type Report struct {
	Service     string            `json:"service"`
	Fingerprint string            `json:"fingerprint"`
	Rows        int64             `json:"rows"`
	First       string            `json:"first,omitempty"` // times of the values
	Last        string            `json:"last,omitempty"`
	Compared    int64             `json:"compared"` // values
	Different   int64             `json:"different"`
	Explained   int64             `json:"explained"` // of the different ones: those for which causes were tried
	Causes      map[Cause]int64   `json:"causes"`    // of the explained ones
	Features    []Feature         `json:"features"`
	NotThere    []string          `json:"not_there"`    // features without a column
	NotCompared map[string]string `json:"not_compared"` // features by why they are not
	Examples    []Example         `json:"examples"`

	first, last plan.EventTime
	examples    map[exampleKey]int
}

// Feature is what was found of a feature.
type Feature struct {
	Name      string          `json:"name"`
	Column    string          `json:"column"` // of the foreign values
	Compared  int64           `json:"compared"`
	Different int64           `json:"different"`
	Causes    map[Cause]int64 `json:"causes,omitempty"`
	Age       string          `json:"median_age,omitempty"` // of those that are as of an earlier time
	Largest   float64         `json:"largest_distance"`     // between numbers
	ages      []plan.EventTime
}

// Example is a value that differs.
type Example struct {
	Feature string         `json:"feature"`
	Cause   Cause          `json:"cause"`
	Row     int64          `json:"row"` // of the foreign values, from 1
	Keys    string         `json:"keys"`
	At      string         `json:"at"`
	Theirs  recompute.Cell `json:"theirs"`
	Ours    recompute.Cell `json:"ours"`
	Is      string         `json:"is,omitempty"` // what the foreign value is, in words
}

type exampleKey struct {
	feature int
	cause   Cause
}

// examplesOfEach is how many examples of a feature and a cause a report has.
const examplesOfEach = 3

// Rate is the part of the values that are equal.
func (r *Report) Rate() float64 {
	if r.Compared == 0 {
		return 1
	}
	return float64(r.Compared-r.Different) / float64(r.Compared)
}

func (r *Report) begin(features []feature) {
	r.first, r.last, r.examples = plan.Never, plan.Always, map[exampleKey]int{}
	for _, f := range features {
		r.Features = append(r.Features, Feature{Name: f.Name, Column: f.column, Causes: map[Cause]int64{}})
	}
}

// see notes the time of a row.
func (r *Report) see(at plan.EventTime) { r.first, r.last = min(r.first, at), max(r.last, at) }

// compared counts a value and reports whether it is equal.
func (r *Report) compared(feature int, ours, theirs plan.Value) bool {
	f := &r.Features[feature]
	f.Compared++
	r.Compared++
	if equal(ours, theirs) {
		return true
	}
	f.Different++
	r.Different++
	x, isX := number(ours)
	y, isY := number(theirs)
	if d := math.Abs(x - y); isX && isY && d > f.Largest && !math.IsInf(d, 0) {
		f.Largest = d
	}
	return false
}

// explained counts a value of which the cause was tried.
func (r *Report) explained(d *difference, c *cell, features []feature) {
	f := &r.Features[c.feature]
	r.Explained++
	r.Causes[c.cause]++
	f.Causes[c.cause]++
	if c.cause == Lag {
		f.ages = append(f.ages, c.age)
	}
	key := exampleKey{c.feature, c.cause}
	if r.examples[key]++; r.examples[key] > examplesOfEach {
		return
	}
	var keys []string
	for _, k := range d.keys {
		keys = append(keys, k.String())
	}
	r.Examples = append(r.Examples, Example{
		Feature: f.Name, Cause: c.cause, Row: d.row + 1, Keys: strings.Join(keys, ", "), At: d.at.String(),
		Theirs: recompute.NewCell(c.theirs, ""), Ours: recompute.NewCell(c.ours, c.status), Is: c.as,
	})
}

// finish orders what was found.
func (r *Report) finish() {
	r.First, r.Last = r.first.String(), r.last.String()
	for i := range r.Features {
		f := &r.Features[i]
		if n := len(f.ages); n > 0 {
			slices.Sort(f.ages)
			f.Age = spanText(plan.Micros(f.ages[n/2]))
		}
	}
	slices.SortStableFunc(r.Examples, func(a, b Example) int {
		return cmp.Or(cmp.Compare(a.Feature, b.Feature), cmp.Compare(a.Cause, b.Cause))
	})
}
