package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/onlinestore"
)

// views of one source, and one of another.
var (
	orders = &plan.Source{Name: "orders"}
	spend  = &plan.View{Name: "spend", Source: orders}
	fees   = &plan.View{Name: "fees", Source: orders}
	other  = &plan.View{Name: "spend", Source: &plan.Source{Name: "order"}}
)

var errDown = errors.New("the store is down")

// failing is a store of which some writes fail, before or after they have taken effect.
type failing struct {
	onlinestore.Store
	before, after bool
}

func (s *failing) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if s.before {
		return nil, errDown
	}
	done, err := s.Store.Swap(ctx, writes)
	if s.after {
		return nil, errDown
	}
	return done, err
}

// What servers observe is what is read, whatever fails in between: nothing is said earlier than it was, and what
// was observed after the last failure is there.
func TestStoredLedgersAreWhatWasObserved(t *testing.T) {
	open := backendtest.Any(t)
	rapid.Check(t, func(rt *rapid.T) {
		on, err := open(rt)(context.Background(), nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer on.Close()
		store := &failing{Store: on.Store}
		ctx := context.Background()
		servers := []*Recorder{NewRecorder(store), NewRecorder(store)}
		seen := map[*plan.View][]observed{}
		for range rapid.IntRange(1, 4).Draw(rt, "minutes") {
			for _, v := range []*plan.View{spend, fees, other} {
				after := plan.EventTime(1000 * plan.Second)
				if n := len(seen[v]); n > 0 {
					after = seen[v][n-1].at
				}
				for _, o := range drawObservations(rt, after, false) {
					r := rapid.SampledFrom(servers).Draw(rt, "server")
					r.Observe(v, o.at, o.complete)
					seen[v] = append(seen[v], o)
				}
			}
			store.before, store.after = rapid.IntRange(0, 3).Draw(rt, "fails") == 0, rapid.IntRange(0, 3).Draw(rt, "fails late") == 0
			for _, r := range servers {
				if err := r.Store(ctx); err != nil && !store.before && !store.after {
					rt.Fatal(err)
				}
			}
		}
		store.before, store.after = false, false
		for _, r := range servers {
			if err := r.Store(ctx); err != nil {
				rt.Fatal(err)
			}
		}
		for v, observations := range seen {
			got, err := Read(ctx, on.Store, v.Source.Name)
			if err != nil {
				rt.Fatal(err)
			}
			times := got.Log[v.Name]
			end := plan.Always
			for _, o := range observations {
				end = max(end, o.at)
			}
			if times.End() != end {
				rt.Fatalf("view %s: the ledger ends at %v, the last look was at %v", v.Name, times.End(), end)
			}
			for _, r := range times.runs {
				claim := r.complete()
				if !slices.ContainsFunc(observations, func(o observed) bool { return o.at <= r.To && o.complete >= claim }) {
					rt.Fatalf("view %s: run %+v says more than was observed", v.Name, r)
				}
			}
		}
	})
}

func TestLedgersOfSourcesAndKindsAreApart(t *testing.T) {
	ctx := context.Background()
	on, err := backend.InMemory(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	for i, v := range []*plan.View{spend, fees, other} {
		if err := Built(ctx, on.Store, v, plan.EventTime(100+i), plan.EventTime(90)); err != nil {
			t.Fatal(err)
		}
	}
	r := NewRecorder(on.Store)
	r.Observe(spend, 50, 40)
	if err := r.Store(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := Read(ctx, on.Store, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Log) != 1 || len(got.Files) != 2 || got.Files["spend"].Begin() != 100 || got.Files["fees"].Begin() != 101 || got.Log["spend"].End() != 50 {
		t.Errorf("ledgers of orders: %+v", got)
	}
	// A view of its own records; one without takes those of all others.
	for _, c := range []struct {
		views       []string
		log, inFile plan.EventTime
	}{{[]string{"spend"}, 50, 100}, {[]string{"fees"}, 50, 101}, {[]string{"new"}, 50, 101}, {[]string{"spend", "fees"}, 50, 101}} {
		of := got.Of(c.views)
		if in, log := of.InFiles(89), of.Logged(39); in != 89 && in != c.inFile || log != 39 {
			t.Errorf("%v: in files %v, logged %v", c.views, in, log)
		}
		if from, to := of.Bounds(); from != c.inFile || to != c.log {
			t.Errorf("%v: bounds %v to %v", c.views, from, to)
		}
	}
	if of := (&Views{}).Of([]string{"spend"}); of != nil {
		t.Errorf("a ledger of nothing: %+v", of)
	}
	if err := Forget(ctx, on.Store, 101); err != nil {
		t.Fatal(err)
	}
	if got, err = Read(ctx, on.Store, "orders"); err != nil || len(got.Log) != 0 || len(got.Files) != 1 || got.Files["fees"] == nil {
		t.Errorf("after forgetting: %+v, %v", got, err)
	}
}

// Runs as docs/formats/state.md describes them are read for ever.
func TestFormatOfRuns(t *testing.T) {
	key := runKey(keys("orders", "spend", Log), 0x0102030405060708, 0x1112131415161718)
	if got, want := string(key), "vl\x06orders\x05spend\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18"; got != want {
		t.Errorf("key %q, want %q", got, want)
	}
	v := value(7, Run{0x0102030405060708, 0x2122232425262728, 0x3132333435363738})
	if got, want := string(v), "\x00\x00\x00\x00\x00\x00\x00\x07\x01\x21\x22\x23\x24\x25\x26\x27\x28\x31\x32\x33\x34\x35\x36\x37\x38"; got != want {
		t.Errorf("value %q, want %q", got, want)
	}
	view, r, err := decode(key[len("vl\x06orders"):], v)
	if view != "spend" || r != (Run{0x0102030405060708, 0x2122232425262728, 0x3132333435363738}) || err != nil {
		t.Errorf("decoded: %q, %+v, %v", view, r, err)
	}
	for _, damaged := range [][2][]byte{{key[9 : len(key)-1], v}, {key[10:], v}, {key[9:], v[1:]}, {nil, v}, {key[9:], append(slices.Clone(v[:8]), append([]byte{2}, v[9:]...)...)}} {
		if _, _, err := decode(damaged[0], damaged[1]); err == nil {
			t.Errorf("key %q, value %q: no error", damaged[0], damaged[1])
		}
	}
}
