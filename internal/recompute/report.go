package recompute

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Report is what a run has found.
type Report struct {
	Service     string `json:"service"`
	Fingerprint string `json:"fingerprint"`
	Rows        int64  `json:"rows"`
	OneIn       int    `json:"one_in"`          // of so many entities the rows were taken
	First       string `json:"first,omitempty"` // the first and the last read
	Last        string `json:"last,omitempty"`
	// Compute compares the values with those over exactly the events that had been applied, Data with those that training sees.
	Compute Tally `json:"compute"`
	Data    Tally `json:"data"`
	// NotComputed are values that Compute leaves out, by reason; NotInData is how many Data leaves out besides those of which no row can be compared.
	NotComputed map[Reason]int64 `json:"not_computed"`
	NotInData   int64            `json:"not_in_data"`
	Features    []Feature        `json:"features"`
	Days        []Period         `json:"days"`              // of all features
	Hours       []Period         `json:"hours,omitempty"`   // the same by hour, if the reads are in few hours
	Cohorts     []Cohort         `json:"cohorts,omitempty"` // by the value of Config.By, those with the least rate of data parity first
	Entities    []Entity         `json:"entities"`          // those with most values that differ from training's
	Examples    []Example        `json:"examples"`          // the newest of each feature and cause
}

// Tally counts values.
type Tally struct {
	Compared  int64           `json:"compared"`
	Different int64           `json:"different"`
	Causes    map[Cause]int64 `json:"causes,omitempty"` // of the different ones
}

// Rate is the part of the values that are equal, 1 if there are none.
func (t *Tally) Rate() float64 {
	if t.Compared == 0 {
		return 1
	}
	return float64(t.Compared-t.Different) / float64(t.Compared)
}

