package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// Pushes of this many events at this interval are 5,000 events per second.
const (
	pushed   = 50
	every    = 10 * time.Millisecond
	howOften = 300
)

// visible is the 99th percentile, in milliseconds, of the time from the beginning of a push
// until its last event is in the state of its user.
func visible(ctx context.Context, n sizes) (ms float64, err error) {
	n.users, n.orders = 2000, min(n.orders, 10)
	s, p, err := filled(ctx, "pebble", 1, n)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	in, err := online.NewIngester(p, s.log, now)
	if err != nil {
		return 0, err
	}
	a, err := online.New(online.Config{Plan: p, Log: s.log, Store: s.store, Clock: now})
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(running, func(error) {}) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	r := rand.New(rand.NewPCG(9, 9))
	orders := workload.Stream(r, n.users, pushed*howOften, workload.Now+1, 1000)
	g := registry.Generation{View: p.Views[0].Fingerprint, Number: 1, Materialized: plan.Always}
	var took []time.Duration
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range howOften {
		part := orders[i*pushed : (i+1)*pushed]
		begin := time.Now()
		if err := push(ctx, in, p, part); err != nil {
			return 0, err
		}
		key := g.StateKey(workload.Key(part[pushed-1].User))
		if err := await(ctx, s.store, key, uint64((i+1)*pushed)); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin))
		<-tick.C
	}
	slices.Sort(took)
	return took[len(took)*99/100].Seconds() * 1e3, nil
}

// await returns when the state has applied the log up to a position. A state's revision is
// the position plus one.
func await(ctx context.Context, store onlinestore.Store, key []byte, position uint64) error {
	for ctx.Err() == nil {
		values, err := store.Get(ctx, [][]byte{key})
		if err != nil {
			return err
		}
		if onlinestore.Revision(values[0]) > position {
			return nil
		}
		time.Sleep(100 * time.Microsecond)
	}
	return ctx.Err()
}
