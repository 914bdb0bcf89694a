// Package backend opens the event log and the online store of a configuration, embedded or on
// Redis, and the states in them.
package backend

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/archive"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	redislog "github.com/unskew/unskew/internal/eventlog/redis"
	"github.com/unskew/unskew/internal/lease"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/onlinestore"
	pebblestore "github.com/unskew/unskew/internal/onlinestore/pebble"
	redisstore "github.com/unskew/unskew/internal/onlinestore/redis"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/storehost"
)

// Config names a log and a store.
type Config struct {
	Redis   *redisconn.Options // nil: embedded
	Dir     string             // of the embedded log and store
	Archive string             // of records that were trimmed from the log; "": nothing is trimmed
	// Waiting is called if Open waits for another process that has the embedded store open and does not share it; nil: nobody is told.
	Waiting func(dir string)
	// Patience is how long Open waits for such a process; 0: until its context ends.
	Patience time.Duration
}

// Backend is an open log and store.
type Backend struct {
	Log      eventlog.Log
	Archive  *archive.Log // the same log, to be archived and trimmed; nil if there is no archive
	Store    onlinestore.Store
	Name     string   // for messages
	Warnings []string // about the servers' settings, for the operator
	// Skew is how far this machine's clock is ahead of that of the log's server; nil for an embedded
	// log, which has no other clock.
	Skew func(ctx context.Context) (plan.Micros, error)

	dir     string              // of an embedded log and store on disk
	host    *storehost.Info     // of the process that shares them; nil: this process has opened them
	redis   *redisconn.Options  // nil: embedded
	conns   []*redisconn.Conn   // of log and store on it
	leases  *lease.Table        // nil: nobody asked for Leases
	watched *redisstore.Watched // nil: the store is not watched on behalf of KeepingStates
	after   func() error        // called after both are closed; may be nil
}

// Opener opens a log with the given clock, nil for the machine's, and a store. With the machine's
// clock, appending fails if clocks differ too much; see eventlog.ClockError.
type Opener func(ctx context.Context, clock eventlog.Clock) (*Backend, error)

// Open opens the log and the store of the configuration; it is an Opener. If a server has the embedded ones open, it returns those, shared
// by the server. It waits for any other process that has them open.
func (c Config) Open(ctx context.Context, clock eventlog.Clock) (*Backend, error) {
	b, err := c.open(ctx, clock)
	if err == nil && c.Archive != "" {
		b.Archive = archive.Over(b.Log, c.Archive)
		b.Log = b.Archive
	}
	return b, err
}

func (c Config) open(ctx context.Context, clock eventlog.Clock) (*Backend, error) {
	if c.Redis != nil {
		return openRedis(ctx, *c.Redis, clock)
	}
	b, err := c.openOrJoin(ctx, clock)
	if err != nil {
		return nil, err
	}
	b.dir, b.Name = c.Dir, "embedded store in "+c.Dir
	return b, nil
}

// InMemory opens an embedded log and store in memory; it is an Opener.
func InMemory(_ context.Context, clock eventlog.Clock) (*Backend, error) {
	b, err := openEmbedded("", vfs.NewMem(), clock)
	if err != nil {
		return nil, err
	}
	b.Name = "embedded store in memory"
	return b, nil
}

func openRedis(ctx context.Context, conn redisconn.Options, clock eventlog.Clock) (*Backend, error) {
	log, err := redislog.Open(ctx, redislog.Options{Options: conn, Clock: clock, MaxSkew: bound(clock)})
	if err != nil {
		return nil, err
	}
	store, err := redisstore.Open(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Backend{Log: log, Store: store, redis: &conn, conns: []*redisconn.Conn{log.Conn(), store.Conn()}, Warnings: store.Warnings(), Name: "Redis at " + strings.Join(conn.Addresses, ", "), Skew: log.Skew}, nil
}

// bound is how far clocks may differ; 0, for a simulated clock, is no bound.
func bound(clock eventlog.Clock) plan.Micros {
	if clock != nil {
		return 0
	}
	return limits.ClockSkew
}

// openEmbedded opens databases in a directory of the file system fs, nil for the disk.
func openEmbedded(dir string, fs vfs.FS, clock eventlog.Clock) (*Backend, error) {
	log, err := pebblelog.Open(filepath.Join(dir, "log"), pebblelog.Options{FS: fs, Clock: clock, MaxAhead: bound(clock)})
	if err != nil {
		return nil, err
	}
	store, err := pebblestore.Open(filepath.Join(dir, "store"), pebblestore.Options{FS: fs})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &Backend{Log: log, Store: store}, nil
}

// States reads the live state of views.
func (b *Backend) States() *registry.Reader { return registry.NewReader(b.Store) }

// KeepingStates is States that keeps what was made of states, in at most so many bytes. It may be called
// once. On a server that does not say which keys are written it keeps nothing, and Warnings says why;
// without a warning on a cluster, which never does.
func (b *Backend) KeepingStates(ctx context.Context, bytes int64) (*registry.Reader, error) {
	switch store := b.Store.(type) {
	case onlinestore.Watching:
		return registry.NewKeepingReader(store, bytes), nil
	case *redisstore.Store:
		if bytes <= 0 || store.Cluster() {
			return b.States(), nil
		}
		w, err := store.Watch(ctx)
		if cannot := (*redisstore.CannotWatchError)(nil); errors.As(err, &cannot) {
			b.Warnings = append(b.Warnings, fmt.Sprintf("%v; so there is no near cache, and every read asks the store (serve --near-cache 0 if that is intended)", cannot))
			return b.States(), nil
		}
		if err != nil {
			return nil, err
		}
		b.watched = w
		return registry.NewKeepingReader(w, bytes), nil
	}
	return b.States(), nil
}

// Leases returns a new member of those who apply the logs on the server. One member runs at a time. It is nil for an embedded log, which one process has
// for itself.
func (b *Backend) Leases(ctx context.Context) (*lease.Member, error) {
	if b.redis == nil {
		return nil, nil
	}
	if b.leases == nil {
		var err error
		if b.leases, err = lease.Open(ctx, *b.redis); err != nil {
			return nil, err
		}
	}
	return lease.NewMember(b.leases, lease.Options{}), nil
}

// Close closes the log and the store.
func (b *Backend) Close() error {
	err := b.Log.Close()
	if b.leases != nil {
		err = errors.Join(err, b.leases.Close())
	}
	if b.watched != nil {
		err = errors.Join(err, b.watched.Close())
	}
	err = errors.Join(err, b.Store.Close())
	if b.after != nil {
		err = errors.Join(err, b.after())
	}
	return err
}
