package server

import (
	"context"

	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// fetched is the stored states of a view for a request. Rows of one entity share
// its state, which is fetched once.
type fetched struct {
	registry.Answer
	entity []int32 // for each row, the index of its state; -1 for a null key, which is no entity's
}

// fetch reads the states of all entities of all views of a query in one round trip.
func (s *service) fetch(ctx context.Context, q *query, states stateReader) ([]fetched, error) {
	queries := make([]registry.Query, len(s.plan.Views))
	out := make([]fetched, len(s.plan.Views))
	for i, ref := range s.plan.Views {
		queries[i].View = ref.View
		queries[i].Entities, out[i].entity = s.entities(i, q)
	}
	answers, err := states.States(ctx, queries)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Answer = answers[i]
	}
	return out, nil
}

// entities lists the distinct keys of view i among the rows, and which is whose.
func (s *service) entities(i int, q *query) (keys [][]byte, entity []int32) {
	cols := make([]*vector.Vector, len(s.keys[i]))
	for c, k := range s.keys[i] {
		cols[c] = q.keys[k]
	}
	entity = make([]int32, q.n)
	index := make(map[string]int32, q.n)
	for row := range entity {
		key, ok := entitykey.AppendRow(nil, cols, row)
		if !ok {
			entity[row] = -1
			continue
		}
		e, seen := index[string(key)]
		if !seen {
			e = int32(len(keys))
			index[string(key)] = e
			keys = append(keys, key)
		}
		entity[row] = e
	}
	return keys, entity
}
