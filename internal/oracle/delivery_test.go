package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

// lateSource has three late columns: a and b are known at a_at and b_at, c immediately.
var lateSource = &plan.Source{
	Name: "s", EventTime: "ts", EventID: "id", Known: plan.Known{Kind: plan.KnownColumn, Column: "seen"},
	Columns: []plan.SourceColumn{
		{Field: plan.Field{Name: "id", Type: plan.T(plan.String)}},
		{Field: plan.Field{Name: "ts", Type: plan.T(plan.Timestamp)}},
		{Field: plan.Field{Name: "seen", Type: plan.T(plan.Timestamp)}},
		{Field: plan.Field{Name: "x", Type: plan.T(plan.Int)}},
		{Field: plan.Field{Name: "a", Type: plan.T(plan.Int)}, Known: &plan.Known{Kind: plan.KnownColumn, Column: "a_at"}},
		{Field: plan.Field{Name: "a_at", Type: plan.T(plan.Timestamp)}},
		{Field: plan.Field{Name: "b", Type: plan.T(plan.Int)}, Known: &plan.Known{Kind: plan.KnownColumn, Column: "b_at"}, Outcome: true},
		{Field: plan.Field{Name: "b_at", Type: plan.T(plan.Timestamp)}},
		{Field: plan.Field{Name: "c", Type: plan.T(plan.Int)}, Outcome: true},
	},
}

// delivery parses "x=1 a=2 a_at=20 seen=5". ts is 1. A leading number is the position in the
// log.
func delivery(t *testing.T, text string) Event {
	t.Helper()
	columns := map[string]plan.Value{"id": plan.StringValue("e"), "ts": plan.TimestampValue(1), "seen": plan.TimestampValue(1)}
	position := 0
	for _, word := range strings.Fields(text) {
		name, number, _ := strings.Cut(word, "=")
		var n int64
		if _, err := fmt.Sscan(number, &n); err != nil {
			t.Fatal(err)
		}
		switch {
		case name == "position":
			position = int(n)
		case strings.HasSuffix(name, "_at") || name == "ts" || name == "seen":
			columns[name] = plan.TimestampValue(plan.EventTime(n))
		default:
			columns[name] = plan.IntValue(n)
		}
	}
	e, err := NewEvent(lateSource, columns, false)
	if err != nil {
		t.Fatal(err)
	}
	e.Position = position
	return e
}

// shown is an event as text: "x=1 v=5", then each late column with its value and known time.
func shown(e Event) string {
	text := fmt.Sprintf("x=%v v=%d", e.Columns["x"], e.visible())
	for _, name := range slices.Sorted(maps.Keys(e.ColumnKnown)) {
		if !strings.HasSuffix(name, "_at") {
			text += fmt.Sprintf(" %s=%v@%d", name, e.Columns[name], e.ColumnKnown[name])
		}
	}
	return text
}

