package online

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/archive"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/lease"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
	"github.com/unskew/unskew/internal/registry"
)

// leased is an applier that shares the shards with others.
type leased struct {
	*Applier
	table *lease.Table
	ctx   context.Context
	stop  func() // ends it in order
	mu    sync.Mutex
	said  []error
}

var shortLeases = lease.Options{TTL: 500 * time.Millisecond, Beat: 30 * time.Millisecond}

// lease starts an applier on the rig's log and store.
func (r *rig) lease(t *testing.T, server *redistest.Server, o lease.Options, change func(*Config)) *leased {
	t.Helper()
	l := &leased{}
	var err error
	if l.table, err = lease.Open(t.Context(), redisconn.Options{Addresses: []string{server.Address}, Namespace: "leases"}); err != nil {
		t.Fatal(err)
	}
	l.Applier = r.applier(func(c *Config) {
		c.Leases, c.Recheck = lease.NewMember(l.table, o), 50*time.Millisecond
		c.Clock = func() plan.EventTime { return noon + second }
		if change != nil {
			change(c)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	l.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Run(ctx, func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.said = append(l.said, err)
		})
	}()
	l.stop = func() { cancel(); <-done }
	t.Cleanup(func() { l.stop(); _ = l.table.Close() })
	return l
}

// die ends an applier as a kill does: it gives up nothing, and what it is writing may or may not be written.
func (l *leased) die() {
	_ = l.table.Close()
	l.stop()
}

// has is how many shards of the clicks the applier has.
func (l *leased) has() (n int) {
	share := l.sources[0].share.Load()
	for k := range 8 {
		if share != nil && share.Has(k) {
			n++
		}
	}
	return n
}

// await waits until a condition holds; it looks every few milliseconds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.After(20 * time.Second); !ok(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// applied reports whether every view has consumed its log.
func (r *rig) applied(t *testing.T) bool {
	layouts := eventlog.NewLayouts(r.log)
	for _, v := range r.plan.Views {
		shards, err := layouts.Find(t.Context(), v.Source.Name)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := shards.Ends(t.Context(), r.log)
		if err != nil {
			t.Fatal(err)
		}
		consumed, err := registry.ConsumedBy(t.Context(), r.store, []*plan.View{v})
		if err != nil {
			t.Fatal(err)
		}
		if !consumed[0].Offset.Covers(ends) || ends.Sum() == 0 {
			return false
		}
	}
	return true
}

func (r *rig) pushTraffic() {
	clicks, visits := traffic()
	r.push("clicks", clicks...)
	r.push("visits", visits...)
}

// Appliers share the shards of a log; each event is read by one of them and the states are those of a single applier.
func TestAppliersShareShards(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := backendtest.OnRedis(server)
	want := reference(t, open, 8)
	r := newRig(t, open, divided(t, 8))
	a, b := r.lease(t, server, lease.Options{}, nil), r.lease(t, server, lease.Options{}, nil)
	await(t, "each has half of the shards", func() bool { return a.has() == 4 && b.has() == 4 })
	r.pushTraffic()
	await(t, "everything is applied", func() bool { return r.applied(t) })
	expectStates(t, r, want)
	if x, y := a.Stats(), b.Stats(); x.Records == 0 || y.Records == 0 || x.Records+y.Records != 50 || x.Applied+y.Applied != 90 {
		t.Errorf("%+v, %+v", x, y)
	}
	for name, want := range map[string]float64{"unskew_applier_lease_held": 8, "unskew_applier_leases_taken_total": 8} {
		if got := gauge(t, a.Applier, name); got < want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	// The log knows how many ids it remembers.
	retention := NewRetention(r.plan, archive.Over(r.log, t.TempDir()), r.store, r.clock)
	reg := prometheus.NewRegistry()
	retention.Register(reg)
	clicks, _ := r.plan.Source("clicks")
	if err := retention.refresh(t.Context(), clicks); err != nil {
		t.Fatal(err)
	}
	if got := total(t, reg, "unskew_log_remembered_ids"); got != 40 {
		t.Errorf("%v ids are remembered, want 40", got)
	}
	if got := total(t, reg, "unskew_log_shard_records"); got != 40 {
		t.Errorf("the shards have %v records, want 40", got)
	}
	// One that leaves in order is replaced at once; nothing waits for its leases to end.
	a.stop()
	await(t, "the other one has all", func() bool { return b.has() == 8 })
	if got := b.sources[0].share.Load().Stats().TakenOff; got != 0 {
		t.Errorf("%d shards were taken off the other one", got)
	}
}

// gauge adds up the values of a metric of an applier.
func gauge(t *testing.T, a *Applier, name string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	a.Register(reg)
	return total(t, reg, name)
}

func total(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// dying is a store that an applier uses until the nth call, at which it dies: the call may still take effect, later ones do not.
type dying struct {
	onlinestore.Store
	nth   int64
	calls atomic.Int64
	dead  chan struct{} // closed at the nth call
}

var errDead = errors.New("the applier is dead")

func (d *dying) dies() (last, dead bool) {
	n := d.calls.Add(1)
	if n == d.nth {
		close(d.dead)
	}
	return n == d.nth, n >= d.nth
}

func (d *dying) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if _, dead := d.dies(); dead {
		return nil, errDead
	}
	return d.Store.Get(ctx, keys)
}

func (d *dying) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	last, dead := d.dies()
	if !dead || last && d.nth%2 == 0 {
		if done, err := d.Store.Swap(ctx, writes); !dead {
			return done, err
		}
	}
	return nil, errDead
}

// Wherever an applier dies, the other one goes on with its shards, and every event counts once.
func TestO7_AnotherApplierGoesOn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := backendtest.OnRedis(server)
	want := reference(t, open, 3)
	for nth := int64(2); ; nth += 13 {
		r := newRig(t, open, divided(t, 3))
		r.pushTraffic()
		r.set(noon + second)
		store := &dying{Store: r.store, nth: nth, dead: make(chan struct{})}
		a := r.lease(t, server, shortLeases, func(c *Config) { c.Store, c.Batch = store, 7 })
		died := false
		await(t, "it dies or is done", func() bool {
			select {
			case <-store.dead:
				died = true
			default:
			}
			return died || r.applied(t)
		})
		a.die()
		b := r.lease(t, server, shortLeases, nil)
		await(t, "everything is applied", func() bool { return r.applied(t) })
		expectStates(t, r, want)
		b.stop()
		if !died {
			break
		}
	}
}

