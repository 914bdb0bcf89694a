package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
)

func entity(n int) []byte { return fmt.Appendf(nil, "entity %d", n) }

func entities(from, to int) (list [][]byte) {
	for n := from; n < to; n++ {
		list = append(list, entity(n))
	}
	return list
}

// loaded makes the index of a build with so many entities.
func loaded(t testing.TB, store onlinestore.Store, g Generation, n int) *Index {
	t.Helper()
	loader, err := store.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var hashes []uint64
	for _, e := range entities(0, n) {
		hashes = append(hashes, EntityHash(e), EntityHash(e))
	}
	rand.Shuffle(len(hashes), func(i, j int) { hashes[i], hashes[j] = hashes[j], hashes[i] })
	if err := errors.Join(LoadIndex(loader, &g, hashes), loader.Close()); err != nil {
		t.Fatal(err)
	}
	return OpenIndex(store, g)
}

// wantPresence looks entities up with an index that knows nothing yet, as after a start.
func wantPresence(t testing.TB, x *Index, list [][]byte, want Presence) {
	t.Helper()
	got, err := OpenIndex(x.store, x.generation).Look(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got {
		if p != want {
			t.Fatalf("%s is %d in the index, want %d", list[i], p, want)
		}
	}
}

// An index has the entities that were added to it, one by one or many at once, and no others.
func TestO10_TheIndexHasWhatWasAdded(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		ctx := t.Context()
		begun := Generation{View: view("v", 1).Fingerprint, Number: 1, Indexed: true}
		if err := BeginIndex(ctx, store, begun); err != nil {
			t.Fatal(err)
		}
		x := OpenIndex(store, begun)
		wantPresence(t, x, entities(0, 20), Never)
		for from := 0; from < 20; from += 5 {
			if err := x.Add(ctx, entities(from, from+7)); err != nil {
				t.Fatal(err)
			}
		}
		for from := 20; from < 6000; from += 700 {
			if err := x.Add(ctx, entities(from, min(6000, from+700))); err != nil {
				t.Fatal(err)
			}
		}
		wantPresence(t, x, entities(0, 6000), Had)
		wantPresence(t, x, entities(6000, 9000), Never)
		if x.hint.Load() < 3 {
			t.Errorf("6000 entities are in buckets of depth %d", x.hint.Load())
		}

		x = loaded(t, store, Generation{View: begun.View, Number: 2}, 5000)
		wantPresence(t, x, entities(0, 5000), Had)
		wantPresence(t, x, entities(5000, 8000), Never)
		if err := x.Add(ctx, entities(5000, 8000)); err != nil {
			t.Fatal(err)
		}
		wantPresence(t, x, entities(0, 8000), Had)
		wantPresence(t, x, entities(8000, 9000), Never)
		if err := DropNumber(ctx, store, begun.View, 2); err != nil {
			t.Fatal(err)
		}
		if n := count(t, store, x.generation.indexes()); n != 0 {
			t.Errorf("%d parts of the index remain of a build that was dropped", n)
		}
	})
}

func count(t testing.TB, store onlinestore.Store, prefix []byte) (n int) {
	t.Helper()
	if err := store.Scan(context.Background(), prefix, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Several writers add at the same time, over a store that fails before or after a write, while buckets are divided.
// What one of them was told is added stays so.
func TestO10_WritersAddAtTheSameTime(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		g := Generation{View: view("v", 1).Fingerprint, Number: 1, Indexed: true}
		if err := BeginIndex(t.Context(), store, g); err != nil {
			t.Fatal(err)
		}
		const writers, each = 4, 1500
		var wg sync.WaitGroup
		for w := range writers {
			x := OpenIndex(&unreliable{Store: store, draw: rand.New(rand.NewPCG(uint64(w), 7))}, g)
			wg.Go(func() {
				// Writers have most entities in common.
				for from := w * 100; from < w*100+each; from += 100 {
					for err := errors.New("not yet"); err != nil; {
						if err = x.Add(t.Context(), entities(from, from+100)); err != nil && !errors.Is(err, onlinestore.ErrOutcomeUnknown) {
							t.Error(err)
							return
						}
					}
					if got, err := x.Look(t.Context(), entities(from, from+100)); err != nil || slices.Contains(got, Never) || slices.Contains(got, Gone) {
						t.Errorf("writer %d: %v, %v", w, got, err)
						return
					}
				}
			})
		}
		wg.Wait()
		x := OpenIndex(store, g)
		wantPresence(t, x, entities(0, 100*(writers-1)+each), Had)
		wantPresence(t, x, entities(5000, 6000), Never)
	})
}

