package server

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/kernel/vector"
	"github.com/unskew/unskew/internal/registry"
)

// viewReader reads one view of a service in one role.
type viewReader struct {
	ref    plan.ViewRef
	keys   []int // of query.keys, one for each key of the entity
	kernel *kernel.View
	states []*kernel.State // scratch: decoded states

	// Of the current read. Rows of one entity share a state, so states of a batch
	// are fetched and decoded once each.
	generation registry.Generation
	entity     []int32         // for each row, the index of its entity in the query; -1 for a null key
	found      []*kernel.State // for each entity, nil when it has no state
	rows       []*kernel.State // for each row, nil for an unknown entity
}

// answer is the result of a read; it belongs to the reader until its next one.
type answer struct {
	asOf  plan.EventTime
	cols  []kernel.FeatureColumn // all outputs of the service, in its order
	views []*viewReader
}

// read computes the features of a query. clock is asked after the states are there,
// so an event they hold is not newer than T for any reason but the clocks' difference.
func (r *reader) read(ctx context.Context, q *query, states stateReader, clock func() plan.EventTime) (*answer, error) {
	queries := make([]registry.Query, len(r.views))
	for i, v := range r.views {
		queries[i] = registry.Query{View: v.ref.View, Entities: v.entities(q)}
	}
	found, err := states.States(ctx, queries)
	if err != nil {
		return nil, err
	}
	t := clock()
	for i, v := range r.views {
		newest, err := v.decode(found[i])
		if err != nil {
			return nil, fmt.Errorf("view %s: %w", v.ref.View.Name, err)
		}
		t = max(t, newest+1)
	}
	return r.compute(ctx, q, t)
}

// entities lists the distinct keys among the rows and remembers whose row is whose.
func (v *viewReader) entities(q *query) [][]byte {
	cols := make([]*vector.Vector, len(v.keys))
	for k, i := range v.keys {
		cols[k] = q.keys[i]
	}
	v.entity = v.entity[:0]
	var keys [][]byte
	index := make(map[string]int32, q.n)
	for i := range q.n {
		key, ok := entitykey.AppendRow(nil, cols, i)
		if !ok {
			v.entity = append(v.entity, -1)
			continue
		}
		e, seen := index[string(key)]
		if !seen {
			e = int32(len(keys))
			index[string(key)] = e
			keys = append(keys, key)
		}
		v.entity = append(v.entity, e)
	}
	return keys
}

// decode reads the fetched states and returns the newest visible time in them,
// plan.Always for none.
func (v *viewReader) decode(a registry.Answer) (plan.EventTime, error) {
	v.generation = a.Generation
	v.found = v.found[:0]
	newest, used := plan.Always, 0
	for e, b := range a.States {
		if b == nil {
			v.found = append(v.found, nil)
			continue
		}
		if used == len(v.states) {
			v.states = append(v.states, v.kernel.NewState())
		}
		s := v.states[used]
		used++
		if err := s.Decode(b); err != nil {
			return 0, fmt.Errorf("state of entity %d of the request: %w", e, err)
		}
		v.found = append(v.found, s)
		newest = max(newest, s.Newest())
	}
	v.rows = v.rows[:0]
	for _, e := range v.entity {
		if e < 0 {
			v.rows = append(v.rows, nil)
		} else {
			v.rows = append(v.rows, v.found[e])
		}
	}
	return newest, nil
}

// compute evaluates all views and then the derived features, as of t.
func (r *reader) compute(ctx context.Context, q *query, t plan.EventTime) (*answer, error) {
	at := make([]plan.EventTime, q.n)
	for i := range at {
		at[i] = t
	}
	features := make([]*kernel.Features, len(r.views))
	for i, v := range r.views {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		features[i] = v.kernel.Read(v.rows, at)
	}
	derived := r.derive.Derive(features, q.request, at)
	return &answer{asOf: t, cols: r.derive.Assemble(features, derived), views: r.views}, nil
}
