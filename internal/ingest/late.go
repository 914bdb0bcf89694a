package ingest

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Arrivals says when the rows of a batch arrived, where their columns do not.
type Arrivals struct {
	Row    []plan.EventTime            // no row is known before its own
	Column map[string][]plan.EventTime // nor a late column before its own, where it has one
	// As in kernel.Events.
	Filling     vector.Bitmap
	KnownBefore map[string]vector.Bitmap
}

// columnRule says when a late column is known that has a value.
type columnRule struct {
	name string
	knownRule
	times []plan.EventTime // of the batch at hand; nil: it does not have the column
}

// lateRules compiles the known times of late columns. One that says when another is known
// is known from the time it says, an outcome without a known time with its row.
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

// hideUnknown returns b with null for what is not known yet: the infinity of a column that
// says when another is known, then the columns that have no known time.
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

// knownColumn is the column of b that says when another one is known, nil if none does.
func (s *Source) knownColumn(b *vector.Batch, name string) *vector.Vector {
	for i := range s.columns {
		if c := &s.columns[i]; c.name == name && c.column != "" {
			return b.Col(c.column)
		}
	}
	return nil
}

// withNulls is v with more rows null; it shares the values.
func withNulls(v *vector.Vector, rows []int) *vector.Vector {
	out := *v
	out.Null = vector.NewBitmap(v.N)
	copy(out.Null, v.Null)
	for _, i := range rows {
		out.Null.Set(i)
	}
	return &out
}

// readColumnKnown fills the known times of a late column, where it is in the batch. What is
// null is not known.
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
		if !col.Valid(i) || !t.Valid() { // a row without a time is rejected already
			c.times[i] = plan.Never
			continue
		}
		k := c.at(t, declared, i)
		if !k.Valid() {
			s.reject(i, c.place(c.name), WrongKnown)
		}
		if arrived != nil {
			k = max(k, arrived[i])
		}
		c.times[i] = k
	}
}
