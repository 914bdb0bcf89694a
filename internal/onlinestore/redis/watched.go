package redis

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Watched is a Store that implements onlinestore.Watching with the server-assisted client-side
// caching of Redis. GetMarked reads over a connection of its own, for which the server remembers the
// keys, and over which it says when one of them is written. docs/decisions/0094 has the argument.
type Watched struct {
	*Store
	seed    maphash.Seed
	begin   time.Time
	current atomic.Pointer[tracking] // nil: not connected, so nothing is unchanged
	number  uint64                   // of the newest tracking; used by Watch and then by run only
	stop    context.CancelFunc
	done    sync.WaitGroup
}

var (
	_ onlinestore.Watching = (*Watched)(nil)
	_ onlinestore.Batching = (*Watched)(nil)
)

// tracking is one connection that tracks keys. A mark has its number and the count of its key's slot.
type tracking struct {
	number uint64
	client rueidis.DedicatedClient
	counts []atomic.Uint64 // by slot: writes that are known of
	lost   atomic.Bool     // it may not have told of a write
	proven atomic.Int64    // the time since Watched.begin at which the last answered PING was sent
}

const (
	// watchedSlots is how many counts there are; keys that share one are taken for written together.
	watchedSlots = 1 << 18
	countBits    = 40 // of a mark; the number has the rest
	// pingEvery is a third of MaxUnseen, so that one PING may be late.
	pingEvery = onlinestore.MaxUnseen / 3
	// reconnectEvery is the pause between attempts to connect.
	reconnectEvery = 250 * time.Millisecond
)

// CannotWatchError says that the server does not tell of writes.
type CannotWatchError struct{ Reason error }

func (e *CannotWatchError) Error() string {
	return fmt.Sprintf("redis cannot say which keys are written: %v", e.Reason)
}

func (e *CannotWatchError) Unwrap() error { return e.Reason }

// errNoPushes is the reason for a server, or a proxy, that speaks RESP2. It takes CLIENT TRACKING all the
// same and then sends nothing.
var errNoPushes = errors.New("the connection does not speak RESP3 (HELLO 3), in which such messages are sent")

// Watch begins to watch. While the connection is interrupted nothing is unchanged; it is made again
// in the background. The error is a *CannotWatchError if the server answers that it does not tell of
// writes, or is a cluster; the store can be used as before then. Close ends the watching and closes the store.
func (s *Store) Watch(ctx context.Context) (*Watched, error) {
	if s.Cluster() {
		return nil, &CannotWatchError{errors.New("it is a cluster")}
	}
	w := &Watched{Store: s, seed: maphash.MakeSeed(), begin: time.Now()}
	if !s.watched.CompareAndSwap(nil, w) {
		return nil, errors.New("the store is watched already")
	}
	first, err := w.connect(ctx)
	if forbidden(err) {
		s.watched.Store(nil)
		return nil, &CannotWatchError{err}
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() { w.run(ctx, first) })
	return w, nil
}

// forbidden reports whether a server will go on to refuse a connection that tracks keys.
func forbidden(err error) bool {
	text := ""
	if refusal := (*rueidis.RedisError)(nil); errors.As(err, &refusal) {
		text = strings.ToLower(refusal.Error())
	}
	return errors.Is(err, errNoPushes) || strings.HasPrefix(text, "noperm") || strings.Contains(text, "unknown")
}

// Close implements onlinestore.Store.
func (w *Watched) Close() error {
	w.stop()
	w.done.Wait()
	return w.Store.Close()
}

