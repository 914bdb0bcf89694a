package offline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// clicks is a source of files and pushed events.
func clicks() *plan.Source {
	column := func(name string, k plan.Kind) plan.SourceColumn {
		return plan.SourceColumn{Field: plan.Field{Name: name, Type: plan.T(k)}}
	}
	s := &plan.Source{
		Name: "clicks", From: "clicks-*.parquet", Stream: true, EventTime: "ts", EventID: "id",
		Known: plan.Known{Kind: plan.KnownColumn, Column: "seen"},
		Columns: []plan.SourceColumn{
			column("user", plan.Int), column("ts", plan.Timestamp), column("seen", plan.Timestamp), column("id", plan.String), column("amount", plan.Double), column("late", plan.Int), column("late_at", plan.Timestamp),
		},
	}
	s.Columns[5].Known = &plan.Known{Kind: plan.KnownColumn, Column: "late_at"}
	return s
}

// click is a row of clicks; times are seconds.
type click struct {
	user     int64
	ts, seen int64 // seen: -1 for null
	id       string
	amount   float64
}

func (c click) row() []plan.Value {
	row := []plan.Value{plan.IntValue(c.user), plan.TimestampValue(plan.EventTime(c.ts * 1e6)), {}, {}, plan.DoubleValue(c.amount), plan.IntValue(c.user), {}}
	if c.seen >= 0 {
		row[2] = plan.TimestampValue(plan.EventTime(c.seen * 1e6))
	}
	if c.id != "" {
		row[3] = plan.StringValue(c.id)
	}
	return row
}

func (p *project) writeClicks(t *testing.T, file string, clicks_ ...click) {
	t.Helper()
	var fields []plan.Field
	for _, c := range clicks().Columns {
		fields = append(fields, c.Field)
	}
	var rows [][]plan.Value
	for _, c := range clicks_ {
		rows = append(rows, c.row())
	}
	p.write(t, file, fields, rows)
}

