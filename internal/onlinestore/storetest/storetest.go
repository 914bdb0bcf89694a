// Package storetest is the conformance suite of onlinestore.Store. An
// implementation's test file says how to make a storage and calls Run.
package storetest

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Storage is where a store keeps its values while no store is open.
type Storage struct {
	// Open opens a store that finds what earlier ones wrote. The suite closes it.
	Open func(t *testing.T) onlinestore.Store
	// Crash cuts the power at some moment during the call: what was acknowledged
	// before it must survive, what was not may. Stores open at that moment are lost
	// and may return anything; Open finds what survived. Nil leaves out the tests
	// that need it.
	Crash func(t *testing.T)
	// Shared says that several stores can have the storage open at once.
	Shared bool
	// Isolated says that nothing a test does to its storage, not even Crash, affects the storage
	// of another test. Tests then run in parallel.
	Isolated bool
}

// Run tests the implementation; create makes an empty storage for each test.
func Run(t *testing.T, create func(t *testing.T) Storage) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Storage)
	}{
		{"Get keeps the order and gives nil for absent keys", testGet},
		{"Values belong to the caller", testOwnership},
		{"Binary keys and values", testBinary},
		{"Large values", testLarge},
		{"Swap compares revisions", testSwap},
		{"Swap of one key twice", testSwapTwice},
		{"B5 revisions beyond 2^53 are exact", testB5},
		{"Invalid writes change nothing", testInvalid},
		{"Model", testModel},
		{"O7 concurrent writers lose no update", testConcurrent},
		{"O7 of many writers one creates a key", testConcurrentCreate},
		{"Concurrent writers of many keys", testConcurrentMany},
		{"O7 crash keeps what was acknowledged", testCrash},
		{"A large swap survives a crash", testCrashLarge},
		{"Load writes everything", testLoad},
		{"A finished load survives a crash", testLoadCrash},
		{"DeletePrefix removes the prefix only", testDeletePrefix},
		{"DeletePrefix of many keys", testDeleteMany},
		{"Scan finds the prefix only", testScan},
		{"Scan stops at an error and allows use of the store", testScanCallback},
		{"Reopen finds everything", testReopen},
		{"A cancelled context changes nothing", testCancelled},
		{"Use after Close is an error", testClosed},
		{"Two stores on one storage", testShared},
		{"A store that watches knows of writes", testWatching},
		{"What is unchanged is current while others write", testWatchingConcurrently},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := create(t) // one at a time, also where tests are parallel
			if s.Isolated {
				t.Parallel()
			}
			test.run(t, s)
		})
	}
}

// open opens a store for the length of the test.
func open(t *testing.T, s Storage) onlinestore.Store {
	t.Helper()
	store := s.Open(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return store
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// value is a value with the given revision.
func value(revision uint64, rest string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, revision), rest...)
}

func write(key string, expect, revision uint64, rest string) onlinestore.Write {
	return onlinestore.Write{Key: []byte(key), Expect: expect, Value: value(revision, rest)}
}

func swap(t fataler, s onlinestore.Store, writes ...onlinestore.Write) []bool {
	t.Helper()
	swapped, err := s.Swap(context.Background(), writes)
	if err != nil {
		t.Fatalf("Swap: %v", err)
	}
	if len(swapped) != len(writes) {
		t.Fatalf("Swap of %d writes returned %d answers", len(writes), len(swapped))
	}
	return swapped
}

// put writes keys that are absent.
func put(t fataler, s onlinestore.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if !swap(t, s, write(key, onlinestore.Absent, 1, "of "+key))[0] {
			t.Fatalf("key %q was there already", key)
		}
	}
}

func get(t fataler, s onlinestore.Store, keys ...string) [][]byte {
	t.Helper()
	asked := make([][]byte, len(keys))
	for i, key := range keys {
		asked[i] = []byte(key)
	}
	values, err := s.Get(context.Background(), asked)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if len(values) != len(keys) {
		t.Fatalf("Get of %d keys returned %d values", len(keys), len(values))
	}
	return values
}

// want compares the value of one key; a nil value is an absent one.
func want(t fataler, s onlinestore.Store, key string, value []byte) {
	t.Helper()
	got := get(t, s, key)[0]
	if string(got) != string(value) || (got == nil) != (value == nil) {
		t.Fatalf("key %q has the value %q (nil: %v), want %q (nil: %v)", key, got, got == nil, value, value == nil)
	}
}

func deletePrefix(t fataler, s onlinestore.Store, prefix string) {
	t.Helper()
	if err := s.DeletePrefix(context.Background(), []byte(prefix)); err != nil {
		t.Fatalf("DeletePrefix: %v", err)
	}
}

// scan returns what Scan finds.
func scan(t fataler, s onlinestore.Store, prefix string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := s.Scan(context.Background(), []byte(prefix), func(key, value []byte) error {
		if _, twice := found[string(key)]; twice {
			t.Fatalf("Scan came to key %q twice while nobody writes", key)
		}
		found[string(key)] = string(value)
		return nil
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return found
}
