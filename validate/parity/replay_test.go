package parity_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/validate/golden"
	"github.com/unskew/unskew/validate/parity"
)

// scenario is a service, events of its sources, and rows with their training values.
type scenario struct {
	t       failer
	plan    *plan.Plan
	service *plan.Service
	events  []oracle.Event
	rows    []parity.Row
}

func load(t failer, dir string) (*plan.Plan, *plan.Service) {
	t.Helper()
	p := defstest.Load(t, dir, featuredefs.Options{})
	return p.Plan, p.Plan.Services[0]
}

// batch is the events of a source as rows, in the given order.
func batch(src *plan.Source, events []oracle.Event) *vector.Batch {
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	var mine []oracle.Event
	for _, e := range events {
		if e.Source == src.Name {
			mine = append(mine, e)
		}
	}
	b := vector.NewBatch(fields, len(mine))
	for i, e := range mine {
		for c, f := range fields {
			b.Cols[c].Set(i, e.Columns[f.Name])
		}
	}
	return b
}

// history returns the events of rows, in batches of at most n.
func history(rows []oracle.Event, n int) parity.History {
	return func(_ context.Context, src *plan.Source, f func(*kernel.Events) error) error {
		in, err := ingest.NewSource(src)
		if err != nil {
			return err
		}
		ev, _, err := in.Events(batch(src, rows), nil)
		if err != nil {
			return err
		}
		d, err := offline.NewDeliveries(src)
		if err != nil {
			return err
		}
		if err := d.AddFile(ev); err != nil {
			return err
		}
		return d.Events(n, f)
	}
}

// train sets the training values of the rows.
func (s *scenario) train() {
	s.t.Helper()
	test := &featuredefs.Test{Service: s.service}
	for _, src := range s.plan.Sources {
		rows := featuredefs.SourceRows{Source: src}
		b := batch(src, s.events)
		for i := range b.N {
			var values []plan.Value
			for _, c := range b.Cols {
				values = append(values, c.Value(i))
			}
			rows.Rows = append(rows.Rows, featuredefs.Row{Values: values})
		}
		test.Events = append(test.Events, rows)
	}
	want, err := golden.Replay().Read(context.Background(), &golden.Case{Test: test, Plan: s.plan, Service: s.service, Rows: s.rows})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range s.rows {
		s.rows[i].Want = nil
		for _, cell := range want[i] {
			s.rows[i].Want = append(s.rows[i].Want, cell.Cell)
		}
	}
}

// check compares the training values with the oracle, as far as they are exact.
func (s *scenario) check() {
	s.t.Helper()
	naive := oracle.New()
	for _, r := range s.rows {
		want, err := naive.Service(s.service, s.events, named(s.service.Keys, r.Keys), named(s.service.Request, r.Request), r.At)
		if err != nil {
			s.t.Fatal(err)
		}
		for c, w := range want {
			if w.Exact && (!w.Value.Equal(r.Want[c].Value) || string(w.Status) != r.Want[c].Status.String()) {
				s.t.Fatalf("row %d at %v: %s is %v in training and %v (%s) for the oracle", r.Number, r.At, w.Name, r.Want[c], w.Value, w.Status)
			}
		}
	}
}

func named(fields []plan.Field, values []plan.Value) map[string]plan.Value {
	out := map[string]plan.Value{}
	for i, f := range fields {
		out[f.Name] = values[i]
	}
	return out
}

