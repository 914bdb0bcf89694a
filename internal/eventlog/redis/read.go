package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// End implements eventlog.Log. The error is a *eventlog.LostError if the server has gone back to an older copy.
func (l *Log) End(ctx context.Context, shard string) (eventlog.Position, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return 0, err
	}
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	before := l.known(shard)
	end, _, err := decodeEnd(l.conn.Do(ctx, l.endCommand(shard)))
	if err != nil {
		return 0, fmt.Errorf("read the end of shard %q: %w", shard, cause(ctx, err))
	}
	return end, l.saw(shard, before, end)
}

func (l *Log) endCommand(shard string) rueidis.Completed {
	return l.conn.B().Hmget().Key(l.keys(shard).head).Field("end", "trimmed").Build()
}

// decodeEnd returns the end of a shard, and the last record that was trimmed of it.
func decodeEnd(answer rueidis.RedisResult) (eventlog.Position, eventlog.Trimmed, error) {
	fields, err := answer.ToArray()
	if err != nil {
		return 0, eventlog.Trimmed{}, err
	}
	var texts [2]string
	for i := range fields {
		if texts[i], err = fields[i].ToString(); err != nil && !rueidis.IsRedisNil(err) {
			return 0, eventlog.Trimmed{}, err
		}
	}
	if texts[0] == "" {
		return 0, eventlog.Trimmed{}, nil
	}
	end, err := strconv.ParseUint(texts[0], 10, 64)
	if err != nil {
		return 0, eventlog.Trimmed{}, fmt.Errorf("the end is %q: %w", texts[0], eventlog.ErrDamaged)
	}
	trimmed, err := decodeTrimmed(texts[1])
	return eventlog.Position(end), trimmed, err
}

// streamID is the stream's id for a position.
func streamID(p eventlog.Position) string { return "0-" + strconv.FormatUint(uint64(p), 10) }

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return nil, err
	}
	if limit <= 0 || after == math.MaxUint64 {
		return nil, nil
	}
	records, err := l.readAfter(ctx, shard, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read shard %q after position %d: %w", shard, after, err)
	}
	return records, nil
}

// readAfter requests the end and then the records in one round trip, so every position up to the
// end must be among the records. If one is missing, it requests the records again before it
// returns an error, because in a cluster a redirection can reverse the order.
func (l *Log) readAfter(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	answers := l.conn.DoMulti(ctx, l.endCommand(shard), l.rangeCommand(shard, after, limit), l.backCommand(shard))
	end, trimmed, err := decodeEnd(answers[0])
	if err != nil {
		return nil, cause(ctx, err)
	}
	if after < trimmed.Position {
		return nil, &eventlog.TrimmedError{Shard: shard, Trimmed: trimmed}
	}
	records, err := decodeRecords(answers[1], after)
	if errors.Is(err, eventlog.ErrDamaged) || err == nil && missing(records, after, limit, end) {
		again := l.conn.DoMulti(ctx, l.rangeCommand(shard, after, limit), l.endCommand(shard))
		records, err = decodeRecords(again[0], after)
		// Records that were trimmed meanwhile are missing, too.
		if _, now, failed := decodeEnd(again[1]); failed == nil && after < now.Position {
			return nil, &eventlog.TrimmedError{Shard: shard, Trimmed: now}
		}
	}
	if err == nil && missing(records, after, limit, end) {
		err = fmt.Errorf("position %d of %d: %w", after+1+eventlog.Position(len(records)), end, eventlog.ErrDamaged)
	}
	var back eventlog.Corrections
	if err == nil {
		back, err = decodeBack(answers[2])
	}
	if err == nil {
		err = back.Correct(records, func(p eventlog.Position) (plan.EventTime, error) { return l.storedAt(ctx, shard, p, trimmed) })
	}
	if err != nil {
		return nil, cause(ctx, err)
	}
	return records, nil
}

func (l *Log) rangeCommand(shard string, after eventlog.Position, limit int) rueidis.Completed {
	return l.conn.B().Xrange().Key(l.keys(shard).events).Start(streamID(after + 1)).End("+").Count(int64(limit)).Build()
}

// missing reports whether a page has fewer records than both its limit and the shard's end allow.
func missing(records []eventlog.Record, after eventlog.Position, limit int, end eventlog.Position) bool {
	return len(records) < limit && after+eventlog.Position(len(records)) < end
}

