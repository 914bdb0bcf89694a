package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/server"
)

const defaultListen = "127.0.0.1:7171"

func newServe(o *options) *cobra.Command {
	var listen, memory string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve features and accept events over Connect, gRPC and HTTP/JSON",
		Long: `Serves every feature service of the project and accepts events for its stream sources,
on one port of the loopback interface: Connect, gRPC, gRPC-Web, and JSON with an object
for each row, which /openapi.json describes. It also serves /healthz, /readyz and
/metrics. Pushed events are applied to the online store as they arrive. On an interrupt,
the server finishes running requests first.

Requested training sets are built one at a time and kept for a day in the data folder. If an
interrupt stops a build, the build runs again after the next start.`,
		Example: `  unskew serve
  curl -s localhost:7171/openapi.json
  curl -s localhost:7171/v1/services/return_risk:read -H 'Content-Type: application/json' \
    -d '{"rows": [{"customer_id": 3, "amount": 20}]}'`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.serve(c, listen, memory) },
	}
	c.Flags().StringVar(&listen, "listen", defaultListen, "listen on `ADDRESS` of the loopback interface; port 0 is any free one")
	c.Flags().StringVar(&memory, "training-memory", "", "use at most `SIZE` of memory for a training set, like --memory of train")
	return c
}

func (o *options) serve(c *cobra.Command, listen, trainingMemory string) (err error) {
	memory, err := parseSize(trainingMemory)
	if err != nil {
		return fmt.Errorf("--training-memory: %w", err)
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	ln, err := server.Listen(listen)
	if err != nil {
		return err
	}
	st, err := backend.Of(p).Open(c.Context(), nil)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer closeWith(&err, st)
	warn(c.ErrOrStderr(), st)
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	metrics := prometheus.NewRegistry()
	clocks, err := watchClocks(c.Context(), p.Plan, st, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	clocks.Register(metrics)
	applier, err := online.New(online.Config{
		Plan: p.Plan, Log: st.Log, Store: st.Store, Clock: wallClock, Ready: clocks.Err,
		Aside: func(v *plan.View, l registry.DeadLetter) {
			log.Error("event or entity set aside", "letter", newDeadLetter(v, l).String())
		},
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	applier.Register(metrics)
	fresh := freshness.New(freshness.Config{Log: st.Log, Store: st.Store, Clock: wallClock})
	if err := fresh.Register(metrics); err != nil {
		return errors.Join(err, ln.Close())
	}
	ingester, err := online.NewIngester(p.Plan, st.Log, wallClock)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	queue, err := o.openTraining(p, st.Log, memory, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	srv, err := server.New(server.Config{Clock: wallClock, States: st.States(), Ingester: ingester, Training: queue, Freshness: fresh, Log: log, Metrics: metrics})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if err := srv.Promote(p.Plan); err != nil {
		return errors.Join(err, ln.Close())
	}
	fmt.Fprintf(c.ErrOrStderr(), "serving project %s on http://%s (%s)\n", p.Name, ln.Addr(), st.Name)
	g, ctx := errgroup.WithContext(c.Context())
	g.Go(func() error { return srv.Serve(ctx, ln) })
	g.Go(func() error { return queue.Run(ctx) })
	g.Go(func() error { return clocks.Run(ctx) })
	g.Go(func() error {
		return fresh.Run(ctx, func(err error) { log.Warn("it is not known how stale views are", "reason", err) })
	})
	g.Go(func() error {
		return applier.Run(ctx, func(err error) { log.Warn("events wait in the log", "reason", err) })
	})
	return g.Wait()
}

// watchClocks starts to watch the clocks that event times depend on. A server does not start
// while one of them is wrong.
func watchClocks(ctx context.Context, p *plan.Plan, st *backend.Backend, log *slog.Logger) (*clock.Watch, error) {
	var sources []string
	for _, s := range p.Sources {
		if s.Stream {
			sources = append(sources, s.Name)
		}
	}
	begin := time.Now()
	w := clock.New(clock.Config{
		Log: st.Log, Sources: sources, Skew: st.Skew, Now: wallClock, Elapsed: func() time.Duration { return time.Since(begin) }, Report: log,
	})
	return w, w.Check(ctx)
}
