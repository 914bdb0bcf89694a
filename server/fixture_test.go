package server

import (
	"context"
	"encoding/binary"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/sdk"
)

// The project under test, as featuredefs compiles it:
//
//	Entity user (user_id int), Entity merchant (merchant string)
//	Source transactions: a stream; Source labels: not one
//	FeatureView user_spend of user:
//	  txns: count()            spend: sum(amount)     avg: mean(amount)
//	  last_country: latest(country), default "??"     countries: latest_n(country, 3)
//	  six_over: 6 / txns       seen_at: now
//	FeatureView merchant_stats of merchant: txns: count()
//	FeatureService fraud_v1: user_spend, user_spend as receiver (user_id from receiver_id),
//	  merchant_stats; request amount double, note string
//	  derived: echo: request.amount, spender: user_spend.txns
var (
	intType    = plan.T(plan.Int)
	doubleType = plan.T(plan.Double)
	stringType = plan.T(plan.String)
	timeType   = plan.T(plan.Timestamp)

	userEntity     = &plan.Entity{Name: "user", Keys: []plan.Field{{Name: "user_id", Type: intType}}}
	merchantEntity = &plan.Entity{Name: "merchant", Keys: []plan.Field{{Name: "merchant", Type: stringType}}}

	transactions = &plan.Source{
		Name: "transactions", Stream: true, EventTime: "ts", EventID: "id",
		Columns: []plan.SourceColumn{
			{Field: plan.Field{Name: "id", Type: stringType}},
			{Field: plan.Field{Name: "ts", Type: timeType}},
			{Field: plan.Field{Name: "user_id", Type: intType}},
			{Field: plan.Field{Name: "merchant", Type: stringType}},
			{Field: plan.Field{Name: "amount", Type: doubleType}},
			{Field: plan.Field{Name: "country", Type: stringType}},
		},
	}
	labels = &plan.Source{Name: "labels", From: "labels.parquet", EventTime: "ts", Columns: transactions.Columns[:2]}
)

func leaf(k plan.ExprKind, t plan.Type, name string, index int) *plan.Expr {
	return &plan.Expr{Kind: k, Type: t, Name: name, Index: index}
}

func userSpend() *plan.View {
	amount, country := leaf(plan.Column, doubleType, "amount", 0), leaf(plan.Column, stringType, "country", 0)
	unknown := plan.StringValue("??")
	types := []plan.Type{intType, doubleType, plan.OptionalOf(doubleType), plan.OptionalOf(stringType), plan.ListOf(stringType)}
	v := &plan.View{
		Name: "user_spend", Entity: userEntity, Source: transactions, KeyColumns: []string{"user_id"},
		Slots: []plan.Slot{
			{Func: plan.Count, Type: types[0]},
			{Func: plan.Sum, Arg: amount, Type: types[1]},
			{Func: plan.Mean, Arg: amount, Type: types[2]},
			{Func: plan.Latest, Arg: country, Type: types[3]},
			{Func: plan.LatestN, Arg: country, N: 3, Type: types[4]},
		},
		Order: []int{0, 1, 2, 3, 4, 5, 6},
	}
	for i, name := range []string{"txns", "spend", "avg", "last_country", "countries"} {
		v.Aggregates = append(v.Aggregates, plan.WindowedAggregate{Slot: i})
		v.Features = append(v.Features, &plan.Feature{Name: name, Expr: leaf(plan.Aggregate, types[i], "", i), Type: types[i].Unwrap(), Description: "About " + name + "."})
	}
	v.Features[3].Default = &unknown
	six := &plan.Expr{Kind: plan.Literal, Type: intType, Lit: plan.IntValue(6)}
	v.Features = append(v.Features,
		&plan.Feature{Name: "six_over", Type: intType, Expr: &plan.Expr{Kind: plan.Call, Type: intType, Name: "_/_", Overloads: []string{"divide_int64"},
			Args: []*plan.Expr{six, leaf(plan.FeatureRef, intType, "txns", 0)}}},
		&plan.Feature{Name: "seen_at", Type: timeType, Expr: leaf(plan.Now, timeType, "now", 0)})
	return v
}

func merchantStats() *plan.View {
	return &plan.View{
		Name: "merchant_stats", Entity: merchantEntity, Source: transactions, KeyColumns: []string{"merchant"},
		Slots:      []plan.Slot{{Func: plan.Count, Type: intType}},
		Aggregates: []plan.WindowedAggregate{{}},
		Features:   []*plan.Feature{{Name: "txns", Expr: leaf(plan.Aggregate, intType, "", 0), Type: intType}},
		Order:      []int{0},
	}
}

