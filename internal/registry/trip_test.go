package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// shared is a reader of a store with two views of entities x, y and z, whose generations it
// knows, and a counter of its round trips from then on.
func shared(t *testing.T) (*Reader, *counting, []*plan.View, []Generation) {
	t.Helper()
	inner := embedded(t)
	views := []*plan.View{view("spend", 1), view("visits", 2)}
	var live []Generation
	for _, v := range views {
		live = append(live, Generation{View: v.Fingerprint, Number: 1})
		build(t, inner, live[len(live)-1], "x", "y", "z")
	}
	store := &counting{Store: inner}
	r := NewReader(remote{store})
	if _, err := r.States(t.Context(), []Query{{View: views[0]}, {View: views[1]}}, nil); err != nil {
		t.Fatal(err)
	}
	store.gets.Store(0)
	return r, store, views, live
}

// read is a read that has joined a trip.
type read struct {
	queries []Query
	known   []liveRecord
	trip    *trip
	at      place
}

func (r *Reader) joined(queries ...Query) *read {
	x := &read{queries: queries, known: make([]liveRecord, len(queries))}
	r.believe(queries, x.known)
	x.trip, x.at = r.join(queries, x.known, nil)
	return x
}

// finish travels, and compares what comes back.
func (x *read) finish(ctx context.Context, r *Reader, live ...Generation) error {
	if err := r.travel(ctx, x.trip, x.at.leads); err != nil {
		return err
	}
	answers, current, err := r.match(x.queries, x.known, x.at.first, x.trip)
	if err != nil || !current {
		return fmt.Errorf("current: %v, %w", current, err)
	}
	for i, a := range answers {
		if err := same(a, live[i], x.queries[i].Entities); err != nil {
			return fmt.Errorf("query %d: %w", i, err)
		}
	}
	return nil
}

func names(list ...string) (entities [][]byte) {
	for _, n := range list {
		if n == "" {
			entities = append(entities, nil)
			continue
		}
		entities = append(entities, []byte(n))
	}
	return entities
}

