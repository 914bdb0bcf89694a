package online

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// running is an applier in the background, with its reports.
type running struct {
	*rig
	swapped  chan struct{} // holds one token after a write
	reported chan error
	ended    chan error
	stop     context.CancelFunc
}

// run starts an applier that rechecks often. Unexpectedly many reports fail the test.
func run(t *testing.T, r *rig, store onlinestore.Store) *running {
	n := &running{rig: r, swapped: make(chan struct{}, 1), reported: make(chan error, 8), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	a := r.applier(func(c *Config) {
		c.Recheck = time.Millisecond
		c.Store = &hooked{Store: store, after: func() {
			select {
			case n.swapped <- struct{}{}:
			default:
			}
		}}
	})
	go func() {
		n.ended <- a.Run(ctx, func(err error) {
			select {
			case n.reported <- err:
			default:
				t.Errorf("reported too often: %v", err)
			}
		})
	}()
	return n
}

// until waits for writes until done returns true.
func (n *running) until(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for !done() {
		select {
		case <-n.swapped:
		case err := <-n.ended:
			n.ended <- err
			t.Fatalf("the applier ended: %v", err)
		case <-limit:
			t.Fatal("the applier did not get there")
		}
	}
}

func (n *running) close(t *testing.T) {
	t.Helper()
	n.stop()
	if err := <-n.ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func (n *running) count(view string) string { return n.read(view, noon+second, alice)["n"] }

func TestRunAppliesWhatIsAppended(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		n := run(t, r, r.store)
		r.set(noon + second)
		for i, want := range []string{"1 PRESENT", "2 PRESENT", "3 PRESENT"} {
			r.push("clicks", click(string(rune('a'+i)), 1, noon, 1, "US"))
			if i == 0 {
				n.until(t, r.begun)
			}
			r.set(noon + second + plan.EventTime(i+1))
			n.until(t, func() bool { return r.read("spend", r.clock(), alice)["n"] == want })
		}
		n.close(t)
		if len(n.reported) > 0 {
			t.Errorf("reported %v", <-n.reported)
		}
	})
}

// A build that becomes live with a position before the log's end is caught up even if no more
// events arrive.
func TestRunNoticesABuildWithoutEvents(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := busy(t, open)
		n := run(t, r, r.store)
		n.until(t, func() bool { return r.begun() && n.count("spend") == "13 PRESENT" })
		for number := uint64(2); number < 5; number++ {
			g := r.live("spend")
			g.Number, g.Build = number, number
			if err := errors.Join(registry.BeginIndex(t.Context(), r.store, g), registry.Promote(t.Context(), r.store, g)); err != nil {
				t.Fatal(err)
			}
			n.until(t, func() bool { return n.count("spend") == "13 PRESENT" && r.live("spend") == g })
		}
		n.close(t)
	})
}

// begun reports whether the first build of spend is live.
func (r *rig) begun() bool {
	_, err := registry.Live(context.Background(), r.store, r.view("spend"))
	return err == nil
}

// outage is a store that is sometimes unreachable.
type outage struct {
	onlinestore.Store
	out   atomic.Bool
	tried chan struct{} // gets a token for every failed call, if there is room
}

func (o *outage) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if o.out.Load() {
		select {
		case o.tried <- struct{}{}:
		default:
		}
		return nil, errors.New("connection refused")
	}
	return o.Store.Get(ctx, keys)
}

// A store that is unreachable for a while is reported once and causes no loss.
func TestRunOutlivesAnOutage(t *testing.T) {
	r := busy(t, backend.InMemory)
	store := &outage{Store: r.store, tried: make(chan struct{}, 1)}
	store.out.Store(true)
	n := run(t, r, store)
	for range 10 {
		<-store.tried
	}
	for range 2 { // one source each
		if err := <-n.reported; !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("reported %v", err)
		}
	}
	store.out.Store(false)
	n.until(t, func() bool { return r.begun() && n.count("spend") == "13 PRESENT" })
	n.close(t)
	// A catch-up during which the store comes back reports a different error, for the first
	// views only.
	if len(n.reported) > 2 {
		t.Errorf("reported again and again: %v", <-n.reported)
	}
}

