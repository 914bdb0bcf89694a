package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/lease"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// division is how a log is divided, and among how many appliers.
type division struct{ shards, appliers int }

// beat is how often the appliers renew their leases; settled is when they have shared the shards.
const (
	beat    = 20 * time.Millisecond
	settled = 25 * beat
)

// measureDivided applies events of a log on Redis that is divided. All of them are in the log when the appliers
// begin. It returns events per second, and how many states were computed again because another applier wrote them first.
func measureDivided(ctx context.Context, d division, n sizes) (rate float64, conflicts int64, err error) {
	s, p, err := filled(ctx, "redis", 1, n)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p.Sources[0].Shards = d.shards
	shards, err := eventlog.NewLayouts(s.log).Begin(ctx, p.Sources[0])
	if err != nil {
		return 0, 0, err
	}
	in, err := online.NewIngester(p, s.log, now)
	if err != nil {
		return 0, 0, err
	}
	log := &gated{Log: s.log}
	all, stop, err := applying(ctx, d, s, log, p)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	log.gate.Lock()
	orders := workload.Stream(rand.New(rand.NewPCG(3, 5)), n.users, n.events, workload.Now+1, 1000)
	err = push(ctx, in, p, orders)
	log.gate.Unlock()
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	ends, err := shards.Ends(ctx, s.log)
	if err != nil {
		return 0, 0, err
	}
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		consumed, err := registry.ConsumedBy(ctx, s.store, p.Views)
		if err != nil {
			return 0, 0, err
		}
		if consumed[0].Offset.Covers(ends) {
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	took := time.Since(begun)
	for _, a := range all {
		conflicts += a.Stats().Conflicts
	}
	return float64(n.events) / took.Seconds(), conflicts, check(ctx, s.store, p, n, orders)
}

// gated is a log of which nobody learns the end while the gate is locked.
type gated struct {
	eventlog.Log
	gate sync.RWMutex
}

func (g *gated) End(ctx context.Context, shard string) (eventlog.Position, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Log.End(ctx, shard)
}

// applying starts appliers that share the shards. stop ends them.
func applying(ctx context.Context, d division, s *stores, log eventlog.Log, p *plan.Plan) (all []*online.Applier, stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var tables []*lease.Table
	var mu sync.Mutex
	var reported error
	report := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = errors.Join(reported, err)
	}
	stop = func() error {
		cancel()
		running.Wait()
		for _, t := range tables {
			report(t.Close())
		}
		return reported
	}
	for range d.appliers {
		table, err := lease.Open(ctx, redisconn.Options{Addresses: []string{s.redis.Address}})
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		tables = append(tables, table)
		a, err := online.New(online.Config{Plan: p, Log: log, Store: s.store, Clock: now, Leases: lease.NewMember(table, lease.Options{Beat: beat})})
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		all = append(all, a)
		running.Go(func() { report(a.Run(ctx, report)) })
	}
	return all, stop, nil
}

// divided prints how much faster, or slower, it is to apply a log of several shards, by one applier and by two.
func divided(ctx context.Context, n sizes) (one, two float64, err error) {
	n.events /= 2
	rates := map[division]float64{}
	for _, d := range []division{{1, 1}, {8, 1}, {8, 2}} {
		rate, conflicts, err := measureDivided(ctx, d, n)
		if err != nil {
			return 0, 0, err
		}
		rates[d] = rate
		fmt.Printf("%-34s %12.0f %34d conflicts\n", fmt.Sprintf("redis, 1, %d shards, %d appliers", d.shards, d.appliers), rate, conflicts)
	}
	return rates[division{8, 1}] / rates[division{1, 1}], rates[division{8, 2}] / rates[division{8, 1}], nil
}
