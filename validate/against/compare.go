package against

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
)

// difference is a row with values that differ.
type difference struct {
	row     int64
	keys    []plan.Value
	request []plan.Value
	at      plan.EventTime
	cells   []cell
}

// cell is a value that differs.
type cell struct {
	feature int // among those that are compared
	ours    plan.Value
	status  string
	theirs  plan.Value
	cause   Cause
	as      string // what it is equal to, in words
	age     plan.EventTime
	// explains has the hypotheses that give the foreign value; nil: none does.
	explains vector.Bitmap
}

// train computes the features of a spine in the folder and calls f with the rows of the training set: the columns of the
// spine that are named and, for each feature that is compared, its value and status.
func (r *run) train(ctx context.Context, service *plan.Service, spine, folder string, final bool, columns []plan.Field, f func(b *relation.Batch) error) error {
	out := r.path(folder)
	set := &plan.TrainingSet{Name: service.Name, Service: service, Spine: plan.Spine{From: r.path(spine), Time: timeColumn}}
	phase := "compute"
	if spine != foreign {
		phase = "explain"
	}
	_, err := offline.Train(ctx, offline.Config{
		Reader: r.Reader, Log: r.Log, Project: "against", Set: set, Out: out, WithStatus: true, Final: final, Memory: r.Memory, Threads: r.Threads, Engine: r.Engine,
		Version: r.Version, Command: []string{"unskew", "parity", "--against"},
		Progress: func(p offline.Progress) {
			if p.Phase == "write" {
				r.Progress(phase, p.Done)
			}
		},
	})
	if err != nil {
		return err
	}
	fields := slices.Clone(columns)
	for _, x := range r.features {
		fields = append(fields, plan.Field{Name: x.Name, Type: stored(x.Type)}, plan.Field{Name: x.Name + ".status", Type: plan.T(plan.String)})
	}
	return r.Reader.Scan(ctx, relation.Relation{Owner: "training set", From: out + "/data.parquet"}, fields, f)
}

// stored is the type as which training sets have values of t.
func stored(t plan.Type) plan.Type {
	t = t.Unwrap()
	if t.Kind == plan.Duration {
		return plan.T(plan.Int)
	}
	return t
}

// foreign is the spine with the foreign values.
const foreign = "theirs.parquet"

// compare computes the features as of the times of the foreign values and compares.
func (r *run) compare(ctx context.Context) error {
	columns := []plan.Field{{Name: rowColumn, Type: plan.T(plan.Int)}, {Name: timeColumn, Type: plan.T(plan.Timestamp)}}
	columns = append(append(columns, r.Service.Keys...), r.request...)
	for i, f := range r.features {
		columns = append(columns, plan.Field{Name: fmt.Sprint(theirs, i), Type: f.theirs})
	}
	r.report.begin(r.features)
	return r.train(ctx, r.Service, foreign, "set", false, columns, func(b *relation.Batch) error {
		for i := range b.N {
			r.row(b, i)
		}
		return ctx.Err()
	})
}

// row compares a row.
func (r *run) row(b *relation.Batch, i int) {
	d := &difference{row: b.Col(rowColumn).Int[i], at: plan.EventTime(b.Col(timeColumn).Int[i])}
	r.report.see(d.at)
	for n, f := range r.features {
		ours, status, foreign := b.Col(f.Name).Value(i), b.Col(f.Name + ".status").Str[i], b.Col(fmt.Sprint(theirs, n)).Value(i)
		if r.report.compared(n, ours, foreign) {
			continue
		}
		d.cells = append(d.cells, cell{feature: n, ours: owned(ours), status: kernelStatus(status), theirs: owned(foreign)})
	}
	if len(d.cells) == 0 {
		return
	}
	for _, k := range r.Service.Keys {
		d.keys = append(d.keys, owned(b.Col(k.Name).Value(i)))
	}
	for _, f := range r.request {
		d.request = append(d.request, owned(b.Col(f.Name).Value(i)))
	}
	r.keep(d)
}

