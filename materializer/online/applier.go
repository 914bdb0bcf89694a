// Package online applies the event log to the online store.
//
// For every live view it reads the log of the view's source, turns the records into
// rows through the kernel, and adds them to the states of their entities. Each
// state carries the log position it has applied and is written by compare-and-set
// on it, so every event has its effect exactly once whatever crashes, retries or
// runs twice.
package online

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Config is what an Applier works on. Batch bounds the records applied at a time
// (0: 4096).
type Config struct {
	Plan  *plan.Plan
	Log   eventlog.Log
	Store onlinestore.Store
	Clock eventlog.Clock
	Batch int
	// EverySource applies the log of every source, not only of those with a stream: a
	// replay pushes tables through the log too.
	EverySource bool
}

// Applier applies the log to every view of the plan. Its methods may be called
// concurrently; several appliers may run on one store.
type Applier struct {
	cfg     Config
	sources []*sourceApplier
}

// Stats counts what an applier did since it was made.
type Stats struct {
	Records   int64 // read from the log, once for each source
	Applied   int64 // additions of an event to a state
	Skipped   int64 // events without an entity in a view, for a null key
	Conflicts int64 // states another applier wrote first; read again and retried
}

// sourceApplier applies one source's log to the views over it.
type sourceApplier struct {
	cfg    *Config
	source *plan.Source
	ingest *ingest.Source
	mu     sync.Mutex // one round at a time
	views  []*viewApplier
	stats  struct{ records, applied, skipped, conflicts atomic.Int64 }
}

// New prepares an applier for every view of the plan whose source has events: those
// with a stream. Nothing is read yet.
func New(cfg Config) (*Applier, error) {
	if cfg.Batch == 0 {
		cfg.Batch = 4096
	}
	a := &Applier{cfg: cfg}
	for _, src := range cfg.Plan.Sources {
		if !src.Stream && !cfg.EverySource {
			continue
		}
		in, err := ingest.NewSource(src)
		if err != nil {
			return nil, err
		}
		s := &sourceApplier{cfg: &a.cfg, source: src, ingest: in}
		for _, v := range cfg.Plan.Views {
			if v.Source != src {
				continue
			}
			k, err := kernel.NewView(v)
			if err != nil {
				return nil, err
			}
			s.views = append(s.views, &viewApplier{kernel: k, applier: s})
		}
		if len(s.views) > 0 {
			a.sources = append(a.sources, s)
		}
	}
	return a, nil
}

// Stats adds up the counters of all sources.
func (a *Applier) Stats() Stats {
	var t Stats
	for _, s := range a.sources {
		t.Records += s.stats.records.Load()
		t.Applied += s.stats.applied.Load()
		t.Skipped += s.stats.skipped.Load()
		t.Conflicts += s.stats.conflicts.Load()
	}
	return t
}

// CatchUp applies everything that is in the log when it is called.
func (a *Applier) CatchUp(ctx context.Context) error {
	for _, s := range a.sources {
		end, err := a.cfg.Log.End(ctx, s.source.Name)
		if err != nil {
			return fmt.Errorf("log of source %s: %w", s.source.Name, err)
		}
		if err := s.catchUp(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// Run applies events as they are appended, until ctx ends. A view that has not been
// materialized does not stop the others; it is tried again with the next event.
func (a *Applier) Run(ctx context.Context, report func(error)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range a.sources {
		g.Go(func() error { return s.run(ctx, report) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *sourceApplier) run(ctx context.Context, report func(error)) error {
	for {
		end, err := s.cfg.Log.End(ctx, s.source.Name)
		if err == nil {
			err = s.catchUp(ctx, end)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var none *registry.NotMaterialized
		if errors.As(err, &none) {
			report(err)
		} else if err != nil {
			return err
		}
		if err := s.cfg.Log.Wait(ctx, s.source.Name, end); err != nil {
			return err
		}
	}
}

// catchUp applies the log up to end to every view. Views that are not
// materialized are left out and reported once the others are done.
func (s *sourceApplier) catchUp(ctx context.Context, end eventlog.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing error
	var ready []*viewApplier
	next := end
	for _, v := range s.views {
		from, err := v.start(ctx)
		var none *registry.NotMaterialized
		if errors.As(err, &none) {
			missing = err
			continue
		}
		if err != nil {
			return fmt.Errorf("view %s: %w", v.kernel.Plan().Name, err)
		}
		ready = append(ready, v)
		next = min(next, from)
	}
	for next < end && len(ready) > 0 {
		n, err := s.round(ctx, ready, next)
		if err != nil {
			return err
		}
		next = n
	}
	return missing
}

// round applies the next batch of records to the given views.
func (s *sourceApplier) round(ctx context.Context, views []*viewApplier, after eventlog.Position) (eventlog.Position, error) {
	records, err := s.cfg.Log.Read(ctx, s.source.Name, after, s.cfg.Batch)
	if err != nil {
		return 0, fmt.Errorf("log of source %s after %d: %w", s.source.Name, after, err)
	}
	if len(records) == 0 {
		return 0, fmt.Errorf("log of source %s: no record after %d although its end lies beyond", s.source.Name, after)
	}
	events, err := s.decode(records)
	if err != nil {
		return 0, err
	}
	s.stats.records.Add(int64(len(records)))
	to := records[len(records)-1].Position
	for _, v := range views {
		if v.offset >= to {
			continue
		}
		if err := v.apply(ctx, events, records, s.cfg.Clock()); err != nil {
			return 0, fmt.Errorf("view %s: %w", v.kernel.Plan().Name, err)
		}
		if err := v.commit(ctx, to); err != nil {
			return 0, fmt.Errorf("view %s: %w", v.kernel.Plan().Name, err)
		}
	}
	return to, nil
}
