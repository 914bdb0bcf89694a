package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// timeRange is the first and the last of some times. The zero range is that of none.
type timeRange struct {
	first, last plan.EventTime
	any         bool
}

func (r *timeRange) add(times []plan.EventTime) {
	if len(times) == 0 {
		return
	}
	first, last := slices.Min(times), slices.Max(times)
	if !r.any {
		r.first, r.last, r.any = first, last, true
		return
	}
	r.first, r.last = min(r.first, first), max(r.last, last)
}

// text is the range for the manifest; "" twice for that of none.
func (r *timeRange) text() (first, last string) {
	if !r.any {
		return "", ""
	}
	return r.first.String(), r.last.String()
}

// countEvents counts the rows of a batch of results, the first of which is row `from` of
// the spine, that are kept and see an event of their entity.
func (r *role) countEvents(f *kernel.Features, from int, p *partition) {
	for i := range f.N {
		if f.Known.Get(i) && !p.drops(from+i) {
			r.withEvents++
		}
	}
}

// rowsAfterEvents is how many rows of the files come so late that every window of a view
// begins after the last event of its source.
func (t *trainer) rowsAfterEvents(r *role) int64 {
	var seen *timeRange
	for _, s := range t.sources {
		if slices.Contains(s.roles, r) {
			seen = &s.seen
		}
	}
	if !seen.any {
		return 0
	}
	n := int64(0)
	for i, at := range t.spine.at {
		if seen.last < earliestLower(r.ref.View, at) && !t.partition.drops(i) {
			n++
		}
	}
	return n
}

// earliestLower is where the widest window of a view begins as of t.
func earliestLower(v *plan.View, t plan.EventTime) plan.EventTime {
	lower := plan.Never
	for _, a := range v.Aggregates {
		lower = min(lower, a.Window.Lower(t))
	}
	if len(v.Aggregates) == 0 {
		return plan.Always
	}
	return lower
}
