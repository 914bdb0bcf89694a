package offline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// repair is a repair of the view from the files before to and the log.
func (l *till) repair(to plan.EventTime) *Repair {
	l.t.Helper()
	beside, err := backend.InMemory(context.Background(), l.clock)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := beside.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return &Repair{Backfill: *l.backfill(to), Scratch: beside.Store, CatchUp: func(ctx context.Context, only func([]byte) bool) error {
		a, err := online.New(online.Config{Plan: l.plan, Log: l.log, Store: beside.Store, Clock: l.clock, Only: only})
		if err != nil {
			return err
		}
		return a.CatchUp(ctx)
	}}
}

func (l *till) repaired(to plan.EventTime) *RepairResult {
	l.t.Helper()
	r, err := l.repair(to).Run(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// lose removes or damages states, and parts of the index, and returns how many states.
func (l *till) lose(draw *rand.Rand, index bool) (lost int) {
	l.t.Helper()
	ctx, g := context.Background(), l.live()
	of := [][]byte{g.Prefix()}
	if index {
		part := g.Prefix()
		part[0] = 'x'
		of = append(of, part)
	}
	for n, prefix := range of {
		values := map[string][]byte{}
		if err := l.store.Scan(ctx, prefix, func(key, value []byte) error { values[string(key)] = bytes.Clone(value); return nil }); err != nil {
			l.t.Fatal(err)
		}
		for key, value := range values {
			switch draw.IntN(4) {
			case 0:
				if err := l.store.DeletePrefix(ctx, []byte(key)); err != nil {
					l.t.Fatal(err)
				}
			case 1:
				bad := bytes.Clone(value)
				bit := 64 + draw.IntN(8*(len(bad)-8))
				bad[bit/8] ^= 1 << (bit % 8)
				if err := l.store.DeletePrefix(ctx, []byte(key)); err != nil {
					l.t.Fatal(err)
				}
				if _, err := l.store.Swap(ctx, []onlinestore.Write{{Key: []byte(key), Value: bad}}); err != nil {
					l.t.Fatal(err)
				}
			default:
				continue
			}
			if n == 0 {
				lost++
			}
		}
	}
	return lost
}

// missing is how many of the payers read as lost.
func (l *till) missing(payers int64) (n int) {
	l.t.Helper()
	k, err := kernel.NewView(l.view)
	if err != nil {
		l.t.Fatal(err)
	}
	q := registry.Query{View: l.view}
	for user := range payers {
		q.Entities = append(q.Entities, plan.AppendCanonical(nil, plan.IntValue(user+1)))
	}
	answers, err := registry.NewReader(l.store).States(context.Background(), []registry.Query{q}, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	f := k.ReadStored(answers[0].States, plan.EventTime(plan.MaxTime))
	for _, status := range f.Cols[0].Status {
		if status == kernel.Lost {
			n++
		}
	}
	return n
}

// Whatever is lost of states and of the index, before and after other events of their entities, a repair brings back what a store
// that lost nothing has, while events are pushed and applied; and nothing else changes. [o10]
func TestO10_RepairBringsBackWhatWasLost(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		for round := range uint64(8) {
			draw := rand.New(rand.NewPCG(round, 10))
			source := fromFiles
			if round%2 == 1 {
				source = ""
			}
			l, whole := open(t, source), open(t, source)
			all := paid(120 + 9*int(round))
			draw.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			both := func(f func(l *till)) { f(l); f(whole) }
			both(func(l *till) {
				if source != "" {
					l.writePayments("payments-0.parquet", all[:50]...)
				}
				l.push(all[50:70]...)
				if source != "" {
					l.run(l.backfill(plan.Never))
				}
				l.push(all[70:90]...)
				l.catchUp()
			})
			lost := l.lose(draw, round%4 > 1)
			both(func(l *till) {
				l.push(all[90:100]...)
				l.now.Add(int64(plan.Second))
				l.catchUp()
			})
			if got := l.missing(9); got < lost {
				t.Fatalf("%d read as lost, %d are", got, lost)
			}
			var pushing sync.WaitGroup
			pushing.Go(func() {
				for _, p := range all[100:] {
					l.push(p)
					l.catchUp()
				}
			})
			r := l.repaired(plan.Never)
			pushing.Wait()
			whole.push(all[100:]...)
			both((*till).catchUp)
			if again := l.repaired(plan.Never); again.Lost != 0 || again.IndexLost {
				t.Errorf("after %+v a second repair finds %+v", r, again)
			}
			if r.Repaired != r.Lost || int(r.Lost) < lost || r.Unknown != 0 {
				t.Errorf("%d were lost: %+v", lost, r)
			}
			if n := l.missing(9); n != 0 {
				t.Errorf("%d are lost after the repair", n)
			}
			at := plan.EventTime(plan.MaxTime) - 1
			expectSame(t, fmt.Sprintf("round %d", round), l.folded(at), whole.folded(at))
			letters, err := registry.DeadLetters(t.Context(), l.store, l.live())
			if err != nil {
				t.Fatal(err)
			}
			for _, letter := range letters {
				if letter.Missing() {
					t.Errorf("letter %q", letter.Reason)
				}
			}
		}
	})
}

// An event that is left out between the reading of the log's end and the writing of the state is not missed. [o10]
func TestO10_RepairMissesNoEvent(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(40)...)
		l.run(l.backfill(plan.Never))
		if err := l.store.DeletePrefix(t.Context(), l.live().StateKey(plan.AppendCanonical(nil, plan.IntValue(3)))); err != nil {
			t.Fatal(err)
		}
		before := l.counts(midnight + plan.EventTime(plan.Hour))[4]
		pay := func(id string) {
			l.push(payment{id, 3, midnight - 1, 1, "US"}, payment{id + "other", 4, midnight - 1, 1, "US"})
			l.now.Add(1)
			l.catchUp()
		}
		pay("a")
		r := l.repair(plan.Never)
		catchUp, calls := r.CatchUp, 0
		r.CatchUp = func(ctx context.Context, only func([]byte) bool) error {
			err := catchUp(ctx, only)
			if calls++; calls < 4 {
				pay(fmt.Sprint("b", calls))
			}
			return err
		}
		if got, err := r.Run(t.Context()); err != nil || got.Repaired != 1 || calls != 4 {
			t.Fatalf("%+v, %v after %d calls", got, err, calls)
		}
		pay("c")
		want := 5
		for _, p := range paid(40) {
			if p.user == 3 {
				want++
			}
		}
		if got := l.counts(midnight + plan.EventTime(plan.Hour)); got[3] != want || got[4] != before+5 {
			t.Errorf("%d and %d events, want %d and %d", got[3], got[4], want, before+5)
		}
	})
}

