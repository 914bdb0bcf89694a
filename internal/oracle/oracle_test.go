package oracle

import (
	"math"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

func at(t *testing.T, s string) plan.EventTime {
	t.Helper()
	et, err := plan.ParseTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return et
}

func TestB4_NegativeTimesFloor(t *testing.T) {
	const hour = plan.EventTime(plan.Hour)
	hourly := plan.Window{Width: plan.Hour, Hop: plan.Hour}
	for _, tc := range []struct {
		w        plan.Window
		at, want plan.EventTime
	}{
		{hourly, 0, -hour},
		{hourly, -1, -2 * hour},
		{hourly, hour - 1, -hour},
		{hourly, -hour, -2 * hour},
		{plan.Window{Width: plan.Hour, Hop: 1}, -5, -5 - hour},
		{plan.Window{Width: 36500 * plan.Day, Hop: plan.Day}, plan.MinTime, plan.MinTime - 36500*24*hour},
		{plan.Window{}, 5, plan.Always},
	} {
		if got := lower(tc.w, tc.at); got != tc.want {
			t.Errorf("%v at %d: got %d, want %d", tc.w, tc.at, got, tc.want)
		}
		if got := tc.w.Lower(tc.at); got != tc.want {
			t.Errorf("plan: %v at %d: got %d, want %d", tc.w, tc.at, got, tc.want)
		}
	}
}

func TestNextRun(t *testing.T) {
	for _, tc := range []struct{ schedule, at, want string }{
		{"0 2 * * *", "2025-01-01T02:00:00Z", "2025-01-01T02:00:00Z"},
		{"0 2 * * *", "2025-01-01T02:00:00.000001Z", "2025-01-02T02:00:00Z"},
		{"*/15 * * * *", "2025-01-01T02:00:01Z", "2025-01-01T02:15:00Z"},
		{"5/20 8-9 * * *", "2025-01-01T09:46:00Z", "2025-01-02T08:05:00Z"},
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 * * 0", "2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z"},
		{"0 0 13 * 1,5", "2025-01-11T00:00:00Z", "2025-01-13T00:00:00Z"},
		{"0 0 */2 * 1", "2025-01-01T00:00:00Z", "2025-01-13T00:00:00Z"},    // an odd day that is a Monday
		{"0 0 13 * */2", "2025-01-01T00:00:00Z", "2025-02-13T00:00:00Z"},   // a 13th that is a Sunday, Tuesday, Thursday or Saturday
		{"0 0 1-31/2 * 1", "2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z"}, // a day or a Monday
		{"0 0 * * 7", "2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z"},
		{"0 0 * * 6-7", "2025-01-05T00:00:00.000001Z", "2025-01-11T00:00:00Z"},
		{"0 0 * FEB MON", "2025-01-01T00:00:00Z", "2025-02-03T00:00:00Z"},
		{"0 0 29 2 */7", "2060-03-01T00:00:00Z", "2088-02-29T00:00:00Z"},
		{"30 23 31 12 *", "1969-12-31T23:30:00.000001Z", "1970-12-31T23:30:00Z"},
	} {
		got, err := nextRun(tc.schedule, at(t, tc.at))
		if err != nil || got != at(t, tc.want) {
			t.Errorf("%s at %s: got %v, %v, want %s", tc.schedule, tc.at, got, err, tc.want)
		}
	}
	for _, bad := range []string{"", "0 2 * *", "x * * * *", "*/0 * * * *", "0 0 30 2 *"} {
		if got, err := nextRun(bad, 0); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

var testSource = &plan.Source{
	Name: "s", EventTime: "ts", EventID: "id", Known: plan.Known{Kind: plan.KnownDelay, Delay: plan.Minute},
	Columns: []plan.SourceColumn{
		{Field: plan.Field{Name: "user", Type: plan.T(plan.Int)}},
		{Field: plan.Field{Name: "x", Type: plan.T(plan.Double)}},
		{Field: plan.Field{Name: "late", Type: plan.T(plan.Int)}, Known: &plan.Known{Kind: plan.KnownColumn, Column: "late_at"}},
		{Field: plan.Field{Name: "late_at", Type: plan.T(plan.Timestamp)}},
	},
}

func TestNewEvent_KnownTimes(t *testing.T) {
	columns := map[string]plan.Value{
		"ts": plan.TimestampValue(7), "late": plan.IntValue(1), "late_at": plan.TimestampValue(90), "id": plan.StringValue("e"),
	}
	e, err := NewEvent(testSource, columns, false)
	if err != nil || e.Time != 7 || e.Known != 7+plan.EventTime(plan.Minute) || e.ColumnKnown["late"] != 90 || e.ID != "e" {
		t.Errorf("got %+v, %v", e, err)
	}
	e, err = NewEvent(testSource, columns, true)
	if e = deduplicate(testSource, []Event{e})[0]; err != nil || e.Known != 7 || e.ColumnKnown["late"] != 7 {
		t.Errorf("final: got %+v, %v", e, err)
	}
	for _, notYet := range []plan.Value{plan.NullValue(), plan.TimestampValue(plan.Never)} {
		columns["late_at"] = notYet
		e, err = NewEvent(testSource, columns, false)
		if _, known := e.ColumnKnown["late"]; err != nil || known || !e.Columns["late"].IsNull() {
			t.Errorf("late_at %v: got %+v, %v, want late null and not known", notYet, e, err)
		}
	}
	for _, none := range []plan.Value{plan.NullValue(), plan.StringValue("")} {
		columns["id"] = none
		if _, err := NewEvent(testSource, columns, false); err == nil {
			t.Errorf("id %v: no error", none)
		}
	}
	columns["id"] = plan.StringValue("e")
	columns["x"] = plan.StringValue("\xff")
	if _, err := NewEvent(testSource, columns, false); err == nil {
		t.Error("a string that is not UTF-8: no error")
	}
	columns["x"] = plan.NullValue()
	for _, bad := range []plan.Value{plan.TimestampValue(plan.MaxTime), plan.NullValue(), plan.TimestampValue(plan.MaxTime + 1), plan.IntValue(3)} {
		columns["ts"] = bad
		if _, err := NewEvent(testSource, columns, false); err == nil {
			t.Errorf("event time %v: no error", bad)
		}
	}
}

func TestO5_IDsAreRedeliveriesTiesAreNot(t *testing.T) {
	x := func(v float64) map[string]plan.Value { return map[string]plan.Value{"x": plan.DoubleValue(v)} }
	events := []Event{
		{Source: "s", ID: "a", Time: 1, Known: 9, Columns: x(1)},
		{Source: "s", ID: "a", Time: 5, Known: 0, Columns: x(3)},
		{Source: "s", ID: "a", Time: 5, Known: 0, Columns: x(2)},
		{Source: "other", ID: "a", Time: 0, Columns: x(4)},
		{Source: "s", Time: 5, Columns: x(5)},
		{Source: "s", Time: 5, Columns: x(5)},
	}
	got := deduplicate(testSource, events)
	if len(got) != 3 {
		t.Fatalf("got %d events, want 3", len(got))
	}
	if first := got[len(got)-1]; first.ID != "a" || first.Columns["x"].Double() != 2 {
		t.Errorf("the event of the id is %+v, want the first delivery by visible time and payload", first)
	}
}

func TestK1K2K3_KeysCompareByTypeAndValue(t *testing.T) {
	v := &plan.View{KeyColumns: []string{"a", "b"}}
	event := func(a, b plan.Value) []Event { return []Event{{Columns: map[string]plan.Value{"a": a, "b": b}}} }
	s, i := plan.StringValue, plan.IntValue
	for _, tc := range []struct {
		a, b, x, y plan.Value
		want       bool
	}{
		{s("1"), s("23"), s("1"), s("23"), true},
		{s("1"), s("23"), s("12"), s("3"), false},
		{i(1), s(""), s("1"), s(""), false},
		{i(1), plan.NullValue(), i(1), plan.NullValue(), false},
		{plan.DoubleValue(math.Copysign(0, -1)), i(1), plan.DoubleValue(0), i(1), true},
	} {
		if got := len(ofEntity(v, event(tc.a, tc.b), []plan.Value{tc.x, tc.y})) == 1; got != tc.want {
			t.Errorf("(%v, %v) is (%v, %v): got %v, want %v", tc.a, tc.b, tc.x, tc.y, got, tc.want)
		}
	}
}