// newLog is an event log whose clock stands at the given second.
func newLog(t *testing.T, second *int64) eventlog.Log {
	t.Helper()
	log, err := pebblelog.Open(filepath.Join(t.TempDir(), "log"), pebblelog.Options{Clock: func() plan.EventTime { return plan.EventTime(*second * 1e6) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func push(t *testing.T, log eventlog.Log, clicks_ ...click) {
	t.Helper()
	in, err := ingest.NewSource(clicks())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clicks_ {
		b := vector.NewBatch(in.Fields(), 1)
		for i, v := range c.row() {
			b.Cols[i].Set(0, v)
		}
		if _, err := log.Append(context.Background(), "clicks", []eventlog.Entry{{ID: c.id, Payload: in.AppendPayload(nil, b, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// seen is what a history yields: "id user amount ts known", sorted.
func seen(t *testing.T, h *History) ([]string, HistoryCounts) {
	t.Helper()
	var out []string
	counts, err := h.Read(context.Background(), func(ev *kernel.Events) error {
		for i := range ev.Batch.N {
			known := ev.Time[i]
			if ev.Known != nil {
				known = ev.Known[i]
			}
			out = append(out, fmt.Sprintf("%s %d %v %d %d", cmp.Or(ev.ID[i], "-"), ev.Batch.Col("user").Int[i], ev.Batch.Col("amount").Double[i], ev.Time[i]/1e6, known/1e6))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out, counts
}

// TestO5_RedeliveryIsOneEvent: rows with one id are one event, the first to be seen;
// rows with ids of their own are each an event, however alike [o5]. Files, log and order
// do not matter.
func TestO5_RedeliveryIsOneEvent(t *testing.T) {
	first := []click{{1, 10, 10, "a", 1}, {1, 11, 20, "b", 2}, {2, 12, 12, "tied", 3}, {2, 12, 12, "too", 3}, {3, 13, 13, "once", 4}}
	second := []click{{1, 10, 10, "a", 1}, {1, 11, 15, "b", 9}, {4, 11, 15, "b", 8}}
	pushed := []click{{1, 10, 10, "a", 1}, {5, 14, 14, "p", 5}, {6, 15, 200, "q", 6}, {7, 16, 16, "r", 7}}
	want := []string{
		"a 1 1 10 10", // from a file, which knew it earlier than the log
		"b 1 9 11 15", // visible first, and of the two visible at 15 the smaller payload
		"once 3 4 13 13",
		"p 5 5 14 100",
		"q 6 6 15 200",
		"r 7 7 16 100", // pushed at second 100, so not known before
		"tied 2 3 12 12", "too 2 3 12 12",
	}
	for _, files := range [][][]click{{first, second}, {second, first}, {append(slices.Clone(second), first...)}} {
		p := newProject(t)
		for i, rows := range files {
			p.writeClicks(t, fmt.Sprintf("clicks-%d.parquet", i), rows...)
		}
		now := int64(100)
		log := newLog(t, &now)
		push(t, log, pushed...)
		got, counts := seen(t, &History{Reader: p.db, Log: log, Source: clicks(), Columns: []string{"user", "amount"}})
		if !slices.Equal(got, want) {
			t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if counts.Rows != 12 || counts.Redelivered != 4 || counts.Conflicts != 2 || !counts.LogEnd.Equal(logpos.One(0, 4)) {
			t.Errorf("counts %+v", counts)
		}
	}
}

// As of a ledger, a row of a file is known from the first build that has it, and a pushed one from when its record was
// applied; an event that both have from when the first of them was [o11].
func TestO11_RowsArriveWhenTheLedgerSays(t *testing.T) {
	recorded := &ledger.Source{
		Files: []*ledger.Times{ledger.NewTimes(ledger.Files, []ledger.Run{{From: 5 * second, To: 5 * second}, {From: 50 * second, To: 50 * second, Lag: 20 * plan.Second}})},
		Log:   []*ledger.Times{ledger.NewTimes(ledger.Log, []ledger.Run{{From: 0, To: 90 * second, Lag: 2 * plan.Second}, {From: 90 * second, To: 200 * second, Lag: 10 * plan.Second}})},
	}
	p := newProject(t)
	src := clicks()
	src.Columns = src.Columns[:5]
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	write := func(file string, clicks ...click) {
		var rows [][]plan.Value
		for _, c := range clicks {
			rows = append(rows, c.row()[:5])
		}
		p.write(t, file, fields, rows)
	}
	write("clicks-0.parquet", click{1, 10, 10, "twice", 1}, click{1, 3, 3, "before", 1}, click{1, 12, 40, "missed", 1}, click{1, 12, 40, "pushed too", 1})
	write("clicks-1.parquet", click{1, 10, 20, "twice", 1}, click{1, 13, 13, "once", 1}, click{1, 14, 15, "pushed again", 1})
	now := int64(100)
	log := newLog(t, &now)
	in, err := ingest.NewSource(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []click{{1, 14, 15, "pushed again", 1}, {1, 12, 40, "pushed too", 1}, {1, 16, 16, "pushed", 1}, {1, 17, 150, "pushed early", 1}} {
		b := vector.NewBatch(in.Fields(), 1)
		for i, v := range c.row()[:5] {
			b.Cols[i].Set(0, v)
		}
		if _, err := log.Append(context.Background(), "clicks", []eventlog.Entry{{ID: c.id, Payload: in.AppendPayload(nil, b, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := seen(t, &History{Reader: p.db, Log: log, Source: src, Columns: []string{"user", "amount"}, Ledger: recorded})
	want := []string{
		"before 1 1 3 3",
		fmt.Sprint("missed 1 1 12 ", int64(plan.Never)/1e6),
		"once 1 1 13 50",
		"pushed 1 1 16 110",
		"pushed again 1 1 14 50",
		"pushed early 1 1 17 150",
		"pushed too 1 1 12 110",
		"twice 1 1 10 50",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistoryWithoutIDsOrLog(t *testing.T) {
	p := newProject(t)
	p.writeClicks(t, "clicks-0.parquet", click{1, 10, 10, "a", 1}, click{1, 10, 10, "a", 1})
	src := clicks()
	src.EventID = ""
	n := 0
	_, err := (&History{Reader: p.db, Source: src, Columns: []string{"user"}}).Read(context.Background(), func(ev *kernel.Events) error {
		n += ev.Batch.N
		if ev.ID != nil || ev.Batch.Col("amount") != nil {
			t.Error("columns that nobody asked for were read")
		}
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestHistoryUntil(t *testing.T) {
	p := newProject(t)
	now := int64(100)
	log := newLog(t, &now)
	push(t, log, click{1, 10, 10, "a", 1}, click{1, 10, 10, "b", 1}, click{1, 10, 10, "c", 1})
	src := clicks()
	src.From = ""
	for end := range uint64(4) {
		until, n := logpos.One(0, end), 0
		counts, err := (&History{Reader: p.db, Log: log, Source: src, Until: &until}).Read(context.Background(), func(ev *kernel.Events) error { n += ev.Batch.N; return nil })
		if err != nil || n != int(end) || !counts.LogEnd.Equal(until) {
			t.Errorf("until %d: %d events, %v", end, n, err)
		}
	}
}

// Final data are known when they happened, but for what is not known in the end; the
// same delivery is the event as elsewhere.
func TestFinalKnowsEverythingAtOnce(t *testing.T) {
	p := newProject(t)
	var fields []plan.Field
	for _, c := range clicks().Columns {
		fields = append(fields, c.Field)
	}
	row := func(c click, late, at int64) []plan.Value {
		row := c.row()
		row[5], row[6] = plan.IntValue(late), plan.TimestampValue(plan.EventTime(at*1e6))
		return row
	}
	known, other, unknown := row(click{1, 10, 50, "a", 1}, 7, 90), row(click{1, 10, 60, "a", 0}, 8, 20), click{1, 11, 50, "b", 1}.row()
	p.write(t, "clicks-0.parquet", fields, [][]plan.Value{other, known, unknown})
	counts, err := (&History{Reader: p.db, Source: clicks(), Columns: []string{"amount", "late"}, Final: true}).Read(context.Background(), func(ev *kernel.Events) error {
		for i := range ev.Batch.N {
			late := ev.ColumnKnown["late"][i]
			if ev.Visible(i) != ev.Time[i] || ev.Batch.Col("amount").Double[i] != 1 || late != map[string]plan.EventTime{"a": 10e6, "b": plan.Never}[ev.ID[i]] {
				t.Errorf("event %s of %v is visible at %v, its column at %v", ev.ID[i], ev.Batch.Col("amount").Value(i), ev.Visible(i), late)
			}
		}
		return nil
	})
	if err != nil || counts.Rows != 3 || counts.Redelivered != 1 || counts.Conflicts != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
}

func TestBadRowsOfAHistory(t *testing.T) {
	p := newProject(t)
	p.writeClicks(t, "clicks-0.parquet", click{1, 10, 10, "a", 1})
	p.writeClicks(t, "clicks-1.parquet", click{1, 10, 10, "b", 1}, click{1, 10, -1, "c", 1}, click{1, 1 << 40, 10, "d", 1})
	src := clicks()
	_, err := (&History{Reader: p.db, Source: src}).Read(context.Background(), func(*kernel.Events) error { return nil })
	if want := `source clicks: row 2 of clicks-1.parquet, column "seen": the known time is null; correct it, or declare bad_rows: skip for the source`; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	src.SkipBadRows = true
	got, counts := seen(t, &History{Reader: p.db, Source: src, Columns: []string{"user", "amount"}})
	if len(got) != 2 || counts.Rows != 4 || counts.Skipped[ingest.NullKnown] != 1 || counts.Skipped[ingest.WrongTime] != 1 {
		t.Errorf("events %v, counts %+v", got, counts)
	}
	src = clicks()
	src.From = ""
	now := int64(1)
	log := newLog(t, &now)
	push(t, log, click{1, 10, 10, "a", 1}, click{1, 10, -1, "b", 1})
	_, err = (&History{Reader: p.db, Log: log, Source: src}).Read(context.Background(), func(*kernel.Events) error { return nil })
	if want := `source clicks: event log, position 2, column "seen": the known time is null`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q, want %q", err, want)
	}
}

// TestInterruptedAmongRepeatedIDs: events that were resolved from several rows can be most of a history, and reading them can be
// interrupted.
func TestInterruptedAmongRepeatedIDs(t *testing.T) {
	p := newProject(t)
	var rows []click
	for i := range int64(3 * resolvedRows) {
		c := click{i, i, i, fmt.Sprint("id", i), 1}
		rows = append(rows, c, c)
	}
	p.writeClicks(t, "clicks-1.parquet", rows...)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := (&History{Reader: p.db, Source: clicks()}).ReadParallel(ctx, 1, func(_ int, at kernel.Place, ev *kernel.Events) error {
		if ev.Batch.N > 0 {
			calls++
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d batches, %v", calls, err)
	}
}
