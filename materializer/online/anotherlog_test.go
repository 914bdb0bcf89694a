package online

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/registry"
)

// pushEach pushes n clicks, each at a time of its own from the given one on.
func (r *rig) pushEach(name string, n int, from plan.EventTime) {
	r.t.Helper()
	for i := range n {
		r.set(from + plan.EventTime(i)*1000)
		r.push("clicks", click(fmt.Sprint(name, i), int64(i%3), noon-second, 1, "US"))
	}
	r.set(from + 60*second)
}

// shortened returns a rig with r's store and a log that has lost all but the first kept of the
// r's 40 clicks, and has had others since.
func shortened(t *testing.T, r *rig, open backend.Opener, kept, others int) *rig {
	other := newRig(t, open, r.plan)
	other.pushEach("c", kept, noon)
	other.pushEach("other", others, noon+10*second)
	other.store = r.store
	return other
}

func ofAnotherLog(err error) bool {
	return err != nil && strings.Contains(err.Error(), "the log was replaced, lost records or was set back; restore it, or run: unskew materialize --full --view spend")
}

// A log that was replaced, or that lost records and has others in their place, is noticed
// before anything of it is applied [o9].
func TestO9_AnotherLogIsNoticed(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for _, c := range []struct {
			name                string
			applied, kept, more int
			lost                bool
		}{
			{"replaced by an empty one", 40, 0, 0, true},
			{"replaced by one of equal length", 40, 0, 40, true},
			{"replaced by a longer one", 40, 0, 99, true},
			{"the last record was lost", 40, 39, 0, true},
			{"the last record was lost and another took its place", 40, 39, 1, true},
			{"records were lost and more have come", 40, 20, 60, true},
			{"only records were lost that were not applied", 20, 20, 30, false},
			{"nothing was lost", 40, 40, 10, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				r := newRig(t, open, defstest.Compile(t, definitions))
				r.pushEach("c", c.applied, noon)
				r.catchUp(r.applier(nil))
				before := r.states(true, 0)
				r.pushEach("c", 40, noon)
				other := shortened(t, r, open, c.kept, c.more)
				for _, lose := range []bool{false, true} {
					if lose { // as after a crash between states and offset
						other.loseOffsets()
					}
					for _, size := range []int{1, 7, 4096} {
						a := other.applier(func(cfg *Config) { cfg.Batch = size })
						for range 2 {
							if err := a.CatchUp(t.Context()); ofAnotherLog(err) != c.lost || !c.lost && err != nil {
								t.Fatalf("batches of %d: %v", size, err)
							}
						}
					}
				}
				if c.lost {
					for _, d := range differences(other.states(true, 0), before) {
						t.Error(d)
					}
				} else if got := other.read("spend", noon+90*second, alice)["n"]; got == before["n"] {
					t.Error(got)
				}
			})
		}
	})
}

// A log that fails over to an older copy while a backlog is applied is noticed by the next
// batch [o9].
func TestO9_AnotherLogWhileCatchingUp(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		r.pushEach("c", 40, noon)
		other := shortened(t, r, open, 10, 90)
		failing := &failover{Log: r.log, other: other.log, after: 2}
		a := r.applier(func(c *Config) { c.Log, c.Batch = failing, 8 })
		if err := a.CatchUp(t.Context()); !ofAnotherLog(err) {
			t.Fatal(err)
		}
		// The states are of the first two batches alone.
		want := newRig(t, open, r.plan)
		want.pushEach("c", 16, noon)
		want.catchUp(want.applier(nil))
		for _, d := range differences(r.states(true, 0), want.states(true, 0)) {
			t.Error(d)
		}
	})
}

// failover is a log whose reads come from another one after a number of them.
type failover struct {
	eventlog.Log
	other eventlog.Log
	after int64
	reads atomic.Int64
}

func (f *failover) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	if shard == "clicks" && f.reads.Add(1) > f.after {
		return f.other.Read(ctx, shard, after, limit)
	}
	return f.Log.Read(ctx, shard, after, limit)
}

// States of a version of this program that stored no marks are continued, and marked from
// then on.
func TestO9_StatesWithoutMarkAreContinued(t *testing.T) {
	r := newRig(t, backend.InMemory, defstest.Compile(t, definitions))
	r.pushEach("c", 10, noon)
	r.catchUp(r.applier(nil))
	for _, v := range r.plan.Views {
		if err := r.store.DeletePrefix(t.Context(), r.live(v.Name).ReachedKey()); err != nil {
			t.Fatal(err)
		}
	}
	r.pushEach("more", 10, noon+10*second)
	r.catchUp(r.applier(nil))
	r.agree("spend", noon+70*second, alice)
	other := shortened(t, r, backend.InMemory, 0, 40)
	if err := other.applier(nil).CatchUp(t.Context()); !ofAnotherLog(err) {
		t.Fatal(err)
	}
}

// Whatever is stored of a state, it was stored before that the state may reach that far, so
// that a crash at any call leaves nothing that cannot be checked.
func TestO9_MarksAreStoredBeforeStates(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		r := newRig(t, open, divided(t, shards))
		r.pushEach("c", 40, noon)
		var checked atomic.Int64
		views := map[string]*kernel.View{}
		for _, name := range []string{"spend", "trade"} {
			var err error
			if views[name], err = kernel.NewView(r.view(name)); err != nil {
				t.Fatal(err)
			}
		}
		check := func() {
			for _, name := range []string{"spend", "trade"} {
				g, err := registry.Live(context.Background(), r.store, r.view(name))
				if err != nil {
					continue // not begun yet
				}
				_, reached, err := registry.Progress(context.Background(), r.store, g)
				if err != nil {
					t.Error(err)
				}
				err = r.store.Scan(context.Background(), g.Prefix(), func(_, value []byte) error {
					checked.Add(1)
					if applied := views[name].AppliedOf(value); !reached.Positions().Covers(applied) {
						t.Errorf("view %s: a state reaches %d, stored is %v", name, applied, reached)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
		a := r.applier(func(c *Config) { c.Batch, c.Store = 3, &hooked{Store: r.store, after: check} })
		r.catchUp(a)
		if checked.Load() == 0 {
			t.Error("nothing was checked")
		}
	})
}
