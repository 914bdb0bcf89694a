// Package pebble keeps online state in a directory of its own, embedded with
// Pebble. One process at a time can have it open. The keys are described in
// docs/formats/onlinestore.md.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/gate"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/pebbledir"
)

// LockedError is the error of Open for a directory that someone has open.
type LockedError = pebbledir.LockedError

// Options are optional, all of them.
type Options struct {
	FS         vfs.FS       // nil is the disk
	Logger     *slog.Logger // nil drops what Pebble reports
	CacheBytes int64        // of memtables and of blocks read from disk; 0 is 192 MiB
}

const (
	format    = "unskew onlinestore 1"
	kindState = 'k'
	// Pebble takes the room of memtables, usually two, from the cache: what remains for blocks is at
	// least 64 MiB.
	defaultCacheBytes = 192 << 20
	memTableBytes     = 64 << 20
	batchBytes        = 32 << 20 // a larger Swap is several batches
	stripes           = 256
	slots             = 256 * stripes // so that few keys share one
)

// Store implements onlinestore.Store. It starts no goroutines of its own.
//
// A value can be read shortly before it is durable. Values become durable in the order in which
// they were swapped, so a later one is never durable without it.
type Store struct {
	db   *cockroach.DB
	gate *gate.Gate
	seed maphash.Seed
	// locks[i] is held while a key of stripe i is read, compared and written. Several locks are
	// taken in ascending order.
	locks [stripes]sync.Mutex
	// marks[i] is incremented when a write to keys of slot i begins and again when it ends, so it
	// is odd during a write. The writer holds the lock of the slot's stripe; all keys of a slot are
	// in one stripe. drops is the same for DeletePrefix, which holds all locks and may change every
	// slot. A value that was read after both were even is current until either changes.
	marks [slots]atomic.Uint64
	drops atomic.Uint64
}

var _ onlinestore.Watching = (*Store)(nil)

// Open opens or creates the store in dir. The error wraps a *LockedError if
// someone has it open.
func Open(dir string, o Options) (*Store, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	db, err := pebbledir.Open(dir, format, pebbledir.Options{
		FS: o.FS, Logger: o.Logger, CacheBytes: o.CacheBytes, MemTableBytes: memTableBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("online store: %w", err)
	}
	return &Store{db: db, gate: gate.New(), seed: maphash.MakeSeed()}, nil
}

// Close implements onlinestore.Store.
func (s *Store) Close() error {
	if !s.gate.Close() {
		return nil
	}
	s.drops.Add(1) // of a closed store nothing is known to be unchanged
	return s.db.Close()
}

// enter lets a call in, unless the store is closed or the context has ended.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.gate.Enter() {
		return onlinestore.ErrClosed
	}
	return nil
}

func appendKey(dst, key []byte) []byte { return append(append(dst, kindState), key...) }

// Get implements onlinestore.Store.
func (s *Store) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	values := make([][]byte, len(keys))
	var scratch []byte
	for i, key := range keys {
		scratch = appendKey(scratch[:0], key)
		value, closer, err := s.db.Get(scratch)
		if errors.Is(err, cockroach.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get key %q: %w", key, err)
		}
		values[i] = slices.Clone(value)
		if err := closer.Close(); err != nil {
			return nil, fmt.Errorf("get key %q: %w", key, err)
		}
	}
	return values, nil
}

// GetMarked implements onlinestore.Marking.
func (s *Store) GetMarked(ctx context.Context, keys [][]byte) ([][]byte, []onlinestore.Seen, error) {
	seen := make([]onlinestore.Seen, len(keys))
	for i, key := range keys {
		if mark, drops := s.marks[s.slot(key)].Load(), s.drops.Load(); mark%2 == 0 && drops%2 == 0 {
			seen[i] = seenAt(mark, drops)
		}
	}
	values, err := s.Get(ctx, keys)
	return values, seen, err
}

