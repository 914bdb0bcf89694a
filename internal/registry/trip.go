package registry

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// trip is one round trip to the store, for one read or for several that come at the same
// time: most of what a small read costs is sending and receiving, and every one of them
// asks which generations are live.
//
// It asks for states under the generations that its reads believe live, then for the live
// records that the epoch does not vouch for, then for the epoch: a store that reads one key after
// the other has read the states of a generation that was live afterwards, so nobody had dropped
// them.
type trip struct {
	keys   [][]byte     // of states, and from departure on of live records and the epoch
	memory []byte       // of keys
	views  []*plan.View // whose live records it asks for
	reads  int
	states int           // how many of the keys
	parts  *Parts        // nil: all in one
	done   chan struct{} // closed when values and err are there; nil for a single read
	slow   chan struct{} // closed when they are not there after patience; nil for a single read
	values [][]byte
	marks  []onlinestore.Seen // of the values, if the reader keeps values
	err    error
	before string    // the settled epoch that an earlier trip has seen, "" if there is none
	seen   string    // the settled epoch that this trip has seen, "" if it was not settled
	left   time.Time // when it departed
}

// How many keys a read may have that shares a trip, and how many a trip that others may
// still join. Larger reads gain nothing.
const (
	mostShared = 64
	mostOfTrip = 256
)

// patience is how long a read waits for a trip before it watches its own context: nearly every trip is
// over by then, and a context that nobody waits for needs no timer. So much later is a cancellation noticed.
const patience = 8 * time.Millisecond

// place is that of a read on a trip.
type place struct {
	first int  // of the read's states
	leads bool // it makes the trip
}

// join adds a read, which believes the known generations live, to the trip that is about to leave, or
// to a new one, which it leads.
func (r *Reader) join(queries []Query, known []liveRecord, parts *Parts) (*trip, place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := 0
	for _, q := range queries {
		keys += len(q.Entities)
	}
	if parts != nil && keys <= parts.First {
		parts = nil
	}
	shared := r.share && keys <= mostShared && parts == nil
	t := r.open
	if t == nil || !shared || len(t.keys)+keys > mostOfTrip {
		t = &trip{parts: parts}
		if shared {
			r.open = t
		}
	}
	if t.reads++; t.reads == 2 {
		t.done, t.slow = make(chan struct{}), make(chan struct{})
	}
	at := place{first: len(t.keys), leads: t.reads == 1}
	t.add(queries, known, keys)
	return t, at
}

// add adds the keys of a read.
func (t *trip) add(queries []Query, known []liveRecord, keys int) {
	t.keys = slices.Grow(t.keys, keys+1)
	for i, q := range queries {
		if known[i].epoch == "" && t.slot(q.View) < 0 {
			t.views = append(t.views, q.View)
		}
		if known[i].record == nil {
			continue
		}
		for _, e := range q.Entities {
			if e != nil {
				t.keys = append(t.keys, t.key(known[i].prefix, e))
			}
		}
	}
}

// key is prefix and suffix in memory that the keys share.
func (t *trip) key(prefix, suffix []byte) []byte {
	n := len(prefix) + len(suffix)
	if cap(t.memory)-len(t.memory) < n {
		t.memory = make([]byte, 0, max(n, 2*cap(t.memory), leastMemory))
	}
	from := len(t.memory)
	t.memory = append(append(t.memory, prefix...), suffix...)
	return t.memory[from:len(t.memory):len(t.memory)]
}

// leastMemory is room for the keys of a small read.
const leastMemory = 256

// slot is which live record is that of a view, -1 for none. Views are few.
func (t *trip) slot(v *plan.View) int { return slices.Index(t.views, v) }

// record is the live record of a view, as it was found.
func (t *trip) record(v *plan.View) []byte { return t.values[t.states+t.slot(v)] }

// travel makes the trip, or waits until who leads it has made it.
func (r *Reader) travel(ctx context.Context, t *trip, leads bool) error {
	if leads {
		if alone := r.leave(t); alone {
			r.get(ctx, t)
			return t.err
		}
		// The others go on when this read is given up, and the store has its own time limit.
		go func() {
			late := time.AfterFunc(patience, func() { close(t.slow) })
			r.get(context.WithoutCancel(ctx), t)
			late.Stop()
			close(t.done)
		}()
	}
	select {
	case <-t.done:
		return t.err
	case <-t.slow:
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get fetches the values of a trip.
func (r *Reader) get(ctx context.Context, t *trip) {
	if t.err = r.getParts(ctx, t); t.err != nil {
		return
	}
	last := len(t.values) - 1
	switch epoch := t.values[last]; {
	case string(epoch) == t.before:
		t.seen = t.before
		if r.kept == nil {
			return
		}
	case settled(epoch):
		t.seen = string(epoch)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.seen != t.before {
		r.epoch = t.seen
	}
	if r.kept != nil && r.epoch == t.seen {
		r.mark = t.marks[last]
	}
}

// getParts fetches the values in the order of the keys. The live records and the epoch come with the
// last part.
func (r *Reader) getParts(ctx context.Context, t *trip) error {
	n, bytes := t.states, 0
	if t.parts != nil {
		n = t.parts.First
	}
	for from := 0; ; {
		to := from + n
		if to >= t.states {
			return r.getKeys(ctx, t, t.keys[from:])
		}
		if err := r.getKeys(ctx, t, t.keys[from:to]); err != nil {
			return err
		}
		for _, v := range t.values[from:] {
			bytes += len(v)
		}
		var err error
		if n, err = t.parts.Next(to, t.states, bytes); err != nil {
			return err
		}
		from = to
	}
}

// getKeys fetches values in one round trip.
func (r *Reader) getKeys(ctx context.Context, t *trip, keys [][]byte) error {
	var marks []onlinestore.Seen
	var values [][]byte
	var err error
	if r.kept == nil {
		values, err = r.store.Get(ctx, keys)
	} else {
		values, marks, err = r.kept.store.GetMarked(ctx, keys)
	}
	if t.values == nil {
		t.values, t.marks = values, marks
		return err
	}
	t.values, t.marks = append(t.values, values...), append(t.marks, marks...)
	return err
}

// during is the settled epoch under which the live records of this trip were the live ones, ""
// if that is not known. It was seen before they were read, so they are not older; who relies on
// them sees it again, so they are not newer.
func (t *trip) during() string {
	if t.seen == t.before {
		return t.seen
	}
	return ""
}

// leave ends the time in which others may join. While there is other work than this read's
// it is put first: among it may be reads that come along. If there is none, nothing waits.
func (r *Reader) leave(t *trip) (alone bool) {
	if r.share {
		runtime.Gosched()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == t {
		r.open = nil
	}
	t.before, t.left = r.epoch, r.now()
	t.states = len(t.keys)
	for _, v := range t.views {
		t.keys = append(t.keys, t.key(nil, liveKey(v.Fingerprint)))
	}
	t.keys = append(t.keys, epochKey)
	return t.reads == 1
}
