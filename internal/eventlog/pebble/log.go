// Package pebble keeps an event log in a directory of its own, embedded with
// Pebble. One process at a time can have it open. The keys and values are
// described in docs/formats/eventlog.md.
package pebble

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/gate"
	"github.com/unskew/unskew/internal/pebbledir"
)

// LockedError is the error of Open for a directory that someone has open.
type LockedError = pebbledir.LockedError

// Options are optional, all of them.
type Options struct {
	FS    vfs.FS         // nil is the disk
	Clock eventlog.Clock // nil is time.Now
	// MaxAhead bounds how far the newest record may be ahead of the clock. Append fails beyond
	// it. 0 is no bound, for simulated clocks.
	MaxAhead plan.Micros
	Logger   *slog.Logger // nil drops what Pebble reports
}

const (
	cacheBytes    = 64 << 20 // with less, Bloom filters of some ten million ids are read again and again
	memTableBytes = 16 << 20
)

// Log implements eventlog.Log. It starts no goroutines: one of the callers that wait in Append
// or Register commits for all of them.
type Log struct {
	db      *cockroach.DB
	clock   eventlog.Clock
	ahead   plan.Micros // Options.MaxAhead
	gate    *gate.Gate
	leading chan struct{} // a semaphore: the caller that holds it is the leader and commits

	mu     sync.Mutex
	queue  []*request
	shards map[string]*shard
}

var _ eventlog.Log = (*Log)(nil)

// shard is the durable end of a shard. Log.mu guards all fields except name. Records beyond end
// are being written and are not visible yet.
type shard struct {
	name        string
	end         eventlog.Position
	appended    plan.EventTime
	corrections eventlog.Corrections
	trimmed     eventlog.Trimmed
	segments    eventlog.Segments // shared by copies, never changed
	state       eventlog.ShardState
	waiting     map[chan struct{}]struct{} // of callers of Wait; each has room for one signal, which it gets when end grows
}

// Open opens or creates the log in dir. The error wraps a *LockedError if
// someone has it open.
func Open(dir string, o Options) (*Log, error) {
	db, err := pebbledir.Open(dir, format, pebbledir.Options{
		FS: o.FS, Logger: o.Logger, CacheBytes: cacheBytes, MemTableBytes: memTableBytes, Older: []string{format1, format2, format3},
	})
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	if o.Clock == nil {
		o.Clock = func() plan.EventTime { return plan.TimeOf(time.Now()) }
	}
	return &Log{
		db:      db,
		clock:   o.Clock,
		ahead:   o.MaxAhead,
		gate:    gate.New(),
		leading: make(chan struct{}, 1),
		shards:  map[string]*shard{},
	}, nil
}

// Close implements eventlog.Log.
func (l *Log) Close() error {
	if !l.gate.Close() {
		return nil
	}
	return l.db.Close()
}

// Append implements eventlog.Log. It ignores a context that ends while the entries are being
// written, since the answer is known a moment later.
func (l *Log) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	r := &request{entries: entries, results: make([]eventlog.Result, len(entries)), done: make(chan struct{})}
	if err := l.submit(ctx, shard, r); err != nil {
		return nil, err
	}
	return r.results, nil
}

// Register implements eventlog.Log.
func (l *Log) Register(ctx context.Context, shard string, entries []eventlog.Entry) error {
	return l.submit(ctx, shard, &request{entries: entries, registers: true, done: make(chan struct{})})
}

// End implements eventlog.Log.
func (l *Log) End(ctx context.Context, shard string) (eventlog.Position, error) {
	return l.durableEnd(ctx, shard)
}

