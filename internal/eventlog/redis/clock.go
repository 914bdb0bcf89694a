package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

var (
	//go:embed setback.lua
	setBackSource string
	setBackScript = rueidis.NewLuaScript(setBackSource)
)

// stamp encodes a time for the append script, followed by MaxSkew if there is a bound.
func (l *Log) stamp(now plan.EventTime) string {
	if l.skew == 0 {
		return encodeTime(now)
	}
	return encodeTime(now) + encodeTime(plan.EventTime(l.skew))
}

// clockError converts a script's CLOCK error to a *eventlog.ClockError; it returns other errors
// unchanged.
func clockError(shard string, now plan.EventTime, err error) error {
	var refusal *rueidis.RedisError
	if !errors.As(err, &refusal) {
		return err
	}
	words := strings.Fields(refusal.Error())
	if len(words) != 3 || words[0] != "CLOCK" {
		return err
	}
	by, parsed := strconv.ParseInt(words[2], 10, 64)
	if parsed != nil {
		return err
	}
	e := &eventlog.ClockError{Shard: shard, Clock: now}
	if other := now + plan.EventTime(by); words[1] == "server" {
		e.Server = other
	} else {
		e.Newest = other
	}
	return e
}

// timeScript asks for the time of the server that has a key. TIME itself has none, so in a cluster any server would be asked, also one that is
// gone.
const timeScript = `return redis.call("TIME")`

// Skew is how far the log's clock is ahead of the server's. The error is about half the round trip.
func (l *Log) Skew(ctx context.Context) (plan.Micros, error) { return l.skewOf(ctx, "clock") }

// skewOf is Skew for the server that has a shard.
func (l *Log) skewOf(ctx context.Context, shard string) (plan.Micros, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.conn.Gate.Leave()
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	before := l.clock()
	answer, err := l.conn.Do(ctx, l.conn.B().Eval().Script(timeScript).Numkeys(1).Key(l.keys(shard).head).Build()).AsIntSlice()
	after := l.clock()
	if err != nil || len(answer) != 2 {
		return 0, fmt.Errorf("ask redis for its time: %w", cause(ctx, err))
	}
	server := plan.EventTime(answer[0]*1_000_000 + answer[1])
	return plan.Micros(before + (after-before)/2 - server), nil
}

// checkClock returns a *eventlog.ClockError if the clock differs from the server's by more than MaxSkew:
// by a clock that is ahead, ids would be forgotten that are still needed.
func (l *Log) checkClock(ctx context.Context, shard string) error {
	if l.skew == 0 {
		return nil
	}
	ahead, err := l.skewOf(ctx, shard)
	if err != nil || max(ahead, -ahead) <= l.skew {
		return err
	}
	now := l.clock()
	return &eventlog.ClockError{Shard: shard, Clock: now, Server: now - plan.EventTime(ahead)}
}

// SetBack implements eventlog.Log.
func (l *Log) SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return false, err
	}
	for {
		trimmed, err := l.trimmed(ctx, shard)
		if err != nil {
			return false, err
		}
		if err := trimmed.CheckSetBack(shard, to); err != nil {
			return false, err
		}
		k := l.keys(shard)
		n, err := l.write(ctx, setBackScript, []string{k.head, k.back}, []string{encodeTime(to), encodeTrimmed(trimmed)}).AsInt64()
		if err != nil {
			return false, writeError("set back", shard, err)
		}
		if n >= 0 {
			return n == 1, nil
		}
	}
}

func (l *Log) backCommand(shard string) rueidis.Completed {
	return l.conn.B().Hgetall().Key(l.keys(shard).back).Build()
}

func decodeBack(answer rueidis.RedisResult) (eventlog.Corrections, error) {
	fields, err := answer.AsStrMap()
	if err != nil {
		return nil, err
	}
	return correctionsOf(fields)
}

func correctionsOf(fields map[string]string) (eventlog.Corrections, error) {
	var out eventlog.Corrections
	for position, at := range fields {
		to, err := strconv.ParseUint(position, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("a correction ends at %q: %w", position, eventlog.ErrDamaged)
		}
		t, err := decodeTime(at)
		if err != nil {
			return nil, err
		}
		out = append(out, eventlog.Correction{To: eventlog.Position(to), Time: t})
	}
	return out, nil
}

// storedAt is the uncorrected time of a record.
func (l *Log) storedAt(ctx context.Context, shard string, p eventlog.Position, trimmed eventlog.Trimmed) (plan.EventTime, error) {
	if p <= trimmed.Position {
		return plan.Never, nil // no time of a trimmed record was set back
	}
	id := streamID(p)
	records, err := decodeRecords(l.conn.Do(ctx, l.conn.B().Xrange().Key(l.keys(shard).events).Start(id).End(id).Build()), p-1)
	if err == nil && len(records) != 1 {
		if now, failed := l.trimmed(ctx, shard); failed == nil && p <= now.Position {
			return plan.Never, nil // trimmed since
		}
		err = fmt.Errorf("position %d: %w", p, eventlog.ErrDamaged)
	}
	if err != nil {
		return 0, err
	}
	return records[0].Appended, nil
}