// kernelStatus is the constant of a status, which shares no memory with a batch.
func kernelStatus(s string) string {
	for _, k := range []kernel.Status{kernel.Present, kernel.Empty, kernel.UnknownEntity, kernel.Defaulted, kernel.Failed, kernel.Lost} {
		if k.String() == s {
			return k.String()
		}
	}
	return ""
}

// keep keeps a row to be explained, or counts it: of more than Explain, those with the least hashes of their numbers are kept, so that
// they are spread over the file and the same in every run.
func (r *run) keep(d *difference) {
	r.differing = append(r.differing, d)
	if r.Explain > 0 && len(r.differing) >= 2*r.Explain {
		r.thin()
	}
}

func (r *run) thin() {
	if r.Explain == 0 || len(r.differing) <= r.Explain {
		return
	}
	slices.SortFunc(r.differing, func(a, b *difference) int {
		x, y := spread(a.row), spread(b.row)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	clear(r.differing[r.Explain:])
	r.differing = r.differing[:r.Explain]
}

// spread is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), which maps
// numbers one to one.
func spread(n int64) uint64 {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// equal reports whether two values are the same: numbers if they are exactly the same number, whatever their types.
func equal(ours, theirs plan.Value) bool {
	if ours.IsNull() || theirs.IsNull() {
		return ours.IsNull() && theirs.IsNull()
	}
	if ours.Kind() == theirs.Kind() && ours.Kind() != plan.Double {
		return ours.Equal(theirs)
	}
	x, exactX := number(ours)
	y, exactY := number(theirs)
	switch {
	case exactX && exactY && ours.Kind() != plan.Double && theirs.Kind() != plan.Double:
		return integer(ours) == integer(theirs)
	case exactX && exactY:
		return plan.DoubleBits(x+0) == plan.DoubleBits(y+0) // zeros are equal, and so are NaNs
	}
	return false
}

// number is a value as a double, and whether it is that number exactly.
func number(v plan.Value) (x float64, exact bool) {
	switch v.Kind() {
	case plan.Double:
		return v.Double(), true
	case plan.Int, plan.Bool, plan.Duration:
		n := integer(v)
		x = float64(n)
		return x, math.Abs(x) < 1<<63 && int64(x) == n
	}
	return 0, false
}

func integer(v plan.Value) int64 {
	switch v.Kind() {
	case plan.Bool:
		if v.Bool() {
			return 1
		}
		return 0
	case plan.Duration:
		return int64(v.Duration())
	}
	return v.Int()
}

// rounded says how ours was rounded if that gives theirs: a double to a float of 32 bits, or a time down to milliseconds or seconds,
// in which other systems keep times; else "".
func rounded(ours, theirs plan.Value) string {
	if ours.IsNull() || theirs.IsNull() || ours.Kind() != theirs.Kind() {
		return ""
	}
	switch ours.Kind() {
	case plan.Double:
		if float64(float32(ours.Double())) == theirs.Double() {
			return "rounded to a float of 32 bits"
		}
	case plan.Timestamp:
		x, y := ours.Time(), theirs.Time()
		if y == x-into(x, plan.Micros(plan.Second)/1000) {
			return "cut to milliseconds"
		}
		if y == x-into(x, plan.Micros(plan.Second)) {
			return "cut to seconds"
		}
	}
	return ""
}

// into is how far a time is into a period; periods begin at the multiples of their length.
func into(t plan.EventTime, period plan.Micros) plan.EventTime {
	n := t % plan.EventTime(period)
	if n < 0 {
		n += plan.EventTime(period)
	}
	return n
}

// nothing reports whether a value is what systems put where there is none.
func nothing(v plan.Value) bool {
	if v.IsNull() || v.Kind() == plan.String && v.Str() == "" {
		return true
	}
	x, ok := number(v)
	return ok && (x == 0 || x != x)
}

// spanText is a length of time for people.
func spanText(d plan.Micros) string {
	if d < 0 {
		d = -d
	}
	if d%plan.Micros(plan.Day) == 0 {
		return fmt.Sprintf("%dd", d/plan.Micros(plan.Day))
	}
	return (time.Duration(d) * time.Microsecond).String()
}
