// Package redis keeps online state on a Redis server or cluster, which several
// processes can share. The keys are described in docs/formats/onlinestore.md.
//
// "Durable" is what the server makes of it: with appendonly and appendfsync
// always, an acknowledged write survives a crash of the server. With less, and
// in a failover to a replica that lags, the last ones can be lost; Warnings says
// so where the server tells.
package redis

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
)

// Names that callers need from redisconn.
type (
	Options       = redisconn.Options
	Secret        = redisconn.Secret
	EvictionError = redisconn.EvictionError
)

// Store implements onlinestore.Store.
type Store struct {
	conn    *redisconn.Conn
	prefix  string                  // of every key
	watched atomic.Pointer[Watched] // nil: not watched
}

var _ onlinestore.Batching = (*Store)(nil)

// Open connects to the server. The error is an *EvictionError if the server may
// drop states and Options.AllowEviction is not set.
func Open(ctx context.Context, o Options) (*Store, error) {
	conn, err := redisconn.Dial(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("online store: %w", err)
	}
	return &Store{conn: conn, prefix: conn.Namespace() + ":state:"}, nil
}

// Warnings are sentences about the server's settings for the operator.
func (s *Store) Warnings() []string { return s.conn.Warnings() }

// Conn is the connection of the store.
func (s *Store) Conn() *redisconn.Conn { return s.conn }

// Cluster reports whether the store is spread over the servers of a cluster.
func (s *Store) Cluster() bool { return s.conn.Cluster() }

// Close implements onlinestore.Store.
func (s *Store) Close() error {
	s.conn.Close()
	return nil
}

// enter lets a call in, unless the store is closed or the context has ended.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.conn.Gate.Enter() {
		return onlinestore.ErrClosed
	}
	return nil
}

// PrefersBatches implements onlinestore.Batching.
func (*Store) PrefersBatches() {}

func (s *Store) key(key []byte) string { return s.prefix + string(key) }

// Get implements onlinestore.Store with one MGET, or in a cluster with one for each slot, in parallel.
func (s *Store) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Gate.Leave()
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := s.getNames(ctx, s.names(keys))
	if err != nil {
		return nil, fmt.Errorf("get %d keys: %w", len(keys), err)
	}
	return values, nil
}

// names returns the Redis keys, as substrings of one allocation.
func (s *Store) names(keys [][]byte) []string {
	size := len(keys) * len(s.prefix)
	for _, key := range keys {
		size += len(key)
	}
	var all strings.Builder
	all.Grow(size)
	for _, key := range keys {
		all.WriteString(s.prefix)
		all.Write(key)
	}
	rest, names := all.String(), make([]string, len(keys))
	for i, key := range keys {
		n := len(s.prefix) + len(key)
		names[i], rest = rest[:n], rest[n:]
	}
	return names
}

// getNames gets the values of Redis keys.
func (s *Store) getNames(ctx context.Context, names []string) ([][]byte, error) {
	return s.bound(ctx, func(ctx context.Context) ([][]byte, error) {
		if s.conn.Cluster() {
			return s.getCluster(ctx, names)
		}
		return getFrom(ctx, s.conn, names)
	})
}

// bound calls get within the timeout of the connection.
func (s *Store) bound(ctx context.Context, get func(ctx context.Context) ([][]byte, error)) ([][]byte, error) {
	ctx, cancel := s.conn.Bound(ctx)
	defer cancel()
	values, err := get(ctx)
	return values, cause(ctx, err)
}

// getFrom reads from a single server.
func getFrom(ctx context.Context, client rueidis.CoreClient, names []string) ([][]byte, error) {
	found, err := client.Do(ctx, client.B().Mget().Key(names...).Build()).ToArray()
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(found))
	for i := range found {
		if values[i], err = bytesOrNil(found[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// getCluster reads from the servers of a cluster. Duplicate names share one answer, so each value
// is a copy.
func (s *Store) getCluster(ctx context.Context, names []string) ([][]byte, error) {
	found, err := rueidis.MGet(s.conn, ctx, names)
	if err != nil {
		return nil, err
	}
	values := make([][]byte, len(names))
	for i, name := range names {
		value, err := bytesOrNil(found[name])
		if err != nil {
			return nil, err
		}
		values[i] = bytes.Clone(value)
	}
	return values, nil
}

func bytesOrNil(m rueidis.RedisMessage) ([]byte, error) {
	value, err := m.AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return value, err
}
