package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/eventlog"
)

var (
	//go:embed trim.lua
	trimSource string
	trimScript = rueidis.NewLuaScript(trimSource)
)

// trimStep bounds how many records the server removes in one step, during which it does nothing
// else.
const trimStep = 4096

// Trim implements eventlog.Log.
func (l *Log) Trim(ctx context.Context, shard string, to eventlog.Position) error {
	end, err := l.End(ctx, shard)
	if err != nil {
		return err
	}
	trimmed, err := l.Trimmed(ctx, shard)
	if err != nil || to <= trimmed.Position {
		return err
	}
	if to >= end {
		return eventlog.CannotTrim(shard, to, end)
	}
	for trimmed.Position < to && err == nil {
		trimmed, err = l.trim(ctx, shard, trimmed, min(to, trimmed.Position+trimStep))
	}
	return err
}

// trim removes at most trimStep records after those that were trimmed. It returns what is trimmed
// then, perhaps by another process; that is what was trimmed before if times were set back meanwhile.
func (l *Log) trim(ctx context.Context, shard string, from eventlog.Trimmed, to eventlog.Position) (eventlog.Trimmed, error) {
	last, err := l.Read(ctx, shard, to-1, 1)
	var meanwhile *eventlog.TrimmedError
	if errors.As(err, &meanwhile) {
		return meanwhile.Trimmed, nil
	}
	if err != nil {
		return from, err
	}
	if err := l.enter(ctx); err != nil {
		return from, err
	}
	defer l.conn.Gate.Leave()
	back, err := l.checkSetBack(ctx, shard, from.Position, to)
	if err != nil {
		if now, failed := l.trimmed(ctx, shard); failed == nil && now.Position > from.Position {
			return now, nil // by another process, so records were missing
		}
		return from, err
	}
	done := eventlog.TrimmedTo(&last[0])
	k := l.keys(shard)
	args := []string{encodeTrimmed(from), encodeTrimmed(done), streamID(done.Position + 1)}
	for position, at := range back {
		args = append(args, position, at)
	}
	n, err := l.write(ctx, trimScript, []string{k.events, k.head, k.back}, args).AsInt64()
	switch {
	case err != nil:
		return from, fmt.Errorf("trim shard %q: %w", shard, err)
	case n == 0:
		return l.trimmed(ctx, shard)
	}
	return done, nil
}

// checkSetBack returns an error if the time of one of the records after `after` up to `to` was set back. It also returns
// the corrections as they are stored.
func (l *Log) checkSetBack(ctx context.Context, shard string, after, to eventlog.Position) (back map[string]string, err error) {
	bound, cancel := l.conn.Bound(ctx)
	defer cancel()
	if back, err = l.conn.Do(bound, l.backCommand(shard)).AsStrMap(); err != nil {
		return nil, cause(bound, err)
	}
	corrections, err := correctionsOf(back)
	if err != nil {
		return nil, err
	}
	var pages eventlog.Paging
	for len(corrections) > 0 && after < to {
		page, err := l.stored(ctx, shard, after, pages.Next(to-after))
		if err != nil {
			return nil, err
		}
		if err := corrections.CheckTrim(shard, page); err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return back, nil // trimmed by another process, as the script will find
		}
		pages.Read(page)
		after = page[len(page)-1].Position
	}
	return back, nil
}

// stored reads records with the times with which they were stored.
func (l *Log) stored(ctx context.Context, shard string, after eventlog.Position, n int) ([]eventlog.Record, error) {
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	records, err := decodeRecords(l.conn.Do(ctx, l.rangeCommand(shard, after, n)), after)
	return records, cause(ctx, err)
}

// Trimmed implements eventlog.Log.
func (l *Log) Trimmed(ctx context.Context, shard string) (eventlog.Trimmed, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.Trimmed{}, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return eventlog.Trimmed{}, err
	}
	return l.trimmed(ctx, shard)
}

// trimmed is Trimmed for callers that were let in.
func (l *Log) trimmed(ctx context.Context, shard string) (eventlog.Trimmed, error) {
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	_, trimmed, err := decodeEnd(l.conn.Do(ctx, l.endCommand(shard)))
	if err != nil {
		return trimmed, fmt.Errorf("read what was trimmed of shard %q: %w", shard, cause(ctx, err))
	}
	return trimmed, nil
}

// encodeTrimmed is the decimal position, a colon and the stored form; empty for nothing.
func encodeTrimmed(t eventlog.Trimmed) string {
	if t.Position == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(t.Position), 10) + ":" + string(t.Encode())
}

func decodeTrimmed(text string) (eventlog.Trimmed, error) {
	if text == "" {
		return eventlog.Trimmed{}, nil
	}
	_, stored, _ := strings.Cut(text, ":")
	return eventlog.DecodeTrimmed([]byte(stored))
}
