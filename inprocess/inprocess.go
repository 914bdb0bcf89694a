// Package inprocess serves the features of a project inside a Go program. Its client has the
// methods and the values of a client of unskew serve, and its calls never leave the process.
//
//	features, err := inprocess.Open(ctx, "path/to/project", inprocess.Options{})
//	defer features.Close()
//	rows, err := features.Client().GetFeatures(ctx, "fraud_v1", keys, request)
//
// The project's definitions, log and online store are those of the command: unskew.yaml and its
// environment variables say where they are. An embedded store is open in one process at a time.
// Views over tables are filled by unskew materialize; the types of columns come from unskew.lock.
package inprocess

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/sdk"
	"github.com/unskew/unskew/server"
)

// Options configure Features; the zero value is usable.
type Options struct {
	Log *slog.Logger // nil: nothing is logged
	// ReadOnly accepts no events and applies none. Another process does that, on the same Redis.
	ReadOnly bool
	// NearCache is how many bytes may be kept of what reads have made of states; 0 is 64 MiB, and
	// less than 0 keeps nothing.
	NearCache int64
}

// Features serves the features of a project. It is safe for concurrent use.
type Features struct {
	handler http.Handler
	client  *sdk.Client
	backend *backend.Backend
	stop    context.CancelFunc
	running *errgroup.Group
}

// Open loads the project in dir, opens its log and store, and applies the events that wait in the
// log. It goes on applying events until Close.
func Open(ctx context.Context, dir string, o Options) (*Features, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	p, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		return nil, err
	}
	if found.HasErrors() {
		var text strings.Builder
		err := found.Errors().Render(&text)
		return nil, cmp.Or(err, fmt.Errorf("the definitions in %s have errors:\n%s", dir, text.String()))
	}
	b, err := backend.Of(p).OpenAlone(ctx)
	if err != nil {
		return nil, err
	}
	f := &Features{backend: b, running: new(errgroup.Group)}
	// The work goes on after ctx, until Close.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	unlink := context.AfterFunc(ctx, stop) // until Open returns
	err = f.start(work, p, o)
	if unlink(); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// start makes the parts of f and runs them until ctx ends.
func (f *Features) start(ctx context.Context, project *featuredefs.Project, o Options) error {
	p := project.Plan
	states, err := f.backend.KeepingStates(ctx, cmp.Or(o.NearCache, limits.NearCacheBytes))
	if err != nil {
		return err
	}
	fresh := freshness.New(freshness.Config{Log: f.backend.Log, Store: f.backend.Store, Clock: clock.Now, CaughtUp: states.CaughtUp})
	cfg := server.Config{Clock: clock.Now, States: states, Freshness: fresh, Log: o.Log}
	if !o.ReadOnly {
		ingester, err := online.NewIngester(p, f.backend.Log, clock.Now)
		if err != nil {
			return err
		}
		applier, err := f.apply(ctx, p, o.Log)
		if err != nil {
			return err
		}
		cfg.Ingester, cfg.Applying = ingester, applier
	}
	if cfg.Served, err = f.record(ctx, project, o.Log); err != nil {
		return err
	}
	srv, err := server.New(cfg)
	if err != nil {
		return err
	}
	if err := srv.Promote(p); err != nil {
		return err
	}
	f.running.Go(func() error {
		return fresh.Run(ctx, func(err error) { o.Log.Warn("it is not known how stale views are", "reason", err) })
	})
	f.handler = srv.Handler()
	f.client, err = f.NewClient()
	return err
}

// record begins to record answers, if the project says so.
func (f *Features) record(ctx context.Context, p *featuredefs.Project, log *slog.Logger) (*servedlog.Log, error) {
	c, err := backend.ServedLog(p)
	if err != nil || !c.On() {
		return nil, err
	}
	c.Log = log
	l := servedlog.New(c)
	f.running.Go(func() error { return l.Run(ctx) })
	return l, nil
}

// apply begins to apply events.
func (f *Features) apply(ctx context.Context, p *plan.Plan, log *slog.Logger) (*online.Applier, error) {
	leases, err := f.backend.Leases(ctx)
	if err != nil {
		return nil, err
	}
	a, err := online.New(online.Config{Plan: p, Log: f.backend.Log, Store: f.backend.Store, Clock: clock.Now, Leases: leases,
		Aside: func(v *plan.View, l registry.DeadLetter) {
			log.Error("event or entity set aside", "view", v.Name, "position", l.Position, "reason", l.Reason)
		}})
	if err != nil {
		return nil, err
	}
	report := func(err error) { log.Warn("events wait in the log", "reason", err) }
	if err := a.CatchUp(ctx); err != nil {
		report(err) // Run tries again; a view over a table may not have been materialized
	}
	f.running.Go(func() error { return a.Run(ctx, report) })
	return a, nil
}

// Client returns the client with the default options.
func (f *Features) Client() *sdk.Client { return f.client }

// NewClient returns a client with other options. Options for the network have no effect.
func (f *Features) NewClient(opts ...sdk.Option) (*sdk.Client, error) {
	return sdk.New("http://in.process", append(opts, sdk.WithHandler(f.handler))...)
}

// Handler returns the handler behind the client, to offer the same features over HTTP as well. It
// does not authenticate callers.
func (f *Features) Handler() http.Handler { return f.handler }

// Close stops applying events and closes the log and the store. Calls in progress fail.
func (f *Features) Close() error {
	f.stop()
	return errors.Join(f.running.Wait(), f.backend.Close())
}
