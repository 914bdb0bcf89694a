package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/onlinestore/pebble"
	"github.com/unskew/unskew/internal/onlinestore/redis"
	"github.com/unskew/unskew/internal/redistest"
)

// onEachStore runs a test over an empty store of each kind.
func onEachStore(t *testing.T, test func(t *testing.T, store onlinestore.Store)) {
	t.Run("embedded", func(t *testing.T) {
		s, err := pebble.Open("store", pebble.Options{FS: vfs.NewMem()})
		test(t, closed(t, s, err))
	})
	t.Run("embedded, taken for one behind a network", func(t *testing.T) {
		s, err := pebble.Open("store", pebble.Options{FS: vfs.NewMem()})
		test(t, remote{closed(t, s, err)})
	})
	t.Run("redis", func(t *testing.T) {
		s, err := redis.Open(t.Context(), redis.Options{Addresses: []string{redistest.Start(t).Address}})
		test(t, closed(t, s, err))
	})
}

// remote is a store whose reads share round trips.
type remote struct{ onlinestore.Store }

func (remote) PrefersBatches() {}

// embedded opens an empty store in memory.
func embedded(t *testing.T) onlinestore.Store {
	s, err := pebble.Open("store", pebble.Options{FS: vfs.NewMem()})
	return closed(t, s, err)
}

func closed(t *testing.T, s onlinestore.Store, err error) onlinestore.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func view(name string, id byte) *plan.View {
	return &plan.View{Name: name, Fingerprint: plan.Fingerprint{0: id}}
}

// state is a value that says which generation and entity it belongs to.
func state(g Generation, entity string) []byte {
	return fmt.Appendf(binary.BigEndian.AppendUint64(nil, 1), "%x %d %s", g.View[:1], g.Number, entity)
}

// build writes the states of the entities under g and makes it live.
func build(t *testing.T, store onlinestore.Store, g Generation, entities ...string) {
	t.Helper()
	if err := buildAndPromote(t.Context(), store, g, entities...); err != nil {
		t.Fatal(err)
	}
}

func buildAndPromote(ctx context.Context, store onlinestore.Store, g Generation, entities ...string) error {
	if err := write(ctx, store, g, entities...); err != nil {
		return err
	}
	return Promote(ctx, store, g)
}

func write(ctx context.Context, store onlinestore.Store, g Generation, entities ...string) error {
	l, err := store.Load(ctx)
	if err != nil {
		return err
	}
	for _, e := range entities {
		if err := l.Put(g.StateKey([]byte(e)), state(g, e)); err != nil {
			return err
		}
	}
	return l.Close()
}

// counting counts round trips; before, if set, is called at the beginning of each.
type counting struct {
	onlinestore.Store
	gets   atomic.Int64
	before func()
}

func (c *counting) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	c.gets.Add(1)
	if c.before != nil {
		c.before()
	}
	return c.Store.Get(ctx, keys)
}

// fixed is a store that holds one value, whatever the key.
type fixed struct {
	onlinestore.Store
	value []byte
}

func (f fixed) Get(_ context.Context, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i := range values {
		values[i] = f.value
	}
	return values, nil
}