// between is a store in which something happens between the reads of the keys of one Get.
type between struct {
	onlinestore.Store
	happens func()
}

func (b *between) Get(ctx context.Context, keys [][]byte) (values [][]byte, err error) {
	for i := range keys {
		one, err := b.Store.Get(ctx, keys[i:i+1])
		if err != nil {
			return nil, err
		}
		values = append(values, one...)
		if b.happens != nil && i < len(keys)-1 {
			b.happens()
			b.happens = nil
		}
	}
	return values, nil
}

// The keys of a read are not read at one time. If a bucket is divided meanwhile, its parts are there, though they were not when they were
// read: nothing is lost.
func TestO10_DivisionsDuringAReadLoseNothing(t *testing.T) {
	store := embedded(t)
	g := Generation{View: view("v", 1).Fingerprint, Number: 1, Indexed: true}
	other := OpenIndex(store, g)
	if err := errors.Join(BeginIndex(t.Context(), store, g), other.Add(t.Context(), entities(0, bucketMost))); err != nil {
		t.Fatal(err)
	}
	divided := false
	x := OpenIndex(&between{Store: store, happens: func() {
		divided = true
		if err := other.Add(t.Context(), entities(bucketMost, bucketMost+10)); err != nil {
			t.Error(err)
		}
	}}, g)
	x.hint.Store(1) // where it found the last entity of another part of the index
	for range 2 {
		got, err := x.Look(t.Context(), entities(0, bucketMost))
		if err != nil || slices.ContainsFunc(got, func(p Presence) bool { return p != Had }) {
			t.Errorf("%v, %v", got, err)
		}
	}
	if n := count(t, store, g.indexes()); n != 3 || !divided {
		t.Errorf("%d parts", n)
	}
}

// failingSwap is a store of which the nth Swap fails without an effect.
type failingSwap struct {
	onlinestore.Store
	nth int
}

func (f *failingSwap) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if f.nth--; f.nth == 0 {
		return nil, errors.New("the swap failed, as planned")
	}
	return f.Store.Swap(ctx, writes)
}

// What is below a place of which the division did not end counts for nothing, and nobody adds to it.
func TestO10_UnfinishedDivisionsCountForNothing(t *testing.T) {
	store := embedded(t)
	g := Generation{View: view("v", 1).Fingerprint, Number: 1, Indexed: true}
	x := OpenIndex(store, g)
	if err := errors.Join(BeginIndex(t.Context(), store, g), x.Add(t.Context(), entities(0, bucketMost))); err != nil {
		t.Fatal(err)
	}
	// The parts below are written, the mark in their place is not.
	if err := OpenIndex(&failingSwap{store, 2}, g).Add(t.Context(), entities(1000, 1001)); err == nil {
		t.Fatal("the division did not fail")
	}
	if n := count(t, store, g.indexes()); n != 3 {
		t.Fatalf("%d parts", n)
	}
	for from := 1001; from < 1003; from++ {
		x.hint.Store(1) // as of a writer that has found deeper places elsewhere
		if err := x.Add(t.Context(), entities(from, from+1)); err != nil {
			t.Fatal(err)
		}
	}
	wantPresence(t, x, entities(1001, 1003), Had)
	wantPresence(t, x, entities(0, bucketMost), Had)
	wantPresence(t, x, entities(1000, 1001), Never)
}

