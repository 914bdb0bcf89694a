package online

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
)

// traffic returns 40 clicks of three users in random order of time, some with equal times,
// and visits.
func traffic() (clicks, visits []row) {
	for i := range int64(40) {
		ts := noon - plan.EventTime(i*i%17)*second
		clicks = append(clicks, click(fmt.Sprint("c", i), i%3, ts, float64(i)/10, []string{"US", "DE"}[i%2]))
		if i%4 == 0 {
			visits = append(visits, row{"user": plan.IntValue(i % 3), "ts": plan.TimestampValue(ts)})
		}
	}
	return clicks, visits
}

// divided is the definitions with logs of n shards.
func divided(t *testing.T, n int) *plan.Plan {
	p := defstest.Compile(t, definitions)
	for _, s := range p.Sources {
		s.Shards = n
	}
	return p
}

// eachDivided runs a test over each kind of storage, with logs of one shard and of several.
func eachDivided(t *testing.T, test func(t *testing.T, open backend.Opener, shards int)) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprint(n, " shards"), func(t *testing.T) { test(t, open, n) })
		}
	})
}

// busy returns a rig with the traffic in its log and nothing applied.
func busy(t *testing.T, open backend.Opener) *rig { return busyOver(t, open, 1) }

// busyOver is busy with logs of n shards.
func busyOver(t *testing.T, open backend.Opener, n int) *rig {
	r := newRig(t, open, divided(t, n))
	clicks, visits := traffic()
	r.push("clicks", clicks...)
	r.push("visits", visits...)
	r.set(noon + second)
	return r
}

// reference returns the states after applying the traffic in one pass without faults.
func reference(t *testing.T, open backend.Opener, shards int) map[string]string {
	r := busyOver(t, open, shards)
	r.catchUp(r.applier(nil))
	for _, user := range []int64{0, 1, 2, 3} {
		r.agree("spend", noon+second, plan.IntValue(user))
		r.agree("visiting", noon+second, plan.IntValue(user))
	}
	return r.comparable()
}

// comparable returns the states as those of other rigs with the same events are, too. In a divided log it is open where events
// without ids are.
func (r *rig) comparable() map[string]string {
	return r.states(r.plan.Sources[0].Shards <= 1, noon+second)
}

func expectStates(t *testing.T, r *rig, want map[string]string) {
	t.Helper()
	for _, d := range differences(r.comparable(), want) {
		t.Error(d)
	}
}

// Applying batches again changes nothing, whatever the batch sizes [o7].
func TestO7_AppliedAgainChangesNothing(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		want := reference(t, open, shards)
		for _, size := range []int{1, 3, 7, 4096} {
			r := busyOver(t, open, shards)
			first := r.applier(func(c *Config) { c.Batch = size })
			r.catchUp(first)
			expectStates(t, r, want)
			if got := first.Stats(); got.Records != 50 || got.Applied != 90 || got.Skipped != 0 || got.Conflicts != 0 {
				t.Errorf("batches of %d: %+v", size, got)
			}
			r.catchUp(first)
			r.catchUp(r.applier(nil))
			for _, again := range []int{1, 5, 4096} {
				r.loseOffsets()
				a := r.applier(func(c *Config) { c.Batch = again })
				r.catchUp(a)
				expectStates(t, r, want)
				if got := a.Stats(); got.Records != 50 || got.Applied != 0 {
					t.Errorf("batches of %d after %d: %+v", again, size, got)
				}
			}
		}
	})
}

// When a batch was applied in part, the rest is added, and only the rest is counted.
func TestO7_PartlyAppliedBatch(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		want := reference(t, open, shards)
		r := newRig(t, open, divided(t, shards))
		clicks, visits := traffic()
		r.push("clicks", clicks[:25]...)
		r.set(noon + second)
		r.catchUp(r.applier(nil))
		r.set(noon)
		r.push("clicks", clicks[25:]...)
		r.push("visits", visits...)
		r.set(noon + second)
		r.loseOffsets()
		a := r.applier(nil)
		r.catchUp(a)
		expectStates(t, r, want)
		if got := a.Stats().Applied; got != 2*15+10 {
			t.Errorf("%d events were applied, 15 clicks to two views and 10 visits to one were new", got)
		}
	})
}

// A crash at any call of the store, before or after it takes effect, also between states and
// offset, loses nothing and applies nothing twice [o7].
func TestO7_CrashAtAnyCall(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		want := reference(t, open, shards)
		for _, after := range []bool{false, true} {
			ignored := 0
			for nth := 1 + rand.Int64N(stride()); ; nth += stride() {
				r := busyOver(t, open, shards)
				store := &faulty{Store: r.store, nth: nth, after: after}
				err := r.applier(func(c *Config) { c.Store, c.Batch = store, 16 }).CatchUp(t.Context())
				if store.calls.Load() < nth {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if err == nil {
					ignored++
				} else if !errors.Is(err, errFault) {
					t.Fatalf("call %d: %v", nth, err)
				}
				r.catchUp(r.applier(nil))
				expectStates(t, r, want)
			}
			// Each view's first generation becomes live, and then three calls settle the epoch, which may fail.
			if ignored > 3*3 {
				t.Errorf("%d errors of the store were ignored", ignored)
			}
		}
	})
}

