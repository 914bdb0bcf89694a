package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Bounds of one pipelined round trip, which limit the memory on both sides.
const (
	loadBatchBytes = 4 << 20
	loadBatchKeys  = 1000
	scanBatchKeys  = 1000 // examined by one SCAN
	readBatchKeys  = 64   // values of one MGET of Scan
)

// loader implements onlinestore.Loader with pipelined SETs.
type loader struct {
	ctx    context.Context // of the load as a whole, which Put and Close belong to
	store  *Store
	sets   rueidis.Commands
	bytes  int
	closed bool
}

// Load implements onlinestore.Store. The context is that of the whole load.
func (s *Store) Load(ctx context.Context) (onlinestore.Loader, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Gate.Leave()
	return &loader{ctx: ctx, store: s}, nil
}

// enter lets a call in, unless the loader or the store is closed.
func (l *loader) enter() error {
	if l.closed {
		return fmt.Errorf("the load is finished: %w", onlinestore.ErrClosed)
	}
	return l.store.enter(l.ctx)
}

// Put implements onlinestore.Loader.
func (l *loader) Put(key, value []byte) error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.store.conn.Gate.Leave()
	if err := onlinestore.CheckPair(key, value); err != nil {
		return err
	}
	l.sets = append(l.sets, l.store.conn.B().Set().Key(l.store.key(key)).Value(string(value)).Build())
	l.bytes += len(key) + len(value)
	if l.bytes < loadBatchBytes && len(l.sets) < loadBatchKeys {
		return nil
	}
	return l.flush()
}

// Close implements onlinestore.Loader.
func (l *loader) Close() error {
	if err := l.enter(); err != nil {
		return err
	}
	defer l.store.conn.Gate.Leave()
	l.closed = true
	return l.flush()
}

func (l *loader) flush() error {
	sets := l.sets
	l.sets, l.bytes = nil, 0
	return l.store.writeAll(l.ctx, "load", sets)
}

// writeAll sends writes in one round trip and returns the first error.
func (s *Store) writeAll(ctx context.Context, what string, commands rueidis.Commands) error {
	if len(commands) == 0 {
		return nil
	}
	ctx, cancel := s.conn.Bound(ctx)
	defer cancel()
	for _, answer := range s.conn.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			return writeError(what, cause(ctx, err))
		}
	}
	return nil
}

// DeletePrefix implements onlinestore.Store. It looks at every key of the servers, in
// bounded batches, and leaves freeing the memory to their background threads.
func (s *Store) DeletePrefix(ctx context.Context, prefix []byte) error {
	return s.forEachBatch(ctx, prefix, func(names []string) error {
		unlinks := make(rueidis.Commands, len(names))
		for i, name := range names {
			unlinks[i] = s.conn.B().Unlink().Key(name).Build()
		}
		return s.writeAll(ctx, fmt.Sprintf("delete keys with prefix %q", prefix), unlinks)
	})
}

// Scan implements onlinestore.Store. It looks at every key of the servers.
func (s *Store) Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error {
	return s.forEachBatch(ctx, prefix, func(names []string) error {
		for len(names) > 0 {
			n := min(len(names), readBatchKeys)
			if err := s.scanValues(ctx, names[:n], f); err != nil {
				return err
			}
			names = names[n:]
		}
		return nil
	})
}

func (s *Store) scanValues(ctx context.Context, names []string, f func(key, value []byte) error) error {
	values, err := s.getNames(ctx, names)
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	for i, value := range values {
		if value == nil {
			continue // deleted since
		}
		if err := f([]byte(names[i][len(s.prefix):]), value); err != nil {
			return err
		}
	}
	return nil
}

// forEachBatch calls f with the names of all keys that begin with prefix, in batches, one server
// after the other.
func (s *Store) forEachBatch(ctx context.Context, prefix []byte, f func(names []string) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.conn.Gate.Leave()
	if err := onlinestore.CheckPrefix(prefix); err != nil {
		return err
	}
	masters, err := s.conn.Masters(ctx)
	if err != nil {
		return fmt.Errorf("scan prefix %q: %w", prefix, err)
	}
	pattern := globEscaper.Replace(s.key(prefix)) + "*"
	for _, master := range masters {
		if err := s.scanServer(ctx, master, pattern, f); err != nil {
			return err
		}
	}
	return nil
}

// globEscaper escapes a string so that the pattern matches only that string.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func (s *Store) scanServer(ctx context.Context, master rueidis.Client, pattern string, f func(names []string) error) error {
	for cursor := uint64(0); ; {
		page, err := s.scanPage(ctx, master, pattern, cursor)
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		if err := f(page.Elements); err != nil {
			return err
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

func (s *Store) scanPage(ctx context.Context, master rueidis.Client, pattern string, cursor uint64) (rueidis.ScanEntry, error) {
	ctx, cancel := s.conn.Bound(ctx)
	defer cancel()
	page, err := master.Do(ctx, master.B().Scan().Cursor(cursor).Match(pattern).Count(scanBatchKeys).Build()).AsScanEntry()
	return page, cause(ctx, err)
}
