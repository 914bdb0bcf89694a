package kernel

import "github.com/unskew/unskew/featuredefs/plan"
import "github.com/unskew/unskew/internal/vector"

// Events is a batch of canonical source rows: times floored to microseconds and
// valid, redeliveries removed. The kernel reads it and keeps nothing of it.
//
// A row is an event, or fills an event of another row, which may be of another batch. A row
// that fills has all columns of its event as far as they are known by then.
type Events struct {
	Batch *vector.Batch    // columns of the source
	Time  []plan.EventTime // event time t
	Known []plan.EventTime // known time k of the row; nil: k = t
	// ColumnKnown holds the known time of each row for its late columns; Never where one is
	// null: it is not known yet.
	ColumnKnown map[string][]plan.EventTime
	Filling     vector.Bitmap // rows that fill; nil: none does
	// KnownBefore holds, for late columns, the rows that fill and whose event had the column
	// before; one that is missing had it in none.
	KnownBefore map[string]vector.Bitmap
	ID          []string // event ids; nil when the source has none
}

// Fills reports whether row i fills an event of another row.
func (e *Events) Fills(i int) bool { return e.Filling.Get(i) }

// completes reports whether row i, which fills, knows one of the columns that its event did
// not have before.
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
