package recompute

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/logpos"
)

// run is a run over all rows.
type run struct {
	cfg     Config
	shapes  []shape   // of the units
	reach   [][]reach // of the outputs
	from    [][]int   // of the outputs, those that they derive their values from
	events  Narrowed  // of all entities
	tallies []*tally
	mu      sync.Mutex
}

// Run computes the rows again and reports what differs.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.complete()
	if err := cfg.checkBy(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, reach: reaches(cfg.Service), from: inherits(cfg.Service), events: Narrowed{cfg.Log, map[string]logpos.Vector{}, cfg.History, 0}}
	rows := int64(0)
	for i := range cfg.Units {
		u := &cfg.Units[i]
		r.shapes = append(r.shapes, shapeOf(u, cfg.Service))
		rows += int64(u.Rows)
	}
	if err := r.findEnds(ctx); err != nil {
		return nil, err
	}
	passes, done := passesFor(rows/int64(r.cfg.OneIn), cfg.Service, r.cfg.Memory), 0
	if cfg.Checkpoint != nil {
		passes = max(passes, int(min(maxPasses, rows/checkpointRows+1)))
	}
	before, err := r.resume()
	if err != nil {
		return nil, err
	}
	if before != nil {
		passes, done, r.events.Ends, r.tallies = before.Passes, before.Done, before.Ends, []*tally{before.Tally.tally()}
	}
	for ; ; done = 0 {
		if cfg.Fewer {
			r.cfg.OneIn, passes = r.cfg.OneIn*passes, 1
		}
		err := r.passesOf(ctx, passes, done)
		if !errors.Is(err, errNoRoom) {
			if err == nil {
				err = r.finished()
			}
			if err != nil {
				return nil, err
			}
			return r.makeReport(), nil
		}
		r.tallies = nil
		if passes *= 2; passes*r.cfg.OneIn > maxPasses {
			return nil, fmt.Errorf("the events of one in %d entities do not fit into %d MiB; allow more memory", passes/2*r.cfg.OneIn, r.cfg.Memory>>20)
		}
	}
}

// findEnds notes how far the logs are read: all passes read the same.
func (r *run) findEnds(ctx context.Context) error {
	if r.cfg.Narrow != nil {
		return nil
	}
	ends := r.events.Ends
	for i := range r.cfg.Service.Views {
		src := r.cfg.Service.Views[i].View.Source
		if _, done := ends[src.Name]; done || !src.Stream || r.cfg.Log == nil {
			continue
		}
		shards, err := eventlog.NewLayouts(r.cfg.Log).Find(ctx, src.Name)
		if err != nil {
			return err
		}
		if ends[src.Name], err = shards.Ends(ctx, r.cfg.Log); err != nil {
			return fmt.Errorf("source %s: event log: %w", src.Name, err)
		}
	}
	return nil
}

// passesOf makes the passes from one on.
func (r *run) passesOf(ctx context.Context, passes, from int) error {
	for n := from; n < passes; n++ {
		p := &pass{run: r, number: n, passes: passes, events: &r.events}
		p.held.most = r.cfg.Memory
		for i := range r.cfg.Service.Views {
			ref := &r.cfg.Service.Views[i]
			of := &role{ref: ref, number: i}
			of.build, of.built = r.cfg.Builds[ref.View.Fingerprint]
			p.roles = append(p.roles, of)
		}
		for _, step := range []func(context.Context) error{p.gather, p.narrow, p.compute, func(ctx context.Context) error { return p.compareAll(ctx, false) }, p.explainAll} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		if err := r.save(passes, n+1); err != nil {
			return fmt.Errorf("keep what is done: %w", err)
		}
	}
	return nil
}

// caught calls f, and makes an error of a panic: what checks a server must not end it.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// report tells of progress.
func (r *run) report(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Progress(p)
}
