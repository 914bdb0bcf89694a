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

// Scratch opens empty logs and stores of the kind of c, which leave nothing behind when
// closed: in a temporary folder, or under a namespace of their own; it is an Opener.
func (c Config) Scratch(ctx context.Context, clock eventlog.Clock) (*Backend, error) {
	if c.Redis == nil {
		return scratchEmbedded(clock)
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

func scratchEmbedded(clock eventlog.Clock) (*Backend, error) {
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

// empty removes every key of a namespace. The run may have been interrupted; what it left
// has to go all the same.
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
