// Package redis keeps an event log on a Redis server or cluster, which several
// processes can share. The keys are described in docs/formats/eventlog.md.
//
// "Durable" is what the server makes of it: with appendonly and appendfsync
// always, an acknowledged record survives a crash of the server. With less, and
// in a failover to a replica that lags, the last ones can be lost; Warnings says
// so where the server tells.
package redis

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
)

// Names that callers need from redisconn.
type (
	Secret        = redisconn.Secret
	EvictionError = redisconn.EvictionError
)

// Options say which server, and optionally the clock; nil is time.Now. The
// clocks of several processes need not agree: Appended never decreases.
type Options struct {
	redisconn.Options
	Clock eventlog.Clock
	// MaxSkew bounds how far the clock may differ from that of the server, and how far the newest
	// record may be ahead of the clock. Append fails beyond it. 0 is no bound, for simulated clocks.
	MaxSkew plan.Micros
}

// Log implements eventlog.Log.
type Log struct {
	conn  *redisconn.Conn
	clock eventlog.Clock
	skew  plan.Micros // Options.MaxSkew

	mu    sync.Mutex
	lists map[string]string            // by shard: the segments of ids, encoded, as last seen
	ends  map[string]eventlog.Position // by shard: the last record that was acknowledged or seen
	lost  map[string]*eventlog.LostError
}

var _ eventlog.Counting = (*Log)(nil)

// The scripts, which make Append and Register atomic.
var (
	//go:embed segments.lua
	segmentsSource string

	//go:embed append.lua
	appendSource string
	appendScript = rueidis.NewLuaScript(segmentsSource + appendSource)

	//go:embed register.lua
	registerSource string
	registerScript = rueidis.NewLuaScript(segmentsSource + registerSource)
)

// Open connects to the server. The error is an *EvictionError if the server may
// drop records and Options.AllowEviction is not set.
func Open(ctx context.Context, o Options) (*Log, error) {
	conn, err := redisconn.Dial(ctx, o.Options)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	if o.Clock == nil {
		o.Clock = func() plan.EventTime { return plan.TimeOf(time.Now()) }
	}
	return &Log{conn: conn, clock: o.Clock, skew: o.MaxSkew, lists: map[string]string{}, ends: map[string]eventlog.Position{}, lost: map[string]*eventlog.LostError{}}, nil
}

// Warnings are sentences about the server's settings for the operator.
func (l *Log) Warnings() []string { return l.conn.Warnings() }

// Conn is the connection of the log.
func (l *Log) Conn() *redisconn.Conn { return l.conn }

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.conn.Close()
	return nil
}

// keys are the Redis keys of a shard. The part in braces is a hash tag and never empty, so a
// cluster keeps them on one server.
type keys struct{ events, ids, head, back string }

func (l *Log) keys(shard string) keys {
	prefix := l.conn.Namespace() + ":log:{s" + shard + "}"
	return keys{events: prefix + ":events", ids: prefix + ":ids", head: prefix + ":head", back: prefix + ":back"}
}

// signBit makes the unsigned order of times their order.
const signBit = 1 << 63

func encodeTime(t plan.EventTime) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(t)^signBit))
}

func decodeTime(s string) (plan.EventTime, error) {
	if len(s) != 8 {
		return 0, fmt.Errorf("a time has %d bytes: %w", len(s), eventlog.ErrDamaged)
	}
	return plan.EventTime(binary.BigEndian.Uint64([]byte(s)) ^ signBit), nil
}

// enter lets a call in, unless the log is closed or the context has ended.
func (l *Log) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !l.conn.Gate.Enter() {
		return eventlog.ErrClosed
	}
	return nil
}

// write runs a script once, within the timeout of the connection.
func (l *Log) write(ctx context.Context, script *rueidis.Lua, keys, args []string) rueidis.RedisResult {
	ctx, cancel := l.conn.Bound(ctx)
	defer cancel()
	result := script.Exec(ctx, l.conn, keys, args)
	if err := result.NonRedisError(); err != nil {
		return rueidis.NewErrorResult(redisconn.Cause(ctx, err))
	}
	return result
}

// cause is redisconn.Cause, with errors of the contract.
func cause(ctx context.Context, err error) error { return ofContract(redisconn.Cause(ctx, err)) }

func ofContract(err error) error {
	if redisconn.Unavailable(err) {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return err
}

// writeError makes the error of a failed write, which says whether its outcome is known.
func writeError(what, shard string, err error) error {
	err = ofContract(err)
	var answer *rueidis.RedisError
	switch {
	case errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "DAMAGED"):
		return fmt.Errorf("%s shard %q: %w: something removed them from redis (eviction, a deletion, an old backup); nothing was stored", what, shard, eventlog.ErrDamaged)
	case errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "SEALED"):
		return fmt.Errorf("%s shard %q: nothing was stored: %w", what, shard, eventlog.ErrSealed)
	case redisconn.Refused(err):
		return fmt.Errorf("%s shard %q: nothing was stored: %w", what, shard, err)
	}
	return fmt.Errorf("%s shard %q: the request was sent and not answered (%w): %w", what, shard, err, eventlog.ErrOutcomeUnknown)
}
