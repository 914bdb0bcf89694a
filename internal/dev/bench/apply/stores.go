package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/eventlog"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	redislog "github.com/unskew/unskew/internal/eventlog/redis"
	"github.com/unskew/unskew/internal/onlinestore"
	pebblestore "github.com/unskew/unskew/internal/onlinestore/pebble"
	redisstore "github.com/unskew/unskew/internal/onlinestore/redis"
)

// now is the clock of log and applier. It advances and is later than every event, so that an
// event is visible when it is applied.
func now() plan.EventTime {
	return workload.Now + plan.EventTime(plan.Hour) + plan.EventTime(time.Since(started).Microseconds())
}

var started = time.Now()

// later is the time as of which results are checked: later than now during a run.
const later = workload.Now + plan.EventTime(plan.Day)

// stores are a log and a store of one kind, empty at first.
type stores struct {
	log   eventlog.Log
	store onlinestore.Store
	dir   string
	redis *bench.Redis
}

func open(ctx context.Context, kind string) (s *stores, err error) {
	s = &stores{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if kind == "pebble" {
		if s.dir, err = os.MkdirTemp("", "unskew-bench-"); err != nil {
			return s, err
		}
		log, err := pebblelog.Open(filepath.Join(s.dir, "log"), pebblelog.Options{Clock: now})
		if err != nil {
			return s, err
		}
		s.log = log
		store, err := pebblestore.Open(filepath.Join(s.dir, "store"), pebblestore.Options{})
		if err != nil {
			return s, err
		}
		s.store = store
		return s, nil
	}
	if s.redis, err = bench.StartRedis(); err != nil {
		return s, err
	}
	conn := redisstore.Options{Addresses: []string{s.redis.Address}}
	log, err := redislog.Open(ctx, redislog.Options{Options: conn, Clock: now})
	if err != nil {
		return s, err
	}
	s.log = log
	store, err := redisstore.Open(ctx, conn)
	if err != nil {
		return s, err
	}
	s.store = store
	return s, nil
}

// Close closes what is open and removes its data.
func (s *stores) Close() (err error) {
	if s.log != nil {
		err = errors.Join(err, s.log.Close())
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.redis != nil {
		err = errors.Join(err, s.redis.Close())
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// filled opens stores in which every user has a state in each view.
func filled(ctx context.Context, kind string, views int, n sizes) (*stores, *plan.Plan, error) {
	p, err := bench.Plan(workload.Definitions(views))
	if err != nil {
		return nil, nil, err
	}
	s, err := open(ctx, kind)
	if err != nil {
		return nil, nil, err
	}
	size, err := workload.Fill(ctx, s.store, p, workload.Orders(11, n.users, n.orders))
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	fmt.Fprintf(os.Stderr, "%s: %d views of %d entities, %.0f bytes each\n", kind, views, n.users, size)
	return s, p, nil
}