// Unchanged implements onlinestore.Watching. Nobody else writes to the directory.
func (s *Store) Unchanged(key []byte, seen onlinestore.Seen) bool {
	return seen != 0 && seen == seenAt(s.marks[s.slot(key)].Load(), s.drops.Load())
}

// CaughtUp implements onlinestore.Watching.
func (s *Store) CaughtUp(context.Context) error { return nil }

// seenAt is the mark of a value that was read while its slot was not being written. Neither count
// ever decreases, so an equal sum means that neither has changed.
func seenAt(mark, drops uint64) onlinestore.Seen { return onlinestore.Seen(mark + drops + 1) }

// slot is the index of a key's mark.
func (s *Store) slot(key []byte) int { return int(maphash.Bytes(s.seed, key) % slots) }

// Swap implements onlinestore.Store. Concurrent calls share a sync.
func (s *Store) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if err := onlinestore.CheckWrites(writes); err != nil {
		return nil, err
	}
	swapped := make([]bool, len(writes))
	for start := 0; start < len(writes); {
		n := batchLength(writes[start:])
		if err := s.swapBatch(writes[start:start+n], swapped[start:start+n]); err != nil {
			return nil, err
		}
		start += n
	}
	return swapped, nil
}

// batchLength is how many of the writes, at least one, go into the next batch.
func batchLength(writes []onlinestore.Write) int {
	size := 0
	for i, w := range writes {
		if size += len(w.Key) + len(w.Value); size > batchBytes && i > 0 {
			return i
		}
	}
	return len(writes)
}

func (s *Store) swapBatch(writes []onlinestore.Write, swapped []bool) error {
	batch := s.db.NewBatch()
	applied, err := s.compareAndApply(batch, writes, swapped)
	if applied && err == nil {
		err = batch.SyncWait()
	}
	return errors.Join(err, batch.Close())
}

// compareAndApply locks the stripes of the keys while it compares revisions and makes the writes
// visible. If it applied any, the caller must wait for their sync.
func (s *Store) compareAndApply(batch *cockroach.Batch, writes []onlinestore.Write, swapped []bool) (applied bool, err error) {
	of, unlock := s.lock(writes)
	defer unlock()
	written := make(map[string]uint64, len(writes)) // revisions in the batch
	var scratch []byte
	for i, w := range writes {
		scratch = appendKey(scratch[:0], w.Key)
		revision, inBatch := written[string(w.Key)]
		switch {
		case inBatch:
		case w.Seen == seenAt(s.marks[of[i]].Load(), s.drops.Load()):
			revision = w.Expect
		default:
			if revision, err = s.revision(scratch); err != nil {
				return false, fmt.Errorf("compare key %q: %w", w.Key, err)
			}
		}
		if swapped[i] = revision == w.Expect; !swapped[i] {
			continue
		}
		written[string(w.Key)] = onlinestore.Revision(w.Value)
		if err := batch.Set(scratch, w.Value, nil); err != nil {
			return false, err
		}
	}
	if len(written) == 0 {
		return false, nil
	}
	slices.Sort(of)
	of = slices.Compact(of)
	s.mark(of)
	defer s.mark(of)
	return true, s.db.ApplyNoSyncWait(batch, cockroach.Sync)
}

// mark records that a write to keys of the slots begins or ends.
func (s *Store) mark(slots []int) {
	for _, i := range slots {
		s.marks[i].Add(1)
	}
}

func (s *Store) revision(key []byte) (uint64, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, cockroach.ErrNotFound) {
		return onlinestore.Absent, nil
	}
	if err != nil {
		return 0, err
	}
	return onlinestore.Revision(value), closer.Close()
}

// lock locks the stripes of the keys and returns the slot of each write.
func (s *Store) lock(writes []onlinestore.Write) (of []int, unlock func()) {
	of, held := make([]int, len(writes)), make([]int, len(writes))
	for i, w := range writes {
		of[i] = s.slot(w.Key)
		held[i] = of[i] % stripes
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		s.locks[i].Lock()
	}
	return of, func() {
		for _, i := range held {
			s.locks[i].Unlock()
		}
	}
}
