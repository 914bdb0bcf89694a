package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
)

func testReopen(t *testing.T, s Storage) {
	store := s.Open(t)
	put(t, store, "a", "b", "c1", "c2")
	deletePrefix(t, store, "c")
	if err := store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	store = open(t, s)
	want(t, store, "a", value(1, "of a"))
	want(t, store, "b", value(1, "of b"))
	want(t, store, "c1", nil)
	if !swap(t, store, write("a", 1, 2, ""))[0] {
		t.Error("the revision did not match after reopening")
	}
}

const (
	crashWriters = 4
	crashRounds  = 3
)

// testCrash crashes several times while each writer increments a counter of its own. No counter
// may be lower than the last acknowledged value, or torn.
func testCrash(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	var acknowledged [crashWriters]uint64
	for range crashRounds {
		store := s.Open(t)
		c := startCounters(store)
		for range 20 * crashWriters {
			<-c.progress
		}
		acknowledged = c.now()
		s.Crash(t)
		c.stop()
		_ = store.Close()

		store = s.Open(t)
		for i, least := range acknowledged {
			v := get(t, store, counterKey(i))[0]
			at := onlinestore.Revision(v)
			if at < least || string(v[8:]) != fmt.Sprint(at) {
				t.Errorf("counter %d is %q at revision %d, %d was acknowledged", i, v, at, least)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

// testCrashLarge writes values so large that an implementation may handle them in another way.
func testCrashLarge(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	sizes := []int{1 << 20, 33 << 20}
	if testing.Short() {
		sizes = sizes[:1] // the other takes long with the race detector
	}
	for round, size := range sizes {
		store := s.Open(t)
		w := write("large", uint64(round), uint64(round)+1, strings.Repeat("v", size))
		swap(t, store, w)
		s.Crash(t)
		_ = store.Close()
		store = s.Open(t)
		if !bytes.Equal(get(t, store, "large")[0], w.Value) {
			t.Errorf("a value of %d bytes was acknowledged and is lost", size)
		}
		if err := store.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

func counterKey(writer int) string { return fmt.Sprintf("counter %d", writer) }

// counters increment one key each until they are stopped or the store fails.
type counters struct {
	progress chan struct{}
	stopped  chan struct{}
	done     sync.WaitGroup

	mu           sync.Mutex
	acknowledged [crashWriters]uint64
}

func startCounters(store onlinestore.Store) *counters {
	c := &counters{progress: make(chan struct{}), stopped: make(chan struct{})}
	for i := range crashWriters {
		c.done.Go(func() { c.count(store, i) })
	}
	return c
}

func (c *counters) count(store onlinestore.Store, i int) {
	for {
		values, err := store.Get(context.Background(), [][]byte{[]byte(counterKey(i))})
		if err != nil {
			return
		}
		at := onlinestore.Revision(values[0])
		swapped, err := store.Swap(context.Background(), []onlinestore.Write{write(counterKey(i), at, at+1, fmt.Sprint(at+1))})
		if err != nil || !swapped[0] {
			return
		}
		c.mu.Lock()
		c.acknowledged[i] = at + 1
		c.mu.Unlock()
		select {
		case c.progress <- struct{}{}:
		case <-c.stopped:
			return
		default:
		}
	}
}

func (c *counters) now() [crashWriters]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acknowledged
}

func (c *counters) stop() {
	close(c.stopped)
	c.done.Wait()
}

func testCancelled(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "a")
	loader, err := store.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, loadErr := store.Load(ctx)
	for what, err := range calls(ctx, store, loader) {
		if what != "Put" && what != "Loader.Close" && (!errors.Is(err, context.Canceled) || errors.Is(err, onlinestore.ErrOutcomeUnknown)) {
			t.Errorf("%s: %v, want context.Canceled and a known outcome", what, err)
		}
	}
	if !errors.Is(loadErr, context.Canceled) {
		t.Errorf("Load: %v, want context.Canceled", loadErr)
	}
	want(t, store, "a", value(1, "of a"))
}

// calls calls every method and returns the errors.
func calls(ctx context.Context, store onlinestore.Store, loader onlinestore.Loader) map[string]error {
	_, getErr := store.Get(ctx, [][]byte{[]byte("a")})
	_, swapErr := store.Swap(ctx, []onlinestore.Write{write("a", 1, 2, "")})
	return map[string]error{
		"Get": getErr, "Swap": swapErr,
		"DeletePrefix": store.DeletePrefix(ctx, []byte("a")),
		"Scan":         store.Scan(ctx, []byte("a"), func([]byte, []byte) error { return nil }),
		"Put":          loader.Put([]byte("l"), value(1, "")),
		"Loader.Close": loader.Close(),
	}
}

func testClosed(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "a")
	ctx := context.Background()
	loader, err := store.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if _, err := store.Load(ctx); !errors.Is(err, onlinestore.ErrClosed) {
		t.Errorf("Load of a closed store: %v, want ErrClosed", err)
	}
	for what, err := range calls(ctx, store, loader) {
		if !errors.Is(err, onlinestore.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want ErrClosed", what, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func testShared(t *testing.T, s Storage) {
	if !s.Shared {
		return
	}
	stores := []onlinestore.Store{open(t, s), open(t, s)}
	inParallel(func(i int) {
		for range writesEach {
			if err := increment(stores[i%2], "counter"); err != nil {
				t.Errorf("increment: %v", err)
				return
			}
		}
	})
	for _, store := range stores {
		want(t, store, "counter", value(writers*writesEach, fmt.Sprint(writers*writesEach)))
	}
}
