package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
)

func testGet(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "a", "b", "c")
	values := get(t, store, "c", "none", "a", "b", "c", "")
	for i, want := range []string{"c", "", "a", "b", "c", ""} {
		if want == "" && values[i] != nil || want != "" && !bytes.Equal(values[i], value(1, "of "+want)) {
			t.Errorf("value %d is %q, want that of %q", i, values[i], want)
		}
	}
	if values := get(t, store); len(values) != 0 {
		t.Errorf("Get of no keys returned %d values", len(values))
	}
	var many []string
	for i := range 3000 {
		many = append(many, fmt.Sprintf("none %d", i), "b")
	}
	for i, v := range get(t, store, many...) {
		if (v != nil) != (i%2 == 1) {
			t.Fatalf("value %d of %d is %q", i, len(many), v)
		}
	}
}

func testOwnership(t *testing.T, s Storage) {
	store := open(t, s)
	w := write("key", onlinestore.Absent, 1, "value")
	swap(t, store, w)
	copy(w.Key, "KEY")
	copy(w.Value[8:], "VALUE")
	read := get(t, store, "key", "key")
	copy(read[0], "overwritten")
	if !bytes.Equal(read[1], value(1, "value")) {
		t.Errorf("two values of one Get share memory: %q", read[1])
	}
	want(t, store, "key", value(1, "value"))
}