// run keeps a tracking connection until ctx ends, at first t if it is not nil.
func (w *Watched) run(ctx context.Context, t *tracking) {
	again := time.NewTicker(reconnectEvery)
	defer again.Stop()
	for ctx.Err() == nil {
		if t == nil {
			t, _ = w.connect(ctx)
		}
		if t != nil {
			w.current.Store(t)
			w.keep(ctx, t)
			t = nil
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// connect opens a connection that tracks every key it reads.
func (w *Watched) connect(ctx context.Context) (*tracking, error) {
	ctx, cancel := w.conn.Bound(ctx)
	defer cancel()
	client, _ := w.conn.Dedicate()
	if err := checkPushes(ctx, client); err != nil {
		client.Close()
		return nil, err
	}
	w.number++
	t := &tracking{number: w.number, client: client, counts: make([]atomic.Uint64, watchedSlots)}
	client.SetOnInvalidations(func(names []rueidis.RedisMessage) { w.invalidate(t, names) })
	err := client.Do(ctx, client.B().Arbitrary("CLIENT", "TRACKING", "ON").Build()).Error()
	if err == nil {
		err = w.ping(ctx, t)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return t, nil
}

// checkPushes returns an error unless the server can send messages over a connection. Only RESP3 has
// them.
func checkPushes(ctx context.Context, client rueidis.DedicatedClient) error {
	about, err := client.Do(ctx, client.B().Arbitrary("HELLO", "3").Build()).AsMap()
	if err != nil {
		return err
	}
	proto := about["proto"]
	if version, err := proto.AsInt64(); err != nil || version < 3 {
		return errNoPushes
	}
	return nil
}

// keep sends PINGs until the connection is lost or ctx ends, and closes it.
func (w *Watched) keep(ctx context.Context, t *tracking) {
	defer t.client.Close()
	defer w.drop(t)
	again := time.NewTicker(pingEvery)
	defer again.Stop()
	for !t.lost.Load() {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		bound, cancel := w.conn.BoundBy(ctx, onlinestore.MaxUnseen)
		err := w.ping(bound, t)
		if cancel(); err != nil {
			return
		}
	}
}

// drop ends the use of a connection.
func (w *Watched) drop(t *tracking) {
	t.lost.Store(true)
	w.current.CompareAndSwap(t, nil)
}

// ping returns once everything that the server has sent before has been received.
func (w *Watched) ping(ctx context.Context, t *tracking) error {
	sent := time.Since(w.begin)
	if err := t.client.Do(ctx, t.client.B().Ping().Build()).Error(); err != nil {
		return cause(ctx, err)
	}
	for {
		last := t.proven.Load()
		if last >= int64(sent) || t.proven.CompareAndSwap(last, int64(sent)) {
			return nil
		}
	}
}

// invalidate receives the names of written keys, in the order in which the server sends them and
// answers; nil means all, and that the connection is closed.
func (w *Watched) invalidate(t *tracking, names []rueidis.RedisMessage) {
	if names == nil {
		w.drop(t)
		return
	}
	for i := range names {
		name, err := names[i].ToString()
		if err != nil {
			w.drop(t)
			return
		}
		if key, ours := strings.CutPrefix(name, w.prefix); ours {
			t.counts[maphash.String(w.seed, key)%watchedSlots].Add(1)
		}
	}
}

// wrote records that this process has written keys, or may have.
func (w *Watched) wrote(writes []onlinestore.Write) {
	if t := w.current.Load(); t != nil {
		for i := range writes {
			t.counts[w.slot(writes[i].Key)].Add(1)
		}
	}
}

func (w *Watched) slot(key []byte) int { return int(maphash.Bytes(w.seed, key) % watchedSlots) }

// mark is the mark of a value that is read after it.
func (t *tracking) mark(slot int) onlinestore.Seen {
	return onlinestore.Seen(t.number<<countBits | t.counts[slot].Load()&(1<<countBits-1))
}

// GetMarked implements onlinestore.Marking. Marks are taken before the values are asked for, so that a
// write in between is never missed.
func (w *Watched) GetMarked(ctx context.Context, keys [][]byte) ([][]byte, []onlinestore.Seen, error) {
	seen := make([]onlinestore.Seen, len(keys))
	t := w.current.Load()
	if t == nil {
		values, err := w.Get(ctx, keys)
		return values, seen, err
	}
	if err := w.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer w.conn.Gate.Leave()
	if len(keys) == 0 {
		return nil, nil, nil
	}
	for i, key := range keys {
		seen[i] = t.mark(w.slot(key))
	}
	values, err := w.bound(ctx, func(ctx context.Context) ([][]byte, error) {
		values, err := getFrom(ctx, t.client, w.names(keys))
		if _, answered := rueidis.IsRedisErr(err); err == nil || answered || ctx.Err() != nil {
			return values, err
		}
		clear(seen) // the connection is lost
		return getFrom(ctx, w.conn, w.names(keys))
	})
	if err != nil {
		return nil, nil, fmt.Errorf("get %d keys: %w", len(keys), err)
	}
	return values, seen, nil
}

// Unchanged implements onlinestore.Watching.
func (w *Watched) Unchanged(key []byte, seen onlinestore.Seen) bool {
	t := w.current.Load()
	return t != nil && seen == t.mark(w.slot(key)) && !t.lost.Load() && int64(time.Since(w.begin))-t.proven.Load() <= int64(onlinestore.MaxUnseen)
}

// CaughtUp implements onlinestore.Watching. The server sends what it has to say about writes before the
// answer to a later PING. If that does not come, the connection is not used any more, and nothing is
// unchanged.
func (w *Watched) CaughtUp(ctx context.Context) error {
	t := w.current.Load()
	if t == nil {
		return ctx.Err()
	}
	bound, cancel := w.conn.BoundBy(ctx, onlinestore.MaxUnseen)
	defer cancel()
	if err := w.ping(bound, t); err != nil && ctx.Err() == nil {
		w.drop(t)
	}
	return ctx.Err()
}
