package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

var (
	//go:embed adopt.lua
	adoptSource string
	adoptScript = rueidis.NewLuaScript(segmentsSource + adoptSource)

	//go:embed state.lua
	stateSource string
	stateScript = rueidis.NewLuaScript(segmentsSource + stateSource)
)

// stateNames are the stored names of states, by state.
var stateNames = [...]string{"", "sealed", "adopting", "opened", "emptied"}

func stateOf(name string) (eventlog.ShardState, error) {
	for s, n := range stateNames {
		if n == name {
			return eventlog.ShardState(s), nil
		}
	}
	return 0, fmt.Errorf("the state of the shard is %q: %w", name, eventlog.ErrDamaged)
}

// header returns the state of a shard and its list of segments.
func (l *Log) header(ctx context.Context, shard string) (state string, list eventlog.Segments, err error) {
	if err := eventlog.CheckShard(shard); err != nil {
		return "", list, err
	}
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	fields, err := l.conn.Do(ctx, l.conn.B().Hmget().Key(l.keys(shard).head).Field("state", "segments").Build()).ToArray()
	if err != nil {
		return "", list, fmt.Errorf("read the head of shard %q: %w", shard, cause(ctx, err))
	}
	var texts [2]string
	for i := range fields {
		if texts[i], err = fields[i].ToString(); err != nil && !rueidis.IsRedisNil(err) {
			return "", list, err
		}
	}
	list, err = eventlog.DecodeSegments([]byte(texts[1]))
	return texts[0], list, err
}

// SetState implements eventlog.Log.
func (l *Log) SetState(ctx context.Context, shard string, to eventlog.ShardState) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.conn.Gate.Leave()
	for {
		name, list, err := l.header(ctx, shard)
		if err != nil {
			return err
		}
		state, err := stateOf(name)
		if err != nil {
			return err
		}
		if err := state.Next(shard, to); err != nil || state == to {
			return err
		}
		segments, removed := segmentList{to: list}, "0"
		if to == eventlog.Emptied {
			segments, removed = segmentList{}, "1"
			for _, g := range list.List {
				segments.gone = append(segments.gone, g.Number)
			}
		}
		args := append(append([]string{name, stateNames[to]}, segments.appendArgs(nil)[2:]...), removed)
		k := l.keys(shard)
		done, err := l.write(ctx, stateScript, []string{k.events, k.ids, k.head}, args).AsInt64()
		if err != nil {
			return writeError("change the state of", shard, err)
		}
		if done == 1 {
			return nil
		}
	}
}

// Segments implements eventlog.Log.
func (l *Log) Segments(ctx context.Context, shard string) (eventlog.Segments, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.Segments{}, err
	}
	defer l.conn.Gate.Leave()
	_, list, err := l.header(ctx, shard)
	return list, err
}

// scanIDs is about how many ids the server looks at in one step.
const scanIDs = 512

// IDs implements eventlog.Log.
func (l *Log) IDs(ctx context.Context, shard string, f func([]eventlog.KeptID) error) error {
	list, err := l.Segments(ctx, shard)
	if err != nil {
		return err
	}
	numbers := []uint32{0}
	for _, g := range list.List {
		numbers = append(numbers, g.Number)
	}
	for _, number := range numbers {
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			var ids []eventlog.KeptID
			if ids, cursor, err = l.scan(ctx, shard, number, cursor); err != nil {
				return fmt.Errorf("read the ids of shard %q: %w", shard, err)
			}
			if err := f(ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan reads some ids of a segment.
func (l *Log) scan(ctx context.Context, shard string, segment uint32, from uint64) (ids []eventlog.KeptID, cursor uint64, err error) {
	if err := l.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer l.conn.Gate.Leave()
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	key := l.keys(shard).ids
	if segment != 0 {
		key += ":" + segmentText(segment)
	}
	answers := l.conn.DoMulti(ctx, l.conn.B().Hscan().Key(key).Cursor(from).Count(scanIDs).Build(), l.backCommand(shard), l.endCommand(shard))
	page, err := answers[0].AsScanEntry()
	if err != nil {
		return nil, 0, cause(ctx, err)
	}
	corrections, err := decodeBack(answers[1])
	if err != nil {
		return nil, 0, cause(ctx, err)
	}
	_, trimmed, err := decodeEnd(answers[2])
	if err != nil {
		return nil, 0, cause(ctx, err)
	}
	records := make([]eventlog.Record, len(page.Elements)/2)
	for i := range records {
		id, value := page.Elements[2*i], page.Elements[2*i+1]
		seen, _, found, err := storedIDs{id: {value: value}}.seen(id)
		if err != nil || !found {
			return nil, 0, errors.Join(err, fmt.Errorf("id %q: %w", id, eventlog.ErrDamaged))
		}
		ids = append(ids, eventlog.KeptID{ID: id, Segment: segment, Seen: seen})
		records[i].Versions = seen.Versions
	}
	return ids, page.Cursor, corrections.Correct(records, func(p eventlog.Position) (plan.EventTime, error) { return l.storedAt(ctx, shard, p, trimmed) })
}

// Adopt implements eventlog.Log.
func (l *Log) Adopt(ctx context.Context, shard string, list eventlog.Segments, ids []eventlog.KeptID) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.CheckShard(shard); err != nil {
		return err
	}
	stored := segmentList{to: list}
	args := stored.appendArgs(nil)[1:]
	for i := range ids {
		args = append(args, segmentText(ids[i].Segment), ids[i].ID, valueOf(&ids[i].Seen))
	}
	k := l.keys(shard)
	done, err := l.write(ctx, adoptScript, []string{k.ids, k.head}, args).AsInt64()
	if err != nil {
		return writeError("move ids to", shard, err)
	}
	if done == 0 {
		return fmt.Errorf("shard %q: %w", shard, eventlog.ErrAdopted)
	}
	return nil
}
