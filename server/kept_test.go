package server

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	redisstore "github.com/unskew/unskew/internal/onlinestore/redis"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

var keptReads = flag.Int("kept.reads", 3000, "how many reads TestP16 compares with reads that keep nothing, for each kind of store; with -short a third")

// near has windows whose tails move every second, every type of value, features that depend on the time
// of the read itself and that fail, defaults, and services with and without such features.
const near = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
stream: true
event_time: ts
event_id: id
columns:
  id: {type: string}
  ts: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  shop: {type: string}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
  n: count("5s/1s")
  total: sum(amount, "10s/1s")
  exact: sum(amount, "7s/exact")
  most: max(amount, "1m/1s")
  last: {expr: 'latest(shop, "10s/1s")', default: none}
  shops: latest_n(shop, 2)
  share: "sum(amount, '10s/1s') / double(count('5s/1s'))"
  big: "sum(amount, '5s/1s') > 50.0"
---
kind: FeatureView
name: visits
entity: user
source: payments
features:
  n: count("5s/1s")
  since: "now - latest_time().orValue(now)"
  inverse: "6 / count('5s/1s')"
---
kind: FeatureService
name: plain
features: [spend]
---
kind: FeatureService
name: mixed
features: [spend, visits]
request: {amount: double}
derived:
  twice: "request.amount + spend.total"
