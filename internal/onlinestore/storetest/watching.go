package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/onlinestore"
)

// watching opens a store that watches and one that writes: another one if the storage can be shared.
// w is nil if the store does not watch.
func watching(t *testing.T, s Storage) (w onlinestore.Watching, writer onlinestore.Store) {
	t.Helper()
	w, ok := open(t, s).(onlinestore.Watching)
	if ok && s.Shared {
		return w, open(t, s)
	}
	return w, w
}

// patience bounds how long a store may take to begin to watch.
const patience = 30 * time.Second

// kept reads a key until its mark is valid, which takes as long as connecting.
func kept(t *testing.T, w onlinestore.Watching, key string) onlinestore.Seen {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		_, seen, err := w.GetMarked(context.Background(), [][]byte{[]byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		if w.Unchanged([]byte(key), seen[0]) {
			return seen[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not watched after %v", key, patience)
		}
	}
}

// A store that watches knows of its own writes at once, whether the key had a value or not, and of
// those of others once it is caught up.
func testWatching(t *testing.T, s Storage) {
	w, writer := watching(t, s)
	if w == nil {
		return
	}
	put(t, w, "there", "before")
	for _, c := range []struct {
		what  string
		key   string
		write func() error
	}{
		{"a swap", "there", func() error { swap(t, writer, write("there", 1, 2, "after")); return nil }},
		{"a first swap", "absent", func() error { swap(t, writer, write("absent", 0, 1, "new")); return nil }},
		{"a deletion", "there", func() error { return writer.DeletePrefix(context.Background(), []byte("the")) }},
	} {
		seen := kept(t, w, c.key)
		if w.Unchanged([]byte(c.key), 0) {
			t.Errorf("before %s the zero mark is valid", c.what)
		}
		if err := c.write(); err != nil {
			t.Fatal(err)
		}
		if err := w.CaughtUp(context.Background()); err != nil {
			t.Fatal(err)
		}
		if w.Unchanged([]byte(c.key), seen) {
			t.Errorf("after %s its key is unchanged", c.what)
		}
	}
	seen := kept(t, w, "own")
	swap(t, w, write("own", 0, 1, ""))
	if w.Unchanged([]byte("own"), seen) {
		t.Error("after its own swap the store says that the key is unchanged")
	}
	seen = kept(t, w, "own")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Unchanged([]byte("own"), seen) {
		t.Error("a closed store says that a key is unchanged")
	}
}

// testWatchingConcurrently writes counters from two stores, where the storage can be shared, and keeps
// what it reads for as long as it is unchanged.
func testWatchingConcurrently(t *testing.T, s Storage) {
	w, writer := watching(t, s)
	if w == nil {
		return
	}
	const keys, written = 4, 2
	var floor [keys]atomic.Uint64 // at least this was written
	var hits atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for k := range written {
		all.Go(func() {
			key := fmt.Sprint(k)
			for n := uint64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if done, err := writer.Swap(context.Background(), []onlinestore.Write{write(key, n, n+1, "")}); err != nil || !done[0] {
					t.Errorf("swap: %v, %v", done, err)
					return
				}
				floor[k].Store(n + 1)
			}
		})
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var mark [keys]onlinestore.Seen
			var value [keys]uint64
			for n := 0; n < 400 || hits.Load() == 0; n++ {
				k := n % keys
				key := []byte(fmt.Sprint(k))
				least := floor[k].Load()
				if err := w.CaughtUp(context.Background()); err != nil {
					t.Error(err)
					return
				}
				if w.Unchanged(key, mark[k]) {
					hits.Add(1)
				} else {
					got, seen, err := w.GetMarked(context.Background(), [][]byte{key})
					if err != nil {
						t.Error(err)
						return
					}
					value[k], mark[k] = onlinestore.Revision(got[0]), seen[0]
				}
				if value[k] < least {
					t.Errorf("key %d is %d, although %d was written before", k, value[k], least)
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	all.Wait()
}
