package online

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Run applies events as they are appended, until ctx ends, which is not an error, or the log
// or the store is closed. Other errors, such as an unreachable store or a view that has not
// been materialized, are retried; each is reported once while it persists. report may be
// called concurrently.
//
// With leases it applies the shards that it has, and gives them up when it ends.
func (a *Applier) Run(ctx context.Context, report func(error)) error {
	if a.cfg.Leases == nil {
		return a.run(ctx, report)
	}
	leasing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.cfg.Leases.Run(leasing, report) })
	g.Go(func() error {
		defer stop() // nothing is applied any more
		return a.run(ctx, report)
	})
	return g.Wait()
}

func (a *Applier) run(ctx context.Context, report func(error)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range a.sources {
		g.Go(func() error { return s.run(ctx, report) })
	}
	if len(a.sources) > 0 {
		g.Go(func() error { return a.countLetters(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *sourceApplier) run(ctx context.Context, report func(error)) error {
	f := follow(ctx, s)
	defer f.stop()
	said := ""
	for {
		share := s.share.Load()
		changed := share.Changed()
		ends, err := s.catchUp(f.ctx, false)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.failed.Store(nil); err != nil {
			s.failed.Store(&err)
		}
		if errors.Is(err, eventlog.ErrClosed) || errors.Is(err, onlinestore.ErrClosed) {
			return err
		}
		now := ""
		if err != nil {
			now = err.Error()
		}
		if now != said && err != nil {
			report(err)
		}
		said = now
		if share == nil && s.share.Load() != nil {
			continue // it may have shards by now
		}
		if err := f.wait(ends, changed); err != nil {
			return err
		}
	}
}

// follower waits for a source's log to grow. If Recheck interrupts a wait, the wait continues
// in the background and is reused.
type follower struct {
	ctx    context.Context
	cancel context.CancelFunc
	source *sourceApplier
	again  *time.Ticker
	grown  chan error         // result of the log's Wait in progress; nil if there is none
	shards []string           // that it waits for
	leave  context.CancelFunc // ends it
}

func follow(ctx context.Context, s *sourceApplier) *follower {
	f := &follower{source: s, again: time.NewTicker(s.cfg.Recheck)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

func (f *follower) stop() {
	f.cancel()
	f.again.Stop()
	f.abandon()
}

// abandon ends the Wait in progress.
func (f *follower) abandon() {
	if f.grown != nil {
		f.leave()
		<-f.grown
		f.grown = nil
	}
}

// watch begins to wait for shards to grow past their ends, unless it waits for these shards already.
func (f *follower) watch(ends eventlog.Ends) {
	shards := slices.Sorted(maps.Keys(ends))
	if f.grown != nil && slices.Equal(f.shards, shards) {
		return
	}
	if f.abandon(); len(shards) == 0 {
		return
	}
	ctx, leave := context.WithCancel(f.ctx)
	grown := make(chan error, 1)
	go func() { grown <- f.source.cfg.Log.Wait(ctx, ends) }()
	f.grown, f.shards, f.leave = grown, shards, leave
}

// wait returns when a shard of the log has grown past its end or the applier has other shards than before, but after Recheck at the latest. Without
// ends, which are not known, it waits as long as that.
func (f *follower) wait(ends eventlog.Ends, changed <-chan struct{}) error {
	if ends != nil {
		f.watch(ends)
	}
	select {
	case <-f.again.C:
		return nil
	case <-changed:
		return nil
	case err := <-f.grown:
		f.leave()
		f.grown = nil
		if err == nil || errors.Is(err, eventlog.ErrClosed) {
			return err
		}
	case <-f.ctx.Done():
	}
	// An unreachable log fails immediately, so pause until the next tick; a cancelled wait
	// ends here too.
	select {
	case <-f.again.C:
		return nil
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}
