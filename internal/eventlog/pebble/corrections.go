package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// SetBack implements eventlog.Log. It waits for the running commit.
func (l *Log) SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error) {
	if !l.gate.Enter() {
		return false, eventlog.ErrClosed
	}
	defer l.gate.Leave()
	select {
	case l.leading <- struct{}{}:
		defer func() { <-l.leading }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.shardLocked(shard)
	if err != nil {
		return false, err
	}
	if s.end == 0 || s.appended <= to {
		return false, nil
	}
	if err := s.trimmed.CheckSetBack(shard, to); err != nil {
		return false, err
	}
	if !s.state.Takes() {
		return false, fmt.Errorf("set back shard %q: nothing was stored: %w", shard, eventlog.ErrSealed)
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(to)^signBit)
	if err := l.db.Set(appendBackKey(nil, shard, s.end), value, cockroach.Sync); err != nil {
		return false, fmt.Errorf("set back shard %q: %w", shard, err)
	}
	s.corrections = append(s.corrections, eventlog.Correction{To: s.end, Time: to})
	s.appended = to
	return true, nil
}

// corrections reads the corrections of a shard.
func (l *Log) corrections(shard string) (eventlog.Corrections, error) {
	prefix := appendShard(nil, kindBack, shard)
	it, err := l.db.NewIter(&cockroach.IterOptions{LowerBound: prefix, UpperBound: pebbledir.Successor(prefix)})
	if err != nil {
		return nil, err
	}
	defer func() { _ = it.Close() }()
	var out eventlog.Corrections
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		at, err := appendedOf(value)
		if err != nil {
			return nil, err
		}
		out = append(out, eventlog.Correction{To: positionOf(it.Key()), Time: at})
	}
	return out, it.Error()
}

// correct applies the corrections of a shard to its records.
func (l *Log) correct(shard string, records []eventlog.Record) error {
	l.mu.Lock()
	corrections := l.shards[shard].corrections
	l.mu.Unlock()
	return corrections.Correct(records, func(p eventlog.Position) (plan.EventTime, error) {
		value, closer, err := l.db.Get(appendEventKey(nil, shard, p))
		if errors.Is(err, cockroach.ErrNotFound) && l.hasTrimmed(shard, p-1) != nil {
			return plan.Never, nil // no time of a trimmed record was set back
		}
		if err != nil {
			return 0, err
		}
		at, err := appendedOf(value)
		return at, errors.Join(err, closer.Close())
	})
}