`

// keptCase is two servers on one store: one keeps what it reads, the other does not. Their clock
// stands still during a comparison.
type keptCase struct {
	plan     *plan.Plan
	writer   onlinestore.Store
	reader   *registry.Reader
	on, off  http.Handler
	clock    atomic.Int64
	versions []*kernel.View // of the views, for the writer
}

const (
	keptUsers = 12
	nearBytes = 1 << 15                          // less than there is to keep
	keptBegin = plan.EventTime(1767225600000000) // 2026-01-01
)

func newKeptCase(t *testing.T, reads *backend.Backend, writer onlinestore.Store) *keptCase {
	t.Helper()
	c := &keptCase{plan: defstest.Compile(t, near), writer: writer}
	c.clock.Store(int64(keptBegin))
	var err error
	if c.reader, err = reads.KeepingStates(t.Context(), nearBytes); err != nil {
		t.Fatal(err)
	}
	serve := func(states stateReader) http.Handler {
		s, err := New(Config{Clock: func() plan.EventTime { return plan.EventTime(c.clock.Load()) }, States: states})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Promote(c.plan); err != nil {
			t.Fatal(err)
		}
		return s.Handler()
	}
	c.on, c.off = serve(c.reader), serve(reads.States())
	for _, v := range c.plan.Views {
		k, err := kernel.NewView(v)
		if err != nil {
			t.Fatal(err)
		}
		c.versions = append(c.versions, k)
		if err := registry.Promote(t.Context(), writer, registry.Generation{View: v.Fingerprint, Number: 1}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// state adds a random event to the state of an entity, nil for a new one.
func (c *keptCase) state(r *rand.Rand, k *kernel.View, user int, old []byte) ([]byte, error) {
	s := k.NewState()
	if old != nil {
		if err := s.Decode(old); err != nil {
			return nil, err
		}
	}
	src := k.Plan().Source
	fields := make([]plan.Field, len(src.Columns))
	for i, col := range src.Columns {
		fields[i] = col.Field
	}
	now := plan.EventTime(c.clock.Load())
	at := now - plan.EventTime(r.Int64N(int64(12*plan.Second)))
	ev := &kernel.Events{Batch: vector.NewBatch(fields, 1), Time: []plan.EventTime{at}, ID: []string{fmt.Sprint(r.Uint64())}}
	if r.IntN(4) == 0 { // visible later
		ev.Known = []plan.EventTime{now + plan.EventTime(r.Int64N(int64(3*plan.Second)))}
	}
	for i, v := range []plan.Value{plan.StringValue(ev.ID[0]), plan.TimestampValue(at), plan.IntValue(int64(user)), plan.DoubleValue(r.Float64() * 100), plan.StringValue(fmt.Sprint("shop ", r.IntN(5)))} {
		ev.Batch.Cols[i].Set(0, v)
	}
	s.Apply(k.Eval(ev), []int32{0}, now)
	s.SetApplied(logpos.One(0, s.Applied().At(0)+1))
	return s.Append(nil), nil
}

func entityOf(user int) []byte {
	key, _ := entitykey.AppendRow(nil, []*vector.Vector{vector.Of(intType, plan.IntValue(int64(user)))}, 0)
	return key
}

// write makes one change: mostly of the state of an entity, else it promotes a new generation or deletes
// the states of the one before.
func (c *keptCase) write(ctx context.Context, r *rand.Rand) error {
	i := r.IntN(len(c.versions))
	k := c.versions[i]
	live, err := registry.Live(ctx, c.writer, k.Plan())
	if err != nil {
		return err
	}
	if r.IntN(40) == 0 {
		next := registry.Generation{View: live.View, Number: live.Number + 1, Build: r.Uint64()}
		if err := c.fill(ctx, r, k, next); err != nil {
			return err
		}
		if err := registry.Promote(ctx, c.writer, next); err != nil {
			return err
		}
		return registry.DropNumber(ctx, c.writer, live.View, live.Number)
	}
	user := r.IntN(keptUsers)
	key := live.StateKey(entityOf(user))
	got, err := c.writer.Get(ctx, [][]byte{key})
	if err != nil {
		return err
	}
	value, err := c.state(r, k, user, got[0])
	if err != nil {
		return err
	}
	_, err = c.writer.Swap(ctx, []onlinestore.Write{{Key: key, Expect: onlinestore.Revision(got[0]), Value: value}})
	return err
}

// fill writes states of some entities for a generation that is not live yet.
func (c *keptCase) fill(ctx context.Context, r *rand.Rand, k *kernel.View, g registry.Generation) error {
	load, err := c.writer.Load(ctx)
	if err != nil {
		return err
	}
	for user := range keptUsers {
		if r.IntN(3) == 0 {
			continue
		}
		value, err := c.state(r, k, user, nil)
		if err != nil {
			return err
		}
		if err := load.Put(g.StateKey(entityOf(user)), value); err != nil {
			return err
		}
	}
	return load.Close()
}

// request is a random request, mostly of one row, in a random format.
func (c *keptCase) request(r *rand.Rand) (contentType string, body []byte) {
	n := 1 + r.IntN(4)/3*r.IntN(6)
	users, amounts := make([]int64, n), make([]float64, n)
	for i := range users {
		users[i] = int64(min(r.IntN(keptUsers), r.IntN(keptUsers)))
	}
	svc := c.plan.Services[r.IntN(2)]
	m := &unskewv1.GetFeaturesRequest{Service: svc.Name, WithStates: r.IntN(4) == 0,
		Keys: []*unskewv1.Column{{Name: "user_id", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: users}}}}}
	if svc.Name == "mixed" {
		m.Request = []*unskewv1.Column{{Name: "amount", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: amounts}}}}
	}
	if r.IntN(5) == 0 {
		m.Features = []string{"spend.total", "spend.share"}
	}
	if r.IntN(3) > 0 {
		m.KnownFingerprint = svc.Fingerprint.String()
	}
	contentType, marshal := "application/proto", proto.Marshal
	if r.IntN(4) == 0 {
		contentType, marshal = "application/json", protojson.Marshal
	}
	body, err := marshal(m)
	if err != nil {
		panic(err)
	}
	return contentType, body
}

func ask(h http.Handler, contentType string, body []byte) (int, []byte) {
	req := httptest.NewRequest(http.MethodPost, "/unskew.v1.FeatureService/GetFeatures", bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.Bytes()
}

// compare reads between two reads that keep nothing. If these are equal nothing has changed, and the
// one between them must be equal too. It returns false if something has.
func (c *keptCase) compare(ctx context.Context, r *rand.Rand) (bool, error) {
	contentType, body := c.request(r)
	code, before := ask(c.off, contentType, body)
	if code != http.StatusOK {
		return false, nil // the connection was cut
	}
	if err := c.reader.CaughtUp(ctx); err != nil {
		return false, err
	}
	code, kept := ask(c.on, contentType, body)
	if code2, after := ask(c.off, contentType, body); code != http.StatusOK || code2 != http.StatusOK || !bytes.Equal(before, after) {
		return false, nil
	}
	if !bytes.Equal(kept, before) {
		return false, fmt.Errorf("at %v the answer to %s is\n%q, and without the near cache\n%q", plan.EventTime(c.clock.Load()), body, kept, before)
	}
	return true, nil
}

// run compares reads while others write, time passes, and disturb, if given, disturbs.
func (c *keptCase) run(t *testing.T, seed uint64, disturb func(ctx context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all, readers sync.WaitGroup
	var compared atomic.Int64
	var failed atomic.Pointer[error]
	fail := func(err error) {
		if err != nil && ctx.Err() == nil && failed.CompareAndSwap(nil, &err) {
			stop()
		}
	}
	const pauses = 16 // reads for each write, so that something is found to be kept
	due := make(chan struct{})
	all.Go(func() {
		r := rand.New(rand.NewPCG(seed, 1))
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-due:
			}
			c.clock.Add(r.Int64N(int64(plan.Second) / 2))
			if err := c.write(ctx, r); err != nil && !errors.Is(err, onlinestore.ErrOutcomeUnknown) && disturb == nil {
				fail(err)
			}
			if disturb != nil && n%50 == 0 {
				fail(disturb(ctx))
			}
		}
	})
	enough := int64(*keptReads)
	if testing.Short() {
		enough /= 3
	}
	for w := range 3 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2+uint64(w)))
			for n := 0; ctx.Err() == nil && compared.Load() < enough; n++ {
				same, err := c.compare(ctx, r)
				fail(err)
				if same {
					compared.Add(1)
				}
				if n%pauses == 0 {
					select {
					case due <- struct{}{}:
					default: // the writer is at work
					}
				}
			}
		})
	}
	readers.Wait()
	stop()
	all.Wait()
	if err := failed.Load(); err != nil {
		t.Fatalf("seed %d: %v", seed, *err)
	}
	stats, _ := c.reader.KeptStats()
	t.Logf("seed %d: %d reads compared, %+v", seed, compared.Load(), stats)
	if stats.Hits == 0 || stats.Evicted == 0 || stats.Bytes > nearBytes {
		t.Errorf("what was kept: %+v", stats)
	}
}

// A server that keeps what it has read answers with the same bytes as one that does not, while states are
// written and deleted, generations are promoted, time passes, and connections are cut.
func TestP16_KeptValuesAreCurrent(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Run("embedded", func(t *testing.T) {
		b, err := backend.InMemory(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		newKeptCase(t, b, b.Store).run(t, seed, nil)
	})
	t.Run("redis, written by this process", func(t *testing.T) {
		b, err := backend.Config{Redis: &redisconn.Options{Addresses: []string{redistest.Start(t).Address}}}.Open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		newKeptCase(t, b, b.Store).run(t, seed, nil)
	})
	t.Run("redis, written by another process, connections cut", func(t *testing.T) {
		server := redistest.Start(t)
		o := redisconn.Options{Addresses: []string{server.Address}}
		b, err := backend.Config{Redis: &o}.Open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		other, err := redisstore.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		cutter, err := redisconn.Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer cutter.Close()
		newKeptCase(t, b, other).run(t, seed, func(ctx context.Context) error {
			return cutter.Do(ctx, cutter.B().Arbitrary("CLIENT", "KILL", "TYPE", "NORMAL").Build()).Error()
		})
	})
}
