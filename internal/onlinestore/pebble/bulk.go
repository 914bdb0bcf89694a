package pebble

import (
	"context"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/pebbledir"
)

// loadBatchBytes is the size at which a loader writes its batch, without a sync.
const loadBatchBytes = 8 << 20

// loader implements onlinestore.Loader. Without Close its last batch is lost.
type loader struct {
	ctx   context.Context // of the load as a whole, which Put and Close belong to
	store *Store
	batch *cockroach.Batch // nil when closed
	key   []byte           // scratch
}

// Load implements onlinestore.Store. The context is that of the whole load.
func (s *Store) Load(ctx context.Context) (onlinestore.Loader, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	return &loader{ctx: ctx, store: s, batch: s.db.NewBatch()}, nil
}

// enter lets a call in, unless the loader or the store is closed.
func (l *loader) enter() error {
	if l.batch == nil {
		return fmt.Errorf("the load is finished: %w", onlinestore.ErrClosed)
	}
	return l.store.enter(l.ctx)
}

// Put implements onlinestore.Loader.
func (l *loader) Put(key, value []byte) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.store.gate.Leave()
	if err := onlinestore.CheckPair(key, value); err != nil {
		return err
	}
	l.key = appendKey(l.key[:0], key)
	if err := l.batch.Set(l.key, value, nil); err != nil {
		return fmt.Errorf("load key %q: %w", key, err)
	}
	if l.batch.Len() < loadBatchBytes {
		return nil
	}
	if err := l.batch.Commit(cockroach.NoSync); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	l.batch.Reset()
	return nil
}

// Close implements onlinestore.Loader. Syncing the last batch syncs those before it.
func (l *loader) Close() error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.store.gate.Leave()
	batch := l.batch
	l.batch = nil
	// Pebble does not sync an empty batch, so this one gets a record without a key.
	if err := errors.Join(batch.LogData(nil, nil), batch.Commit(cockroach.Sync), batch.Close()); err != nil {
		return fmt.Errorf("finish the load: %w", err)
	}
	return nil
}

// fewKeys is the largest number of keys that DeletePrefix deletes one by one. A range deletion
// slows down every read until it is compacted away, which is worth it only for many keys.
const fewKeys = 1000

// DeletePrefix implements onlinestore.Store. It is atomic with respect to Swap.
func (s *Store) DeletePrefix(ctx context.Context, prefix []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if err := onlinestore.CheckPrefix(prefix); err != nil {
		return err
	}
	for i := range s.locks {
		s.locks[i].Lock()
		defer s.locks[i].Unlock()
	}
	s.drops.Add(1)
	defer s.drops.Add(1)
	batch := s.db.NewBatch()
	err := s.deletions(batch, appendKey(nil, prefix))
	if err == nil && !batch.Empty() {
		err = batch.Commit(cockroach.Sync)
	}
	if err := errors.Join(err, batch.Close()); err != nil {
		return fmt.Errorf("delete keys with prefix %q: %w", prefix, err)
	}
	return nil
}

// deletions adds to the batch the deletion of all keys that begin with first.
func (s *Store) deletions(batch *cockroach.Batch, first []byte) error {
	beyond := pebbledir.Successor(first)
	it, err := s.db.NewIter(&cockroach.IterOptions{LowerBound: first, UpperBound: beyond})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for ok := it.First(); ok; ok = it.Next() {
		if batch.Count() == fewKeys {
			batch.Reset()
			return batch.DeleteRange(first, beyond, nil)
		}
		if err := batch.Delete(it.Key(), nil); err != nil {
			return err
		}
	}
	return it.Error()
}

// Scan implements onlinestore.Store. It reads a snapshot of the store, in the order of keys.
func (s *Store) Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	if err := onlinestore.CheckPrefix(prefix); err != nil {
		return err
	}
	first := appendKey(nil, prefix)
	it, err := s.db.NewIterWithContext(ctx, &cockroach.IterOptions{LowerBound: first, UpperBound: pebbledir.Successor(first)})
	if err != nil {
		return fmt.Errorf("scan prefix %q: %w", prefix, err)
	}
	return errors.Join(scan(ctx, it, f), it.Close())
}

func scan(ctx context.Context, it *cockroach.Iterator, f func(key, value []byte) error) error {
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(it.Key()[1:], value); err != nil {
			return err
		}
	}
	return it.Error()
}
