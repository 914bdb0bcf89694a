package oracle

import (
	"fmt"
	"maps"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// NewEvent makes an event of one row of src by §1, §2 and §7: its time, its known time, those
// of its late columns and its id. A bad row is an error. final is --as-of final, which takes
// effect when deliveries are merged.
func NewEvent(src *plan.Source, columns map[string]plan.Value, final bool) (Event, error) {
	bad := func(column, what string) (Event, error) {
		return Event{}, fmt.Errorf("source %s, column %s: %s", src.Name, column, what)
	}
	t := columns[src.EventTime]
	if t.Kind() != plan.Timestamp || !t.Time().Valid() {
		return bad(src.EventTime, "not a time in the years 0001 to 9999")
	}
	e := Event{Source: src.Name, Columns: canonical(src, columns), Time: t.Time(), Final: final, ColumnKnown: map[string]plan.EventTime{}}
	if src.EventID != "" {
		if e.ID = eventID(columns[src.EventID]); e.ID == "" {
			return bad(src.EventID, "no event id")
		}
	}
	var ok bool
	if e.Known, ok = knownTime(src.Known, e.Time, columns); !ok {
		return bad(src.Known.Column, "no known time in the years 0001 to 9999")
	}
	for _, c := range src.Columns {
		v := e.Columns[c.Name]
		switch {
		case v.Kind() == plan.String && !utf8.ValidString(v.Str()):
			return bad(c.Name, "not UTF-8")
		case v.Kind() == plan.Timestamp && !v.Time().Valid():
			return bad(c.Name, "not a time in the years 0001 to 9999")
		case v.IsNull() || !isLate(src, c):
			continue
		case c.Known != nil:
			e.ColumnKnown[c.Name], ok = knownTime(*c.Known, e.Time, e.Columns)
		case isKnownTime(src, c.Name):
			e.ColumnKnown[c.Name] = v.Time()
		default:
			e.ColumnKnown[c.Name] = e.Time // an outcome without a known time, which no feature can read
		}
		if !ok {
			return bad(c.Name, "no known time in the years 0001 to 9999")
		}
	}
	if column, what := beyond(src, e); what != "" {
		return bad(column, what)
	}
	return e, nil
}

// canonical is the columns with null for what is not known yet: infinity in a column that
// says when another is known, and any value of a column whose known time is null.
func canonical(src *plan.Source, columns map[string]plan.Value) map[string]plan.Value {
	out := maps.Clone(columns)
	for _, c := range src.Columns {
		if isKnownTime(src, c.Name) && !out[c.Name].IsNull() && out[c.Name].Time() == plan.Never {
			out[c.Name] = plan.NullValue()
		}
	}
	for _, c := range src.Columns {
		if c.Known != nil && knownColumn(*c.Known) != "" && out[knownColumn(*c.Known)].IsNull() {
			out[c.Name] = plan.NullValue()
		}
	}
	return out
}

// eventID is the bytes of an id: of a string its own, of another type its text.
func eventID(v plan.Value) string {
	switch v.Kind() {
	case plan.Null, plan.Invalid:
		return ""
	case plan.String, plan.Bytes:
		return v.Str()
	}
	return v.String()
}

// knownTime is k of §7; false if there is none or it is outside the years 0001 to 9999.
func knownTime(k plan.Known, t plan.EventTime, columns map[string]plan.Value) (plan.EventTime, bool) {
	switch k.Kind {
	case plan.KnownAtEvent:
	case plan.KnownColumn:
		if columns[k.Column].IsNull() {
			return 0, false
		}
		t = columns[k.Column].Time()
	case plan.KnownSchedule:
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
