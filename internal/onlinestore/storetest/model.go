package storetest

import (
	"context"
	"maps"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/onlinestore"
)

// keyAlphabet makes keys that are prefixes and neighbours of each other.
var keyAlphabet = []string{"a", "\x00", "\xff", "\xfe", "*", "["}

func someKey(t *rapid.T, what string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(keyAlphabet), 1, 3).Draw(t, what), "")
}

// someWrite draws a write that expects the current revision, or sometimes another one.
func someWrite(t *rapid.T, m map[string]string) onlinestore.Write {
	key := someKey(t, "key")
	at := onlinestore.Revision([]byte(m[key]))
	expect := at
	if rapid.Bool().Draw(t, "other") {
		expect = rapid.SampledFrom([]uint64{0, 1, 2, at + 1, 1 << 53}).Draw(t, "expect")
	}
	step := rapid.SampledFrom([]uint64{1, 2, 1 << 53, 1<<53 + 1, 1 << 63}).Draw(t, "step")
	next := expect + step
	if next == onlinestore.Absent {
		next = 1
	}
	return write(key, expect, next, rapid.SampledFrom([]string{"", "x", "\x00"}).Draw(t, "rest"))
}

// testModel makes random calls and compares every answer with a map's.
func testModel(t *testing.T, s Storage) {
	store := open(t, s)
	rapid.Check(t, func(t *rapid.T) {
		for _, first := range keyAlphabet {
			deletePrefix(t, store, first)
		}
		m := map[string]string{}
		looked := map[string]onlinestore.Write{} // writes of keys that were read, with their marks
		t.Repeat(map[string]func(*rapid.T){
			"read for swap": func(t *rapid.T) {
				key := someKey(t, "key")
				values, seen, err := onlinestore.GetForSwap(context.Background(), store, [][]byte{[]byte(key)})
				if err != nil || string(values[0]) != m[key] {
					t.Fatalf("GetForSwap of %q: %q, %v, want %q", key, values[0], err, m[key])
				}
				at := onlinestore.Revision(values[0])
				w := write(key, at, at+1, "looked")
				w.Seen = seen[0]
				looked[key] = w
			},
			"swap with mark": func(t *rapid.T) {
				key := someKey(t, "key")
				w, ok := looked[key]
				if !ok {
					return
				}
				matches := onlinestore.Revision([]byte(m[key])) == w.Expect
				if got := swap(t, store, w)[0]; got != matches {
					t.Fatalf("Swap of %q, read at revision %d: %v, want %v", key, w.Expect, got, matches)
				}
				if matches {
					m[key] = string(w.Value)
				}
			},
			"swap": func(t *rapid.T) {
				w := someWrite(t, m)
				matches := onlinestore.Revision([]byte(m[string(w.Key)])) == w.Expect
				if got := swap(t, store, w)[0]; got != matches {
					t.Fatalf("Swap of %q from %d: %v, want %v", w.Key, w.Expect, got, matches)
				}
				if matches {
					m[string(w.Key)] = string(w.Value)
				}
			},
			"load": func(t *rapid.T) {
				key := someKey(t, "key")
				v := string(value(rapid.Uint64Range(1, math.MaxUint64-1<<60).Draw(t, "revision"), "loaded"))
				load(t, store, map[string]string{key: v})
				m[key] = v
				delete(looked, key) // a mark does not see it
			},
			"delete": func(t *rapid.T) {
				prefix := someKey(t, "prefix")
				deletePrefix(t, store, prefix)
				maps.DeleteFunc(m, func(key, _ string) bool { return strings.HasPrefix(key, prefix) })
			},
			"get": func(t *rapid.T) {
				key := someKey(t, "key")
				if v, ok := m[key]; ok {
					want(t, store, key, []byte(v))
				} else {
					want(t, store, key, nil)
				}
			},
			"scan": func(t *rapid.T) {
				prefix := someKey(t, "prefix")
				expected := maps.Clone(m)
				maps.DeleteFunc(expected, func(key, _ string) bool { return !strings.HasPrefix(key, prefix) })
				if got := scan(t, store, prefix); !maps.Equal(got, expected) {
					t.Fatalf("Scan of %q: %q, want %q", prefix, got, expected)
				}
			},
		})
	})
}

// load puts everything through one loader.
func load(t fataler, store onlinestore.Store, pairs map[string]string) {
	t.Helper()
	loader, err := store.Load(context.Background())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	for key, v := range pairs {
		if err := loader.Put([]byte(key), []byte(v)); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	if err := loader.Close(); err != nil {
		t.Fatalf("close the loader: %v", err)
	}
}
