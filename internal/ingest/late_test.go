package ingest

import (
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// A late column is null until it is known, even if the row has a value, and is not known while
// it is null [w7].
func TestW7_LateColumnsAreNullUntilKnown(t *testing.T) {
	src := payments()
	src.Columns = append(src.Columns, column("fee", plan.Int), column("grade", plan.Int))
	src.Columns[8].Known = &plan.Known{Kind: plan.KnownDelay, Delay: plan.Hour}
	src.Columns[9].Outcome = true
	in := newSource(t, src)
	b := batch(t, in, `
{"id": "a", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z", "chargeback": true, "closed": "2025-02-01T00:00:00Z", "fee": 1, "grade": 2}
{"id": "b", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z", "chargeback": false}
{"id": "c", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z", "closed": "2025-02-01T00:00:00Z"}`)
	ev, _, err := in.Events(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := ev.Batch.Col("chargeback"); !c.Valid(0) || c.Valid(1) || c.Valid(2) || b.Col("chargeback").IsNull(1) {
		t.Errorf("a chargeback without a known time is %v and was %v in the rows given", c.Value(1), b.Col("chargeback").Value(1))
	}
	ts, closed := tm("2025-01-01T00:00:00Z"), tm("2025-02-01T00:00:00Z")
	for column, want := range map[string][]plan.EventTime{
		"chargeback": {closed, plan.Never, plan.Never},
		"closed":     {closed, plan.Never, closed},
		"fee":        {ts + plan.EventTime(plan.Hour), plan.Never, plan.Never},
		"grade":      {ts, plan.Never, plan.Never},
	} {
		if got := ev.ColumnKnown[column]; !slices.Equal(got, want) {
			t.Errorf("%s is known at %v, want %v", column, got, want)
		}
	}
	later := closed + 1
	ev, _, err = in.Events(b, &Arrivals{Row: []plan.EventTime{ts, ts, ts}, Column: map[string][]plan.EventTime{"chargeback": {later, later, later}}})
	if err != nil || !slices.Equal(ev.ColumnKnown["chargeback"], []plan.EventTime{later, plan.Never, plan.Never}) || ev.Known[0] != ts {
		t.Errorf("a chargeback that arrived later is known at %v, its row at %v; %v", ev.ColumnKnown["chargeback"], ev.Known, err)
	}
}

// A damaged value in the versions of an event is named with its column and its cause.
func TestDamagedVersions(t *testing.T) {
	in := newSource(t, payments())
	event := in.AppendPayload(nil, batch(t, in, `{"id": "a", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z"}`), 0)
	for _, c := range []struct {
		value []byte
		want  string
	}{
		{[]byte{byte(plan.Bool), 2}, `column "chargeback": canonical value: truncated`},
		{[]byte{99}, `column "chargeback": canonical value: unknown kind 99`},
		{[]byte{byte(plan.Bool), 1, 0, 0}, `column "chargeback": 2 bytes follow the value`},
		{plan.AppendCanonical(nil, plan.IntValue(1)), `column "chargeback" is declared as bool but was pushed as int`},
	} {
		versions := []eventlog.Version{{Position: 1}, {Position: 2, Fields: []eventlog.Field{{Name: "chargeback", Value: c.value}}}}
		_, _, err := in.Read([]eventlog.Record{{Position: 2, Payload: event, Versions: versions}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.value, err, c.want)
		}
	}
}
