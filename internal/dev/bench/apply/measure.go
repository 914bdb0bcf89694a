package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// figures are events per second, and processor time of this process per event in µs.
type figures struct{ rate, floor, cpu float64 }

// measure applies events to the views in parts; before or after each part, the floor runs over as
// many events of the same users.
func measure(ctx context.Context, kind string, views int, n sizes) (f figures, err error) {
	s, p, err := filled(ctx, kind, views, n)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	in, err := online.NewIngester(p, s.log, now)
	if err != nil {
		return f, err
	}
	a, err := online.New(online.Config{Plan: p, Log: s.log, Store: s.store, Clock: now})
	if err != nil {
		return f, err
	}
	r := rand.New(rand.NewPCG(3, 5))
	orders := workload.Stream(r, n.users, n.events, workload.Now+1, 1000)
	var ours, least, cpu time.Duration
	other := floor{revisions: map[string]uint64{}}
	per := n.events / n.rounds
	for i := range n.rounds {
		part := orders[i*per : (i+1)*per]
		contestants := []func() error{
			func() error {
				took, err := other.race(ctx, s.store, p, part)
				least += took
				return err
			},
			func() error {
				if err := push(ctx, in, p, part); err != nil {
					return err
				}
				begin, before := time.Now(), bench.Spent(os.Getpid())
				err := a.CatchUp(ctx)
				ours += time.Since(begin)
				cpu += bench.Spent(os.Getpid()) - before
				return err
			},
		}
		// The second one finds the states in the store's caches, so they take turns.
		for c := range contestants {
			if err := contestants[(i+c)%2](); err != nil {
				return f, err
			}
		}
	}
	total := float64(per * n.rounds)
	if got := a.Stats().Applied; got != int64(per*n.rounds*views) {
		return f, fmt.Errorf("%d additions to states, want %d", got, per*n.rounds*views)
	}
	if err := check(ctx, s.store, p, n, orders[:per*n.rounds]); err != nil {
		return f, err
	}
	return figures{rate: total / ours.Seconds(), floor: total / least.Seconds(), cpu: float64(cpu.Microseconds()) / total}, nil
}

// push appends orders to the log.
func push(ctx context.Context, in *online.Ingester, p *plan.Plan, orders []workload.Order) error {
	for len(orders) > 0 {
		n := min(5000, len(orders))
		outcomes, err := in.Push(ctx, p.Sources[0].Name, workload.Batch(p.Sources[0], orders[:n]))
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			if o.Outcome != ingest.Appended {
				return fmt.Errorf("order %s: %v %s", orders[i].ID, o.Outcome, o.Message)
			}
		}
		orders = orders[n:]
	}
	return nil
}

// floorBatch is how many events the floor takes at a time; that many are read and written.
const floorBatch = 4096

// floor is the minimal work of an applier. It knows the revision of every key.
type floor struct {
	last      uint64
	revisions map[string]uint64
}

// race reads the states of the users of the orders, in all views, and sets each to the same
// bytes with the next revision, in batches in which each user occurs once. It works on copies
// of the states.
func (f *floor) race(ctx context.Context, store onlinestore.Store, p *plan.Plan, orders []workload.Order) (time.Duration, error) {
	type batch struct{ keys [][]byte }
	var batches []batch
	for _, v := range p.Views {
		g := registry.Generation{View: v.Fingerprint, Number: 1, Materialized: plan.Always}
		for from := 0; from < len(orders); from += floorBatch {
			seen := map[int64]bool{}
			var b batch
			for _, o := range orders[from:min(from+floorBatch, len(orders))] {
				if !seen[o.User] {
					seen[o.User] = true
					b.keys = append(b.keys, g.StateKey(workload.Key(o.User)))
				}
			}
			batches = append(batches, b)
		}
	}
	begin := time.Now()
	for _, b := range batches {
		values, err := store.Get(ctx, b.keys)
		if err != nil {
			return 0, err
		}
		writes := make([]onlinestore.Write, len(values))
		for i, old := range values {
			key := append([]byte{'x'}, b.keys[i][1:]...)
			writes[i] = onlinestore.Write{Key: key, Value: old}
		}
		if err := f.set(ctx, store, writes); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// set writes each value with a new revision.
func (f *floor) set(ctx context.Context, store onlinestore.Store, writes []onlinestore.Write) error {
	for i := range writes {
		f.last++
		binary.BigEndian.PutUint64(writes[i].Value, f.last)
		writes[i].Expect = f.revisions[string(writes[i].Key)]
		f.revisions[string(writes[i].Key)] = f.last
	}
	done, err := store.Swap(ctx, writes)
	if err != nil {
		return err
	}
	for _, ok := range done {
		if !ok {
			return errors.New("a value was not set")
		}
	}
	return nil
}

// check compares the features of some users with values computed by hand.
func check(ctx context.Context, store onlinestore.Store, p *plan.Plan, n sizes, applied []workload.Order) error {
	histories := workload.Orders(11, n.users, n.orders)
	for _, v := range p.Views {
		k, err := kernel.NewView(v)
		if err != nil {
			return err
		}
		for u := 0; u < n.users; u += n.users / 50 {
			all := histories[u]
			for _, o := range applied {
				if o.User == workload.UserID(u) {
					all = append(all, o)
				}
			}
			g := registry.Generation{View: v.Fingerprint, Number: 1, Materialized: plan.Always}
			values, err := store.Get(ctx, [][]byte{g.StateKey(workload.Key(workload.UserID(u)))})
			if err != nil {
				return err
			}
			f := k.ReadStored(values, later)
			for w, want := range workload.ByHand(all, later) {
				count, sum, distinct := f.Cols[5*w].Vec.Int[0], f.Cols[5*w+1].Vec.Double[0], f.Cols[5*w+4].Vec.Int[0]
				if count != want.Count || sum != want.Sum || distinct != want.Distinct {
					return fmt.Errorf("user %d, window %s: %d orders, %v, %d merchants; by hand %+v", u, workload.Windows[w].Literal, count, sum, distinct, want)
				}
			}
		}
	}
	return nil
}
