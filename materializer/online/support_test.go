package online

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// definitions is the project under test: a stream with two views, and another stream with
// one.
const definitions = `
kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Entity
name: place
keys: [{name: country, type: string}, {name: shop, type: string}]
---
kind: Source
name: clicks
stream: true
event_time: ts
event_id: id
max_ahead: 1h
columns:
  id: {type: string}
  ts: {type: timestamp}
  user: {type: int}
  country: {type: string}
  shop: {type: string}
  amount: {type: double}
  refund: {type: double, known_at: refund_at}
  refund_at: {type: timestamp}
---
kind: Source
name: visits
stream: true
event_time: ts
columns:
  ts: {type: timestamp}
  user: {type: int}
---
kind: FeatureView
name: spend
entity: user
source: clicks
features:
  n: count()
  n_1m: count("1m/1s")
  total: sum(amount)
  mean_10s: mean(amount, "10s/exact")
  last: latest(country)
  last_3: latest_n(country, 3, "1h")
  shops: distinct_count(shop, "1d")
  refunds: sum(refund)
---
kind: FeatureView
name: trade
entity: place
source: clicks
where: amount > 0.0
features:
  n: count("1h")
  users: distinct_count(user)
---
kind: FeatureView
name: visiting
entity: user
source: visits
features:
  n: count()
`

// failer is the part of testing.T that rapid.T also has.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// rig is the online side of a project, under a clock that the test controls.
type rig struct {
	t      failer
	plan   *plan.Plan
	now    atomic.Int64
	log    eventlog.Log
	store  onlinestore.Store
	in     *Ingester
	events []oracle.Event // everything that was appended, for the oracle
}

// noon is the initial time of the clock.
const noon = plan.EventTime(1735732800000000) // 2025-01-01T12:00:00Z

const second = plan.EventTime(plan.Second)

