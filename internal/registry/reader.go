package registry

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Reader fetches live states. It caches which generation is live and checks that in the round trip
// that fetches the states, so the first read after a switch of generations finds the new one. It is
// safe for concurrent use.
type Reader struct {
	store onlinestore.Store
	share bool             // reads share round trips
	now   func() time.Time // time.Now, except in tests
	mu    sync.Mutex
	live  map[plan.Fingerprint]liveRecord
	epoch string           // the settled epoch that the last round trip has seen; "" if it was not settled
	open  *trip            // that reads may still join
	mark  onlinestore.Seen // of the value of the epoch's key when it was found to be epoch
	kept  *kept            // nil: nothing is kept
}

type liveRecord struct {
	generation Generation
	prefix     []byte    // of the keys of its states
	record     []byte    // nil: not known
	epoch      string    // settled epoch under which the record is the live one; "": not known
	asked      time.Time // when the record was read last
	index      *Index    // nil: the generation has none
}

// recordAge is how long a reader relies on the epoch. Then it asks for the live record again, so
// that a switch by a version of this program that does not write epochs is seen too, if late.
const recordAge = time.Second

// NewReader returns a reader of a store. If the store prefers batches, concurrent reads share round
// trips.
func NewReader(store onlinestore.Store) *Reader {
	_, share := store.(onlinestore.Batching)
	return &Reader{store: store, share: share, now: time.Now, live: map[plan.Fingerprint]liveRecord{}}
}

// Query asks for the states of some entities of a view. A nil entity has no state.
type Query struct {
	View     *plan.View
	Entities [][]byte
	// For says what the caller makes of states and keeps; it gets only values that were kept for the
	// same. 0: it keeps nothing.
	For uint64
	At  plan.EventTime // kept values are valid at that time
}

// Parts divides a read of many states, so that the caller learns how large they are before all of them
// are in memory.
type Parts struct {
	// First is how many states the first part has.
	First int
	// Next is called after each part but the last. done of all states were read and have so many bytes.
	// It returns how many the next part has, at least 1. Its error ends the read, which returns it wrapped.
	Next func(done, all, bytes int) (n int, err error)
}

// Answer has the states of a Query, all of one generation; nil for an entity that never had a state, and
// for one of which a value was kept. Where the store has lost a state, there is the record of that.
type Answer struct {
	Generation Generation
	States     [][]byte
	Kept       []Value // of each entity, nil where none was kept; empty if the reader keeps nothing
	keep       *keep   // nil if the reader keeps nothing
}

// switches bounds how often a read starts over because the live generation changed meanwhile.
const switches = 5

// States answers all queries in one round trip, or in up to three if a live generation has just
// changed. If a value was kept of every entity, it makes none. If parts is not nil and there are more
// states than the first part has, it makes one for each part. For a view without live state the error
// is a *NotMaterialized.
func (r *Reader) States(ctx context.Context, queries []Query, parts *Parts) ([]Answer, error) {
	var few [12]liveRecord // not on the heap
	known := few[:]
	if len(queries) > len(few) {
		known = make([]liveRecord, len(queries))
	}
	known = known[:len(queries)]
	for range switches {
		mark := r.believe(queries, known)
		f := r.find(queries, known)
		if f.all && r.vouched(known, mark) {
			return f.answers(queries, known), nil
		}
		missing := f.missing(queries)
		t, at := r.join(missing, known, parts)
		if err := r.travel(ctx, t, at.leads); err != nil {
			return nil, fmt.Errorf("read online state: %w", err)
		}
		answers, current, err := r.match(missing, known, at.first, t)
		if err == nil && current {
			current, err = r.markLost(ctx, missing, known, answers)
		}
		if err != nil || current {
			f.complete(answers, queries, known)
			return answers, err
		}
	}
	return nil, fmt.Errorf("read online state: generations changed %d times during one read", switches)
}

// believe fills in which generations are live as far as the reader knows. mark is that of the epoch
// that vouches for them.
func (r *Reader) believe(queries []Query, known []liveRecord) (mark onlinestore.Seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, q := range queries {
		known[i] = r.live[q.View.Fingerprint]
		if known[i].epoch != r.epoch || known[i].epoch != "" && r.now().Sub(known[i].asked) > recordAge {
			known[i].epoch = ""
		}
	}
	return r.mark
}

// match converts the fetched values, from number first on, to answers. current is false if a cached
// generation is not the live one.
func (r *Reader) match(queries []Query, known []liveRecord, first int, t *trip) (answers []Answer, current bool, err error) {
	current = true
	for i, q := range queries {
		if epoch := known[i].epoch; epoch != "" {
			current = current && t.seen == epoch
			continue
		}
		record := t.record(q.View)
		if record == nil {
			return nil, false, &NotMaterialized{q.View}
		}
		fresh := known[i]
		if fresh.record == nil || !bytes.Equal(record, fresh.record) {
			current = false
			g, err := decodeRecord(q.View.Fingerprint, record)
			if err != nil {
				return nil, false, err
			}
			fresh = liveRecord{generation: g, prefix: g.Prefix(), record: record, index: OpenIndex(r.store, g)}
		}
		fresh.epoch, fresh.asked = t.during(), t.left
		r.mu.Lock()
		r.live[q.View.Fingerprint] = fresh
		r.mu.Unlock()
	}
	if !current {
		return nil, false, nil
	}
	answers = make([]Answer, len(queries))
	states := t.values[first:]
	for i, q := range queries {
		answers[i] = Answer{Generation: known[i].generation}
		if t.marks != nil {
			answers[i].keep = &keep{}
			answers[i].keep.marks, _ = ofEntities(q.Entities, t.marks[len(t.values)-len(states):])
		}
		answers[i].States, states = ofEntities(q.Entities, states)
	}
	return answers, true, nil
}

// ofEntities removes what was fetched of some entities from the front of a list.
func ofEntities[T any](entities [][]byte, fetched []T) (states, rest []T) {
	n := 0
	for _, e := range entities {
		if e != nil {
			n++
		}
	}
	states, rest = fetched[:n:n], fetched[n:]
	if n == len(entities) {
		return states, rest
	}
	all := make([]T, len(entities))
	for i, e := range entities {
		if e != nil {
			all[i], states = states[0], states[1:]
		}
	}
	return all, rest
}
