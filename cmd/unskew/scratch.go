package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/validate/parity"
)

// scratchStores opens a fresh log and store of the kind the project uses, which
// leave nothing behind when closed.
func scratchStores(p *featuredefs.Project) parity.Stores {
	redis := onlineOf(p).Redis
	return func(ctx context.Context, clock eventlog.Clock) (eventlog.Log, onlinestore.Store, error) {
		if redis != nil {
			return scratchRedis(ctx, redis, clock)
		}
		return scratchEmbedded(clock)
	}
}

func scratchEmbedded(clock eventlog.Clock) (eventlog.Log, onlinestore.Store, error) {
	dir, err := os.MkdirTemp("", "unskew-")
	if err != nil {
		return nil, nil, err
	}
	st, err := openEmbedded(dir, clock)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return st.log, &scratch{st.store, func() error { return os.RemoveAll(dir) }}, nil
}

// scratchRedis opens a log and a store under a namespace of their own.
func scratchRedis(ctx context.Context, r *featuredefs.Redis, clock eventlog.Clock) (eventlog.Log, onlinestore.Store, error) {
	namespace := "unskew.scratch." + rand.Text()
	st, err := openRedis(ctx, r, namespace, clock)
	if err != nil {
		return nil, nil, err
	}
	return st.log, &scratch{st.store, func() error { return emptyRedis(redisOptions(r, namespace)) }}, nil
}

func emptyRedis(o redisconn.Options) (err error) {
	// The run may have been interrupted; what it left has to go all the same.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := redisconn.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Empty(ctx)
}

// scratch is a store that is emptied once closed.
type scratch struct {
	onlinestore.Store
	empty func() error
}

// Close closes the store, then empties it.
func (s *scratch) Close() error { return errors.Join(s.Store.Close(), s.empty()) }
