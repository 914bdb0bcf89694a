package kernel

import "github.com/unskew/unskew/featuredefs/plan"

// SlotRow says what a slot makes of one row of Rows.
type SlotRow struct {
	Taken   bool           // the row, or the filling that it is, is an event for the slot
	Visible plan.EventTime // to the slot; Never if a late column is not known yet
	Passes  bool           // the filter is true and the arguments have values
	Arg     plan.Value     // of a row that passes; null for a slot without argument
}

// Slot says what slot i makes of a row, as far as it can be said without an as-of time.
func (r *Rows) Slot(i, row int) SlotRow {
	s := &r.slots[i]
	out := SlotRow{Taken: s.takes.Get(row), Visible: s.visible[row], Passes: s.pass.Get(row), Arg: plan.NullValue()}
	if out.Passes && s.input.Arg != nil {
		out.Arg = s.input.Arg.Value(row)
	}
	return out
}