// replay serves the rows from stores.
func (s *scenario) replay(open backend.Opener, h parity.History, from plan.EventTime) *parity.Report {
	s.t.Helper()
	r, err := parity.Replay(context.Background(), parity.Config{Plan: s.plan, Service: s.service, Rows: s.rows, History: h, Open: open, From: from})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// Random projects over random events are served as they were trained, whatever part of the
// history is materialized and in whatever order it is read.
func TestRandomProjectsAreServedAsTrained(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := gen.ServiceDefinitions(t, 4)
		defstest.Write(t, dir, text)
		t.Logf("%s", text)
		s := &scenario{t: t}
		s.plan, s.service = load(t, dir)
		view := s.plan.Views[0]
		s.events = gen.Events(t, view, 16)
		s.rows = randomRows(t, s.service, view, s.events)
		from := plan.Always
		if rapid.Bool().Draw(t, "materialize") {
			from = rapid.SampledFrom(s.rows).Draw(t, "from").At
			for len(s.rows) > 0 && s.rows[0].At < from {
				s.rows = s.rows[1:]
			}
		}
		shards := rapid.SampledFrom([]int{1, 3, 8}).Draw(t, "shards")
		for _, src := range s.plan.Sources {
			src.Shards = shards
		}
		s.train()
		s.check()
		arrival := rapid.Permutation(s.events).Draw(t, "arrival")
		r := s.replay(backend.InMemory, history(arrival, rapid.IntRange(1, 20).Draw(t, "batch")), from)
		for _, d := range r.Differences {
			t.Errorf("%+v", d)
		}
		if r.Compared != len(s.rows)*len(s.service.Outputs()) || r.Rows != len(s.rows) {
			t.Fatalf("%d rows and %d values compared", r.Rows, r.Compared)
		}
		if t.Failed() {
			t.FailNow()
		}
	})
}

// randomRows are reads in order of time, each with another key in the other role.
func randomRows(t *rapid.T, s *plan.Service, v *plan.View, events []oracle.Event) []parity.Row {
	reads := gen.Reads(t, v, events, 6)
	others := rapid.Permutation(reads).Draw(t, "other role")
	rows := make([]parity.Row, len(reads))
	for i, r := range reads {
		rows[i] = parity.Row{Number: i, At: r.At, Keys: append(append([]plan.Value(nil), r.Key...), others[i].Key...)}
		request := gen.Row(t, s.Request)
		for _, f := range s.Request {
			rows[i].Request = append(rows[i].Request, request[f.Name])
		}
	}
	return rows
}

const visits = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: visits
stream: true
event_time: ts
columns: {ts: {type: timestamp}, user: {type: int}, amount: {type: double}}
---
kind: FeatureView
name: activity
entity: user
source: visits
features:
  n: count("1h")
  total: sum(amount, "1h")
  mean: mean(amount, "1h")
