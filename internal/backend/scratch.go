package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"time"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
)

// Scratch opens an empty log and store of the same kind as c, in a temporary directory or in a
// Redis namespace of their own. Close removes them. It is an Opener.
func (c Config) Scratch(ctx context.Context, clock eventlog.Clock) (*Backend, error) {
	if c.Redis == nil {
		return Temporary(clock)
	}
	conn := *c.Redis
	conn.Namespace = "unskew.scratch." + rand.Text()
	b, err := openRedis(ctx, conn, clock)
	if err != nil {
		return nil, err
	}
	b.after = func() error { return empty(conn) }
	return b, nil
}

// Temporary opens an empty embedded log and store in a temporary directory, which Close removes.
func Temporary(clock eventlog.Clock) (*Backend, error) {
	dir, err := os.MkdirTemp("", "unskew-")
	if err != nil {
		return nil, err
	}
	b, err := openEmbedded(dir, nil, clock)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.after = func() error { return os.RemoveAll(dir) }
	return b, nil
}

// empty removes every key of a namespace. It uses a context of its own, because that of the run
// may have been cancelled.
func empty(o redisconn.Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := redisconn.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Empty(ctx)
}
