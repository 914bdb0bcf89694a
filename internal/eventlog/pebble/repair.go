package pebble

import (
	"context"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

var _ eventlog.Repairing = (*Log)(nil)

// repairBytes is about how many bytes a repair changes in one step.
const repairBytes = 1 << 20

// Repair implements eventlog.Repairing. It waits for the running commit, and others wait for it. Which ids are missing is not known.
func (l *Log) Repair(ctx context.Context, shard string, how eventlog.RepairOptions) (found eventlog.Damage, err error) {
	err = l.changing(ctx, shard, func(s *shardOf, b *cockroach.Batch) error {
		survey := eventlog.NewSurvey(s.trimmed)
		if err := l.survey(ctx, shard, survey); err != nil {
			return err
		}
		lost := survey.Lost
		r := &repairing{log: l, shard: shard, change: how.Change, batch: l.db.NewBatch()}
		err := r.mark(lost)
		if err == nil {
			err = l.eachID(ctx, shard, func(key []byte, seen eventlog.Seen, err error) error {
				if err != nil {
					survey.Unreadable++
					return nil
				}
				now, change := survey.Judge(&seen)
				switch {
				case !change:
					return nil
				case now == nil:
					return r.set(key, nil)
				}
				return r.set(key, appendSeen(nil, now))
			})
		}
		found = survey.Damage
		if err == nil {
			err = r.flush()
		}
		return errors.Join(err, r.batch.Close())
	})
	if err != nil {
		return found, fmt.Errorf("repair shard %q: %w", shard, err)
	}
	return found, nil
}

// shardOf is shard, where a parameter has that name.
type shardOf = shard

// survey looks at all records, and at which ones the ids name.
func (l *Log) survey(ctx context.Context, shard string, s *eventlog.Survey) error {
	events := appendShard(nil, kindEvent, shard)
	err := l.each(ctx, events, func(key, value []byte) error {
		r, err := decodeEvent(positionOf(key), value)
		s.Found(positionOf(key), r.Appended, r.Payload, err)
		return nil
	})
	if err != nil {
		return err
	}
	s.EndsAt(0)
	return l.eachID(ctx, shard, func(_ []byte, seen eventlog.Seen, err error) error {
		if err != nil {
			return nil // it is counted later
		}
		return s.Named(&seen)
	})
}

// eachID calls f with all ids of a shard, and an error if one cannot be read. The key is valid during the call.
func (l *Log) eachID(ctx context.Context, shard string, f func(key []byte, seen eventlog.Seen, err error) error) error {
	for _, kind := range []byte{kindID, kindSegment} {
		err := l.each(ctx, appendShard(nil, kind, shard), func(key, value []byte) error {
			seen, err := decodeSeen(value)
			return f(key, seen, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every key that begins with prefix, in order.
func (l *Log) each(ctx context.Context, prefix []byte, f func(key, value []byte) error) error {
	it, err := l.db.NewIterWithContext(ctx, &cockroach.IterOptions{LowerBound: prefix, UpperBound: pebbledir.Successor(prefix)})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for ok, n := it.First(), 0; ok; ok, n = it.Next(), n+1 {
		if n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(it.Key(), value); err != nil {
			return err
		}
	}
	return it.Error()
}

// repairing changes a shard, some of it at a time: after an interruption, the next repair goes on.
type repairing struct {
	log    *Log
	shard  string
	change bool
	batch  *cockroach.Batch
}

// mark puts records without events in gaps.
func (r *repairing) mark(gaps eventlog.Gaps) error {
	if !r.change {
		return nil
	}
	entry := eventlog.LostEntry()
	for _, g := range gaps {
		value := appendEvent(nil, plan.EventTime(g.At), &entry)
		for p := g.First; p <= g.Last; p++ {
			if err := r.set(appendVersionsKey(nil, r.shard, p), nil); err != nil {
				return err
			}
			if err := r.set(appendEventKey(nil, r.shard, p), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// set changes a key; nil removes it.
func (r *repairing) set(key, value []byte) error {
	if !r.change {
		return nil
	}
	var err error
	if value == nil {
		err = r.batch.Delete(key, nil)
	} else {
		err = r.batch.Set(key, value, nil)
	}
	if err == nil && r.batch.Len() >= repairBytes {
		err = r.flush()
	}
	return err
}

func (r *repairing) flush() error {
	if r.batch.Empty() {
		return nil
	}
	err := r.batch.Commit(cockroach.Sync)
	err = errors.Join(err, r.batch.Close())
	r.batch = r.log.db.NewBatch()
	return err
}
