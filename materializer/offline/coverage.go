package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// timeRange is the first and the last of some times. The zero range is empty.
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

// merge adds the times of another range.
func (r *timeRange) merge(o timeRange) {
	if o.any {
		r.add([]plan.EventTime{o.first, o.last})
	}
}

// text formats the range for the manifest; two empty strings for an empty range.
func (r *timeRange) text() (first, last string) {
	if !r.any {
		return "", ""
	}
	return r.first.String(), r.last.String()
}

// rowsAfterEvents counts the rows so late that every window of the view begins after the
// last event of its source.
func (t *trainer) rowsAfterEvents(r *role) int64 {
	seen := &r.of.source.seen
	if !seen.any {
		return 0
	}
	n := int64(0)
	for i, at := range t.spine.at {
		// No window begins after the row's own time, so most rows need no look at the windows.
		if seen.last < at && seen.last < earliestLower(r.ref.View, at) && !t.partition.drops(i) {
			n++
		}
	}
	return n
}

// earliestLower is the start of the widest window of a view as of t.
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