// Begun implements eventlog.Log.
func (l *Log) Begun(ctx context.Context, shard string) (bool, error) {
	end, err := l.durableEnd(ctx, shard)
	if err != nil || end > 0 {
		return end > 0, err
	}
	if !l.gate.Enter() {
		return false, eventlog.ErrClosed
	}
	defer l.gate.Leave()
	for _, kind := range []byte{kindID, kindSegment, kindSegments, kindState} {
		found, err := l.hasKeys(appendShard(nil, kind, shard))
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// hasKeys reports whether a key begins with prefix.
func (l *Log) hasKeys(prefix []byte) (found bool, err error) {
	it, err := l.db.NewIter(&cockroach.IterOptions{LowerBound: prefix, UpperBound: pebbledir.Successor(prefix)})
	if err != nil {
		return false, err
	}
	defer func() { _ = it.Close() }()
	found = it.First()
	return found, it.Error()
}

// Wait implements eventlog.Log.
func (l *Log) Wait(ctx context.Context, ends eventlog.Ends) error {
	grown := make(chan struct{}, 1)
	defer l.stopWaiting(ends, grown)
	for {
		if there, err := l.startWaiting(ctx, ends, grown); there || err != nil {
			return err
		}
		select {
		case <-grown: // perhaps not far enough
		case <-ctx.Done():
			return ctx.Err()
		case <-l.gate.Closing():
			return eventlog.ErrClosed
		}
	}
}

// startWaiting has a channel signalled when one of the shards grows. It reports whether one has grown far enough.
func (l *Log) startWaiting(ctx context.Context, ends eventlog.Ends, grown chan struct{}) (there bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if !l.gate.Enter() {
		return false, eventlog.ErrClosed
	}
	defer l.gate.Leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, after := range ends {
		s, err := l.shardLocked(name)
		if err != nil {
			return false, err
		}
		there = there || s.end > after
		s.waiting[grown] = struct{}{}
	}
	return there, nil
}

func (l *Log) stopWaiting(ends eventlog.Ends, grown chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range ends {
		if s := l.shards[name]; s != nil {
			delete(s.waiting, grown)
		}
	}
}

// durableEnd returns the shard's end.
func (l *Log) durableEnd(ctx context.Context, name string) (eventlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !l.gate.Enter() {
		return 0, eventlog.ErrClosed
	}
	defer l.gate.Leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.shardLocked(name)
	if err != nil {
		return 0, err
	}
	return s.end, nil
}

// shardLocked finds the shard or reads its end from the database. The caller
// holds l.mu.
func (l *Log) shardLocked(name string) (*shard, error) {
	if s := l.shards[name]; s != nil {
		return s, nil
	}
	if err := eventlog.CheckShard(name); err != nil {
		return nil, err
	}
	s := &shard{name: name, appended: plan.Always, waiting: map[chan struct{}]struct{}{}}
	if err := l.readEnd(s); err != nil {
		return nil, fmt.Errorf("read the end of shard %q: %w", name, err)
	}
	var err error
	if s.segments, err = l.segments(name); err != nil {
		return nil, fmt.Errorf("read the remembered ids of shard %q: %w", name, err)
	}
	if s.trimmed, err = l.trimmed(name); err != nil {
		return nil, fmt.Errorf("read what was trimmed of shard %q: %w", name, err)
	}
	if s.state, err = l.state(name); err != nil {
		return nil, fmt.Errorf("read the state of shard %q: %w", name, err)
	}
	l.shards[name] = s
	return s, nil
}

func (l *Log) readEnd(s *shard) error {
	events := appendShard(nil, kindEvent, s.name)
	it, err := l.db.NewIter(&cockroach.IterOptions{LowerBound: events, UpperBound: pebbledir.Successor(events)})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }()
	if !it.Last() {
		return it.Error()
	}
	event, err := it.ValueAndErr()
	if err != nil {
		return err
	}
	s.end = positionOf(it.Key())
	if s.appended, err = appendedOf(event); err != nil {
		return err
	}
	if s.corrections, err = l.corrections(s.name); err != nil {
		return err
	}
	s.appended = s.corrections.Appended(s.end, s.appended)
	return nil
}
