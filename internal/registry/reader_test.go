package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// same reports whether an answer holds exactly the states of generation g.
func same(a Answer, g Generation, entities [][]byte) error {
	if a.Generation != g {
		return fmt.Errorf("the answer is of generation %d, live is %d", a.Generation.Number, g.Number)
	}
	for i, e := range entities {
		want := string(state(g, string(e)))
		if e == nil {
			want = ""
		}
		if string(a.States[i]) != want {
			return fmt.Errorf("entity %q: state %q, want %q", e, a.States[i], want)
		}
	}
	return nil
}

// The next read after a switch sees it, in at most three round trips [p1], [p4].
func TestP4_ReaderSeesASwitchAtOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, inner onlinestore.Store) {
		store := &counting{Store: inner}
		r := NewReader(store)
		a, b := view("spend", 1), view("visits", 2)
		entities := [][]byte{[]byte("x"), nil, []byte("y"), []byte("x")}
		queries := []Query{{View: a, Entities: entities}, {View: b, Entities: [][]byte{}}, {View: b, Entities: entities}, {View: a, Entities: entities[:1]}}
		live := map[*plan.View]Generation{}
		promote := func(v *plan.View) {
			live[v] = Generation{View: v.Fingerprint, Number: live[v].Number + 1, Build: 9}
			build(t, inner, live[v], "x", "y")
		}
		promote(a)
		promote(b)
		for i, change := range []struct {
			views []*plan.View
			trips int64
		}{{nil, 2}, {nil, 1}, {[]*plan.View{a}, 3}, {nil, 1}, {[]*plan.View{a, b}, 3}, {[]*plan.View{b, b, b}, 3}, {nil, 1}} {
			for _, v := range change.views {
				promote(v)
			}
			store.gets.Store(0)
			answers, err := r.States(t.Context(), queries, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := store.gets.Load(); got != change.trips {
				t.Errorf("read %d took %d round trips, want %d", i, got, change.trips)
			}
			for j, q := range queries {
				if err := same(answers[j], live[q.View], q.Entities); err != nil {
					t.Errorf("read %d, query %d: %v", i, j, err)
				}
			}
		}
	})
}

// A view that was never materialized says so itself and borrows nothing from
// another [n6]; once it is, the next read finds it.
func TestN6_ViewWithoutState(t *testing.T) {
	store := embedded(t)
	r := NewReader(store)
	a, b := view("spend", 1), view("visits", 2)
	g := Generation{View: a.Fingerprint, Number: 1}
	build(t, store, g, "x")
	queries := []Query{{View: a, Entities: [][]byte{[]byte("x")}}, {View: b, Entities: [][]byte{[]byte("x")}}}
	for range 2 {
		var none *NotMaterialized
		if _, err := r.States(t.Context(), queries, nil); !errors.As(err, &none) || none.View != b {
			t.Fatalf("reading a view without state: %v", err)
		}
	}
	build(t, store, Generation{View: b.Fingerprint, Number: 1}, "x")
	answers, err := r.States(t.Context(), queries, nil)
	if err != nil || same(answers[0], g, queries[0].Entities) != nil || string(answers[1].States[0]) != string(state(answers[1].Generation, "x")) {
		t.Errorf("%v, %v", answers, err)
	}
	if _, err := r.States(t.Context(), nil, nil); err != nil {
		t.Errorf("no queries: %v", err)
	}
}

// A read that is overtaken every time gives up with an error instead of mixing.
func TestReaderGivesUp(t *testing.T) {
	inner := embedded(t)
	v := view("spend", 1)
	number := uint64(0)
	store := &counting{Store: inner}
	store.before = func() {
		number++
		build(t, inner, Generation{View: v.Fingerprint, Number: number}, "x")
	}
	_, err := NewReader(store).States(t.Context(), []Query{{View: v, Entities: [][]byte{[]byte("x")}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "generations changed") {
		t.Errorf("a read that never catches up: %v", err)
	}
}

// Readers during switches see all of one generation or all of another, never a mix
// and never one that is being dropped.
func TestConcurrentReadersNeverMixGenerations(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		views := []*plan.View{view("spend", 1), view("visits", 2)}
		names := []string{"x", "y", "z"}
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		promote := func(number uint64) {
			for _, v := range views {
				build(t, store, Generation{View: v.Fingerprint, Number: number, Build: number % 3}, names...)
			}
		}
		promote(1)
		shared := NewReader(store)
		for i := range 4 {
			r := shared
			if i == 0 {
				r = NewReader(store)
			}
			readers.Go(func() {
				if err := readWhile(ctx, r, views, names); err != nil {
					t.Error(err)
				}
			})
		}
		for number := uint64(2); number <= 60; number++ {
			if number > 2 {
				for _, v := range views {
					if err := DropNumber(t.Context(), store, v.Fingerprint, number-2); err != nil {
						t.Fatal(err)
					}
				}
			}
			promote(number)
		}
		stop()
		readers.Wait()
	})
}

// readWhile reads until ctx ends. Generations may not go back from one read to
// the next. Giving up is allowed here, where switches follow one another without pause.
func readWhile(ctx context.Context, r *Reader, views []*plan.View, names []string) error {
	var entities [][]byte
	for _, n := range names {
		entities = append(entities, []byte(n))
	}
	newest := make([]uint64, len(views))
	for ctx.Err() == nil {
		answers, err := r.States(context.WithoutCancel(ctx), []Query{{View: views[0], Entities: entities}, {View: views[1], Entities: entities}}, nil)
		if err != nil && strings.Contains(err.Error(), "generations changed") {
			continue
		}
		if err != nil {
			return err
		}
		for i, a := range answers {
			if a.Generation.Number < newest[i] {
				return fmt.Errorf("view %s went back from generation %d to %d", views[i].Name, newest[i], a.Generation.Number)
			}
			newest[i] = a.Generation.Number
			if err := same(a, a.Generation, entities); err != nil {
				return fmt.Errorf("view %s: %w", views[i].Name, err)
			}
		}
	}
	return nil
}
