package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
)

// loaded returns enough pairs for several batches of any implementation.
func loaded() map[string]string {
	pairs := map[string]string{}
	for i := range 3000 {
		pairs[fmt.Sprintf("load/%d", i)] = string(value(uint64(i+1), strings.Repeat("v", 100+i)))
	}
	for i := range 12 {
		pairs[fmt.Sprintf("load/large %d", i)] = string(value(1, strings.Repeat("v", 1<<20)))
	}
	return pairs
}

func wantScan(t *testing.T, store onlinestore.Store, prefix string, expected map[string]string) {
	t.Helper()
	got := scan(t, store, prefix)
	if len(got) != len(expected) {
		t.Errorf("prefix %q has %d keys, want %d", prefix, len(got), len(expected))
	}
	for key, v := range expected {
		if got[key] != v {
			t.Fatalf("key %q has another value or none", key)
		}
	}
}

func testLoad(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "load/7", "other")
	pairs := loaded()
	loader, err := store.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var key, v []byte // reused, since Put copies
	for name, content := range pairs {
		key, v = append(key[:0], name...), append(v[:0], content...)
		if err := loader.Put(key, v); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	copy(key, "overwritten")
	copy(v, "overwritten")
	if err := loader.Close(); err != nil {
		t.Fatalf("close the loader: %v", err)
	}
	wantScan(t, store, "load/", pairs)
	want(t, store, "other", value(1, "of other"))
	if !swap(t, store, write("load/7", 8, 9, ""))[0] {
		t.Error("the revision of a loaded value did not match")
	}
	if err := loader.Put([]byte("late"), value(1, "")); err == nil {
		t.Error("a finished loader took a pair")
	}
	load(t, store, nil)
	load(t, store, map[string]string{"load/7": string(value(2, "older"))})
	want(t, store, "load/7", value(2, "older"))
}

func testLoadCrash(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	store := s.Open(t)
	pairs := loaded()
	if testing.Short() { // much takes long with the race detector
		maps.DeleteFunc(pairs, func(key, _ string) bool { return len(key) > len("load/")+3 })
	}
	load(t, store, pairs)
	s.Crash(t)
	_ = store.Close()

	// A pair this large is written by Put, so Close has nothing left to write but must still sync.
	store = s.Open(t)
	wantScan(t, store, "load/", pairs)
	if testing.Short() {
		return
	}
	large := map[string]string{"one large": string(value(1, strings.Repeat("v", 16<<20)))}
	load(t, store, large)
	s.Crash(t)
	_ = store.Close()
	wantScan(t, open(t, s), "one", large)
}

// testDeletePrefix deletes prefixes that have the closest possible neighbours.
func testDeletePrefix(t *testing.T, s Storage) {
	store := open(t, s)
	keys := []string{
		"`", "a", "a\x00", "a\xfe\xff", "a\xff", "a\xff\x00", "a\xff\xff", "a\xff\xff\xff", "b", "b\x00", "\xfe\xff", "\xff", "\xff\x00", "\xff\xff", "\xff\xff\xff",
		"*", "**", "?", "a*", "a[", "a[b]", `a\`, `a\*`, "\x00", "\x00\x00", "\x00\xff", "\x01",
	}
	for _, prefix := range []string{"a\xff", "a\xff\xff", "a", "\xff", "\xff\xff", "b", "*", "?", "a*", "a[", "a[b", `a\`, "\x00", "\x00\xff", "\xfe", "absent"} {
		put(t, store, keys...)
		deletePrefix(t, store, prefix)
		for _, key := range keys {
			if deleted := get(t, store, key)[0] == nil; deleted != strings.HasPrefix(key, prefix) {
				t.Errorf("DeletePrefix(%q): key %q deleted: %v", prefix, key, deleted)
			}
		}
		for _, key := range keys {
			deletePrefix(t, store, key)
		}
	}
}

func testDeleteMany(t *testing.T, s Storage) {
	store := open(t, s)
	pairs := loaded()
	load(t, store, pairs)
	put(t, store, "load", "load0")
	deletePrefix(t, store, "load/")
	deletePrefix(t, store, "load/")
	want(t, store, "load/7", nil)
	want(t, store, "load/2999", nil)
	wantScan(t, store, "load", map[string]string{"load": string(value(1, "of load")), "load0": string(value(1, "of load0"))})
	put(t, store, "load/7")
	want(t, store, "load/7", value(1, "of load/7"))
}

func testScan(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "a", "ab", "a*", "b", "a\xff", "\xff", "\xff\xff", "\x00")
	for prefix, keys := range map[string][]string{
		"a":    {"a", "a*", "ab", "a\xff"},
		"a*":   {"a*"},
		"\xff": {"\xff", "\xff\xff"},
		"\x00": {"\x00"},
		"none": nil,
	} {
		if got := slices.Sorted(maps.Keys(scan(t, store, prefix))); !slices.Equal(got, keys) {
			t.Errorf("Scan(%q): %q, want %q", prefix, got, keys)
		}
	}
}

func testScanCallback(t *testing.T, s Storage) {
	store := open(t, s)
	put(t, store, "a1", "a2", "a3")
	stop := errors.New("stop")
	calls := 0
	err := store.Scan(context.Background(), []byte("a"), func(key, v []byte) error {
		calls++
		copied := string(key)
		want(t, store, copied, v)
		if !swap(t, store, write(copied, 1, 2, ""))[0] {
			t.Errorf("Swap of %q in a Scan did not match", copied)
		}
		if calls == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("Scan made %d calls and returned %v", calls, err)
	}
}
