package pebble

import (
	"context"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/internal/eventlog"
)

// Trim implements eventlog.Log. It waits for the running commit. Removing takes one step, however
// many records there are.
func (l *Log) Trim(ctx context.Context, shard string, to eventlog.Position) error {
	for {
		trimmed, err := l.Trimmed(ctx, shard)
		if err != nil || to <= trimmed.Position {
			return err
		}
		corrections, err := l.checkTrim(ctx, shard, trimmed.Position, to)
		if err != nil {
			return err
		}
		last, err := eventlog.At(ctx, l, shard, to)
		if last == nil || err != nil {
			return err // nil: another call was faster
		}
		if done, err := l.trim(ctx, shard, eventlog.TrimmedTo(last), corrections); done || err != nil {
			return err
		}
	}
}

// trim removes records, unless times were set back since there were so many corrections; then it returns false.
func (l *Log) trim(ctx context.Context, shard string, to eventlog.Trimmed, corrections int) (done bool, err error) {
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
	now := len(l.shards[shard].corrections)
	l.mu.Unlock()
	if now != corrections {
		return false, nil
	}
	return true, l.remove(shard, to)
}

// checkTrim makes sure that the records after `after` can be removed up to a position. It returns
// how many corrections of times there are.
func (l *Log) checkTrim(ctx context.Context, shard string, after, to eventlog.Position) (int, error) {
	l.mu.Lock()
	s := l.shards[shard]
	end, corrections := s.end, s.corrections
	l.mu.Unlock()
	if to >= end {
		return 0, eventlog.CannotTrim(shard, to, end)
	}
	for len(corrections) > 0 && after < to {
		page, err := l.readRange(ctx, shard, after+1, min(to, after+ctxEvery))
		if err != nil {
			return 0, err
		}
		if err := corrections.CheckTrim(shard, page); err != nil {
			return 0, err
		}
		after += eventlog.Position(len(page))
	}
	return len(corrections), nil
}

// remove removes the records up to `to`. The caller leads.
func (l *Log) remove(shard string, to eventlog.Trimmed) error {
	if t, err := l.Trimmed(context.Background(), shard); err != nil || to.Position <= t.Position {
		return err // another call was faster
	}
	b := l.db.NewBatch()
	err := errors.Join(
		b.DeleteRange(appendEventKey(nil, shard, 0), appendEventKey(nil, shard, to.Position+1), nil),
		b.DeleteRange(appendVersionsKey(nil, shard, 0), appendVersionsKey(nil, shard, to.Position+1), nil),
		b.Set(appendShard(nil, kindTrimmed, shard), to.Encode(), nil),
	)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Readers look at trimmed again when a record is missing, so it is set with the removal.
	if err := errors.Join(b.Commit(cockroach.Sync), b.Close()); err != nil {
		return fmt.Errorf("trim shard %q: %w", shard, err)
	}
	l.shards[shard].trimmed = to
	return nil
}

// Trimmed implements eventlog.Log.
func (l *Log) Trimmed(ctx context.Context, shard string) (eventlog.Trimmed, error) {
	if _, err := l.durableEnd(ctx, shard); err != nil {
		return eventlog.Trimmed{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shards[shard].trimmed, nil
}

// hasTrimmed returns a *eventlog.TrimmedError if a record after the position was trimmed. The
// shard must have been read.
func (l *Log) hasTrimmed(shard string, after eventlog.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.shards[shard].trimmed; after < t.Position {
		return &eventlog.TrimmedError{Shard: shard, Trimmed: t}
	}
	return nil
}

// trimmed reads the last record that was trimmed of a shard.
func (l *Log) trimmed(shard string) (eventlog.Trimmed, error) {
	value, closer, err := l.db.Get(appendShard(nil, kindTrimmed, shard))
	if errors.Is(err, cockroach.ErrNotFound) {
		return eventlog.Trimmed{}, nil
	}
	if err != nil {
		return eventlog.Trimmed{}, err
	}
	t, err := eventlog.DecodeTrimmed(value)
	return t, errors.Join(err, closer.Close())
}