func newRig(t testing.TB, open backend.Opener, p *plan.Plan) *rig {
	t.Helper()
	r, closeAll := openRig(t, open, p)
	t.Cleanup(func() {
		if err := closeAll(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// openRig is newRig for callers that close the rig themselves.
func openRig(t failer, open backend.Opener, p *plan.Plan) (*rig, func() error) {
	r := &rig{t: t, plan: p}
	r.now.Store(int64(noon))
	on, err := open(context.Background(), r.clock)
	if err != nil {
		t.Fatal(err)
	}
	r.log, r.store = on.Log, on.Store
	if r.in, err = NewIngester(p, r.log, r.clock); err != nil {
		t.Fatal(err)
	}
	return r, on.Close
}

func (r *rig) clock() plan.EventTime { return plan.EventTime(r.now.Load()) }

func (r *rig) set(t plan.EventTime) { r.now.Store(int64(t)) }

// row is an event's columns by name; missing ones are null.
type row map[string]plan.Value

func click(id string, user int64, ts plan.EventTime, amount float64, country string) row {
	return row{
		"id": plan.StringValue(id), "user": plan.IntValue(user), "ts": plan.TimestampValue(ts), "amount": plan.DoubleValue(amount),
		"country": plan.StringValue(country), "shop": plan.StringValue(country + "-shop"),
	}
}

func (r row) with(column string, v plan.Value) row {
	r = maps.Clone(r)
	r[column] = v
	return r
}

// push pushes rows to a source in one call.
func (r *rig) push(source string, rows ...row) []ingest.Pushed {
	r.t.Helper()
	src, _ := r.plan.Source(source)
	b := batch(src, rows)
	out, err := r.in.Push(context.Background(), source, b)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, p := range out {
		if p.Outcome != ingest.Appended && p.Outcome != ingest.Filled {
			continue
		}
		e, err := oracle.NewEvent(src, rows[i], false)
		if err != nil {
			r.t.Fatal(err)
		}
		e.Known, e.Position = max(e.Known, r.clock()), int(p.Position)
		r.events = append(r.events, e)
	}
	return out
}

func batch(src *plan.Source, rows []row) *vector.Batch {
	fields := make([]plan.Field, len(src.Columns))
	for i, c := range src.Columns {
		fields[i] = c.Field
	}
	b := vector.NewBatch(fields, len(rows))
	for i, row := range rows {
		for c, f := range fields {
			b.Cols[c].Set(i, row[f.Name])
		}
	}
	return b
}

// applier returns an applier on the rig's log and store; change may modify its configuration.
func (r *rig) applier(change func(*Config)) *Applier {
	r.t.Helper()
	cfg := Config{Plan: r.plan, Log: r.log, Store: r.store, Clock: r.clock}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) catchUp(a *Applier) {
	r.t.Helper()
	if err := a.CatchUp(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) view(name string) *plan.View {
	v, ok := r.plan.View(name)
	if !ok {
		r.t.Fatalf("no view %s", name)
	}
	return v
}

func (r *rig) live(view string) registry.Generation {
	r.t.Helper()
	g, err := registry.Live(context.Background(), r.store, r.view(view))
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

// beginAnew removes all states, so that every view begins as one that is empty, under the same generation.
func (r *rig) beginAnew() {
	r.t.Helper()
	for _, v := range r.plan.Views {
		g := r.live(v.Name)
		if err := errors.Join(registry.Drop(context.Background(), r.store, g), registry.BeginIndex(context.Background(), r.store, g)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// loseOffsets deletes the consumed offsets.
func (r *rig) loseOffsets() {
	r.t.Helper()
	for _, v := range r.plan.Views {
		if err := r.store.DeletePrefix(context.Background(), r.live(v.Name).OffsetKey()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// states returns every live state by view and entity key. With exact, the bytes are
// unchanged; otherwise the position is removed, because it depends on the order of the log,
// and what is visible at the given time is folded.
func (r *rig) states(exact bool, at plan.EventTime) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for _, v := range r.plan.Views {
		g := r.live(v.Name)
		k, err := kernel.NewView(v)
		if err != nil {
			r.t.Fatal(err)
		}
		err = r.store.Scan(context.Background(), g.Prefix(), func(key, value []byte) error {
			name := fmt.Sprintf("%s %x", v.Name, key[len(g.Prefix()):])
			if exact {
				out[name] = string(value)
				return nil
			}
			s := k.NewState()
			if err := s.Decode(value); err != nil {
				return err
			}
			s.Fold(at)
			s.SetApplied(nil)
			out[name] = string(s.Append(nil))
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return out
}

// differences lists the states that differ between two rigs.
func differences(a, b map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != b[name] {
			out = append(out, fmt.Sprintf("%s: %x, %x", name, a[name], b[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			out = append(out, fmt.Sprintf("%s: only %x", name, b[name]))
		}
	}
	return out
}

// read returns what a server would answer for one entity when its clock shows at.
func (r *rig) read(view string, at plan.EventTime, key ...plan.Value) map[string]string {
	r.t.Helper()
	v := r.view(view)
	answers, err := registry.NewReader(r.store).States(context.Background(), []registry.Query{{View: v, Entities: [][]byte{entity(v, key)}}}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	k, err := kernel.NewView(v)
	if err != nil {
		r.t.Fatal(err)
	}
	var state *kernel.State
	if b := answers[0].States[0]; b != nil {
		at = max(at, k.NewestOf(b, at)+1)
		state = k.NewState()
		if state.Decode(b) != nil {
			state = nil
		}
	}
	f := k.ReadStored(answers[0].States, at)
	if state != nil {
		f = k.Read([]*kernel.State{state}, []plan.EventTime{at})
	}
	out := map[string]string{}
	for i, col := range f.Cols {
		out[v.Features[i].Name] = fmt.Sprintf("%v %v", col.Vec.Value(0), col.Status[0])
	}
	return out
}

func entity(v *plan.View, key []plan.Value) []byte {
	cols := make([]*vector.Vector, len(key))
	for i, k := range v.Entity.Keys {
		cols[i] = vector.Of(k.Type, key[i])
	}
	b, _ := entitykey.AppendRow(nil, cols, 0)
	return b
}

// agree compares a read with the oracle's result over everything that was appended.
func (r *rig) agree(view string, at plan.EventTime, key ...plan.Value) {
	r.t.Helper()
	v := r.view(view)
	want, err := oracle.New().View(v, r.events, key, at)
	if err != nil {
		r.t.Fatal(err)
	}
	got := r.read(view, at, key...)
	for _, w := range want {
		if g := fmt.Sprintf("%v %v", w.Value, w.Status); got[w.Name] != g {
			r.t.Fatalf("%s of %v at %v: %s is %s, the oracle says %s", view, key, at, w.Name, got[w.Name], g)
		}
	}
}

// stride is how many calls of a store lie between two that fail. The first is drawn, so that short runs
// together try all.
func stride() int64 {
	if testing.Short() {
		return 8
	}
	return 1
}

// faulty is a store whose nth call fails, counted from 1. With after, the call takes effect
// before it fails.
type faulty struct {
	onlinestore.Store
	nth   int64
	after bool
	calls atomic.Int64
}

var errFault = errors.New("the store failed, as planned")

func (f *faulty) fails() bool { return f.calls.Add(1) == f.nth }

func (f *faulty) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if f.fails() {
		return nil, errFault
	}
	return f.Store.Get(ctx, keys)
}

func (f *faulty) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	fails := f.fails()
	if fails && !f.after {
		return nil, errFault
	}
	done, err := f.Store.Swap(ctx, writes)
	if fails {
		return nil, errors.Join(errFault, err)
	}
	return done, err
}

// hooked calls before at the beginning of each Swap of states and after at the end; both may
// be nil.
type hooked struct {
	onlinestore.Store
	before, after func()
}

func (h *hooked) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if h.before != nil && len(writes) > 0 && strings.HasPrefix(string(writes[0].Key), "s") {
		h.before()
	}
	done, err := h.Store.Swap(ctx, writes)
	if h.after != nil {
		h.after()
	}
	return done, err
}

// losing reports a conflict for every write.
type losing struct{ onlinestore.Store }

func (l losing) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if len(writes) > 0 && strings.HasPrefix(string(writes[0].Key), "s") {
		return make([]bool, len(writes)), nil
	}
	return l.Store.Swap(ctx, writes)
}
