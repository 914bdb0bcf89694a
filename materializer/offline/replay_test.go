package offline

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

func payerKey(user int64) []byte { return plan.AppendCanonical(nil, plan.IntValue(user)) }

// catchUpWithin applies the log with a bound of states.
func (l *till) catchUpWithin(stateBytes int) {
	l.t.Helper()
	a, err := online.New(online.Config{Plan: l.plan, Log: l.log, Store: l.store, Clock: l.clock, Batch: 7, StateBytes: stateBytes})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := a.CatchUp(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

func (l *till) openLetters() (open []registry.DeadLetter) {
	l.t.Helper()
	letters, err := registry.DeadLetters(context.Background(), l.store, l.live())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range letters {
		if d.Status() == registry.Open {
			open = append(open, d)
		}
	}
	return open
}

// Entities that were set aside have, once the limit is raised and they are replayed, the state of one that never was, while events are
// pushed and applied between any two steps; others keep theirs, and a second replay changes nothing. [p6]
func TestP6_ReplayedOnce(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l, whole := open(t, fromFiles), open(t, fromFiles)
		all := paid(160)
		for _, x := range []*till{l, whole} {
			x.writePayments("payments-0.parquet", all[:60]...)
			x.run(x.backfill(plan.Never))
			x.push(all[60:100]...)
		}
		largest := 0
		for _, b := range l.bytes(l.live()) {
			largest = max(largest, len(b))
		}
		l.catchUpWithin(largest)
		letters := l.openLetters()
		if len(letters) == 0 {
			t.Fatal("nothing was set aside")
		}
		var entities [][]byte
		aside := map[string]bool{}
		for _, d := range letters {
			entities, aside[string(d.Entity)] = append(entities, d.Entity), true
		}
		before := l.bytes(l.live())
		replay := func() *RepairResult {
			r := l.repair(plan.Never)
			r.Again = entities
			catchUp, n := r.CatchUp, 0
			r.CatchUp = func(ctx context.Context, only func([]byte) bool) error {
				err := catchUp(ctx, only)
				if n++; n < 3 {
					for _, x := range []*till{l, whole} {
						x.push(payment{fmt.Sprint("between", n), 1, midnight - 1, 1, "US"}, payment{fmt.Sprint("other", n), 2, midnight - 1, 1, "US"})
					}
					l.catchUp()
				}
				return err
			}
			got, err := r.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := r.Whole(t.Context(), entities); err != nil || len(ok) != len(entities) || !ok[0] {
				t.Errorf("whole: %v, %v", ok, err)
			}
			return got
		}
		var pushing sync.WaitGroup
		pushing.Go(func() {
			for _, p := range all[100:] {
				l.push(p)
				l.catchUp()
			}
		})
		if r := replay(); r.Repaired != int64(len(entities)) {
			t.Errorf("%+v, of %d", r, len(entities))
		}
		pushing.Wait()
		whole.push(all[100:]...)
		l.catchUp()
		whole.catchUp()
		at := plan.EventTime(plan.MaxTime) - 1
		expectSame(t, "replayed", l.folded(at), whole.folded(at))
		if n := l.missing(9); n != 0 {
			t.Errorf("%d are lost", n)
		}
		replay()
		whole.catchUp()
		l.catchUp()
		expectSame(t, "replayed twice", l.folded(at), whole.folded(at))
		if len(before) != len(l.bytes(l.live())) {
			t.Errorf("%d entities, %d before", len(l.bytes(l.live())), len(before))
		}
		if r := l.repaired(plan.Never); r.Lost != 0 {
			t.Errorf("a repair after it: %+v", r)
		}
	})
}

// An event of a new entity that was over a limit, and the entity's absence, are found by the replay, and the entity is in the index after it. [p6]
func TestP6_ReplayedEventOfNoEntityYet(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l, whole := open(t, ""), open(t, "")
		for _, x := range []*till{l, whole} {
			x.push(payment{"a", 1, midnight - 1, 1, "US"}, payment{"old", 7, midnight - plan.EventTime(plan.Hour), 1, "US"}, payment{"old2", 1, midnight - plan.EventTime(plan.Hour), 1, "US"})
		}
		least := midnight - 10
		l.source().MinTime = &least
		l.catchUp()
		letters := l.openLetters()
		if len(letters) != 2 {
			t.Fatalf("letters %v", letters)
		}
		for i, want := range []int64{7, 1} {
			if entity, why, err := online.Addressee(t.Context(), l.log, l.view, letters[i]); entity != nil || why == "" || err != nil {
				t.Errorf("while the limit is there: %x, %q, %v", entity, why, err)
			}
			l.source().MinTime = nil
			entity, why, err := online.Addressee(t.Context(), l.log, l.view, letters[i])
			if string(entity) != string(payerKey(want)) || why != "" || err != nil {
				t.Errorf("without the limit: %x, %q, %v", entity, why, err)
			}
			l.source().MinTime = &least
		}
		l.source().MinTime = nil
		r := l.repair(plan.Never)
		r.Again = [][]byte{payerKey(7), payerKey(1)}
		if got, err := r.Run(t.Context()); err != nil || got.Repaired != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		whole.catchUp()
		expectSame(t, "replayed", l.folded(midnight), whole.folded(midnight))
		if err := l.store.DeletePrefix(t.Context(), l.live().StateKey(payerKey(7))); err != nil {
			t.Fatal(err)
		}
		if n := l.missing(9); n != 1 {
			t.Errorf("%d read as lost; the index has the entity", n)
		}
	})
}
