package ingest

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/records"
	"github.com/unskew/unskew/internal/vector"
)

func column(name string, k plan.Kind) plan.SourceColumn {
	return plan.SourceColumn{Field: plan.Field{Name: name, Type: plan.T(k)}}
}

// payments is a source with every rule a source can have.
func payments() *plan.Source {
	s := &plan.Source{
		Name: "payments", EventTime: "ts", EventID: "id",
		Known: plan.Known{Kind: plan.KnownColumn, Column: "seen"},
		Columns: []plan.SourceColumn{
			column("user", plan.Int), column("ts", plan.Timestamp), column("seen", plan.Timestamp),
			column("id", plan.String), column("amount", plan.Double), column("chargeback", plan.Bool), column("closed", plan.Timestamp),
			column("due", plan.Timestamp),
		},
	}
	s.Columns[5].Known = &plan.Known{Kind: plan.KnownColumn, Column: "closed"}
	return s
}

func newSource(t testing.TB, s *plan.Source) *Source {
	t.Helper()
	in, err := NewSource(s)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func tm(s string) plan.EventTime {
	t, err := plan.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

// batch reads JSON lines into one batch.
func batch(t testing.TB, s *Source, lines string) *vector.Batch {
	t.Helper()
	rows, err := records.NewReader(strings.NewReader(lines+"\n"), records.Options{Format: records.JSON, Fields: s.Fields(), Pushed: true}).Next()
	if err != nil || len(rows.Bad) > 0 {
		t.Fatal(rows, err)
	}
	return rows.Batch
}

func TestEvents(t *testing.T) {
	in := newSource(t, payments())
	b := batch(t, in, `
{"user": 1, "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:05:00Z", "id": "a", "chargeback": true, "closed": "2025-02-01T00:00:00Z"}
{"user": 1, "ts": "1969-12-31T23:59:59.9999999Z", "seen": "1969-12-31T23:00:00Z", "id": "b"}`)
	ev, counts, err := in.Events(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []plan.EventTime{tm("2025-01-01T00:00:00Z"), -1}; !slices.Equal(ev.Time, want) {
		t.Errorf("times %v, want %v", ev.Time, want)
	}
	if want := []plan.EventTime{tm("2025-01-01T00:05:00Z"), tm("1969-12-31T23:00:00Z")}; !slices.Equal(ev.Known, want) {
		t.Errorf("known times %v, want %v", ev.Known, want)
	}
	if want := []plan.EventTime{tm("2025-02-01T00:00:00Z"), plan.Never}; !slices.Equal(ev.ColumnKnown["chargeback"], want) {
		t.Errorf("known times of chargeback %v, want %v", ev.ColumnKnown["chargeback"], want)
	}
	if !slices.Equal(ev.ID, []string{"a", "b"}) || counts.Rows != 2 {
		t.Errorf("ids %q, counts %+v", ev.ID, counts)
	}
}

// A pushed event is not known before the log stored it, whatever known time it declares [w1].
func TestW1_LoggedEventsAreNotKnownBeforeTheyWereAppended(t *testing.T) {
	in := newSource(t, payments())
	b := batch(t, in, `{"id": "a", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:05:00Z"}
{"id": "b", "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-03T00:00:00Z"}`)
	appended := tm("2025-01-02T00:00:00Z")
	ev, _, err := in.Events(b, &Arrivals{Row: []plan.EventTime{appended, appended}})
	if err != nil || ev.Known[0] != appended || ev.Known[1] != tm("2025-01-03T00:00:00Z") {
		t.Fatalf("known times %v, %v", ev.Known, err)
	}
	atEvent := payments()
	atEvent.Known = plan.Known{}
	ev, _, err = newSource(t, atEvent).Events(b, &Arrivals{Row: []plan.EventTime{appended, appended}})
	if err != nil || ev.Known[0] != appended {
		t.Fatalf("known times %v, %v", ev.Known, err)
	}
	ev, _, err = newSource(t, atEvent).Events(b, nil)
	if err != nil || ev.Known != nil {
		t.Fatalf("known times %v, %v; want none, which means k = t", ev.Known, err)
	}
}

func TestBadRows(t *testing.T) {
	good := map[string]plan.Value{"ts": plan.TimestampValue(0), "seen": plan.TimestampValue(0), "id": plan.StringValue("x")}
	for _, tc := range []struct {
		reason Reason
		column string
		value  plan.Value
	}{
		{NullTime, "ts", plan.NullValue()},
		{WrongTime, "ts", plan.TimestampValue(plan.MaxTime + 1)},
		{WrongTime, "ts", plan.TimestampValue(plan.MinTime - 1)},
		{WrongTime, "ts", plan.TimestampValue(plan.Never)},
		{NullKnown, "seen", plan.NullValue()},
		{WrongKnown, "seen", plan.TimestampValue(plan.Never)},
		{WrongKnown, "closed", plan.TimestampValue(plan.MaxTime + 1)},
		{BadUTF8, "id", plan.StringValue("caf\xe9")},
		{NoID, "id", plan.NullValue()},
		{NoID, "id", plan.StringValue("")},
		{WrongStamp, "due", plan.TimestampValue(plan.Never)},
		{WrongStamp, "due", plan.TimestampValue(plan.Always)},
		{WrongStamp, "due", plan.TimestampValue(plan.MinTime - 1)},
	} {
		src := payments()
		b := vector.NewBatch(newSource(t, src).Fields(), 3)
		for i := range 3 {
			for c, f := range b.Fields {
				v := good[f.Name]
				if f.Name == "user" {
					v = plan.IntValue(int64(i))
				}
				if f.Name == tc.column && i == 1 {
					v = tc.value
				}
				b.Cols[c].Set(i, v)
			}
		}
		_, _, err := newSource(t, src).Events(b, nil)
		var bad *BadRow
		if !errors.As(err, &bad) || bad.Row != 1 || bad.Column != tc.column || bad.Reason != tc.reason {
			t.Errorf("%v: error %v", tc, err)
		}
		src.SkipBadRows = true
		ev, counts, err := newSource(t, src).Events(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]int64{tc.reason.String(): 1}; counts.Rows != 3 || !maps.Equal(counts.ByReason(), want) {
			t.Errorf("%v: counts %+v", tc, counts)
		}
		if ev.Batch.N != 2 || len(ev.Time) != 2 || len(ev.Known) != 2 || len(ev.ID) != 2 || len(ev.ColumnKnown["chargeback"]) != 2 ||
			ev.Batch.Col("user").Int[1] != 2 || !ev.Batch.Col("amount").IsNull(1) {
			t.Errorf("%v: the two good rows are not what is left", tc)
		}
	}
}

// A row with several faults is skipped and counted once.
func TestARowIsSkippedOnce(t *testing.T) {
	src := payments()
	src.SkipBadRows = true
	in := newSource(t, src)
	b := vector.NewBatch(in.Fields(), 1)
	for _, c := range b.Cols {
		c.SetNull(0)
	}
	b.Col("id").Null.Clear(0)
	b.Col("id").Str[0] = "\xff"
	ev, counts, err := in.Events(b, nil)
	if err != nil || ev.Batch.N != 0 || !maps.Equal(counts.ByReason(), map[string]int64{"null_event_time": 1}) {
		t.Fatalf("%+v, %v", counts, err)
	}
}

func TestNeeded(t *testing.T) {
	in := newSource(t, payments())
	names := func(columns ...string) string {
		var out []string
		for _, f := range in.Needed(columns...) {
			out = append(out, f.Name)
		}
		return strings.Join(out, " ")
	}
	if got, want := names("amount"), "ts seen id amount"; got != want {
		t.Errorf("needed for amount: %s, want %s", got, want)
	}
	if got, want := names("chargeback", "user"), "user ts seen id chargeback closed"; got != want {
		t.Errorf("needed for chargeback: %s, want %s", got, want)
	}
}

func TestInvalidSources(t *testing.T) {
	for name, change := range map[string]func(*plan.Source){
		`column "when"`:          func(s *plan.Source) { s.EventTime = "when" },
		"must be a timestamp":    func(s *plan.Source) { s.EventTime = "amount" },
		`column "gone"`:          func(s *plan.Source) { s.Known.Column = "gone" },
		"column chargeback":      func(s *plan.Source) { s.Columns[5].Known = &plan.Known{Kind: plan.KnownSchedule, Schedule: "daily"} },
		"not five; write minute": func(s *plan.Source) { s.Known = plan.Known{Kind: plan.KnownSchedule, Schedule: "@daily"} },
		"schedules are in UTC": func(s *plan.Source) {
			s.Known = plan.Known{Kind: plan.KnownSchedule, Schedule: "TZ=Asia/Tokyo 0 2 * * *"}
		},
		`"0 0 30 2 *" never runs`: func(s *plan.Source) { s.Known = plan.Known{Kind: plan.KnownSchedule, Schedule: "0 0 30 2 *"} },
	} {
		src := payments()
		change(src)
		if _, err := NewSource(src); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "payments") {
			t.Errorf("error %v, want one with %s", err, name)
		}
	}
}

func TestKnownByDelayAndSchedule(t *testing.T) {
	src := payments()
	src.Known = plan.Known{Kind: plan.KnownSchedule, Schedule: "0 2 * * *", Delay: 30 * plan.Minute}
	src.Columns[5].Known = &plan.Known{Kind: plan.KnownDelay, Delay: plan.Day}
	in := newSource(t, src)
	ev, _, err := in.Events(batch(t, in, `{"id": "a", "ts": "2025-01-01T02:00:00Z", "chargeback": true}`+"\n"+`{"id": "b", "ts": "2025-01-01T02:00:00.000001Z"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []plan.EventTime{tm("2025-01-01T02:30:00Z"), tm("2025-01-02T02:30:00Z")}; !slices.Equal(ev.Known, want) {
		t.Errorf("known %v, want %v", ev.Known, want)
	}
	if got := ev.ColumnKnown["chargeback"][0]; got != tm("2025-01-02T02:00:00Z") {
		t.Errorf("chargeback known %v", got)
	}
	_, _, err = in.Events(batch(t, in, `{"id": "a", "ts": "9999-12-31T23:00:00Z"}`), nil)
	if bad := (*BadRow)(nil); !errors.As(err, &bad) || bad.Reason != WrongKnown {
		t.Errorf("a known time after the year 9999: %v", err)
	}
}

func TestIDs(t *testing.T) {
	src := payments()
	src.EventID = "user"
	in := newSource(t, src)
	ev, _, err := in.Events(batch(t, in, `{"user": -7, "ts": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z"}`), nil)
	if err != nil || !slices.Equal(ev.ID, []string{"-7"}) {
		t.Errorf("ids %q, %v", ev.ID, err)
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	src := payments()
	in := newSource(t, src)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "rows")
		b := vector.NewBatch(in.Fields(), n)
		var payloads [][]byte
		for i := range n {
			for c, f := range b.Fields {
				b.Cols[c].Set(i, drawValue(t, f.Type.Kind))
			}
			payloads = append(payloads, in.AppendPayload(nil, b, i))
		}
		back, err := in.Rows(payloads)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for c := range b.Cols {
				if got, want := back.Cols[c].Value(i), b.Cols[c].Value(i); !got.Equal(want) {
					t.Fatalf("row %d, column %s: %v came back as %v", i, b.Fields[c].Name, want, got)
				}
			}
		}
	})
}

func drawValue(t *rapid.T, k plan.Kind) plan.Value {
	if rapid.Bool().Draw(t, "null") {
		return plan.NullValue()
	}
	switch k {
	case plan.Bool:
		return plan.BoolValue(rapid.Bool().Draw(t, "bool"))
	case plan.Int:
		return plan.IntValue(rapid.Int64().Draw(t, "int"))
	case plan.Double:
		return plan.DoubleValue(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Copysign(0, -1)})).Draw(t, "double"))
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(rapid.Int64().Draw(t, "time")))
	}
	return plan.StringValue(rapid.String().Draw(t, "string"))
}