// Several appliers with different batch sizes share a store and a log while events arrive
// [o7].
func TestO7_SeveralAppliers(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		want := reference(t, open, shards)
		for range 3 {
			r := newRig(t, open, divided(t, shards))
			r.set(noon)
			later := func() plan.EventTime { return noon + second }
			var wg sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			for _, size := range []int{1, 2, 5, 4096} {
				a := r.applier(func(c *Config) { c.Batch, c.Clock = size, later })
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := a.CatchUp(context.WithoutCancel(ctx)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clicks, visits := traffic()
			for i, c := range clicks {
				r.push("clicks", c)
				if i < len(visits) {
					r.push("visits", visits[i])
				}
			}
			stop()
			wg.Wait()
			r.catchUp(r.applier(func(c *Config) { c.Clock = later }))
			expectStates(t, r, want)
		}
	})
}

// A state that another applier wrote between read and write is read again.
func TestConflictsAreRetried(t *testing.T) {
	eachDivided(t, func(t *testing.T, open backend.Opener, shards int) {
		want := reference(t, open, shards)
		for _, size := range []int{7, 4096} {
			r := busyOver(t, open, shards)
			other := r.applier(func(c *Config) { c.Batch = size })
			store := &hooked{Store: r.store}
			once := sync.Once{}
			store.before = func() { once.Do(func() { r.catchUp(other) }) }
			a := r.applier(func(c *Config) { c.Store = store })
			r.catchUp(a)
			expectStates(t, r, want)
			if got := a.Stats().Conflicts; got == 0 {
				t.Error("no conflict was counted")
			}
			if got := a.Stats().Applied + other.Stats().Applied; got != 90 {
				t.Errorf("%d events were applied by both together, want 90", got)
			}
		}
	})
}

// An applier that always loses the race eventually returns an error.
func TestConflictsWithoutEnd(t *testing.T) {
	r := busy(t, backend.InMemory)
	err := r.applier(func(c *Config) { c.Store = losing{r.store} }).CatchUp(t.Context())
	if err == nil || !strings.Contains(err.Error(), "by another applier") {
		t.Fatalf("an applier that is always overtaken: %v", err)
	}
}

// Events in any order, any batches and any number of shards give equal states [o1], [o3].
func TestO3_OrderDoesNotMatter(t *testing.T) {
	anyKind := backendtest.Any(t)
	undivided := divided(t, 1)
	plans := []*plan.Plan{undivided, divided(t, 3), divided(t, 8)}
	clicks, _ := traffic()
	rapid.Check(t, func(rt *rapid.T) {
		open := anyKind(rt)
		p := rapid.SampledFrom(plans).Draw(rt, "plan")
		rows := rapid.SliceOfNDistinct(rapid.SampledFrom(clicks), 1, 12, func(r row) string { return r["id"].Str() }).Draw(rt, "events")
		for i := range rows {
			if rapid.IntRange(0, 4).Draw(rt, "ahead") == 0 {
				rows[i] = rows[i].with("ts", plan.TimestampValue(noon+plan.EventTime(rapid.Int64Range(0, 3e6).Draw(rt, "by"))))
			}
		}
		at := noon + plan.EventTime(rapid.Int64Range(0, 100e6).Draw(rt, "read at"))
		one := applied(rt, open, undivided, rows, false, at)
		two := applied(rt, open, p, rapid.Permutation(rows).Draw(rt, "arrival"), true, at)
		for _, d := range differences(one, two) {
			rt.Fatal(d)
		}
	})
}

// applied returns the states, folded up to a time, after pushing rows: either in steps, with
// the clock advancing to that time, or all at once.
func applied(t *rapid.T, open backend.Opener, p *plan.Plan, rows []row, steps bool, at plan.EventTime) map[string]string {
	r, closeAll := openRig(t, open, p)
	defer func() {
		if err := closeAll(); err != nil {
			t.Fatal(err)
		}
	}()
	horizon := noon
	a := r.applier(func(c *Config) { c.Clock = func() plan.EventTime { return horizon } })
	for len(rows) > 0 {
		n := len(rows)
		if steps {
			n = rapid.IntRange(1, n).Draw(t, "batch")
		}
		r.push("clicks", rows[:n]...)
		if rows = rows[n:]; steps && rapid.Bool().Draw(t, "later") {
			horizon = at
		}
		r.catchUp(a)
	}
	for user := range int64(3) {
		r.agree("spend", at, plan.IntValue(user))
	}
	return r.states(false, at)
}
