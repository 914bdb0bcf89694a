package pebble

import (
	"bytes"
	"context"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/internal/eventlog"
)

// ctxEvery is the number of records that Read returns between two checks of its context.
const ctxEvery = 1024

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	if !l.gate.Enter() {
		return nil, eventlog.ErrClosed
	}
	defer l.gate.Leave()
	end, err := l.durableEnd(ctx, shard)
	if err != nil || after >= end || limit <= 0 {
		return nil, err
	}
	last := end
	if uint64(end-after) > uint64(limit) {
		last = after + eventlog.Position(limit)
	}
	if err := l.hasTrimmed(shard, after); err != nil {
		return nil, err
	}
	records, err := l.readRange(ctx, shard, after+1, last)
	if err != nil {
		if trimmed := l.hasTrimmed(shard, after); trimmed != nil {
			return nil, trimmed // meanwhile
		}
		return nil, fmt.Errorf("read shard %q after position %d: %w", shard, after, err)
	}
	if err := l.correct(shard, records); err != nil {
		return nil, fmt.Errorf("read shard %q after position %d: %w", shard, after, err)
	}
	return records, nil
}

// readRange returns the records at first to last, all of which are durable.
func (l *Log) readRange(ctx context.Context, shard string, first, last eventlog.Position) ([]eventlog.Record, error) {
	it, err := l.db.NewIterWithContext(ctx, &cockroach.IterOptions{
		LowerBound: appendEventKey(nil, shard, first),
		UpperBound: append(appendEventKey(nil, shard, last), 0),
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = it.Close() }()
	records := make([]eventlog.Record, 0, last-first+1)
	for ok := it.First(); ok; ok = it.Next() {
		if len(records)%ctxEvery == ctxEvery-1 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r, err := readRecord(it, first+eventlog.Position(len(records)))
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if err := it.Error(); err != nil {
		return nil, err
	}
	if len(records) != cap(records) {
		return nil, fmt.Errorf("position %d: %w", first+eventlog.Position(len(records)), eventlog.ErrDamaged)
	}
	return records, l.readVersions(ctx, shard, records)
}

// readVersions sets the Versions of the records that filled an event.
func (l *Log) readVersions(ctx context.Context, shard string, records []eventlog.Record) error {
	first := records[0].Position
	it, err := l.db.NewIterWithContext(ctx, &cockroach.IterOptions{
		LowerBound: appendVersionsKey(nil, shard, first),
		UpperBound: append(appendVersionsKey(nil, shard, records[len(records)-1].Position), 0),
	})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		r := &records[positionOf(it.Key())-first]
		if r.Versions, err = eventlog.DecodeVersions(bytes.Clone(value)); err != nil {
			return fmt.Errorf("position %d: %w", r.Position, err)
		}
	}
	return it.Error()
}

func readRecord(it *cockroach.Iterator, want eventlog.Position) (eventlog.Record, error) {
	if p := positionOf(it.Key()); p != want {
		return eventlog.Record{}, fmt.Errorf("position %d is followed by %d: %w", want-1, p, eventlog.ErrDamaged)
	}
	event, err := it.ValueAndErr()
	if err != nil {
		return eventlog.Record{}, err
	}
	return decodeEvent(want, event)
}
