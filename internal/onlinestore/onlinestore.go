// Package onlinestore is the key-value contract that online state is kept in.
//
// Values carry their own revision: their first 8 bytes, big-endian, at least 1.
// Writers compare and set on it, so two appliers can never apply one event
// twice. Package onlinestore/pebble embeds a store, onlinestore/redis uses a
// Redis server; onlinestore/storetest is the suite that both pass.
package onlinestore

import "context"

// Absent is the revision of a key without a value.
const Absent uint64 = 0

// Write replaces the value of Key if its revision is Expect. Value begins with
// the new revision, which must exceed Expect.
type Write struct {
	Key    []byte
	Expect uint64
	Value  []byte
	// Seen is what GetMarked said of Key beside the value whose revision is Expect.
	Seen Seen
}

// Seen is a mark of when a value was read. A store that gave it may see by it that the value
// has not changed since, without reading it again. The zero Seen says nothing.
type Seen uint64

// Store is the contract. All methods are safe for concurrent use. Keys have 1 to
// MaxKeyBytes bytes, values at most MaxValueBytes.
type Store interface {
	// Get returns the value of each key, nil where absent, in one round trip. It is
	// not one snapshot: each value is. The values belong to the caller.
	Get(ctx context.Context, keys [][]byte) ([][]byte, error)
	// Swap performs the writes, each atomically and independent of the others, and
	// reports for each whether its revision matched. Durable on return. After an
	// error any of the writes may have been made; making them again is safe.
	Swap(ctx context.Context, writes []Write) ([]bool, error)
	// Load begins a bulk load.
	Load(ctx context.Context) (Loader, error)
	// DeletePrefix removes every key that begins with prefix (not empty). Keys
	// written meanwhile may stay.
	DeletePrefix(ctx context.Context, prefix []byte) error
	// Scan calls f for every key that begins with prefix (not empty), in no particular
	// order, until f returns an error, which it returns. The arguments are only valid
	// during the call, in which f may use the store. Keys that are written or deleted
	// meanwhile may come or not; while the store changes, a key may come twice.
	Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error
	// Close waits for calls under way and releases the storage. Closing again does
	// nothing. Loaders not closed before are lost.
	Close() error
}

// Batching is a Store of which one Get of many keys costs much less than as many Gets: one
// behind a network.
type Batching interface {
	Store
	// PrefersBatches does nothing.
	PrefersBatches()
}

// Marking is a Store that marks what it reads. A mark does not see what a Loader writes.
type Marking interface {
	Store
	// GetMarked is Get for those who mean to Swap what they read.
	GetMarked(ctx context.Context, keys [][]byte) (values [][]byte, seen []Seen, err error)
}

// GetForSwap is the store's GetMarked, or its Get if it does not mark.
func GetForSwap(ctx context.Context, s Store, keys [][]byte) (values [][]byte, seen []Seen, err error) {
	if m, ok := s.(Marking); ok {
		return m.GetMarked(ctx, keys)
	}
	values, err = s.Get(ctx, keys)
	return values, make([]Seen, len(values)), err
}

// Loader writes many values whatever their revisions, for keys nobody reads yet. It
// is used by one goroutine.
type Loader interface {
	// Put copies key and value.
	Put(key, value []byte) error
	// Close makes everything put durable. Without it some, all or none may be there.
	Close() error
}
