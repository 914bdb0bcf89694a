package recompute_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/sdk"
	"github.com/unskew/unskew/server"
)

const definitions = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Entity
name: place
keys: [{name: country, type: string}, {name: shop, type: string}]
---
kind: Source
name: payments
from: payments.csv
stream: true
shards: 3
event_time: ts
event_id: id
known_at: {delay: 10s}
max_ahead: 1h
columns:
  id: {type: string}
  ts: {type: timestamp}
  user_id: {type: int}
  country: {type: string}
  shop: {type: string}
  amount: {type: double}
  chargeback: {type: double, outcome: true, known_at: {delay: 20s}}
---
kind: Source
name: visits
from: visits.csv
stream: true
shards: 2
event_time: ts
max_ahead: 1h
columns:
  ts: {type: timestamp}
  user_id: {type: int}
  page: {type: string}
---
kind: Source
name: profiles
from: profiles.csv
event_time: since
event_id: id
columns:
  id: {type: string}
  since: {type: timestamp}
  user_id: {type: int}
  tier: {type: string}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
  n: count()
  n_1m: count("1m/1s")
  total: sum(amount, "1h")
  mean: {expr: 'mean(amount, "10m/exact")', default: 0.5}
  last_3: latest_n(country, 3, "1h")
  charged: sum(chargeback, "1d")
  risk: sum(chargeback, "1d") / sum(amount, "1d")
  inverse: 100 / count("1m/1s")
  safe: {expr: '100 / count("10m")', default: 7, on_error: default}
---
kind: FeatureView
name: trade
entity: place
source: payments
where: amount > 0.0
features:
  n: count("1h")
  users: distinct_count(user_id)
---
kind: FeatureView
name: visiting
entity: user
source: visits
features:
  n: count("10m/1s")
  pages: top_k(page, 2, "1h")
---
kind: FeatureView
name: profile
entity: user
source: profiles
features:
  tier: latest(tier)
---
kind: FeatureService
name: fraud
features:
  - spend
  - {view: spend, as: receiver, keys: {user_id: receiver_id}}
  - trade
  - visiting
  - profile
request:
  amount: double
  note: string
derived:
  ratio: request.amount / (spend.mean + 1.0)
  both: spend.n + receiver.n
  echo: request.note
  failing: spend.inverse + 1
