package server

import (
	"context"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/tracing"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
)

// entitySet is the distinct entities that a request's rows name by some of its keys. Views that
// read the same keys share one set.
type entitySet struct {
	keys   [][]byte    // distinct; nil for a row with a null in its key, which has no entity
	places wire.RowMap // for each row, the index of its key; nil if row i has key i
	all    []byte      // backing memory of keys
	ends   []int
	cols   []*vector.Vector
	index  map[string]int32
}

// find collects the entities of a query's rows.
func (e *entitySet) find(q *query, keys []int) {
	e.cols = e.cols[:0]
	for _, k := range keys {
		e.cols = append(e.cols, q.keys[k])
	}
	e.all, e.ends = e.all[:0], e.ends[:0]
	e.places = e.places[:0]
	for row := range q.n {
		key, ok := entitykey.AppendRow(e.all, e.cols, row)
		if e.all = key; !ok {
			e.places = append(e.places, -1)
			continue
		}
		e.places = append(e.places, int32(len(e.ends)))
		e.ends = append(e.ends, len(key))
	}
	e.distinct()
}

// distinct removes duplicate keys and records the key of each row.
func (e *entitySet) distinct() {
	if e.index == nil {
		e.index = map[string]int32{}
	}
	clear(e.index)
	e.keys = e.keys[:0]
	texts := string(e.all)
	for row, k := range e.places {
		text, key := "", []byte(nil) // "" is never the key of an entity
		if k >= 0 {
			from := 0
			if k > 0 {
				from = e.ends[k-1]
			}
			text, key = texts[from:e.ends[k]], e.all[from:e.ends[k]:e.ends[k]]
		}
		at, seen := e.index[text]
		if !seen {
			at = int32(len(e.keys))
			e.index[text] = at
			e.keys = append(e.keys, key)
		}
		e.places[row] = at
	}
}

// sharing returns the row-to-key mapping if some rows share an entity, else nil.
func (e *entitySet) sharing() wire.RowMap {
	if len(e.keys) == len(e.places) {
		return nil
	}
	return e.places
}

// fetched holds what a view needs for a request: for each entity its stored state, or what was kept
// of it.
type fetched struct {
	registry.Answer
	places wire.RowMap // for each row, the index of its entity; nil if row i has entity i
}

// fetch reads the states for all views of a query, in at most one round trip unless they are large. Unless at is plan.Never,
// values that were kept of states and are valid at that time stand in for them.
func (s *service) fetch(ctx context.Context, q *query, states stateReader, at plan.EventTime) ([]fetched, error) {
	for i := len(q.sets); i < len(s.sets); i++ {
		q.sets = append(q.sets, entitySet{})
	}
	for i, keys := range s.sets {
		q.sets[i].find(q, keys)
	}
	q.queries = q.queries[:0]
	for i, ref := range s.plan.Views {
		one := registry.Query{View: ref.View, Entities: q.sets[s.setOf[i]].keys, At: at}
		if at != plan.Never {
			one.For = s.purposes[i]
		}
		q.queries = append(q.queries, one)
	}
	reading, span := tracing.Start(ctx, "read states")
	answers, err := s.readStates(reading, q, states)
	span.Int("unskew.views", len(q.queries)).Int("unskew.rows", q.n).Text("unskew.service", s.plan.Name).End(err)
	if err != nil {
		return nil, err
	}
	q.fetched = q.fetched[:0]
	for i := range answers {
		q.fetched = append(q.fetched, fetched{answers[i], q.sets[s.setOf[i]].sharing()})
	}
	visitOf(ctx).fetchedStates(s, q.fetched)
	return q.fetched, nil
}

// kept returns what was kept of entity e, nil if nothing was.
func (f *fetched) kept(e int) *keptRow {
	if len(f.Kept) == 0 || f.Kept[e] == nil {
		return nil
	}
	return f.Kept[e].(*keptRow)
}

// stateBytes returns the length of the state of entity e.
func (f *fetched) stateBytes(e int) int {
	if k := f.kept(e); k != nil {
		return k.StateBytes
	}
	return len(f.States[e])
}