// Percent is Rate as text. It is 100% only if all are equal.
func (t *Tally) Percent() string {
	text := fmt.Sprintf("%.4f", 100*t.Rate())
	if t.Different > 0 && text == "100.0000" {
		text = "99.9999"
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + "%"
}

// Feature is what was found of one feature.
type Feature struct {
	Name     string           `json:"name"`
	Compute  Tally            `json:"compute"`
	Data     Tally            `json:"data"`
	Statuses map[string]int64 `json:"statuses,omitempty"` // of values that differ from training's: "SERVED → TRAINED"
	Distance *Distance        `json:"distance,omitempty"`
	Days     []Period         `json:"days"`
}

// Distance is how far numbers are from those that training sees, where they differ.
type Distance struct {
	Values      int64   `json:"values"`
	Mean        float64 `json:"mean"`
	Max         float64 `json:"max"`
	MaxRelative float64 `json:"max_relative"` // to the larger of the two

	sum float64
}

// Period is what was found of reads on one day or in one hour, in UTC.
type Period struct {
	From    string `json:"from"` // 2025-03-01, or 2025-03-01T12:00:00Z
	Compute Tally  `json:"compute"`
	Data    Tally  `json:"data"`
}

// Cohort is what was found of rows with one value of a key or a request field.
type Cohort struct {
	Value   string `json:"value"`
	Compute Tally  `json:"compute"`
	Data    Tally  `json:"data"`
}

// Entity is the keys of rows with differences.
type Entity struct {
	Keys      string `json:"keys"`
	Different int64  `json:"different"`
}

// Example is a value that differs.
type Example struct {
	Feature    string  `json:"feature"`
	Cause      Cause   `json:"cause"`
	Comparison string  `json:"comparison"` // "compute" or "data"
	ReadAt     string  `json:"read_at"`
	AsOf       string  `json:"as_of"`
	Keys       string  `json:"keys"`
	RequestID  string  `json:"request_id"`
	Row        int64   `json:"row"`
	Served     Cell    `json:"served"`
	Computed   *Cell   `json:"computed,omitempty"` // with the comparison data, over exactly the events that had been applied, if it can be had
	Want       Cell    `json:"want"`               // over the events of the comparison
	Events     []Event `json:"events,omitempty"`

	at plan.EventTime
}

// Cell is a value. Bits are those of a double, or the first bytes of the canonical form of another value, in hexadecimal.
type Cell struct {
	Value  string `json:"value"`
	Bits   string `json:"bits"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

const (
	shownEntities = 10
	shownExamples = 50
	shownHours    = 240
)

// makeReport adds up what was counted.
func (r *run) makeReport() *Report {
	t := newTally()
	for _, of := range r.tallies {
		t.merge(of)
	}
	s := r.cfg.Service
	out := &Report{Service: s.Name, Fingerprint: s.Fingerprint.String(), OneIn: r.cfg.OneIn, Rows: t.rows, NotComputed: t.left, NotInData: t.leftKnown, Features: []Feature{}, Days: []Period{}, Entities: []Entity{}, Examples: []Example{}}
	if t.rows > 0 {
		out.First, out.Last = t.first.String(), t.last.String()
	}
	for o, output := range s.Outputs() {
		f := t.feature(o)
		f.Name = output.Name
		out.Compute.Add(&f.Compute)
		out.Data.Add(&f.Data)
		out.Features = append(out.Features, f)
		out.Days = AddPeriods(out.Days, f.Days)
	}
	if len(t.hours) <= shownHours {
		for _, hour := range slices.Sorted(maps.Keys(t.hours)) {
			out.Hours = append(out.Hours, Period{plan.EventTime(hour * hourMicros).String(), t.hours[hour].compute, t.hours[hour].known})
		}
	}
	for value, c := range t.cohorts {
		out.Cohorts = append(out.Cohorts, Cohort{value, c.compute, c.known})
	}
	slices.SortFunc(out.Cohorts, func(a, b Cohort) int {
		return cmp.Or(cmp.Compare(a.Data.Rate(), b.Data.Rate()), cmp.Compare(b.Data.Different, a.Data.Different), cmp.Compare(a.Value, b.Value))
	})
	for _, key := range slices.SortedFunc(maps.Keys(t.entities), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.entities[b], t.entities[a]), cmp.Compare(a, b))
	}) {
		if len(out.Entities) < shownEntities {
			out.Entities = append(out.Entities, Entity{key, t.entities[key]})
		}
	}
	for _, list := range t.examples {
		out.Examples = append(out.Examples, list...)
	}
	out.Examples = newest(out.Examples, shownExamples)
	return out
}

// feature is what was found of an output.
func (t *tally) feature(o int) (f Feature) {
	f.Days = []Period{}
	for _, day := range slices.Sorted(maps.Keys(t.days)) {
		c := &t.days[day][o]
		if c.compute.Compared+c.known.Compared == 0 {
			continue
		}
		f.Compute.Add(&c.compute)
		f.Data.Add(&c.known)
		f.Days = append(f.Days, Period{time.Unix(day*int64(24*time.Hour/time.Second), 0).UTC().Format(time.DateOnly), c.compute, c.known})
	}
	if x := t.features[o]; x != nil {
		f.Statuses = x.statuses
		if x.distance.Values > 0 {
			f.Distance = &x.distance
		}
	}
	return f
}

// AddPeriods adds the counts of days or hours to others; both are in order.
func AddPeriods(to, days []Period) []Period {
	for i := range days {
		d := &days[i]
		at, found := slices.BinarySearchFunc(to, d.From, func(have Period, from string) int { return cmp.Compare(have.From, from) })
		if !found {
			to = slices.Insert(to, at, Period{From: d.From})
		}
		to[at].Compute.Add(&d.Compute)
		to[at].Data.Add(&d.Data)
	}
	return to
}

// Wrong is how many values are not those of the events that had been applied, for no reason outside the program.
func (r *Report) Wrong() int64 { return r.Compute.Causes[Compute] + r.Compute.Causes[Default] }
