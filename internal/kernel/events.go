package kernel

import "github.com/unskew/unskew/featuredefs/plan"
import "github.com/unskew/unskew/internal/vector"

// Events is a batch of canonical source rows: times floored to microseconds and
// valid, redeliveries removed. The kernel reads it and keeps nothing of it.
type Events struct {
	Batch *vector.Batch    // columns of the source
	Time  []plan.EventTime // event time t
	Known []plan.EventTime // known time k of the row; nil: k = t
	// ColumnKnown holds the known time of each row for the columns that have one of
	// their own; Never where it is not known yet.
	ColumnKnown map[string][]plan.EventTime
	ID          []string // event ids; nil when the source has none
}

// Visible is the visible time max(t, k) of row i.
func (e *Events) Visible(i int) plan.EventTime {
	if e.Known == nil {
		return e.Time[i]
	}
	return max(e.Time[i], e.Known[i])
}
