package registry

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Reader fetches live states. It remembers which generation is live, and checks
// that in the same round trip that fetches the states, so a switch of generations
// is seen by the very next read and no cache can go stale. Safe for concurrent use.
type Reader struct {
	store onlinestore.Store
	mu    sync.Mutex
	live  map[plan.Fingerprint]liveRecord
}

type liveRecord struct {
	generation Generation
	record     []byte
}

// NewReader makes a reader on a store.
func NewReader(store onlinestore.Store) *Reader {
	return &Reader{store: store, live: map[plan.Fingerprint]liveRecord{}}
}

// Query asks for the states of some entities of a view; a nil entity has none.
type Query struct {
	View     *plan.View
	Entities [][]byte
}

// Answer is the states of a Query, nil for an entity without one, all of one generation.
type Answer struct {
	Generation Generation
	States     [][]byte
}

// switches bounds how often one read starts over because a generation changed
// under it.
const switches = 4

// States answers all queries in one round trip, or a second when a generation was
// just switched. A view without live state is *NotMaterialized.
func (r *Reader) States(ctx context.Context, queries []Query) ([]Answer, error) {
	for range switches {
		known := r.known(queries)
		got, err := r.store.Get(ctx, keys(queries, known))
		if err != nil {
			return nil, fmt.Errorf("read online state: %w", err)
		}
		answers, current, err := r.match(queries, known, got)
		if err != nil || current {
			return answers, err
		}
	}
	return nil, fmt.Errorf("read online state: generations changed %d times during one read", switches)
}

func (r *Reader) known(queries []Query) []liveRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make([]liveRecord, len(queries))
	for i, q := range queries {
		known[i] = r.live[q.View.Fingerprint]
	}
	return known
}

// keys lists the states under the generations believed live, then the live records
// of all views: a store that reads one key after the other has read the states of a
// generation that was live afterwards, so nobody had dropped them.
func keys(queries []Query, known []liveRecord) [][]byte {
	var keys [][]byte
	for i, q := range queries {
		if known[i].record == nil {
			continue
		}
		for _, e := range q.Entities {
			if e != nil {
				keys = append(keys, known[i].generation.StateKey(e))
			}
		}
	}
	for _, q := range queries {
		keys = append(keys, liveKey(q.View.Fingerprint))
	}
	return keys
}

// match cuts the values into answers; current is false when a generation believed
// live is not.
func (r *Reader) match(queries []Query, known []liveRecord, got [][]byte) (answers []Answer, current bool, err error) {
	states, records := got[:len(got)-len(queries)], got[len(got)-len(queries):]
	current = true
	for i, q := range queries {
		if records[i] == nil {
			return nil, false, &NotMaterialized{q.View}
		}
		if known[i].record != nil && bytes.Equal(records[i], known[i].record) {
			continue
		}
		current = false
		g, err := decodeRecord(q.View.Fingerprint, records[i])
		if err != nil {
			return nil, false, err
		}
		r.mu.Lock()
		r.live[q.View.Fingerprint] = liveRecord{g, records[i]}
		r.mu.Unlock()
	}
	if !current {
		return nil, false, nil
	}
	for i, q := range queries {
		a := Answer{Generation: known[i].generation, States: make([][]byte, len(q.Entities))}
		for e := range q.Entities {
			if q.Entities[e] != nil {
				a.States[e], states = states[0], states[1:]
			}
		}
		answers = append(answers, a)
	}
	return answers, true, nil
}
