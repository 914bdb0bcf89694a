package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// unreliable is a store of which some writes fail, before they have taken effect or after.
type unreliable struct {
	onlinestore.Store
	mu   sync.Mutex
	draw *rand.Rand
}

func (u *unreliable) fails() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.draw.IntN(5) == 0
}

func (u *unreliable) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if u.fails() {
		return nil, onlinestore.ErrOutcomeUnknown
	}
	done, err := u.Store.Swap(ctx, writes)
	if u.fails() {
		return nil, onlinestore.ErrOutcomeUnknown
	}
	return done, err
}

func (u *unreliable) DeletePrefix(ctx context.Context, prefix []byte) error {
	if u.fails() {
		return onlinestore.ErrOutcomeUnknown
	}
	return u.Store.DeletePrefix(ctx, prefix)
}

// slowly is a store whose answers are delayed now and then, so that round trips overtake one another.
type slowly struct{ onlinestore.Store }

func (s slowly) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := s.Store.Get(ctx, keys)
	if rand.IntN(20) == 0 {
		yield(200)
	}
	return values, err
}

func (slowly) PrefersBatches() {}

// yield lets other goroutines run, up to most times.
func yield(most int) {
	for range rand.IntN(most) {
		runtime.Gosched()
	}
}

// Whatever becomes live while writers run at the same time and die at any step is seen by every
// read that begins later, and no read sees a generation that is older than one seen before [p4].
func TestP4_EverySwitchIsSeenBySucceedingReads(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		const views, writers = 4, 3
		var list []*plan.View
		var live [views]atomic.Uint64 // a generation that is known to be live, or one before it
		for i := range views {
			list = append(list, view(fmt.Sprint("v", i), byte(i+1)))
		}
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() { // end, but not before something was switched
			for began := time.Now(); ctx.Err() == nil && (time.Since(began) < 400*time.Millisecond || live[0].Load() < 3); {
				yield(200)
			}
			stop()
		})
		for w := range writers {
			failing := &unreliable{Store: store, draw: rand.New(rand.NewPCG(uint64(w), 5))}
			wg.Go(func() {
				if err := switchWhile(ctx, store, failing, list, live[:], uint64(w)); err != nil {
					t.Error(err)
				}
			})
		}
		shared := NewReader(slowly{store})
		readers := []*Reader{NewReader(store), NewReader(slowly{store}), shared, shared}
		for _, r := range readers {
			r.now = func() time.Time { return time.Time{} } // nothing is asked again because it is old
		}
		for _, r := range readers {
			wg.Go(func() {
				if err := followWhile(ctx, r, list, live[:]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := live[0].Load(); n < 3 {
			t.Errorf("only %d generations", n)
		}
	})
}

// switchWhile promotes views over a store that fails, and records what a look at the true store
// says is live.
func switchWhile(ctx context.Context, store, failing onlinestore.Store, views []*plan.View, live []atomic.Uint64, build uint64) error {
	for i := 0; ctx.Err() == nil; i = (i + 1) % len(views) {
		number, _, err := Next(context.WithoutCancel(ctx), store, views[i])
		if err != nil {
			return err
		}
		g := Generation{View: views[i].Fingerprint, Number: number, Build: build}
		if err := write(context.WithoutCancel(ctx), store, g, "x"); err != nil {
			return err
		}
		err = Promote(context.WithoutCancel(ctx), failing, g)
		if err != nil && !errors.Is(err, onlinestore.ErrOutcomeUnknown) && !errors.Is(err, ErrSuperseded) {
			return err
		}
		now, unknown := Live(context.WithoutCancel(ctx), store, views[i])
		var none *NotMaterialized
		if errors.As(unknown, &none) && err != nil {
			continue
		}
		if unknown != nil {
			return unknown
		}
		if err == nil && now.Number < number {
			return fmt.Errorf("generation %d was promoted and %d is live", number, now.Number)
		}
		for before := live[i].Load(); before < now.Number && !live[i].CompareAndSwap(before, now.Number); before = live[i].Load() {
		}
		yield(200)
	}
	return nil
}

// followWhile reads, and compares with what was live before each read began.
func followWhile(ctx context.Context, r *Reader, views []*plan.View, live []atomic.Uint64) error {
	newest := make([]uint64, len(views))
	for ctx.Err() == nil {
		var queries []Query
		var of []int
		for i := range views {
			newest[i] = max(newest[i], live[i].Load())
			if newest[i] > 0 {
				of, queries = append(of, i), append(queries, Query{View: views[i], Entities: names("x")})
			}
		}
		answers, err := r.States(context.WithoutCancel(ctx), queries, nil)
		if err != nil && strings.Contains(err.Error(), "generations changed") {
			continue
		}
		if err != nil {
			return err
		}
		for i, a := range answers {
			if a.Generation.Number < newest[of[i]] {
				return fmt.Errorf("view %d: a read sees generation %d after %d was live", of[i], a.Generation.Number, newest[of[i]])
			}
			newest[of[i]] = a.Generation.Number
			if err := same(a, a.Generation, queries[i].Entities); err != nil {
				return err
			}
		}
	}
	return nil
}

// recording records the keys of the last round trip.
type recording struct {
	onlinestore.Store
	keys [][]byte
}

func (r *recording) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	r.keys = slices.Clone(keys)
	return r.Store.Get(ctx, keys)
}