// A repair that takes several passes over the history restores the whole index, so that later losses are found. [o10]
func TestO10_RepairInPassesRestoresTheIndex(t *testing.T) {
	l := newTill(t, fromFiles, backend.InMemory)
	byUser := paid(40)
	slices.SortStableFunc(byUser, func(a, b payment) int { return cmp.Compare(a.user, b.user) })
	for i := range 10 {
		l.writePayments(fmt.Sprintf("payments-%d.parquet", i), byUser[4*i:4*i+4]...)
	}
	l.run(l.backfill(plan.Never))
	states := l.live().Prefix()
	index := bytes.Clone(states)
	index[0] = 'x'
	drop := func(prefix []byte) {
		if err := l.store.DeletePrefix(t.Context(), prefix); err != nil {
			t.Fatal(err)
		}
	}
	drop(states)
	drop(index)
	r := l.repair(plan.Never)
	r.Entities, r.Threads = 2, 1
	if got, err := r.Run(t.Context()); err != nil || got.Repaired != 9 || !got.IndexLost {
		t.Fatalf("%+v, %v", got, err)
	}
	drop(states)
	if n := l.missing(9); n != 9 {
		t.Errorf("of 9 states that are lost %d read as lost", n)
	}
}

// Without losses a repair reads no history; a dry run changes nothing; data that changed since the build are refused.
func TestRepairDoesNoMoreThanItMust(t *testing.T) {
	l := newTill(t, fromFiles, backend.InMemory)
	l.writePayments("payments-0.parquet", paid(40)...)
	l.run(l.backfill(plan.Never))
	silent := l.repair(plan.Never)
	silent.History = nil
	if r, err := silent.Run(t.Context()); err != nil || r.Entities != 9 || r.Lost != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := l.store.DeletePrefix(t.Context(), l.live().StateKey(plan.AppendCanonical(nil, plan.IntValue(3)))); err != nil {
		t.Fatal(err)
	}
	dry := l.repair(plan.Never)
	dry.DryRun, dry.History = true, nil
	if r, err := dry.Run(t.Context()); err != nil || r.Entities != 8 || r.Lost != 1 || r.Repaired != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	changed := l.repair(plan.Never)
	changed.Inputs = [32]byte{2}
	if _, err := changed.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "unskew materialize --view spend") {
		t.Errorf("%v", err)
	}
	if n := l.missing(9); n != 1 {
		t.Errorf("%d are lost", n)
	}
	if r := l.repaired(plan.Never); r.Repaired != 1 || l.missing(9) != 0 {
		t.Errorf("%+v", r)
	}
}
