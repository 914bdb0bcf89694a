package offline

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/online"
)

// payments is a stream with files, and a view over it. %s takes more of the source.
const payments = `
kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: payments
stream: true
event_time: ts
event_id: id
%scolumns:
  id: {type: string}
  ts: {type: timestamp}
  user: {type: int}
  amount: {type: double}
  country: {type: string}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
  n: count()
  n_1h: count("1h")
  total: sum(amount)
  last: latest(country)
  last_3: latest_n(country, 3, "7d")
  countries: distinct_count(country, "30d")
  inverse: sum(1.0 / double(size(country)))
  odd: sum(int(amount) / (int(amount) - 2))
`

const fromFiles = "from: payments-*.parquet\n"

// payment is an event; user 0 is null, and so is an empty id.
type payment struct {
	id      string
	user    int64
	ts      plan.EventTime
	amount  float64
	country string
}

func (p payment) row() []plan.Value {
	row := []plan.Value{plan.StringValue(p.id), plan.TimestampValue(p.ts), plan.IntValue(p.user), plan.DoubleValue(p.amount), plan.StringValue(p.country)}
	if p.id == "" {
		row[0] = plan.NullValue()
	}
	if p.user == 0 {
		row[2] = plan.NullValue()
	}
	return row
}

// midnight is where the clock of a till begins.
const midnight = plan.EventTime(1735689600000000) // 2025-01-01T00:00:00Z

// paid is n payments of nine users before midnight, in no order of time, some tied.
func paid(n int) []payment {
	var out []payment
	for i := range int64(n) {
		out = append(out, payment{fmt.Sprint("p", i), 1 + i*5%9, midnight - plan.EventTime(1+i*i%23)*10*plan.EventTime(plan.Minute), float64(i) / 10, []string{"US", "DE", "FR"}[i%3]})
	}
	return out
}

// till is the project with a log and a store of one kind.
type till struct {
	*project
	t     *testing.T
	now   atomic.Int64
	log   eventlog.Log
	store onlinestore.Store
	plan  *plan.Plan
	view  *plan.View
}

func (l *till) clock() plan.EventTime { return plan.EventTime(l.now.Load()) }

// tills makes tills over one kind of store.
type tills func(t *testing.T, source string) *till

// onEachBackend runs a test over the log and the store of each kind.
func onEachBackend(t *testing.T, test func(t *testing.T, open tills)) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		test(t, func(t *testing.T, source string) *till { return newTill(t, source, open) })
	})
}

func newTill(t *testing.T, source string, open backend.Opener) *till {
	t.Helper()
	l := &till{project: newProject(t), t: t}
	l.now.Store(int64(midnight))
	l.plan = l.define(t, fmt.Sprintf(payments, source))
	l.view = l.plan.Views[0]
	on, err := open(context.Background(), l.clock)
	if err != nil {
		t.Fatal(err)
	}
	l.log, l.store = on.Log, on.Store
	t.Cleanup(func() {
		if err := on.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *till) source() *plan.Source { return l.plan.Sources[0] }

func (l *till) writePayments(file string, list ...payment) {
	l.t.Helper()
	var fields []plan.Field
	for _, c := range l.source().Columns {
		fields = append(fields, c.Field)
	}
	var rows [][]plan.Value
	for _, p := range list {
		rows = append(rows, p.row())
	}
	l.write(l.t, file, fields, rows)
}

// push pushes payments as a client does.
func (l *till) push(list ...payment) []ingest.Pushed {
	l.t.Helper()
	in, err := online.NewIngester(l.plan, l.log, l.clock)
	if err != nil {
		l.t.Fatal(err)
	}
	var fields []plan.Field
	for _, c := range l.source().Columns {
		fields = append(fields, c.Field)
	}
	b := vector.NewBatch(fields, len(list))
	for i, p := range list {
		for c, v := range p.row() {
			b.Cols[c].Set(i, v)
		}
	}
	out, err := in.Push(context.Background(), "payments", b)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// catchUp applies the log.
func (l *till) catchUp() {
	l.t.Helper()
	a, err := online.New(online.Config{Plan: l.plan, Log: l.log, Store: l.store, Clock: l.clock, Batch: 7})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := a.CatchUp(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

// backfill is a build of the view from the files before to and the log.
func (l *till) backfill(to plan.EventTime) *Backfill {
	return &Backfill{
		View: l.view, Store: l.store, Log: l.log, Clock: l.clock, To: to, Inputs: [32]byte{1},
		History: func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
			h := ViewHistory(l.db, l.log, until, l.view)
			h.To = &to
			_, err := h.ReadBy(ctx, workers, f)
			return err
		},
	}
}

func (l *till) run(b *Backfill) *BackfillResult {
	l.t.Helper()
	r, err := b.Run(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// register registers the ids of the files as unskew materialize does.
func (l *till) register(to plan.EventTime) {
	l.t.Helper()
	err := RegisterIDs(context.Background(), l.log, l.source(), to, 0, func(ctx context.Context, f func(*kernel.Events) error) error {
		var none logpos.Vector
		h := History{Reader: l.db, Log: l.log, Source: l.source(), Until: &none}
		for _, c := range l.source().Columns {
			h.Columns = append(h.Columns, c.Name)
		}
		_, err := h.Read(ctx, f)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *till) live() registry.Generation {
	l.t.Helper()
	g, err := registry.Live(context.Background(), l.store, l.view)
	if err != nil {
		l.t.Fatal(err)
	}
	return g
}

// bytes is the states of a generation by entity key.
func (l *till) bytes(g registry.Generation) map[string]string {
	l.t.Helper()
	out := map[string]string{}
	err := l.store.Scan(context.Background(), g.Prefix(), func(key, value []byte) error {
		out[string(key[len(g.Prefix()):])] = string(value)
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// folded is the live states by entity key as of a time, without their positions.
func (l *till) folded(at plan.EventTime) map[string]string {
	l.t.Helper()
	k, err := kernel.NewView(l.view)
	if err != nil {
		l.t.Fatal(err)
	}
	out := l.bytes(l.live())
	for key, b := range out {
		s := k.NewState()
		if err := s.Decode([]byte(b)); err != nil {
			l.t.Fatal(err)
		}
		s.Fold(at)
		s.SetApplied(nil)
		out[key] = string(s.Append(nil))
	}
	return out
}

// counts is the number of events in each user's live state as of a time.
func (l *till) counts(at plan.EventTime) map[int64]int {
	l.t.Helper()
	k, err := kernel.NewView(l.view)
	if err != nil {
		l.t.Fatal(err)
	}
	out := map[int64]int{}
	for key, b := range l.bytes(l.live()) {
		s := k.NewState()
		if err := s.Decode([]byte(b)); err != nil {
			l.t.Fatal(err)
		}
		s.Fold(at)
		user, _, err := plan.DecodeCanonical([]byte(key))
		if err != nil {
			l.t.Fatal(err)
		}
		out[user.Int()] = int(s.Events())
	}
	return out
}

func expectSame(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for key := range maps.Keys(want) {
		if got[key] != want[key] {
			t.Errorf("%s: the state of %x is\n%x\nwant\n%x", what, key, got[key], want[key])
		}
	}
	if len(got) > len(want) {
		t.Errorf("%s: %d states, want %d", what, len(got), len(want))
	}
}
