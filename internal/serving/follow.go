package serving

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/online"
)

// following is what follows the definitions of a plan: it takes events, applies them, archives them, and explains values.
type following struct {
	ingester  *online.Ingester
	applier   *online.Applier
	retention *online.Retention
	retain    plan.Micros
	metrics   *prometheus.Registry
	explains  *explain.Project
}

// follower is the following of the plan that is served, which can be replaced while everything works.
type follower struct {
	now  atomic.Pointer[following]
	next chan *following
}

// follow makes the following of a project.
func (r *run) follow(ctx context.Context, p *featuredefs.Project, explains *explain.Project) (*following, error) {
	b := r.backend
	f := &following{metrics: prometheus.NewRegistry(), retain: p.Online.Retain, explains: explains}
	leases, err := b.Leases(ctx)
	if err != nil {
		return nil, err
	}
	if f.applier, err = online.New(online.Config{Plan: p.Plan, Log: b.Log, Store: b.Store, Clock: clock.Now, Ready: r.clocks.Err, Leases: leases, Aside: r.setAside}); err != nil {
		return nil, err
	}
	f.applier.Register(f.metrics)
	f.retention = online.NewRetention(p.Plan, b.Archive, b.Store, clock.Now)
	f.retention.Register(f.metrics)
	f.ingester, err = online.NewIngester(p.Plan, b.Log, clock.Now)
	return f, err
}

// runFollowing applies and archives events until ctx ends, by the definitions that are served then.
func (r *run) runFollowing(ctx context.Context) error {
	for {
		f := r.follower.now.Load()
		following, stop := context.WithCancel(ctx)
		g, working := errgroup.WithContext(following)
		g.Go(func() error { return f.applier.Run(working, r.warns("events wait in the log")) })
		g.Go(func() error { return f.retention.Run(working, f.retain, r.warns("records stay in the log")) })
		ended := make(chan error, 1)
		go func() { ended <- g.Wait() }()
		select {
		case err := <-ended:
			stop()
			return err
		case next := <-r.follower.next:
			stop()
			if err := <-ended; err != nil {
				return err
			}
			r.follower.now.Store(next)
		}
	}
}

// Err implements the server's interface: why events are not applied.
func (f *follower) Err() error { return f.now.Load().applier.Err() }

// Push implements the server's interface.
func (f *follower) Push(ctx context.Context, source string, batch *vector.Batch) ([]ingest.Pushed, error) {
	return f.now.Load().ingester.Push(ctx, source, batch)
}

// Explain implements the server's interface.
func (f *follower) Explain(ctx context.Context, r explain.Request) (*explain.Explanation, error) {
	return f.now.Load().explains.Explain(ctx, r)
}

// Describe implements prometheus.Collector. What follows another plan of the same sources has the same metrics.
func (f *follower) Describe(to chan<- *prometheus.Desc) { f.now.Load().metrics.Describe(to) }

// Collect implements prometheus.Collector.
func (f *follower) Collect(to chan<- prometheus.Metric) { f.now.Load().metrics.Collect(to) }