---
kind: FeatureService
name: model
features: [activity]
`

// busyHour is twelve visits of user 1 and one of user 2, and a read of both afterwards.
func busyHour(t *testing.T) *scenario {
	s := &scenario{t: t}
	dir := t.TempDir()
	defstest.Write(t, dir, visits)
	s.plan, s.service = load(t, dir)
	at := func(minutes int64) plan.EventTime {
		return 1735725600000000 + plan.EventTime(minutes)*plan.EventTime(plan.Minute) // 2025-01-01T10:00:00Z
	}
	for i := range int64(13) {
		e, err := oracle.NewEvent(s.plan.Sources[0], map[string]plan.Value{
			"ts": plan.TimestampValue(at(i)), "user": plan.IntValue(1 + i/12), "amount": plan.DoubleValue(float64(i) + 0.5),
		}, false)
		if err != nil {
			t.Fatal(err)
		}
		s.events = append(s.events, e)
	}
	for i, user := range []int64{2, 1, 3} {
		s.rows = append(s.rows, parity.Row{Number: i, At: at(30), Keys: []plan.Value{plan.IntValue(user)}})
	}
	s.train()
	s.check()
	return s
}

// An event that serving misses, has twice or has with other values is found and reported with
// its position, whether it would have been materialized or pushed.
func TestPlantedDifferencesAreFound(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		s := busyHour(t)
		begin := s.events[0].Time
		for _, from := range []plan.EventTime{plan.Always, begin + 1, begin + plan.EventTime(20*plan.Minute)} {
			if r := s.replay(open, history(s.events, 5), from); r.Different != 0 || len(r.Differences) != 0 || r.Compared != 9 {
				t.Fatalf("from %v, nothing planted: %+v", from, r)
			}
			for name, c := range map[string]struct {
				served []oracle.Event
				want   []string
			}{
				"lost": {s.events[1:], []string{
					"1 activity.n 12 (PRESENT) 11 (PRESENT)", "1 activity.total 72.0 (PRESENT) 71.5 (PRESENT)", "1 activity.mean 6.0 (PRESENT) 6.5 (PRESENT)"}},
				"last one lost": {s.events[:12], []string{
					"0 activity.n 1 (PRESENT) 0 (PRESENT)", "0 activity.total 12.5 (PRESENT) 0.0 (PRESENT)", "0 activity.mean 12.5 (PRESENT) null (UNKNOWN_ENTITY)"}},
				"doubled": {append(s.events[:13:13], s.events[12]), []string{
					"0 activity.n 1 (PRESENT) 2 (PRESENT)", "0 activity.total 12.5 (PRESENT) 25.0 (PRESENT)"}},
				"changed": {append(s.events[:12:12], s.with(12, "amount", plan.DoubleValue(12.500000000000002))), []string{
					"0 activity.total 12.5 (PRESENT) 12.500000000000002 (PRESENT)", "0 activity.mean 12.5 (PRESENT) 12.500000000000002 (PRESENT)"}},
				"of another user": {append(s.events[:13:13], s.with(12, "user", plan.IntValue(3))), []string{
					"2 activity.n 0 (PRESENT) 1 (PRESENT)", "2 activity.total 0.0 (PRESENT) 12.5 (PRESENT)", "2 activity.mean null (UNKNOWN_ENTITY) 12.5 (PRESENT)"}},
				"unknown, not empty": {append(s.events[:13:13], s.withoutAmount(12, 3)), []string{
					"2 activity.n 0 (PRESENT) 1 (PRESENT)", "2 activity.mean null (UNKNOWN_ENTITY) null (EMPTY)"}},
			} {
				r := s.replay(open, history(c.served, 5), from)
				var got []string
				for _, d := range r.Differences {
					got = append(got, fmt.Sprintf("%d %s %s %s", d.Row, d.Feature, d.Trained, d.Served))
					if d.At != s.rows[0].At.String() {
						t.Errorf("%s: %+v has another time", name, d)
					}
				}
				if strings.Join(got, "\n") != strings.Join(c.want, "\n") || r.Different != len(c.want) {
					t.Errorf("%s, from %v: %d different\n%s\nwant\n%s", name, from, r.Different, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			}
		}
	})
}

// A report counts every difference and shows the first few.
func TestReportShowsAFew(t *testing.T) {
	s := busyHour(t)
	for i := range 50 {
		row := s.rows[1]
		row.Number, row.At = 3+i, row.At+plan.EventTime(i)
		s.rows = append(s.rows, row)
	}
	var asked, pushed int64
	seen := 0
	r, err := parity.Replay(t.Context(), parity.Config{
		Plan: s.plan, Service: s.service, Rows: s.rows, History: history(s.events[1:], 100), Open: backend.InMemory, From: plan.Always,
		Progress: func(p parity.Phase, n int64) {
			switch p {
			case parity.Asking:
				asked += n
			case parity.Pushing:
				pushed += n
			}
		},
		Observe: func(row parity.Row, got []parity.Cell) {
			if len(got) == 3 && len(row.Want) == 3 {
				seen++
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != 53 || r.Compared != 159 || r.Different != 51*3 || len(r.Differences) != 20 || r.Statuses["PRESENT"] != 158 || r.Statuses["UNKNOWN_ENTITY"] != 1 {
		t.Errorf("%d rows, %d compared, %d different, %d shown, %v", r.Rows, r.Compared, r.Different, len(r.Differences), r.Statuses)
	}
	if asked != 53 || pushed != 12 || seen != 53 || r.Pushed != 12 || r.Applied != 12 || r.Materialized != 0 {
		t.Errorf("%d asked, %d pushed, %d observed, %+v", asked, pushed, seen, r.Stats)
	}
}

// A replay that is not possible is an error, not a report without differences.
func TestReplayFails(t *testing.T) {
	planned := errors.New("failed, as planned")
	failing := func(context.Context, *plan.Source, func(*kernel.Events) error) error { return planned }
	for name, change := range map[string]func(*parity.Config){
		"history":      func(c *parity.Config) { c.History = failing },
		"materialized": func(c *parity.Config) { c.History, c.From = failing, c.Rows[0].At },
		"stores": func(c *parity.Config) {
			c.Open = func(context.Context, eventlog.Clock) (*backend.Backend, error) { return nil, planned }
		},
	} {
		s := busyHour(t)
		cfg := parity.Config{Plan: s.plan, Service: s.service, Rows: s.rows, History: history(s.events, 5), Open: backend.InMemory, From: plan.Always}
		change(&cfg)
		if _, err := parity.Replay(t.Context(), cfg); !errors.Is(err, planned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := busyHour(t)
	cfg := parity.Config{Plan: s.plan, Service: s.service, History: history(s.events, 5), Open: backend.InMemory, From: plan.Always}
	if _, err := parity.Replay(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no rows to read") {
		t.Errorf("no rows: %v", err)
	}
	// Rows before the end of materialized history cannot be read.
	cfg.Rows, cfg.From = s.rows, s.rows[0].At+1
	if _, err := parity.Replay(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "the server answered as of") {
		t.Errorf("rows from before: %v", err)
	}
}

// withoutAmount is event i of another user and with a null amount.
func (s *scenario) withoutAmount(i int, user int64) oracle.Event {
	e := s.with(i, "user", plan.IntValue(user))
	e.Columns["amount"] = plan.NullValue()
	return e
}

// with is event i with another value of a column.
func (s *scenario) with(i int, column string, v plan.Value) oracle.Event {
	s.t.Helper()
	columns := maps.Clone(s.events[i].Columns)
	columns[column] = v
	e, err := oracle.NewEvent(s.plan.Sources[0], columns, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// What is delivered late is missing until then; what was answered is recorded, and log and store can be looked at at the end.
func TestLateDeliveries(t *testing.T) {
	s := busyHour(t)
	later := s.rows[1]
	later.Number, later.At = 3, later.At+plan.EventTime(25*plan.Minute)
	s.rows = append(s.rows, later)
	s.train()
	dir := t.TempDir()
	served := servedlog.New(servedlog.Config{Dir: dir, Rate: 1})
	recording, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- served.Run(recording) }()
	planned := errors.New("failed, as planned")
	cfg := parity.Config{
		Plan: s.plan, Service: s.service, Rows: s.rows, History: history(s.events, 5), Open: backend.InMemory, From: plan.Always, Served: served,
		Late: func(*plan.Source, string) plan.Micros { return 25 * plan.Minute },
		Done: func(ctx context.Context, on *backend.Backend) error {
			ends, err := eventlog.Shards{Source: "visits", N: 1}.Ends(ctx, on.Log)
			if err != nil || ends.At(0) != 13 {
				t.Errorf("the log ends at %v: %v", ends, err)
			}
			return nil
		},
	}
	r, err := parity.Replay(t.Context(), cfg)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range r.Differences {
		got = append(got, fmt.Sprintf("%d %s %s", d.Row, d.Feature, d.Served))
	}
	want := "0 activity.n 0 (PRESENT), 0 activity.total 0.0 (PRESENT), 0 activity.mean null (UNKNOWN_ENTITY), 1 activity.n 5 (PRESENT), 1 activity.total 12.5 (PRESENT), 1 activity.mean 2.5 (PRESENT)"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant\n%s", strings.Join(got, ", "), want)
	}
	units, closeUnits, err := recompute.Find(dir, "model", plan.Always, plan.Never)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, u := range units {
		rows += u.Rows
	}
	if rows != 4 {
		t.Errorf("%d rows were recorded", rows)
	}
	if err := closeUnits(); err != nil {
		t.Error(err)
	}
	cfg.Served, cfg.Done = nil, func(context.Context, *backend.Backend) error { return planned }
	if _, err := parity.Replay(t.Context(), cfg); !errors.Is(err, planned) {
		t.Error(err)
	}
}
