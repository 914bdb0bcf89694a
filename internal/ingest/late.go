package ingest

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Arrivals says when the rows of a batch arrived. A row or late column is known at its arrival
// or at its own known time, whichever is later.
type Arrivals struct {
	Row    []plan.EventTime            // of each row
	Column map[string][]plan.EventTime // of each row's late column; columns may be missing
	// As in kernel.Events.
	Filling     vector.Bitmap
	KnownBefore map[string]vector.Bitmap
}

// columnRule computes when a late column is known in rows that have a value in it.
type columnRule struct {
	name string
	knownRule
	times []plan.EventTime // of the current batch; nil if it lacks the column
}

// lateRules compiles the rules for the known times of late columns. A column with the known
// times of another one is itself known from these times. An outcome without known_at is known
// with its row.
func lateRules(s *plan.Source) ([]columnRule, error) {
	var rules []columnRule
	for i := range s.Columns {
		c := &s.Columns[i]
		if !s.Late(c) {
			continue
		}
		known := plan.Known{}
		switch {
		case c.Known != nil:
			known = *c.Known
		case s.TellsKnown(c.Name):
			known = plan.Known{Kind: plan.KnownColumn, Column: c.Name}
		}
		rule, err := compileKnown(s, known)
		if err != nil {
			return nil, fmt.Errorf("column %s: known_at: %w", c.Name, err)
		}
		rules = append(rules, columnRule{name: c.Name, knownRule: rule})
	}
	return rules, nil
}

// hideUnknown returns b with nulls for values that are not known yet: infinity in a column of
// known times, and any value whose known time is null.
func (s *Source) hideUnknown(b *vector.Batch) *vector.Batch {
	whole := b
	hide := func(c int, unknown func(i int) bool) {
		var rows []int
		for i := range b.N {
			if b.Cols[c].Valid(i) && unknown(i) {
				rows = append(rows, i)
			}
		}
		if rows == nil {
			return
		}
		if b == whole {
			b = &vector.Batch{N: b.N, Fields: b.Fields, Cols: slices.Clone(b.Cols)}
		}
		b.Cols[c] = withNulls(b.Cols[c], rows)
	}
	for c := range b.Cols {
		if col := b.Cols[c]; col.Type.Kind == plan.Timestamp && s.plan.TellsKnown(b.Fields[c].Name) {
			hide(c, func(i int) bool { return plan.EventTime(col.Int[i]) == plan.Never })
		}
	}
	for c := range b.Cols {
		if declared := s.knownColumn(b, b.Fields[c].Name); declared != nil {
			hide(c, func(i int) bool { return !declared.Valid(i) })
		}
	}
	return b
}

// knownColumn returns the column of b with the known times of the named column, nil if there is
// none.
func (s *Source) knownColumn(b *vector.Batch, name string) *vector.Vector {
	for i := range s.columns {
		if c := &s.columns[i]; c.name == name && c.column != "" {
			return b.Col(c.column)
		}
	}
	return nil
}

// withNulls returns a copy of v in which the given rows are null too. It shares the values of v.
func withNulls(v *vector.Vector, rows []int) *vector.Vector {
	out := *v
	out.Null = vector.NewBitmap(v.N)
	copy(out.Null, v.Null)
	for _, i := range rows {
		out.Null.Set(i)
	}
	return &out
}

// readColumnKnown computes the known times of a late column if the batch has it. A null is never
// known.
func (s *Source) readColumnKnown(c *columnRule, b *vector.Batch, from *Arrivals) {
	col := b.Col(c.name)
	if col == nil {
		c.times = nil
		return
	}
	var declared *vector.Vector
	if c.column != "" {
		declared = b.Col(c.column)
	}
	var arrived []plan.EventTime
	if from != nil {
		arrived = from.Column[c.name]
	}
	c.times = slices.Grow(c.times[:0], b.N)[:b.N]
	for i := range b.N {
		t := s.time[i]
		if !col.Valid(i) || !t.Valid() { // rows without a valid event time were rejected before
			c.times[i] = plan.Never
			continue
		}
		k := c.at(t, declared, i)
		if !k.Valid() {
			s.reject(i, c.reportedColumn(c.name), WrongKnown)
		}
		if arrived != nil {
			k = max(k, arrived[i])
		}
		c.times[i] = k
	}
}
