package servedset

import (
	"context"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// Logged returns the outcomes that were logged for a service, and the type of the label among them.
func Logged(r *relation.Reader, log eventlog.Log, s *plan.Service, label string) (Outcomes, plan.Field, error) {
	if s.Outcomes == nil {
		return nil, plan.Field{}, fmt.Errorf("service %s declares no outcomes; add outcomes: {%s: bool} and log them, or give a file that has them", s.Name, label)
	}
	column, ok := s.Outcomes.Column(label)
	if !ok || column.Known == nil {
		var names []string
		for _, c := range s.Outcomes.Columns {
			if c.Known != nil {
				names = append(names, c.Name)
			}
		}
		return nil, plan.Field{}, fmt.Errorf("service %s has no outcome %q%s", s.Name, label, nearest.Hint(label, names))
	}
	return func(ctx context.Context, f func(Outcome) error) error {
		h := &offline.History{Reader: r, Log: log, Source: s.Outcomes, Columns: []string{plan.RequestID, plan.RequestRow, label}}
		_, err := h.Read(ctx, func(ev *kernel.Events) error { return loggedIn(ev, label, f) })
		return err
	}, column.Field, nil
}

// loggedIn calls f with the outcomes in events: an outcome is in the one with which it became known.
func loggedIn(ev *kernel.Events, label string, f func(Outcome) error) error {
	ids, rows, values, known := ev.Batch.Col(plan.RequestID), ev.Batch.Col(plan.RequestRow), ev.Batch.Col(label), ev.ColumnKnown[label]
	for i := range ev.Batch.N {
		if !ids.Valid(i) || !rows.Valid(i) || known[i] == plan.Never || ev.Fills(i) && ev.KnownBefore[label].Get(i) {
			continue
		}
		if err := f(Outcome{ids.Str[i], rows.Int[i], values.Value(i), max(ev.Visible(i), known[i])}); err != nil {
			return err
		}
	}
	return nil
}

// InFile returns the outcomes in a relation with the columns request_id, optionally request_row, the label, and, if knownAt is not
// empty, the time it was known.
func InFile(ctx context.Context, r *relation.Reader, rel relation.Relation, label, knownAt string) (Outcomes, plan.Field, error) {
	columns, err := r.Columns(ctx, rel)
	if err != nil {
		return nil, plan.Field{}, err
	}
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	fields := []plan.Field{{Name: plan.RequestID, Type: plan.T(plan.String)}}
	if slices.Contains(names, plan.RequestRow) {
		fields = append(fields, plan.Field{Name: plan.RequestRow, Type: plan.T(plan.Int)})
	}
	if knownAt != "" {
		fields = append(fields, plan.Field{Name: knownAt, Type: plan.T(plan.Timestamp)})
	}
	for _, f := range append([]plan.Field{{Name: label}}, fields...) {
		if !slices.Contains(names, f.Name) {
			return nil, plan.Field{}, fmt.Errorf("%s has no column %q%s; outcomes have request_id, request_row unless it is always 0, and the label", rel.Owner, f.Name, nearest.Hint(f.Name, names))
		}
	}
	of := columns[slices.Index(names, label)]
	if of.Unusable != "" || !slices.Contains(plan.ColumnKinds, of.Type.Kind) {
		return nil, plan.Field{}, fmt.Errorf("column %q of %s cannot be a label: it %s", label, rel.Owner, of.Unusable)
	}
	fields = append(fields, of.Field)
	return func(ctx context.Context, f func(Outcome) error) error {
		return r.Scan(ctx, rel, fields, func(b *relation.Batch) error { return inBatch(b, label, knownAt, f) })
	}, of.Field, nil
}

func inBatch(b *relation.Batch, label, knownAt string, f func(Outcome) error) error {
	ids, values := b.Col(plan.RequestID), b.Col(label)
	rows, known := b.Col(plan.RequestRow), b.Col(knownAt)
	for i := range b.N {
		if !ids.Valid(i) || !values.Valid(i) || rows != nil && !rows.Valid(i) {
			continue // an outcome that is not there yet
		}
		o := Outcome{RequestID: ids.Str[i], Value: values.Value(i), Known: plan.Never}
		if rows != nil {
			o.Row = rows.Int[i]
		}
		if known != nil && known.Valid(i) {
			o.Known = plan.EventTime(known.Int[i])
		}
		if err := f(o); err != nil {
			return err
		}
	}
	return nil
}
