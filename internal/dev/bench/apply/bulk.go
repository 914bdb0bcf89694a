package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/materializer/offline"
)

// bulk compares building the states of all users from a history in memory with sending as many bytes
// under as many keys to Redis, in pipelined SETs that nothing computes. It returns the rates of
// both, in states per second, and how often the history was read.
func bulk(ctx context.Context, kind string, n sizes) (rate, raw float64, passes int, err error) {
	p, err := bench.Plan(workload.Definitions(1))
	if err != nil {
		return 0, 0, 0, err
	}
	s, err := open(ctx, kind)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	history := historyOf(p, n)
	b := offline.Backfill{View: p.Views[0], Store: s.store, Log: s.log, Clock: now, To: plan.Never,
		History: func(_ context.Context, _ logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
			var g errgroup.Group
			var next atomic.Int64
			for worker := range workers {
				g.Go(func() error {
					for i := next.Add(1) - 1; i < int64(len(history)); i = next.Add(1) - 1 {
						if err := f(worker, history[i]); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return g.Wait()
		}}
	begin := time.Now()
	r, err := b.Run(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	took := time.Since(begin)
	if r.Entities != int64(n.users) {
		return 0, 0, 0, fmt.Errorf("%d states were built, want %d", r.Entities, n.users)
	}
	var keys, values []string
	err = s.store.Scan(ctx, r.Generation.Prefix(), func(key, value []byte) error {
		keys, values = append(keys, string(key)), append(values, string(value))
		return nil
	})
	if err != nil {
		return 0, 0, 0, err
	}
	least, err := setAll(ctx, keys, values)
	return float64(n.users) / took.Seconds(), float64(len(keys)) / least.Seconds(), r.Passes, err
}

// historyOf is the orders of all users by time, in batches.
func historyOf(p *plan.Plan, n sizes) (all []*kernel.Events) {
	const batch = 8192
	orders := workload.Orders(11, n.users, n.orders)
	var part []workload.Order
	for i := range n.orders {
		for u := range orders {
			if part = append(part, orders[u][i]); len(part) == batch {
				all, part = append(all, workload.Events(p.Sources[0], part)), nil
			}
		}
	}
	if len(part) > 0 {
		all = append(all, workload.Events(p.Sources[0], part))
	}
	return all
}

// setAll sends pairs to an empty Redis, a thousand at a time, and returns how long that took.
func setAll(ctx context.Context, keys, values []string) (took time.Duration, err error) {
	const batch = 1000
	server, err := bench.StartRedis()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Address}, DisableCache: true})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	begin := time.Now()
	for from := 0; from < len(keys); from += batch {
		to := min(from+batch, len(keys))
		sets := make(rueidis.Commands, 0, batch)
		for i := from; i < to; i++ {
			sets = append(sets, client.B().Set().Key(keys[i]).Value(values[i]).Build())
		}
		for _, answer := range client.DoMulti(ctx, sets...) {
			if err := answer.Error(); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(begin), nil
}