// A part of the index that is lost or damaged is known to be, and Restore brings it back.
func TestO10_ALostIndexIsKnown(t *testing.T) {
	store := embedded(t)
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		g := Generation{View: view("v", 1).Fingerprint, Number: 1, Build: rapid.Uint64().Draw(t, "build")}
		n := rapid.SampledFrom([]int{0, 1, 100, 1200, 3000}).Draw(t, "entities")
		x := loadedIn(t, store, g, n)
		if err := x.Add(ctx, entities(n, n+800)); err != nil {
			t.Fatal(err)
		}
		all := entities(0, n+800)
		var keys [][]byte
		if err := store.Scan(ctx, x.generation.indexes(), func(key, _ []byte) error { keys = append(keys, slices.Clone(key)); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(keys, slices.Compare)
		for range rapid.IntRange(1, 3).Draw(t, "losses") {
			key := rapid.SampledFrom(keys).Draw(t, "part")
			if rapid.Bool().Draw(t, "delete") {
				if err := store.DeletePrefix(ctx, key); err != nil {
					t.Fatal(err)
				}
				continue
			}
			got, err := store.Get(ctx, [][]byte{key})
			if err != nil {
				t.Fatal(err)
			}
			if got[0] == nil {
				continue
			}
			bit := rapid.IntRange(64, 8*len(got[0])-1).Draw(t, "bit")
			damaged := slices.Clone(got[0])
			damaged[bit/8] ^= 1 << (bit % 8)
			binary.BigEndian.PutUint64(damaged, onlinestore.Revision(damaged)+1<<40)
			if _, err := store.Swap(ctx, []onlinestore.Write{{Key: key, Expect: onlinestore.Revision(got[0]), Value: damaged}}); err != nil {
				t.Fatal(err)
			}
		}
		x = OpenIndex(store, x.generation)
		has, err := x.Look(ctx, all)
		if err != nil || slices.Contains(has, Never) {
			t.Fatalf("an entity of a damaged index counts as new: %v", err)
		}
		if !slices.Contains(has, Gone) && n+800 > 0 && !slices.Contains(has, Had) {
			t.Fatal("nothing was found")
		}
		if err := x.Add(ctx, entities(9000, 9100)); err != nil { // what cannot be added is left out
			t.Fatal(err)
		}
		if err := x.Restore(ctx, hashesOf(append(all, entities(9000, 9100)...))); err != nil {
			t.Fatal(err)
		}
		if has, err = OpenIndex(store, x.generation).Look(ctx, all); err != nil || slices.Contains(has, Never) || slices.Contains(has, Gone) {
			t.Fatalf("after it was restored: %v", err)
		}
	})
}

func loadedIn(t *rapid.T, store onlinestore.Store, g Generation, n int) *Index {
	loader, err := store.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(LoadIndex(loader, &g, hashesOf(entities(0, n))), loader.Close()); err != nil {
		t.Fatal(err)
	}
	return OpenIndex(store, g)
}

// A read of an entity whose state was removed from the store says that it is lost; one that never had any says so. A
// state that appears again is read.
func TestO10_ReadersFindLostStates(t *testing.T) {
	onEachStore(t, func(t *testing.T, store onlinestore.Store) {
		v := view("v", 1)
		g := Generation{View: v.Fingerprint, Number: 1, Indexed: true}
		if err := BeginIndex(t.Context(), store, g); err != nil {
			t.Fatal(err)
		}
		if err := OpenIndex(store, g).Add(t.Context(), names("a", "b")); err != nil {
			t.Fatal(err)
		}
		build(t, store, g, "a", "b")
		readers := map[string]*Reader{"plain": NewReader(store)}
		if w, ok := store.(onlinestore.Watching); ok {
			readers["keeping"] = NewKeepingReader(w, 1<<20)
		}
		read := func(want ...string) {
			t.Helper()
			for name, r := range readers {
				if err := r.CaughtUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					answers, err := r.States(t.Context(), []Query{{View: v, Entities: [][]byte{[]byte("a"), nil, []byte("b"), []byte("c")}, For: 1}}, nil)
					if err != nil {
						t.Fatal(err)
					}
					for e, w := range want {
						got := answers[0].States[e]
						switch {
						case w == "lost":
							record := kernel.AppendLost(nil, v.Fingerprint, notStored, goneReason)
							if string(got) != string(record) {
								t.Errorf("%s reader: entity %d is %q, want lost", name, e, got)
							}
						case w == "" && got != nil, w != "" && string(got) != string(state(g, w)):
							t.Errorf("%s reader: entity %d is %q, want %q", name, e, got, w)
						}
					}
				}
			}
		}
		read("a", "", "b", "")
		if err := store.DeletePrefix(t.Context(), g.StateKey([]byte("a"))); err != nil {
			t.Fatal(err)
		}
		read("lost", "", "b", "")
		if err := write(t.Context(), store, g, "a"); err != nil {
			t.Fatal(err)
		}
		read("a", "", "b", "")
	})
}