// An unreadable log is not retried in a busy loop and does not end the run.
func TestRunOutlivesALogOutOfReach(t *testing.T) {
	r := busy(t, backend.InMemory)
	log := &brokenLog{Log: r.log}
	r.log = log
	n := run(t, r, r.store)
	for range 2 {
		if err := <-n.reported; !strings.Contains(err.Error(), "log of source") {
			t.Errorf("reported %v", err)
		}
	}
	log.mended.Store(true)
	n.until(t, func() bool { return r.begun() && n.count("spend") == "13 PRESENT" })
	n.close(t)
}

type brokenLog struct {
	eventlog.Log
	mended atomic.Bool
}

func (b *brokenLog) End(ctx context.Context, shard string) (eventlog.Position, error) {
	if !b.mended.Load() {
		return 0, errors.New("connection refused")
	}
	return b.Log.End(ctx, shard)
}

func (b *brokenLog) Wait(ctx context.Context, ends eventlog.Ends) error {
	if !b.mended.Load() {
		return errors.New("connection refused")
	}
	return b.Log.Wait(ctx, ends)
}

// A view without state is reported once and does not hold up the others.
func TestRunReportsAViewWithoutState(t *testing.T) {
	text := strings.Replace(definitions, "name: clicks\nstream: true", "name: clicks\nfrom: clicks.parquet\nstream: true", 1)
	r := newRig(t, backend.InMemory, defstest.Compile(t, text))
	clicks, visits := traffic()
	n := run(t, r, r.store)
	for i, c := range clicks {
		r.push("clicks", c)
		if i < len(visits) {
			r.push("visits", visits[i])
		}
	}
	r.set(noon + second)
	var none *registry.NotMaterialized
	if err := <-n.reported; !errors.As(err, &none) {
		t.Errorf("reported %v", err)
	}
	for _, v := range []string{"spend", "trade"} {
		if err := registry.Promote(t.Context(), r.store, registry.Generation{View: r.view(v).Fingerprint, Number: 1}); err != nil {
			t.Fatal(err)
		}
	}
	n.until(t, func() bool { return n.count("spend") == "13 PRESENT" && n.count("visiting") == "3 PRESENT" })
	n.close(t)
}

// Closing the log or the store ends the run with an error.
func TestRunEndsWithItsStores(t *testing.T) {
	for name, closeOne := range map[string]func(*rig) error{
		"log": func(r *rig) error { return r.log.Close() }, "store": func(r *rig) error { return r.store.Close() },
	} {
		r := busy(t, backend.InMemory)
		n := run(t, r, r.store)
		if err := closeOne(r); err != nil {
			t.Fatal(err)
		}
		if err := <-n.ended; !errors.Is(err, eventlog.ErrClosed) && !errors.Is(err, onlinestore.ErrClosed) {
			t.Errorf("after the %s was closed, Run ended with %v", name, err)
		}
		n.stop()
	}
}

// Pushing, applying and reading concurrently.
func TestPushApplyAndReadAtOnce(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		src, _ := r.plan.Source("clicks")
		clicks, _ := traffic()
		n := run(t, r, r.store)
		var pushers sync.WaitGroup
		for part := range 4 {
			pushers.Go(func() {
				for i := part; i < len(clicks); i += 4 {
					if _, err := r.in.Push(t.Context(), "clicks", batch(src, clicks[i:i+1])); err != nil {
						t.Error(err)
					}
				}
			})
		}
		r.set(noon + second)
		n.until(t, r.begun)
		pushers.Wait()
		r.set(noon + 2*second)
		n.until(t, func() bool { return r.read("spend", r.clock(), alice)["n"] == "13 PRESENT" })
		n.close(t)
	})
}
