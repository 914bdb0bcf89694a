package kernel

import "github.com/unskew/unskew/featuredefs/plan"
import "github.com/unskew/unskew/internal/vector"

// Events is a batch of canonical source rows: times floored to microseconds and
// valid, redeliveries removed. The kernel only reads it and keeps no reference to it.
//
// A row is an event, or a filling of an event in another row, possibly of another batch. A
// filling has all columns of its event that are known by then.
type Events struct {
	Batch *vector.Batch    // columns of the source
	Time  []plan.EventTime // event time t
	Known []plan.EventTime // known time k of the row; nil: k = t
	// ColumnKnown holds, for each late column, its known time in each row; Never if the column
	// is null, which means that it is not known yet.
	ColumnKnown map[string][]plan.EventTime
	Filling     vector.Bitmap // rows that are fillings; nil: none
	// KnownBefore holds, for each late column, the fillings whose event already had the
	// column; a missing entry means none.
	KnownBefore map[string]vector.Bitmap
	ID          []string // event ids; nil when the source has none
}

// Fills reports whether row i is a filling.
func (e *Events) Fills(i int) bool { return e.Filling.Get(i) }

// completes reports whether row i, a filling, has one of the columns that its event did not
// have before.
func (e *Events) completes(i int, columns []string) bool {
	for _, c := range columns {
		if !e.KnownBefore[c].Get(i) {
			return true
		}
	}
	return false
}

// Visible is the visible time max(t, k) of row i.
func (e *Events) Visible(i int) plan.EventTime {
	if e.Known == nil {
		return e.Time[i]
	}
	return max(e.Time[i], e.Known[i])
}