// Reads that come at the same time make one round trip, and each gets its own states.
func TestReadsShareARoundTrip(t *testing.T) {
	r, store, views, live := shared(t)
	list := []struct {
		*read
		live []Generation
	}{
		{r.joined(Query{View: views[0], Entities: names("x", "", "y")}), live[:1]},
		{r.joined(Query{View: views[1], Entities: names("z")}, Query{View: views[0], Entities: names("z", "x")}), []Generation{live[1], live[0]}},
		{r.joined(Query{View: views[1], Entities: names()}), live[1:]},
		{r.joined(Query{View: views[0], Entities: names("x")}), live[:1]},
	}
	var wg sync.WaitGroup
	for i, x := range list {
		if x.at.leads != (i == 0) || x.trip != list[0].trip {
			t.Errorf("read %d leads: %v", i, x.at.leads)
		}
		wg.Go(func() {
			if err := x.finish(t.Context(), r, x.live...); err != nil {
				t.Errorf("read %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := store.gets.Load(); n != 1 {
		t.Errorf("%d round trips", n)
	}
	if x := r.joined(Query{View: views[0], Entities: names("x")}); !x.at.leads {
		t.Error("a read joined a trip that had left")
	}
}

// What is large, and what does not fit any more, makes a trip of its own.
func TestTripsAreBounded(t *testing.T) {
	r, store, views, live := shared(t)
	many := make([]string, mostShared)
	for i := range many {
		many[i] = "x"
	}
	large := Query{View: views[0], Entities: names(append(many, "y")...)}
	first := r.joined(Query{View: views[0], Entities: names("x")})
	if x := r.joined(large); !x.at.leads || x.finish(t.Context(), r, live[0]) != nil {
		t.Error("a large read shares a trip, or fails")
	}
	for i := range mostOfTrip/mostShared - 1 {
		if x := r.joined(Query{View: views[0], Entities: names(many...)}); x.trip != first.trip {
			t.Errorf("read %d did not fit", i)
		}
	}
	next := r.joined(Query{View: views[0], Entities: names(many...)})
	if !next.at.leads || r.joined(Query{View: views[1], Entities: names("z")}).trip != next.trip {
		t.Error("a trip has no bound, or nobody joins the one that follows")
	}
	for _, x := range []*read{first, next} {
		if err := x.finish(t.Context(), r, live[0]); err != nil {
			t.Error(err)
		}
	}
	if n := store.gets.Load(); n != 3 {
		t.Errorf("%d round trips", n)
	}
	alone := NewReader(embedded(t))
	if a, b := alone.joined(Query{View: views[0], Entities: names("x")}), alone.joined(Query{View: views[0], Entities: names("x")}); a.trip == b.trip {
		t.Error("reads of a store that is not behind a network share a trip")
	}
}

// A read that is given up ends at once, whether it leads or not, and those that came along
// go on; all of them get the error of the store.
func TestTripsOutliveTheirReads(t *testing.T) {
	for _, leader := range []bool{true, false} {
		r, store, views, live := shared(t)
		release := make(chan struct{})
		store.before = func() { <-release }
		reads := []*read{r.joined(Query{View: views[0], Entities: names("x")}), r.joined(Query{View: views[0], Entities: names("y")}), r.joined(Query{View: views[1], Entities: names("z")})}
		gone, other := reads[0], reads[1]
		if !leader {
			gone, other = other, gone
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, finished := make(chan error, 1), make(chan error, 2)
		go func() { ended <- gone.finish(ctx, r, live[0]) }()
		go func() { finished <- other.finish(t.Context(), r, live[0]) }()
		go func() { finished <- reads[2].finish(t.Context(), r, live[1]) }()
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("leads: %v: %v", leader, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("leads: %v: it does not end", leader)
		}
		close(release)
		for range 2 {
			if err := <-finished; err != nil {
				t.Errorf("leads: %v: one that came along: %v", leader, err)
			}
		}
	}
}

// broken is a store that fails.
type broken struct{ onlinestore.Store }

var errBroken = errors.New("broken")

func (broken) Get(context.Context, [][]byte) ([][]byte, error) { return nil, errBroken }

func TestTripsFailForAll(t *testing.T) {
	r := NewReader(remote{broken{embedded(t)}})
	a, b := r.joined(Query{View: view("spend", 1), Entities: names("x")}), r.joined(Query{View: view("spend", 1), Entities: names("y")})
	failed := make(chan error, 2)
	for _, x := range []*read{a, b} {
		go func() { failed <- x.finish(t.Context(), r) }()
	}
	for range 2 {
		if err := <-failed; !errors.Is(err, errBroken) {
			t.Error(err)
		}
	}
}

// Every read of a storm gets its own states, whoever comes along.
func TestStormOfReads(t *testing.T) {
	r, store, views, live := shared(t)
	all := [][]string{{"x"}, {"y", "z"}, {"", "x"}, {"z", "y", "x"}, {}}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 200 {
				x := []Query{{View: views[(w+i)%2], Entities: names(all[(w*7+i)%len(all)]...)}, {View: views[i%2], Entities: names(all[i%len(all)]...)}}
				answers, err := r.States(t.Context(), x, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for q, a := range answers {
					if err := same(a, live[int(x[q].View.Fingerprint[0])-1], x[q].Entities); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("3200 reads, %d round trips", store.gets.Load())
}

// A read in parts tells after each of them how much there is, and ends when the caller wants no more.
func TestReadsInParts(t *testing.T) {
	r, store, views, live := shared(t)
	queries := []Query{{View: views[0], Entities: names("x", "", "y", "z")}, {View: views[1], Entities: names("z", "x")}}
	var told []string
	size, next := len(state(live[0], "x")), []int{1, 9}
	parts := &Parts{First: 2, Next: func(done, all, bytes int) (int, error) {
		told = append(told, fmt.Sprint(done, all, bytes))
		return next[(len(told)-1)%len(next)], nil
	}}
	read := func() {
		t.Helper()
		answers, err := r.States(t.Context(), queries, parts)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range answers {
			if err := same(a, live[i], queries[i].Entities); err != nil {
				t.Errorf("query %d: %v", i, err)
			}
		}
	}
	read()
	if want := []string{fmt.Sprint(2, 5, 2*size), fmt.Sprint(3, 5, 3*size)}; !slices.Equal(told, want) || store.gets.Load() != 3 {
		t.Errorf("%d round trips, told %q, want %q", store.gets.Load(), told, want)
	}

	// A switch between two parts is seen.
	live[1].Number++
	store.before = func() {
		if store.gets.Load() == 5 {
			build(t, store.Store, live[1], "x", "y", "z")
		}
	}
	read()
	store.before = nil

	parts.Next = func(int, int, int) (int, error) { return 0, errBroken }
	if _, err := r.States(t.Context(), queries, parts); !errors.Is(err, errBroken) {
		t.Errorf("the caller's error became %v", err)
	}
	parts.First = 6
	if _, err := r.States(t.Context(), queries, parts); err != nil {
		t.Errorf("a read that is one part: %v", err)
	}
}
