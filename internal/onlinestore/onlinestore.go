// Package onlinestore is the key-value contract that online state is kept in.
//
// Values carry their own revision: their first 8 bytes, big-endian, at least 1.
// Writers compare and set on it, so two appliers can never apply one event
// twice. Package onlinestore/pebble embeds a store, onlinestore/redis uses a
// Redis server; onlinestore/storetest is the suite that both pass.
package onlinestore

import (
	"context"
	"time"
)

// Absent is the revision of a key without a value.
const Absent uint64 = 0

// Write replaces the value of Key if its revision is Expect. Value begins with
// the new revision, which must be another one. Nobody may write two different values of a key with the same
// revision, or a writer that read the first would replace the second.
type Write struct {
	Key    []byte
	Expect uint64
	Value  []byte
	// Seen is the mark that GetMarked returned with the value whose revision is Expect.
	Seen Seen
}

// Seen marks when a value was read. The store that returned it may use it to tell, without
// reading the value again, that the value has not changed since. The zero Seen is no mark.
type Seen uint64

// Store is the contract. All methods are safe for concurrent use. Keys have 1 to
// MaxKeyBytes bytes, values at most MaxValueBytes.
type Store interface {
	// Get returns the value of each key, nil for an absent one, in one round trip. Each value is a
	// snapshot, the whole result is not. The values belong to the caller.
	Get(ctx context.Context, keys [][]byte) ([][]byte, error)
	// Swap performs each write atomically and independently of the others, and reports for each
	// whether its revision matched. Writes are durable on return. After an error any of them may
	// have taken effect; repeating them is safe.
	Swap(ctx context.Context, writes []Write) ([]bool, error)
	// Load begins a bulk load.
	Load(ctx context.Context) (Loader, error)
	// DeletePrefix removes every key that begins with prefix (not empty). Keys that are written
	// concurrently may remain.
	DeletePrefix(ctx context.Context, prefix []byte) error
	// Scan calls f for every key that begins with prefix (not empty), in no particular order, until
	// f returns an error, which Scan returns. The arguments are valid only during the call, in which
	// f may use the store. Keys that are written or deleted during the scan may or may not be
	// included, and a key may be passed twice.
	Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error
	// Close waits for running calls and releases the storage. Closing again does nothing. What open
	// loaders have not made durable is lost.
	Close() error
}

// Batching is a Store, such as one on a network, where one Get of many keys costs much less than
// many Gets.
type Batching interface {
	Store
	// PrefersBatches marks the type; it does nothing.
	PrefersBatches()
}

// Marking is a Store that marks the values it returns. Marks do not detect writes by a Loader.
type Marking interface {
	Store
	// GetMarked is Get for callers that will Swap the values.
	GetMarked(ctx context.Context, keys [][]byte) (values [][]byte, seen []Seen, err error)
}

// Watching is a Marking store that can tell later whether a value that it returned is still stored,
// so that what was made of it can be kept.
type Watching interface {
	Marking
	// Unchanged reports whether the value of key is still the one that GetMarked returned with this
	// mark. It is false if the store does not know, and always false for the zero mark. A write by
	// this process is known when it returns, one by another process a little later: at the latest
	// after CaughtUp, and in any case after MaxUnseen.
	Unchanged(key []byte, seen Seen) bool
	// CaughtUp returns once Unchanged knows of every write that was complete when it was called.
	CaughtUp(ctx context.Context) error
}

// MaxUnseen bounds how long a Watching store may not know of a write by another process, even if the
// connection to the server hangs.
const MaxUnseen = time.Second

// GetForSwap calls the store's GetMarked, or Get if the store does not mark.
func GetForSwap(ctx context.Context, s Store, keys [][]byte) (values [][]byte, seen []Seen, err error) {
	if m, ok := s.(Marking); ok {
		return m.GetMarked(ctx, keys)
	}
	values, err = s.Get(ctx, keys)
	return values, make([]Seen, len(values)), err
}

// Loader writes many values without comparing revisions, for keys that nobody reads yet. Only
// one goroutine at a time may use it.
type Loader interface {
	// Put copies key and value.
	Put(key, value []byte) error
	// Close makes every pair durable. Without it any of them may be missing.
	Close() error
}