`

const (
	noon   = plan.EventTime(1735732800000000) // 2025-01-01T12:00:00Z
	second = plan.EventTime(plan.Second)
	minute = plan.EventTime(plan.Minute)
)

// site is a project that is served, under a clock that the test controls.
type site struct {
	t       defstest.T
	dir     string
	plan    *plan.Plan
	reader  *relation.Reader
	now     atomic.Int64
	on      *backend.Backend
	in      *online.Ingester
	applier *online.Applier
	served  servedlog.Config
	servers []*serving
	close   []func()
	more    []sdk.Column // of requests
}

// serving is one of its servers.
type serving struct {
	client *sdk.Client
	ahead  atomic.Int64 // of its clock
	log    *servedlog.Log
	end    func()
}

func newSite(t defstest.T, open backend.Opener, definitions string, files map[string]string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "unskew-recompute-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, close: []func(){func() { os.RemoveAll(dir) }}}
	s.now.Store(int64(noon))
	for name, text := range files {
		s.write(name, text)
	}
	defstest.Write(t, dir, definitions)
	s.plan = defstest.Load(t, dir, featuredefs.Options{}).Plan
	if s.reader, err = relation.Open(relation.Options{BaseDir: dir, Threads: 2}); err != nil {
		t.Fatal(err)
	}
	s.close = append(s.close, func() { _ = s.reader.Close() })
	if s.on, err = open(context.Background(), s.clock); err != nil {
		t.Fatal(err)
	}
	s.close = append(s.close, func() { _ = s.on.Close() })
	if s.in, err = online.NewIngester(s.plan, s.on.Log, s.clock); err != nil {
		t.Fatal(err)
	}
	s.applier = s.newApplier(0)
	s.served = servedlog.Config{Dir: filepath.Join(dir, "served"), Rate: 1, Clock: func() time.Time { return s.clock().Time() }}
	return s
}

// newApplier makes an applier that sets states of more than so many bytes aside.
func (s *site) newApplier(stateBytes int) *online.Applier {
	s.t.Helper()
	a, err := online.New(online.Config{Plan: s.plan, Log: s.on.Log, Store: s.on.Store, Clock: s.clock, StateBytes: stateBytes})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *site) clock() plan.EventTime { return plan.EventTime(s.now.Load()) }

func (s *site) advance(by plan.EventTime) { s.now.Add(int64(by)) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) end() {
	for _, x := range s.servers {
		x.end()
	}
	slices.Reverse(s.close)
	for _, f := range s.close {
		f()
	}
}

// serve starts a server of a plan.
func (s *site) serve(p *plan.Plan) *serving { return s.serveFrom(p, registry.NewReader(s.on.Store)) }

// serveKept starts a server that keeps states which it has read, if the store can tell of changes.
func (s *site) serveKept(p *plan.Plan) *serving {
	store, ok := s.on.Store.(onlinestore.Watching)
	if !ok {
		return s.serve(p)
	}
	return s.serveFrom(p, registry.NewKeepingReader(store, 1<<20))
}

func (s *site) serveFrom(p *plan.Plan, states *registry.Reader) *serving {
	s.t.Helper()
	x := &serving{log: servedlog.New(s.served)}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = x.log.Run(ctx) })
	x.end = func() { stop(); running.Wait() }
	srv, err := server.New(server.Config{
		Clock: func() plan.EventTime { return s.clock() + plan.EventTime(x.ahead.Load()) }, States: states, Served: x.log,
	})
	if err == nil {
		err = srv.Promote(p)
	}
	if err == nil {
		x.client, err = sdk.New("http://127.0.0.1", sdk.WithHandler(srv.Handler()))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.servers = append(s.servers, x)
	return x
}

// inputs identifies the files of a source.
func (s *site) inputs(src *plan.Source) [32]byte {
	h := sha256.New()
	if src.From != "" {
		files, err := s.reader.Files(context.Background(), relation.SourceRelation(src))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, f := range files {
			fmt.Fprintf(h, "%q %d %s\n", f.Path, f.Size, f.SHA256)
		}
	}
	return [32]byte(h.Sum(nil))
}

// materialize builds all views, or some, from the files up to a time.
func (s *site) materialize(to plan.EventTime, views ...*plan.View) {
	s.t.Helper()
	if len(views) == 0 {
		views = s.plan.Views
	}
	var registered []*plan.Source
	for _, v := range views {
		b := offline.Backfill{
			View: v, Store: s.on.Store, Log: s.on.Log, Clock: s.clock, To: to, Inputs: s.inputs(v.Source), Full: true, Threads: 2,
			History: func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
				return s.history(ctx, []*plan.View{v}, recompute.Range{To: to, Until: until}, workers, f)
			},
			Before: func(ctx context.Context) error {
				if slices.Contains(registered, v.Source) || !v.Source.Stream || v.Source.From == "" {
					return nil
				}
				registered = append(registered, v.Source)
				return offline.RegisterIDs(ctx, s.on.Log, v.Source, to, v.Source.DedupWindow, func(ctx context.Context, f func(*kernel.Events) error) error {
					h := offline.History{Reader: s.reader, Source: v.Source, Until: &logpos.Vector{}}
					for _, c := range v.Source.Columns {
						h.Columns = append(h.Columns, c.Name)
					}
					_, err := h.Read(ctx, f)
					return err
				})
			},
		}
		if _, err := b.Run(context.Background()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) history(ctx context.Context, views []*plan.View, r recompute.Range, workers int, f func(int, *kernel.Events) error) error {
	h := offline.ViewHistory(s.reader, s.on.Log, r.Until, views...)
	h.To = &r.To
	_, err := h.ReadBy(ctx, workers, f)
	return err
}

// row is columns by name; missing ones are null.
type row map[string]any

func valueOf(v any) plan.Value {
	switch v := v.(type) {
	case int:
		return plan.IntValue(int64(v))
	case float64:
		return plan.DoubleValue(v)
	case string:
		return plan.StringValue(v)
	case plan.EventTime:
		return plan.TimestampValue(v)
	}
	return plan.NullValue()
}

// push pushes rows and returns what became of them.
func (s *site) push(source string, rows ...row) (outcomes []string) {
	s.t.Helper()
	src, _ := s.plan.Source(source)
	fields := make([]plan.Field, len(src.Columns))
	for i, c := range src.Columns {
		fields[i] = c.Field
	}
	b := vector.NewBatch(fields, len(rows))
	for i, r := range rows {
		for c, f := range fields {
			b.Cols[c].Set(i, valueOf(r[f.Name]))
		}
	}
	out, err := s.in.Push(context.Background(), source, b)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range out {
		outcomes = append(outcomes, p.Outcome.String())
	}
	return outcomes
}

func (s *site) catchUp() {
	s.t.Helper()
	if err := s.applier.CatchUp(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// read reads the service for users, who pay one another.
func (s *site) read(from *serving, users ...int64) {
	s.t.Helper()
	n := len(users)
	receivers, countries, shops, amounts, notes := slices.Clone(users), make([]string, n), make([]string, n), make([]float64, n), make([]string, n)
	slices.Reverse(receivers)
	for i, u := range users {
		countries[i], shops[i], amounts[i], notes[i] = countryOf(u), "shop", float64(u)/2, fmt.Sprint("note ", u)
	}
	keys := []sdk.Column{sdk.Ints("user_id", users...), sdk.Ints("receiver_id", receivers...), sdk.Strings("country", countries...), sdk.Strings("shop", shops...)}
	_, err := from.client.GetFeatures(context.Background(), "fraud", keys[:len(s.plan.Services[0].Keys)],
		append([]sdk.Column{sdk.Doubles("amount", amounts...), sdk.Strings("note", notes...)}, s.more...))
	if err != nil {
		s.t.Fatal(err)
	}
}

func countryOf(user int64) string { return []string{"AT", "DE", "FR"}[user%3] }

// recompute ends the servers and computes again what they have served. change may change the configuration.
func (s *site) recompute(change ...func(*recompute.Config)) *recompute.Report {
	s.t.Helper()
	cfg, end := s.config(change...)
	defer end()
	r, err := recompute.Run(context.Background(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// config ends the servers, and is what to compute again of what they recorded, until end.
func (s *site) config(change ...func(*recompute.Config)) (cfg recompute.Config, end func() error) {
	s.t.Helper()
	for _, x := range s.servers {
		x.end()
	}
	cfg = recompute.Config{Service: s.plan.Services[0], From: plan.Always, To: plan.Never, Log: s.on.Log, History: s.history, Threads: 2}
	var err error
	if cfg.Units, end, err = recompute.Find(s.served.Dir, cfg.Service.Name, cfg.From, cfg.To); err != nil {
		s.t.Fatal(err)
	}
	cfg.Builds, err = recompute.FindBuilds(context.Background(), s.on.Store, cfg.Service, func(_ context.Context, src *plan.Source, _ plan.EventTime) ([32]byte, error) {
		return s.inputs(src), nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range change {
		f(&cfg)
	}
	return cfg, end
}

// csv is rows as the text of a file.
func csv(columns string, rows ...row) string {
	var b strings.Builder
	b.WriteString(columns + "\n")
	for _, r := range rows {
		var cells []string
		for _, c := range strings.Split(columns, ",") {
			cell := ""
			if r[c] != nil {
				cell = fmt.Sprint(r[c])
			}
			cells = append(cells, cell)
		}
		b.WriteString(strings.Join(cells, ",") + "\n")
	}
	return b.String()
}

const (
	paymentColumns = "id,ts,user_id,country,shop,amount,chargeback"
	visitColumns   = "ts,user_id,page"
	profileColumns = "id,since,user_id,tier"
)
