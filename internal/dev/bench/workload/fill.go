package workload

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// Orders are the histories of users 0 to users-1, n orders each.
func Orders(seed uint64, users, n int) [][]Order {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([][]Order, users)
	for u := range out {
		out[u] = History(r, u, n)
	}
	return out
}

// Fill writes the state of every user in every view as generation 1 and makes it live. It
// returns the mean size of a state.
func Fill(ctx context.Context, store onlinestore.Store, p *plan.Plan, orders [][]Order) (bytes float64, err error) {
	total, states := 0, 0
	for _, v := range p.Views {
		n, err := fillView(ctx, store, v, orders)
		if err != nil {
			return 0, fmt.Errorf("view %s: %w", v.Name, err)
		}
		total, states = total+n, states+len(orders)
	}
	return float64(total) / float64(states), nil
}

func fillView(ctx context.Context, store onlinestore.Store, v *plan.View, orders [][]Order) (size int, err error) {
	k, err := kernel.NewView(v)
	if err != nil {
		return 0, err
	}
	load, err := store.Load(ctx)
	if err != nil {
		return 0, err
	}
	g := registry.Generation{View: v.Fingerprint, Number: 1, Materialized: plan.Always}
	s := k.NewState()
	var sel []int32
	for _, list := range orders {
		s.Reset()
		rows := k.Eval(Events(v.Source, list))
		sel = sel[:0]
		for i := range list {
			sel = append(sel, int32(i))
		}
		s.Apply(rows, sel, Now)
		value := s.Append(nil)
		size += len(value)
		if err := load.Put(g.StateKey(Key(list[0].User)), value); err != nil {
			return 0, err
		}
	}
	if err := load.Close(); err != nil {
		return 0, err
	}
	return size, registry.Promote(ctx, store, g)
}

// Key is the entity key of a user.
func Key(user int64) []byte {
	v := vector.New(plan.T(plan.Int), 1)
	v.Int[0] = user
	key, _ := entitykey.AppendRow(nil, []*vector.Vector{v}, 0)
	return key
}