// Logged payloads stay readable when columns are added, removed or reordered.
func TestPayloadsOutliveTheirSource(t *testing.T) {
	old := newSource(t, payments())
	line := `{"user": 1, "ts": "2025-01-01T00:00:00Z", "amount": 2.5, "chargeback": true}`
	payload := old.AppendPayload(nil, batch(t, old, line), 0)

	src := payments()
	slices.Reverse(src.Columns)
	src.Columns = slices.DeleteFunc(src.Columns, func(c plan.SourceColumn) bool { return c.Name == "chargeback" })
	src.Columns = append(src.Columns, column("country", plan.String))
	now := newSource(t, src)
	b, err := now.Rows([][]byte{payload})
	if err != nil || b.Col("amount").Double[0] != 2.5 || !b.Col("country").IsNull(0) {
		t.Fatalf("%v, %v", b, err)
	}
	again := now.AppendPayload(nil, batch(t, now, `{"amount": 2.5, "user": 1, "ts": "2025-01-01T00:00:00Z"}`), 0)
	without := old.AppendPayload(nil, batch(t, old, strings.Replace(line, `, "chargeback": true`, "", 1)), 0)
	if !bytes.Equal(again, without) {
		t.Error("the payload depends on the order of the columns or on null ones")
	}
	src.Columns[slices.IndexFunc(src.Columns, func(c plan.SourceColumn) bool { return c.Name == "amount" })].Type = plan.T(plan.Int)
	if _, err := newSource(t, src).Rows([][]byte{payload}); err == nil || !strings.Contains(err.Error(), `"amount" is declared as int but was pushed as double`) {
		t.Errorf("error %v", err)
	}
}

func TestMalformedPayloads(t *testing.T) {
	in := newSource(t, payments())
	whole := in.AppendPayload(nil, batch(t, in, `{"user": 1, "ts": "2025-01-01T00:00:00Z", "id": "abc"}`), 0)
	for n := range whole {
		if b, err := in.Rows([][]byte{whole[:n]}); err == nil && b.Col("user").Valid(0) {
			t.Errorf("%d of %d bytes read as a whole row", n, len(whole))
		}
	}
	if _, err := in.Rows([][]byte{{9}}); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("error %v", err)
	}
}
