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
}

// Store is the contract. All methods are safe for concurrent use. Keys are at
// most 64 KiB, values at most 256 MiB.
type Store interface {
	// Get returns the value of each key, nil where absent, in one round trip. It is
	// not one snapshot: each value is. The values belong to the caller.
	Get(ctx context.Context, keys [][]byte) ([][]byte, error)
	// Swap performs the writes, each atomically and independent of the others, and
	// reports for each whether its revision matched. Durable on return.
	Swap(ctx context.Context, writes []Write) ([]bool, error)
	// Load begins a bulk load.
	Load(ctx context.Context) (Loader, error)
	// DeletePrefix removes every key that begins with prefix (not empty).
	DeletePrefix(ctx context.Context, prefix []byte) error
	// Scan calls f for every key that begins with prefix, in no particular order, until f
	// returns an error, which it returns. The arguments are only valid during the call.
	Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error
	Close() error
}

// Loader writes many values whatever their revisions, for keys nobody reads yet. It
// is used by one goroutine.
type Loader interface {
	// Put copies key and value.
	Put(key, value []byte) error
	// Close makes everything put durable. Without it some, all or none may be there.
	Close() error
}