// held is a store in which an applier stops at its first read of states, as by SIGSTOP.
type held struct {
	onlinestore.Store
	once            sync.Once
	stopped, resume chan struct{}
	swaps           atomic.Int64 // since it was resumed
	resumed         atomic.Bool
}

func (h *held) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	got, err := h.Store.Get(ctx, keys)
	if len(keys) > 0 && strings.HasPrefix(string(keys[0]), "s") {
		h.once.Do(func() { close(h.stopped); <-h.resume; h.resumed.Store(true) })
	}
	return got, err
}

func (h *held) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if h.resumed.Load() {
		h.swaps.Add(1)
	}
	return h.Store.Swap(ctx, writes)
}

// An applier that was stopped between reading and writing writes nothing when it goes on after its leases have ended,
// whether another one has gone on or not, and whether the store is still the same.
func TestAppliersWithoutLeasesWriteNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := backendtest.OnRedis(server)
	want := reference(t, open, 3)
	for _, others := range []string{"nobody", "another", "emptied"} {
		t.Run(others, func(t *testing.T) {
			r := newRig(t, open, divided(t, 3))
			r.pushTraffic()
			r.set(noon + second)
			store := &held{Store: r.store, stopped: make(chan struct{}), resume: make(chan struct{})}
			a := r.lease(t, server, shortLeases, func(c *Config) { c.Store = store })
			<-store.stopped
			_ = a.table.Close()
			await(t, "its leases end", func() bool { return a.has() == 0 })
			if others == "emptied" {
				for _, prefix := range "sloredg" {
					if err := r.store.DeletePrefix(t.Context(), []byte{byte(prefix)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			var b *leased
			if others != "nobody" {
				b = r.lease(t, server, shortLeases, nil)
				await(t, "everything is applied", func() bool { return r.applied(t) })
			}
			close(store.resume)
			a.stop()
			if n := store.swaps.Load(); n != 0 {
				t.Errorf("it wrote %d times", n)
			}
			if b == nil {
				b = r.lease(t, server, shortLeases, nil)
			}
			await(t, "everything is applied", func() bool { return r.applied(t) })
			expectStates(t, r, want)
			b.stop()
		})
	}
}

// A server with another version of a view applies it, although the shards are held by servers without this version.
func TestOtherVersionsAreNotStarved(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRig(t, backendtest.OnRedis(server), divided(t, 2))
	a := r.lease(t, server, lease.Options{}, nil)
	await(t, "all shards", func() bool { return a.has() == 2 })
	r.pushTraffic()
	await(t, "everything is applied", func() bool { return r.applied(t) })
	next := defstest.Compile(t, strings.ReplaceAll(definitions, `n_1m: count("1m/1s")`, `n_1m: count("2m/1s")`))
	for _, s := range next.Sources {
		s.Shards = 2
	}
	old := r.plan
	r.plan = next
	b := r.lease(t, server, lease.Options{}, nil)
	await(t, "everything is applied to the new version", func() bool { return r.applied(t) })
	if a.has() != 2 || b.has() != 2 {
		t.Errorf("they have %d and %d shards", a.has(), b.has())
	}
	r.push("clicks", click("new", 1, noon, 1, "US"))
	await(t, "the new event is applied to the new version", func() bool { return r.applied(t) })
	r.plan = old
	await(t, "and to the old one", func() bool { return r.applied(t) })
}

// Who cannot apply leaves the shards to others; what is wrong with the log, every server knows.
func TestServersThatCannotApply(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRig(t, backendtest.OnRedis(server), divided(t, 3))
	var clock atomic.Pointer[error]
	a := r.lease(t, server, shortLeases, func(c *Config) {
		c.Ready = func() error {
			if err := clock.Load(); err != nil {
				return *err
			}
			return nil
		}
	})
	b := r.lease(t, server, shortLeases, nil)
	await(t, "both have shards", func() bool { return a.has() > 0 && b.has() > 0 && a.has()+b.has() == 3 })
	wrong := errors.New("the clock is wrong")
	clock.Store(&wrong)
	await(t, "the other one has all", func() bool { return a.has() == 0 && b.has() == 3 })
	r.pushTraffic()
	await(t, "everything is applied", func() bool { return r.applied(t) })
	clock.Store(nil)
	await(t, "both have shards again", func() bool { return a.has() > 0 && b.has() > 0 && a.has()+b.has() == 3 })
	if err := errors.Join(a.Err(), b.Err()); err != nil {
		t.Error(err)
	}
	// The log loses records.
	g := r.live("spend")
	for k := range uint64(3) {
		reached := make(registry.Reached, k+1)
		reached[k] = registry.Mark{Position: 900, Mark: 1}
		if err := registry.Advance(t.Context(), r.store, []registry.Generation{g}, make([]registry.Reached, 1), reached); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "both say so", func() bool {
		return a.Err() != nil && b.Err() != nil && strings.Contains(a.Err().Error(), "the log ends at") && strings.Contains(b.Err().Error(), "the log ends at")
	})
	r.push("visits", row{"user": plan.IntValue(1), "ts": plan.TimestampValue(noon)})
	await(t, "other views are applied", func() bool {
		consumed, err := registry.ConsumedBy(t.Context(), r.store, []*plan.View{r.view("visiting")})
		return err == nil && consumed[0].Offset.Sum() == 11
	})
}

// Servers whose clocks differ share as others do: leases are judged by the clock of Redis.
func TestP13_ClocksOfAppliersDiffer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := newRig(t, backendtest.OnRedis(server), divided(t, 4))
	var all []*leased
	for i := range 3 {
		all = append(all, r.lease(t, server, shortLeases, func(c *Config) {
			c.Clock = func() plan.EventTime { return noon + second + plan.EventTime(i-1)*20*second }
		}))
	}
	await(t, "they share", func() bool {
		n := 0
		for _, l := range all {
			n += l.has()
		}
		return n == 4 && all[0].has() > 0 && all[1].has() > 0 && all[2].has() > 0
	})
	r.pushTraffic()
	await(t, "everything is applied", func() bool { return r.applied(t) })
	for user := range int64(3) {
		r.agree("visiting", noon+60*second, plan.IntValue(user))
	}
}

// Another server goes on within 5 s with the leases that servers have.
func TestTakeover(t *testing.T) {
	server := redistest.Start(t)
	r := newRig(t, backendtest.OnRedis(server), divided(t, 2))
	a, b := r.lease(t, server, lease.Options{}, nil), r.lease(t, server, lease.Options{}, nil)
	await(t, "each has a shard", func() bool { return a.has() == 1 && b.has() == 1 })
	a.die()
	begun := time.Now()
	r.pushTraffic()
	await(t, "everything is applied", func() bool { return r.applied(t) })
	took := time.Since(begun)
	if t.Logf("taken over in %v", took); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// While servers run, a log is divided anew: they go on with the new shards, and every event counts once, also one that is
// filled from another shard than its own.
func TestReshardingBesideServers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	open := backendtest.OnRedis(server)
	r := newRig(t, open, divided(t, 0))
	now := noon + second
	fresh := freshness.New(freshness.Config{Log: r.log, Store: r.store, Clock: func() plan.EventTime { return now }})
	if err := fresh.Follow(r.plan); err != nil {
		t.Fatal(err)
	}
	a, b := r.lease(t, server, shortLeases, nil), r.lease(t, server, shortLeases, nil)
	clicks, visits := traffic()
	r.push("visits", visits...)
	late := func(c row, refund float64) row {
		return c.with("refund", plan.DoubleValue(refund)).with("refund_at", c["ts"])
	}
	n := []int{3, 1, 8}
	for i, c := range clicks {
		r.push("clicks", c)
		if i%10 == 5 && len(n) > 0 {
			if _, _, err := eventlog.Reshard(t.Context(), r.log, "clicks", n[0], noon+second, nil); err != nil {
				t.Fatal(err)
			}
			n = n[1:]
			got := r.push("clicks", clicks[i-2], late(clicks[i-3], float64(i)), late(clicks[i-3], float64(i)))
			if got[0].Outcome != ingest.Duplicate || got[1].Outcome != ingest.Filled || got[2].Outcome != ingest.Duplicate {
				t.Fatalf("%+v", got)
			}
		}
	}
	await(t, "everything is applied", func() bool { return r.applied(t) })
	for user := range int64(4) {
		r.agree("spend", noon+second, plan.IntValue(user))
	}
	if err := fresh.Refresh(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	m, ok := fresh.Marks().Of(r.live("spend"))
	if !ok || m.Complete != noon+second || m.Lag != 0 || m.Position != 43 || len(m.Lags) != 13 {
		t.Errorf("%+v, %v", m, ok)
	}
	// What is not applied in a new shard is missed.
	a.stop()
	b.stop()
	r.push("clicks", click("waits", 1, noon, 1, "US"))
	now++
	if err := fresh.Refresh(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if m, _ := fresh.Marks().Of(r.live("spend")); m.Lag != 1 || m.Complete != noon {
		t.Errorf("%+v", m)
	}
	// A server that begins reads all of it, and one that applies everything anew gets the same.
	r.set(noon + second)
	r.catchUp(r.applier(nil))
	got := r.states(true, 0)
	r.beginAnew()
	r.catchUp(r.applier(nil))
	for _, d := range differences(got, r.states(true, 0)) {
		t.Error(d)
	}
}