func decodeRecords(answer rueidis.RedisResult, after eventlog.Position) ([]eventlog.Record, error) {
	found, err := answer.AsXRangeSlices()
	if err != nil {
		return nil, err
	}
	records := make([]eventlog.Record, len(found))
	for i := range found {
		if records[i], err = decodeRecord(found[i], after+1+eventlog.Position(i)); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func decodeRecord(e rueidis.XRangeSlice, want eventlog.Position) (eventlog.Record, error) {
	if e.ID != streamID(want) {
		return eventlog.Record{}, fmt.Errorf("position %d is followed by %s: %w", want-1, strings.TrimPrefix(e.ID, "0-"), eventlog.ErrDamaged)
	}
	r := eventlog.Record{Position: want}
	var err error
	for _, f := range e.FieldValues {
		switch f.Field {
		case "t":
			r.Appended, err = decodeTime(f.Value)
		case "i":
			r.ID = f.Value
		case "p":
			r.Payload = []byte(f.Value)
		case "v":
			r.Versions, err = eventlog.DecodeVersions([]byte(f.Value))
			if len(r.Versions) > 0 {
				r.Versions[len(r.Versions)-1].Position = want
			}
		}
		if err != nil {
			return r, fmt.Errorf("position %d: %w", want, err)
		}
	}
	return r, nil
}

// blockFor is how long the server blocks one request of Wait. It is bounded to notice a server
// that disappeared without closing the connection.
const blockFor = 20 * time.Second

// Begun implements eventlog.Log.
func (l *Log) Begun(ctx context.Context, shard string) (bool, error) {
	if err := l.enter(ctx); err != nil {
		return false, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return false, err
	}
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	n, err := l.conn.Do(ctx, l.conn.B().Exists().Key(l.keys(shard).head).Build()).AsInt64()
	if err != nil {
		return false, fmt.Errorf("look for shard %q: %w", shard, cause(ctx, err))
	}
	return n > 0, nil
}

// Remembered implements eventlog.Counting.
func (l *Log) Remembered(ctx context.Context, shard string) (int64, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return 0, err
	}
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	text, err := l.conn.Do(ctx, l.conn.B().Hget().Key(l.keys(shard).head).Field("ids").Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return 0, fmt.Errorf("count the ids of shard %q: %w", shard, cause(ctx, err))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = 0 // no head, or a shard whose ids others have
	}
	return n, nil
}

// Wait implements eventlog.Log. Each call uses a connection of its own while it waits; in a cluster, where one command
// cannot ask for the shards of several servers, one for each shard.
func (l *Log) Wait(ctx context.Context, ends eventlog.Ends) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.conn.Gate.Leave()
	for shard := range ends {
		if err := eventlog.CheckShard(shard); err != nil {
			return err
		}
	}
	bound, release := l.conn.Gate.Bind(ctx)
	defer release()
	err := l.waitFor(bound, ends)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case bound.Err() != nil:
		return eventlog.ErrClosed
	}
	return err
}

// waitFor waits until one of the shards has grown.
func (l *Log) waitFor(ctx context.Context, ends eventlog.Ends) error {
	if !l.conn.Cluster() || len(ends) == 1 {
		return l.waitTogether(ctx, ends)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, len(ends))
	for shard, after := range ends {
		go func() { done <- l.waitTogether(ctx, eventlog.Ends{shard: after}) }()
	}
	err := <-done
	cancel()
	for range len(ends) - 1 {
		<-done
	}
	return err
}

// waitTogether is waitFor for shards of one server.
func (l *Log) waitTogether(ctx context.Context, ends eventlog.Ends) error {
	for {
		there, err := l.block(ctx, ends)
		switch {
		case there:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("wait for records after %v: %w", ends, err)
		}
	}
}

// block waits on the server for at most blockFor and reports whether a record has arrived.
func (l *Log) block(ctx context.Context, ends eventlog.Ends) (bool, error) {
	ctx, cancel := l.conn.BoundBy(ctx, 2*blockFor)
	defer cancel()
	var streams, ids []string
	for shard, after := range ends {
		streams, ids = append(streams, l.keys(shard).events), append(ids, streamID(after))
	}
	answer := l.conn.Do(ctx, l.conn.B().Xread().Count(1).Block(blockFor.Milliseconds()).Streams().Key(streams...).Id(ids...).Build())
	err := answer.Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		return false, cause(ctx, err)
	}
	return true, nil
}
