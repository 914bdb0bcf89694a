package pebble

import (
	"context"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// state reads which entries a shard takes.
func (l *Log) state(shard string) (eventlog.ShardState, error) {
	value, closer, err := l.db.Get(appendShard(nil, kindState, shard))
	if errors.Is(err, cockroach.ErrNotFound) {
		return eventlog.Taking, nil
	}
	if err != nil {
		return 0, err
	}
	var state eventlog.ShardState
	if len(value) == 1 {
		state = eventlog.ShardState(value[0])
	}
	if len(value) != 1 || state > eventlog.Emptied {
		err = fmt.Errorf("it is %x: %w", value, eventlog.ErrDamaged)
	}
	return state, errors.Join(err, closer.Close())
}

// changing calls f with a shard that nobody writes to, and makes the batch that it fills durable.
func (l *Log) changing(ctx context.Context, name string, f func(s *shard, b *cockroach.Batch) error) error {
	if !l.gate.Enter() {
		return eventlog.ErrClosed
	}
	defer l.gate.Leave()
	select {
	case l.leading <- struct{}{}:
		defer func() { <-l.leading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	s, err := l.shardLocked(name)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	b := l.db.NewBatch()
	if err := f(s, b); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := errors.Join(b.Commit(cockroach.Sync), b.Close()); err != nil {
		return fmt.Errorf("change shard %q: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.shards, name) // it is read again, with those who wait for it
	again, err := l.shardLocked(name)
	if err == nil {
		again.waiting = s.waiting
		*s = *again
		l.shards[name] = s
	}
	return err
}

// SetState implements eventlog.Log. It waits for the running commit.
func (l *Log) SetState(ctx context.Context, name string, to eventlog.ShardState) error {
	return l.changing(ctx, name, func(s *shard, b *cockroach.Batch) error {
		if err := s.state.Next(name, to); err != nil || s.state == to {
			return err
		}
		if to == eventlog.Emptied {
			for _, kind := range []byte{kindID, kindSegment} {
				ids := appendShard(nil, kind, name)
				if err := b.DeleteRange(ids, pebbledir.Successor(ids), nil); err != nil {
					return err
				}
			}
		}
		return b.Set(appendShard(nil, kindState, name), []byte{byte(to)}, nil)
	})
}

// Segments implements eventlog.Log.
func (l *Log) Segments(ctx context.Context, shard string) (eventlog.Segments, error) {
	if _, err := l.durableEnd(ctx, shard); err != nil {
		return eventlog.Segments{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shards[shard].segments.Clone(), nil
}

// idsAtOnce is how many ids IDs gives to its caller at a time.
const idsAtOnce = 512

// IDs implements eventlog.Log.
func (l *Log) IDs(ctx context.Context, shard string, f func([]eventlog.KeptID) error) error {
	list, err := l.Segments(ctx, shard)
	if err != nil {
		return err
	}
	if !l.gate.Enter() {
		return eventlog.ErrClosed
	}
	defer l.gate.Leave()
	numbers := []uint32{0}
	for _, g := range list.List {
		numbers = append(numbers, g.Number)
	}
	for _, number := range numbers {
		if err := l.idsOf(ctx, shard, number, f); err != nil {
			return err
		}
	}
	return nil
}

// idsOf is IDs for one segment.
func (l *Log) idsOf(ctx context.Context, shard string, segment uint32, f func([]eventlog.KeptID) error) error {
	prefix := appendSegment(nil, shard, segment)
	it, err := l.db.NewIter(&cockroach.IterOptions{LowerBound: prefix, UpperBound: pebbledir.Successor(prefix)})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for ok := it.First(); ok; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var ids []eventlog.KeptID
		var records []eventlog.Record
		for ; ok && len(ids) < idsAtOnce; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			seen, err := decodeSeen(value)
			if err != nil {
				return err
			}
			ids = append(ids, eventlog.KeptID{ID: string(it.Key()[len(prefix):]), Segment: segment, Seen: seen})
			records = append(records, eventlog.Record{Versions: seen.Versions})
		}
		if err := l.correct(shard, records); err != nil {
			return err
		}
		if err := f(ids); err != nil {
			return err
		}
	}
	return it.Error()
}

// Adopt implements eventlog.Log.
func (l *Log) Adopt(ctx context.Context, name string, list eventlog.Segments, ids []eventlog.KeptID) error {
	begun, err := l.Begun(ctx, name)
	if err != nil {
		return err
	}
	return l.changing(ctx, name, func(s *shard, b *cockroach.Batch) error {
		if s.state != eventlog.Adopting && (s.state != eventlog.Taking || begun || s.end > 0) {
			return fmt.Errorf("shard %q: %w", name, eventlog.ErrAdopted)
		}
		if err := b.Set(appendShard(nil, kindState, name), []byte{byte(eventlog.Adopting)}, nil); err != nil {
			return err
		}
		if err := b.Set(appendShard(nil, kindSegments, name), list.Encode(), nil); err != nil {
			return err
		}
		for i := range ids {
			if err := b.Set(appendIDKey(nil, name, ids[i].Segment, ids[i].ID), appendSeen(nil, &ids[i].Seen), nil); err != nil {
				return err
			}
		}
		return nil
	})
}