// project compiles the plan above; every call returns a new, equal plan.
func project() *plan.Plan {
	spend, stats := userSpend(), merchantStats()
	svc := &plan.Service{
		Name: "fraud_v1", Description: "Scores card payments.",
		Views: []plan.ViewRef{
			{View: spend, As: "user_spend", Keys: []string{"user_id"}},
			{View: spend, As: "receiver", Keys: []string{"receiver_id"}},
			{View: stats, As: "merchant_stats", Keys: []string{"merchant"}},
		},
		Keys:    []plan.Field{{Name: "user_id", Type: intType}, {Name: "receiver_id", Type: intType}, {Name: "merchant", Type: stringType}},
		Request: []plan.Field{{Name: "amount", Type: doubleType}, {Name: "note", Type: stringType}},
	}
	for i, f := range spend.Features {
		svc.Features = append(svc.Features, plan.ServiceFeature{Name: "user_spend." + f.Name, Ref: 0, Feature: i})
	}
	svc.Features = append(svc.Features, plan.ServiceFeature{Name: "receiver.spend", Ref: 1, Feature: 1}, plan.ServiceFeature{Name: "merchant_stats.txns", Ref: 2})
	svc.Derived = []*plan.Feature{
		{Name: "echo", Expr: leaf(plan.Request, doubleType, "amount", 0), Type: doubleType},
		{Name: "spender", Expr: leaf(plan.FeatureRef, intType, "user_spend.txns", 0), Type: intType},
	}
	svc.Order = []int{0, 1}
	eng := plan.Engine{CEL: "test", Env: "test"}
	plan.FingerprintView(spend, eng)
	plan.FingerprintView(stats, eng)
	plan.FingerprintService(svc, eng)
	return &plan.Plan{
		Project: "shop", Entities: []*plan.Entity{userEntity, merchantEntity}, Sources: []*plan.Source{transactions, labels},
		Views: []*plan.View{spend, stats}, Services: []*plan.Service{svc},
	}
}

// memoryStore is an in-memory online store with what the registry needs.
type memoryStore struct {
	onlinestore.Store
	mu   sync.Mutex
	data map[string][]byte
	gets int
}

func (m *memoryStore) Get(_ context.Context, keys [][]byte) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = m.data[string(k)]
	}
	return out, nil
}

func (m *memoryStore) Swap(_ context.Context, writes []onlinestore.Write) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	done := make([]bool, len(writes))
	for i, w := range writes {
		revision := onlinestore.Absent
		if old := m.data[string(w.Key)]; old != nil {
			revision = binary.BigEndian.Uint64(old)
		}
		if done[i] = revision == w.Expect; done[i] {
			m.data[string(w.Key)] = w.Value
		}
	}
	return done, nil
}

// reset drops all values.
func (m *memoryStore) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.data)
}

type event struct {
	id       string
	t        plan.EventTime
	user     int64
	merchant string
	amount   float64
	country  string // "": null
}

// write stores the events in the states of both views as generation 1.
func (m *memoryStore) write(t testing.TB, p *plan.Plan, events ...event) {
	t.Helper()
	fields := make([]plan.Field, len(transactions.Columns))
	for i, c := range transactions.Columns {
		fields[i] = c.Field
	}
	ev := &kernel.Events{Batch: vector.NewBatch(fields, len(events))}
	for i, e := range events {
		country := plan.NullValue()
		if e.country != "" {
			country = plan.StringValue(e.country)
		}
		for c, v := range []plan.Value{plan.StringValue(e.id), plan.TimestampValue(e.t), plan.IntValue(e.user), plan.StringValue(e.merchant), plan.DoubleValue(e.amount), country} {
			ev.Batch.Cols[c].Set(i, v)
		}
		ev.Time, ev.ID = append(ev.Time, e.t), append(ev.ID, e.id)
	}
	for _, v := range p.Views {
		g := registry.Generation{View: v.Fingerprint, Number: 1, Materialized: plan.Always}
		if err := registry.Promote(t.Context(), m, g); err != nil {
			t.Fatal(err)
		}
		k, err := kernel.NewView(v)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]*kernel.State{}
		for i := range events {
			key, _ := entitykey.AppendRow(nil, []*vector.Vector{ev.Batch.Col(v.KeyColumns[0])}, i)
			s, ok := states[string(key)]
			if !ok {
				s = k.NewState()
				states[string(key)] = s
			}
			s.Apply(k.Eval(ev), []int32{int32(i)}, plan.MaxTime)
			s.SetApplied(logpos.One(0, uint64(i+1)))
		}
		for key, s := range states {
			m.data[string(g.StateKey([]byte(key)))] = s.Append(nil)
		}
	}
}

const noon = plan.EventTime(1735732800000000) // 2025-01-01T12:00:00Z

var history = []event{
	{"a", noon - 3, 1, "shop", 10, "US"},
	{"b", noon - 2, 1, "kiosk", 2.5, "FR"},
	{"c", noon - 1, 2, "shop", 7, ""},
}

// fixture is a server with the history, whose clock shows noon.
type fixture struct {
	*Server
	store *memoryStore
	plan  *plan.Plan
	url   string
}

// start starts a server; change may modify its configuration first.
func start(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{store: &memoryStore{data: map[string][]byte{}}, plan: project()}
	f.store.write(t, f.plan, history...)
	cfg := Config{Clock: func() plan.EventTime { return noon }, States: registry.NewReader(f.store)}
	if change != nil {
		change(&cfg)
	}
	var err error
	if f.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := f.Promote(f.plan); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(f.Handler())
	srv.Config.Protocols = protocols()
	srv.Start()
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *fixture) client(t testing.TB, opts ...sdk.Option) *sdk.Client {
	t.Helper()
	c, err := sdk.New(f.url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// row returns the key and request columns for reads of these users at one shop.
func row(users ...int64) (keys, request []sdk.Column) {
	n := len(users)
	shops, amounts, notes := make([]string, n), make([]float64, n), make([]string, n)
	for i := range users {
		shops[i], amounts[i], notes[i] = "shop", float64(i)+0.5, "n"
	}
	return []sdk.Column{sdk.Ints("user_id", users...), sdk.Ints("receiver_id", users...), sdk.Strings("merchant", shops...)},
		[]sdk.Column{sdk.Doubles("amount", amounts...), sdk.Strings("note", notes...)}
}
