package lease

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
)

var (
	//go:embed lease.lua
	source string
	script = rueidis.NewLuaScript(source)
)

// Table is the leases and members of a namespace on a Redis server. It is safe for concurrent use.
type Table struct {
	conn *redisconn.Conn
	key  string
}

// Open connects to the server.
func Open(ctx context.Context, o redisconn.Options) (*Table, error) {
	conn, err := redisconn.Dial(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("leases: %w", err)
	}
	return &Table{conn: conn, key: conn.Namespace() + ":leases"}, nil
}

// Close waits for running calls and closes the connection.
func (t *Table) Close() error {
	t.conn.Close()
	return nil
}

// change is a change that the script makes if what is stored is as expected.
type change struct{ what, field, expected string }

func renewing(p part, token int64) change {
	return change{"renew", p.field(), strconv.FormatInt(token, 10)}
}

func giving(p part, token int64) change {
	return change{"give", p.field(), strconv.FormatInt(token, 10)}
}

// exchange announces a member, unless about is "", which removes it, makes changes, and returns which of them were made and what is
// stored then. An error of a server that cannot be reached wraps eventlog.ErrUnavailable.
func (t *Table) exchange(ctx context.Context, lasts int64, id, about string, changes []change) (done []bool, s state, err error) {
	if !t.conn.Gate.Enter() {
		return nil, s, fmt.Errorf("leases: %w", eventlog.ErrClosed)
	}
	defer t.conn.Gate.Leave()
	ctx, cancel := t.conn.Bound(ctx)
	defer cancel()
	args := append(make([]string, 0, 3+3*len(changes)), strconv.FormatInt(lasts, 10), id, about)
	for _, c := range changes {
		args = append(args, c.what, c.field, c.expected)
	}
	answer := script.Exec(ctx, t.conn, []string{t.key}, args)
	if done, s, err = decodeAnswer(answer, len(changes)); err != nil {
		if err = redisconn.Cause(ctx, err); redisconn.Unavailable(err) {
			err = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
		return nil, s, fmt.Errorf("leases under the key %s: %w", t.key, err)
	}
	return done, s, nil
}

func decodeAnswer(answer rueidis.RedisResult, changes int) (done []bool, s state, err error) {
	parts, err := answer.ToArray()
	if err != nil {
		return nil, s, err
	}
	if len(parts) != 3 {
		return nil, s, fmt.Errorf("redis answered with %d parts", len(parts))
	}
	text, err := parts[0].ToString()
	if err != nil {
		return nil, s, err
	}
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, s, err
	}
	made, err := parts[1].AsIntSlice()
	if err != nil || len(made) != changes {
		return nil, s, fmt.Errorf("redis answered for %d of %d changes (%w)", len(made), changes, err)
	}
	done = make([]bool, changes)
	for i := range made {
		done[i] = made[i] == 1
	}
	fields, err := parts[2].AsStrMap()
	if err != nil {
		return nil, s, err
	}
	return done, decode(now, fields), nil
}