func testBinary(t *testing.T, s Storage) {
	store := open(t, s)
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	keys := []string{
		"\x00", "\x00\x00", "a", "a\x00", "a\x00b", "\xff", "\xff\xff", "\r\n", "*", "?", "[a]", `\`, "{", "}", "{}", "{}a", "{a}b", string(all),
		strings.Repeat("\x00k", onlinestore.MaxKeyBytes/2),
	}
	var writes []onlinestore.Write
	for i, key := range keys {
		writes = append(writes, write(key, onlinestore.Absent, uint64(i+1), key))
	}
	for i, swapped := range swap(t, store, writes...) {
		if !swapped {
			t.Errorf("key %q was taken for another", keys[i])
		}
	}
	for i, v := range get(t, store, keys...) {
		if !bytes.Equal(v, value(uint64(i+1), keys[i])) {
			t.Errorf("key %q has another value", keys[i])
		}
	}
	if found := scan(t, store, "{"); len(found) != 4 {
		t.Errorf("Scan found %d keys that begin with {, want 4", len(found))
	}
}

// testLarge has smaller values with -short: large ones take long with the race detector.
func testLarge(t *testing.T, s Storage) {
	times, values := 40, 8
	if testing.Short() {
		times, values = 2, 2
	}
	store := open(t, s)
	large := strings.Repeat("\x00\r\n\xff0123456789ab", 1<<16) // 1 MiB
	var writes []onlinestore.Write
	for i := range values {
		writes = append(writes, write(fmt.Sprint(i), onlinestore.Absent, 1, large))
	}
	huge := strings.Repeat(large, times)
	writes = append(writes, write("huge", onlinestore.Absent, 1, huge), write("small", onlinestore.Absent, 1, ""))
	swap(t, store, writes...)
	for i := range values {
		want(t, store, fmt.Sprint(i), value(1, large))
	}
	if !bytes.Equal(get(t, store, "huge")[0], value(1, huge)) {
		t.Error("the huge value came back different")
	}
	want(t, store, "small", value(1, ""))
	if !swap(t, store, write("huge", 1, 2, ""))[0] {
		t.Error("the revision of a huge value did not match")
	}
}

func testSwap(t *testing.T, s Storage) {
	store := open(t, s)
	for _, c := range []struct {
		expect, revision uint64
		swapped          bool
	}{
		{7, 8, false}, // absent
		{onlinestore.Absent, 5, true},
		{onlinestore.Absent, 6, false},
		{4, 9, false},
		{6, 9, false},
		{5, 9, true},
		{5, 10, false}, // older than what is there
		{9, 10, true},
		{10, 7, true}, // lower
		{7, 10, true},
	} {
		got := swap(t, store, write("k", c.expect, c.revision, fmt.Sprint(c.revision)))[0]
		if got != c.swapped {
			t.Errorf("Swap from %d to %d: %v, want %v", c.expect, c.revision, got, c.swapped)
		}
	}
	want(t, store, "k", value(10, "10"))
	if got := fmt.Sprint(swap(t, store,
		write("k", 9, 11, ""), write("l", onlinestore.Absent, 1, ""), write("k", 10, 11, ""), write("m", 1, 2, ""))); got != "[false true true false]" {
		t.Errorf("Swap of several keys: %s, want each on its own", got)
	}
	if got := swap(t, store); len(got) != 0 {
		t.Errorf("Swap without writes returned %v", got)
	}
}

// Of two writes that expect the same revision, only one succeeds, even within one call.
func testSwapTwice(t *testing.T, s Storage) {
	store := open(t, s)
	got := swap(t, store, write("k", onlinestore.Absent, 1, "a"), write("k", onlinestore.Absent, 2, "b"))
	if got[0] == got[1] {
		t.Fatalf("Swap of one key twice: %v, want exactly one", got)
	}
	if got[0] {
		want(t, store, "k", value(1, "a"))
	} else {
		want(t, store, "k", value(2, "b"))
	}
}

func testB5(t *testing.T, s Storage) {
	store := open(t, s)
	revisions := []uint64{
		1, 255, 256, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<53 + 2, 1<<63 - 1, 1 << 63, 1<<63 + 1,
		math.MaxUint64 - 1, math.MaxUint64,
	}
	at := onlinestore.Absent
	for _, next := range revisions {
		for _, near := range []uint64{at - 1, at + 1, at ^ 1<<63, at ^ 1<<31, at ^ 1} {
			if near != next && near != at && swap(t, store, write("k", near, next, "wrong"))[0] {
				t.Errorf("revision %d matched %d", at, near)
			}
		}
		if !swap(t, store, write("k", at, next, ""))[0] {
			t.Fatalf("revision %d did not match itself", at)
		}
		at = next
		if got := onlinestore.Revision(get(t, store, "k")[0]); got != at {
			t.Fatalf("revision %d came back as %d", at, got)
		}
	}
}

func testInvalid(t *testing.T, s Storage) {
	store := open(t, s)
	ctx := context.Background()
	good := write("good", onlinestore.Absent, 1, "")
	for name, bad := range map[string]onlinestore.Write{
		"no key":        {Value: value(1, "")},
		"long key":      {Key: make([]byte, onlinestore.MaxKeyBytes+1), Value: value(1, "")},
		"no revision":   {Key: []byte("k"), Value: []byte("short")},
		"revision 0":    {Key: []byte("k"), Value: value(0, "")},
		"same revision": {Key: []byte("k"), Expect: 3, Value: value(3, "")},
	} {
		if _, err := store.Swap(ctx, []onlinestore.Write{good, bad}); err == nil {
			t.Errorf("%s: Swap took it", name)
		}
	}
	want(t, store, "good", nil)
	loader, err := store.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if loader.Put([]byte("k"), []byte("short")) == nil || loader.Put(nil, value(1, "")) == nil {
		t.Error("Put took an invalid pair")
	}
	if err := loader.Close(); err != nil {
		t.Errorf("close the loader: %v", err)
	}
	if store.DeletePrefix(ctx, nil) == nil {
		t.Error("DeletePrefix took an empty prefix")
	}
	if store.Scan(ctx, nil, func([]byte, []byte) error { return nil }) == nil {
		t.Error("Scan took an empty prefix")
	}
}

const (
	writers    = 8
	writesEach = 25
)

// inParallel runs f for each writer and waits for them.
func inParallel(f func(writer int)) {
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// increment adds one to a counter, reading and swapping until it succeeds.
func increment(store onlinestore.Store, key string) error {
	for {
		values, seen, err := onlinestore.GetForSwap(context.Background(), store, [][]byte{[]byte(key)})
		if err != nil {
			return err
		}
		at := onlinestore.Revision(values[0])
		w := write(key, at, at+1, fmt.Sprint(at+1))
		w.Seen = seen[0]
		swapped, err := store.Swap(context.Background(), []onlinestore.Write{w})
		if err != nil || swapped[0] {
			return err
		}
	}
}

func testConcurrent(t *testing.T, s Storage) {
	store := open(t, s)
	inParallel(func(int) {
		for range writesEach {
			if err := increment(store, "counter"); err != nil {
				t.Errorf("increment: %v", err)
				return
			}
		}
	})
	want(t, store, "counter", value(writers*writesEach, fmt.Sprint(writers*writesEach)))
}

func testConcurrentCreate(t *testing.T, s Storage) {
	store := open(t, s)
	var created [writers][writesEach]bool
	inParallel(func(i int) {
		for n := range writesEach {
			swapped, err := store.Swap(context.Background(), []onlinestore.Write{write(fmt.Sprint(n), onlinestore.Absent, 1, fmt.Sprint(i))})
			if err != nil {
				t.Errorf("Swap: %v", err)
				return
			}
			created[i][n] = swapped[0]
		}
	})
	for n := range writesEach {
		var by []int
		for i := range writers {
			if created[i][n] {
				by = append(by, i)
			}
		}
		if len(by) != 1 {
			t.Fatalf("key %d was created by %v, want exactly one", n, by)
		}
		want(t, store, fmt.Sprint(n), value(1, fmt.Sprint(by[0])))
	}
}

// testConcurrentMany swaps overlapping sets of keys in different orders: no
// deadlock, and every counter ends at its number of successful swaps.
func testConcurrentMany(t *testing.T, s Storage) {
	store := open(t, s)
	const keys = 6
	var mu sync.Mutex
	var total [keys]uint64
	inParallel(func(i int) {
		for n := range writesEach {
			var names [][]byte
			for k := range keys {
				names = append(names, []byte{byte('a' + (k*(i%2*4+1)+n+i)%keys)})
			}
			values, seen, err := onlinestore.GetForSwap(context.Background(), store, names)
			if err != nil {
				t.Errorf("GetForSwap: %v", err)
				return
			}
			var writes []onlinestore.Write
			for k, v := range values {
				at := onlinestore.Revision(v)
				writes = append(writes, write(string(names[k]), at, at+1, ""))
				if i < writers/2 { // the others pass no mark
					writes[k].Seen = seen[k]
				}
			}
			swapped, err := store.Swap(context.Background(), writes)
			if err != nil {
				t.Errorf("Swap: %v", err)
				return
			}
			mu.Lock()
			for k, ok := range swapped {
				if ok {
					total[names[k][0]-'a']++
				}
			}
			mu.Unlock()
		}
	})
	for k := range keys {
		want(t, store, string(rune('a'+k)), value(total[k], ""))
	}
}
