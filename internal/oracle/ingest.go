package oracle

import (
	"fmt"
	"maps"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// NewEvent makes an event of one row of src as §1, §2 and §7 say: its time, its
// known time, those of its columns and its id. A row that is no event is an error.
// final is --as-of final: k = t for the row and every column.
func NewEvent(src *plan.Source, columns map[string]plan.Value, final bool) (Event, error) {
	bad := func(column, what string) (Event, error) {
		return Event{}, fmt.Errorf("source %s, column %s: %s", src.Name, column, what)
	}
	t := columns[src.EventTime]
	if t.Kind() != plan.Timestamp || !t.Time().Valid() {
		return bad(src.EventTime, "not a time in the years 0001 to 9999")
	}
	e := Event{Source: src.Name, Columns: columns, Time: t.Time(), ColumnKnown: map[string]plan.EventTime{}}
	if src.EventID != "" {
		e.ID = eventID(columns[src.EventID])
	}
	var ok bool
	if e.Known, ok = knownTime(src.Known, e.Time, columns, final); !ok || e.Known == plan.Never {
		return bad(src.Known.Column, "no known time in the years 0001 to 9999")
	}
	e.Columns = infinityAsNull(src, columns)
	for _, c := range src.Columns {
		switch v := e.Columns[c.Name]; {
		case v.Kind() == plan.String && !utf8.ValidString(v.Str()):
			return bad(c.Name, "not UTF-8")
		case v.Kind() == plan.Timestamp && !v.Time().Valid():
			return bad(c.Name, "not a time in the years 0001 to 9999")
		}
		if c.Known == nil {
			continue
		}
		if e.ColumnKnown[c.Name], ok = knownTime(*c.Known, e.Time, columns, final); !ok {
			return bad(c.Name, "no known time in the years 0001 to 9999")
		}
	}
	if column, what := beyond(src, e); what != "" {
		return bad(column, what)
	}
	return e, nil
}

// infinityAsNull is the columns with null for the infinity of one that says when another
// is known.
func infinityAsNull(src *plan.Source, columns map[string]plan.Value) map[string]plan.Value {
	out := maps.Clone(columns)
	for _, c := range src.Columns {
		if c.Known != nil && c.Known.Kind == plan.KnownColumn && !out[c.Known.Column].IsNull() && out[c.Known.Column].Time() == plan.Never {
			out[c.Known.Column] = plan.NullValue()
		}
	}
	return out
}

// eventID is the id's bytes: a string itself, another type as people write it.
func eventID(v plan.Value) string {
	switch v.Kind() {
	case plan.Null, plan.Invalid:
		return ""
	case plan.String, plan.Bytes:
		return v.Str()
	}
	return v.String()
}

// knownTime is k of §7, Never where the known-time column is null: not known yet. It
// is false for a time outside the years 0001 to 9999.
func knownTime(k plan.Known, t plan.EventTime, columns map[string]plan.Value, final bool) (plan.EventTime, bool) {
	switch {
	case final || k.Kind == plan.KnownAtEvent:
		return t, true
	case k.Kind == plan.KnownColumn && (columns[k.Column].IsNull() || columns[k.Column].Time() == plan.Never):
		return plan.Never, true
	case k.Kind == plan.KnownColumn:
		t = columns[k.Column].Time()
	case k.Kind == plan.KnownSchedule:
		run, err := nextRun(k.Schedule, t)
		if err != nil {
			return 0, false
		}
		t = run + plan.EventTime(k.Delay)
	default:
		t += plan.EventTime(k.Delay)
	}
	return t, t.Valid()
}