// many promotes one generation of each of some views and returns queries for them.
func many(t *testing.T, store onlinestore.Store, n int) (queries []Query) {
	for i := range n {
		v := view(fmt.Sprint("v", i), byte(i+1))
		build(t, store, Generation{View: v.Fingerprint, Number: 1}, "x")
		queries = append(queries, Query{View: v, Entities: names("x")})
	}
	return queries
}

func read1(t *testing.T, r *Reader, queries []Query) []Answer {
	t.Helper()
	answers, err := r.States(t.Context(), queries, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// A read of many views asks for their states and the epoch. Without an epoch it asks for every live
// record, as it does while a change is pending after a crash, until another writer comes.
func TestTheEpochReplacesLiveRecords(t *testing.T) {
	store := &recording{Store: embedded(t)}
	queries := many(t, store.Store, 10)
	r := NewReader(store)
	asks := func(want int) {
		t.Helper()
		for range 3 {
			read1(t, r, queries)
		}
		if len(store.keys) != want {
			t.Errorf("a read of 10 states asks for %d keys, not %d", len(store.keys), want)
		}
	}
	asks(11)
	if err := updateEpoch(t.Context(), store.Store, change{queries[3].View.Fingerprint, 2, 7}); err != nil {
		t.Fatal(err)
	}
	asks(21)
	build(t, store.Store, Generation{View: queries[5].View.Fingerprint, Number: 2}, "x")
	asks(21) // the other change can still happen
	build(t, store.Store, Generation{View: queries[3].View.Fingerprint, Number: 2, Build: 8}, "x")
	asks(11)
	if err := store.DeletePrefix(t.Context(), epochKey); err != nil {
		t.Fatal(err)
	}
	asks(21)
}

// A version of this program that writes no epoch makes a generation live. Readers see it after
// recordAge at the latest.
func TestSwitchesWithoutEpochsAreSeen(t *testing.T) {
	store := embedded(t)
	queries := many(t, store, 2)
	r := NewReader(store)
	now := time.Unix(1000, 0)
	r.now = func() time.Time { return now }
	for range 3 {
		read1(t, r, queries)
	}
	g := Generation{View: queries[0].View.Fingerprint, Number: 2}
	if err := write(t.Context(), store, g, "x"); err != nil {
		t.Fatal(err)
	}
	if done, err := store.Swap(t.Context(), []onlinestore.Write{{Key: liveKey(g.View), Expect: 1, Value: g.record()}}); err != nil || !done[0] {
		t.Fatal(done, err)
	}
	now = now.Add(recordAge + 1)
	if err := same(read1(t, r, queries)[0], g, queries[0].Entities); err != nil {
		t.Error(err)
	}
}

// Garbage that is live stops being so for the next read.
func TestCollectedGenerationsAreNotRead(t *testing.T) {
	store := embedded(t)
	queries := many(t, store, 2)
	r := NewReader(store)
	for range 3 {
		read1(t, r, queries)
	}
	if err := Collect(t.Context(), store, Garbage{Generation: Generation{View: queries[1].View.Fingerprint, Number: 1}, Live: true}); err != nil {
		t.Fatal(err)
	}
	var none *NotMaterialized
	if _, err := r.States(t.Context(), queries, nil); !errors.As(err, &none) || none.View != queries[1].View {
		t.Errorf("%v", err)
	}
}

// Epochs decode to what was encoded, no two are equal, and only those without changes are settled.
func TestEpochsAreInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []change
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			want = append(want, change{plan.Fingerprint{rapid.Byte().Draw(t, "view")}, rapid.Uint64().Draw(t, "number"), rapid.Uint64().Draw(t, "build")})
		}
		b := encodeEpoch(rapid.Uint64Min(1).Draw(t, "revision"), want)
		got, err := decodeEpoch(b)
		if err != nil || !slices.Equal(got, want) || settled(b) != (len(want) == 0) {
			t.Fatalf("%v, %v, settled %v", got, err, settled(b))
		}
		if string(encodeEpoch(onlinestore.Revision(b), want)) == string(b) {
			t.Fatal("two epochs are equal")
		}
		if _, err := decodeEpoch(b[:len(b)-1]); !errors.Is(err, errEpoch) {
			t.Fatalf("a damaged one: %v", err)
		}
	})
}

// oneByOne is a store that gets one key after another; before is called before that of the epoch.
type oneByOne struct {
	onlinestore.Store
	before func()
}

func (o oneByOne) Get(ctx context.Context, keys [][]byte) (values [][]byte, err error) {
	for _, key := range keys {
		if string(key) == string(epochKey) {
			o.before()
		}
		value, err := o.Store.Get(ctx, [][]byte{key})
		if err != nil {
			return nil, err
		}
		values = append(values, value[0])
	}
	return values, nil
}

// A switch between the readings of a live record and of the epoch is seen.
func TestASwitchWithinARoundTripIsSeen(t *testing.T) {
	for nth := range 4 {
		inner := embedded(t)
		queries := many(t, inner, 1)
		g := Generation{View: queries[0].View.Fingerprint, Number: 2}
		trips := 0
		r := NewReader(oneByOne{inner, func() {
			if trips == nth {
				build(t, inner, g, "x")
			}
			trips++
		}})
		for trips <= nth {
			read1(t, r, queries)
		}
		if err := same(read1(t, r, queries)[0], g, queries[0].Entities); err != nil {
			t.Errorf("a switch in round trip %d: %v", nth, err)
		}
	}
}