func TestDeliveriesBecomeOneEvent(t *testing.T) {
	for _, tc := range []struct{ name, deliveries, want string }{
		{"an event alone", "x=1", "x=1 v=1"},
		{"an outcome inside the event", "x=1 a=2 a_at=9", "x=1 v=1 a=2@9"},
		{"an outcome that was known before its row", "x=1 a=2 a_at=0 seen=4", "x=1 v=4 a=2@4"},
		{"filled later", "x=1; x=1 seen=20 a=2 a_at=9", "x=1 v=1 a=2@20"},
		{"filled before it is known", "x=1; x=1 seen=5 a=2 a_at=9", "x=1 v=1 a=2@9"},
		{"several fillings", "x=1; x=1 seen=5 a=2 a_at=3; x=1 seen=7 b=3 b_at=3 c=4", "x=1 v=1 a=2@5 b=3@7 c=4@7"},
		{"delivered again without its outcome", "x=1; x=1 seen=5 a=2 a_at=3; x=1 seen=7", "x=1 v=1 a=2@5"},
		{"filled twice alike", "x=1; x=1 seen=5 a=2 a_at=3; x=1 seen=7 a=2 a_at=3", "x=1 v=1 a=2@5"},
		{"the filling comes first", "x=1 seen=9; x=1 seen=5 a=2 a_at=3", "x=1 v=5 a=2@5"},
		{"filled twice with other values", "x=1; x=1 seen=7 a=5 a_at=3; x=1 seen=5 a=2 a_at=3", "x=1 v=1 a=2@5"},
		{"the first known outcome stands, not the first row", "x=1 a=5 a_at=30; x=1 a=2 a_at=20", "x=1 v=1 a=2@20"},
		{"what contradicts fills nothing", "x=1; x=1 seen=5 a=2 a_at=3; x=1 seen=7 a=5 a_at=3 b=1 b_at=1", "x=1 v=1 a=2@5"},
		{"another event with the id fills nothing", "x=1; x=2 seen=5 a=2 a_at=3", "x=1 v=1"},
		{"another event with the id that was known first", "x=1 seen=6; x=2 seen=5 a=2 a_at=3", "x=2 v=5 a=2@5"},
		{"a value without its known time", "x=1 a=2; x=1 seen=5 a=3 a_at=3", "x=1 v=1 a=3@5"},
		{"a known time that comes before its value", "x=1 a_at=3; x=1 seen=5 a=3 a_at=3; x=1 seen=4 a=3 a_at=4", "x=1 v=1 a=3@5"},
		{"a row that says two outcomes, the later one in conflict", "x=1 a=1 a_at=5 b=1 b_at=9; x=1 b=2 b_at=7", "x=1 v=1 a=1@5 b=2@7"},
		{"a row that says two outcomes, the earlier one in conflict", "x=1 a=1 a_at=5 b=1 b_at=9; x=1 a=2 a_at=4", "x=1 v=1 a=2@4"},
		{"pushed as a whole", "x=1 position=1 a=5 a_at=30; x=1 position=2 seen=2", "x=1 v=1 a=5@30"},
		{"a pushed row before a row of a file", "x=1 position=1 a=5 a_at=30 seen=2; x=1 seen=1 a=6 a_at=20", "x=1 v=1 a=5@30"},
		{"pushed first and known later", "x=1 position=1 seen=9; x=1 position=2 seen=5 a=2 a_at=3", "x=1 v=9 a=2@9"},
	} {
		var events []Event
		for _, text := range strings.Split(tc.deliveries, ";") {
			events = append(events, delivery(t, text))
		}
		for range len(events) {
			events = append(events[1:], events[0])
			for _, order := range [][]Event{events, reversed(events), append(slices.Clone(events), events...)} {
				got := deduplicate(lateSource, order)
				if len(got) != 1 || shown(got[0]) != tc.want {
					t.Errorf("%s: got %v, want %s", tc.name, shown(got[0]), tc.want)
				}
				if again := deduplicate(lateSource, got); len(got[0].ColumnKnown) > 0 && shown(again[0]) != tc.want {
					t.Errorf("%s: merging the result again gives %s", tc.name, shown(again[0]))
				}
			}
		}
	}
}

func reversed(events []Event) []Event {
	out := slices.Clone(events)
	slices.Reverse(out)
	return out
}

// With --as-of final the event and its outcome are the same, known at the event time.
func TestFinalDataAreTheSameEvents(t *testing.T) {
	events := []Event{delivery(t, "x=2 seen=5 a=9 a_at=30"), delivery(t, "x=2 seen=40 a=3 a_at=20"), delivery(t, "x=1 seen=6")}
	for i := range events {
		events[i].Final = true
	}
	if got := deduplicate(lateSource, events); shown(got[0]) != "x=2 v=1 a=9@1" {
		t.Errorf("got %s", shown(got[0]))
	}
}

func TestLateColumns(t *testing.T) {
	var late []string
	for _, c := range lateSource.Columns {
		if isLate(lateSource, c) {
			late = append(late, c.Name)
		}
	}
	if got := strings.Join(late, " "); got != "a a_at b b_at c" {
		t.Errorf("late columns are %s", got)
	}
}
