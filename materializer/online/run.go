package online

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Run applies events as they are appended, until ctx ends, which is not an error, or the log
// or the store is closed. Other errors, such as an unreachable store or a view that has not
// been materialized, are retried; each is reported once while it persists. report may be
// called concurrently.
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
	f := follow(ctx, s)
	defer f.stop()
	said := ""
	for {
		ends, err := s.catchUp(f.ctx)
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
		if err := f.wait(ends); err != nil {
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
	grown  chan error // result of the log's Wait in progress; nil if there is none
}

func follow(ctx context.Context, s *sourceApplier) *follower {
	f := &follower{source: s, again: time.NewTicker(s.cfg.Recheck)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

func (f *follower) stop() {
	f.cancel()
	f.again.Stop()
	if f.grown != nil {
		<-f.grown
	}
}

// wait returns when a shard of the log has grown past its end, but after Recheck at the latest. Without ends, which are
// not known, it waits as long as that.
func (f *follower) wait(ends eventlog.Ends) error {
	if f.grown == nil && ends != nil {
		grown := make(chan error, 1)
		go func() { grown <- f.source.cfg.Log.Wait(f.ctx, ends) }()
		f.grown = grown
	}
	select {
	case <-f.again.C:
		return nil
	case err := <-f.grown:
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
