package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/server"
)

const defaultListen = "127.0.0.1:7171"

func newServe(o *options) *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve features and accept events over Connect, gRPC and HTTP/JSON",
		Long: `Serves every feature service of the project and accepts events for its stream sources,
on one port: Connect, gRPC, gRPC-Web, and JSON with an object for each row, which
/openapi.json describes. It also serves /livez, /readyz and /metrics. Pushed events are
applied to the online store as they arrive. Other machines can reach the server only with TLS
and known callers: --tls-cert, --tls-key and --callers.

/readyz, and gRPC's health service, say whether requests should be sent here: every view can
be served, log and store answer, and events are applied. On an interrupt the server is not
ready at once, goes on answering for the time of --grace, so that callers can go elsewhere,
and then finishes the requests that are running. A hangup is ignored.

If unskew.yaml has log: {retain: 7d}, older events are archived and removed from the log.

Requested training sets are built one at a time and kept for a day in the data folder. If an
interrupt stops a build, the build runs again after the next start.`,
		Example: `  unskew serve
  curl -s localhost:7171/openapi.json
  curl -s localhost:7171/v1/services/return_risk:read -H 'Content-Type: application/json' \
    -d '{"rows": [{"customer_id": 3, "amount": 20}]}'`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.serve(c, f) },
	}
	c.Flags().StringVar(&f.listen, "listen", defaultListen, "listen on `ADDRESS`; port 0 is any free one. Beyond the loopback interface TLS and callers are needed")
	c.Flags().StringVar(&f.security.files.Certificate, "tls-cert", "", "serve over TLS with the certificate chain in `FILE`, in PEM")
	c.Flags().StringVar(&f.security.files.Key, "tls-key", "", "the private key of --tls-cert, in PEM: `FILE`")
	c.Flags().StringVar(&f.security.files.ClientCA, "client-ca", "", "accept client certificates signed by the authorities in `FILE`")
	c.Flags().StringVar(&f.security.callers, "callers", "", "answer only the callers in `FILE`, with their roles; see unskew token --help")
	c.Flags().StringSliceVar(&f.security.hosts, "host", nil, "without --callers, also answer requests for `NAME`, to which a proxy on this machine has been called")
	c.Flags().DurationVar(&f.grace, "grace", 0, "answer for `TIME` after an interrupt while not ready, as in 10s")
	c.Flags().DurationVar(&f.maxStaleness, "max-staleness", 0, "not be ready while a view over a stream is staler than `TIME`, as in 5m")
	c.Flags().StringVar(&f.memory, "training-memory", "", "use at most `SIZE` of memory for training sets, besides what serving takes (default: a quarter of the machine's)")
	c.Flags().StringVar(&f.nearCache, "near-cache", fmt.Sprintf("%dMiB", limits.NearCacheBytes>>20), "keep what reads have made of states, in at most `SIZE` of memory; 0 keeps nothing")
	return c
}

// serveFlags are the flags of serve.
type serveFlags struct {
	listen, memory, nearCache string
	security                  securityFlags
	grace, maxStaleness       time.Duration
}

func (o *options) serve(c *cobra.Command, f serveFlags) (err error) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	memory := defaultMemory(4)
	if f.memory != "" {
		if memory, err = parseMemory("--training-memory", f.memory); err != nil {
			return err
		}
	}
	near := int64(0)
	if f.nearCache != "0" {
		if near, err = parseSize(f.nearCache); err != nil {
			return fmt.Errorf("--near-cache: %w", err)
		}
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	if f.grace < 0 || f.maxStaleness < 0 {
		return errors.New("--grace and --max-staleness are times of 0 or more")
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	secure, err := f.security.read(log)
	if err != nil {
		return err
	}
	ln, err := server.Listen(f.listen, secure.secured())
	if err != nil {
		return err
	}
	st, err := backend.Of(p).Open(c.Context(), nil)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer closeWith(&err, st)
	states, err := st.KeepingStates(c.Context(), near)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	warn(c.ErrOrStderr(), st)
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
	fresh := freshness.New(freshness.Config{Log: st.Log, Store: st.Store, Clock: wallClock, CaughtUp: states.CaughtUp})
	if err := fresh.Register(metrics); err != nil {
		return errors.Join(err, ln.Close())
	}
	retention := online.NewRetention(p.Plan, st.Archive, st.Store, wallClock)
	retention.Register(metrics)
	ingester, err := online.NewIngester(p.Plan, st.Log, wallClock)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	queue, err := o.openTraining(p, st.Log, memory, log)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	cfg := server.Config{
		Clock: wallClock, States: states, Ingester: ingester, Training: queue, Applying: applier, Freshness: fresh, Log: log, Metrics: metrics,
		Grace: f.grace, MaxStaleness: f.maxStaleness,
	}
	secure.configure(&cfg)
	srv, err := server.New(cfg)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if err := srv.Promote(p.Plan); err != nil {
		return errors.Join(err, ln.Close())
	}
	boundHeap(near)
	// From here on it is known whether the server is ready; fresh.Run reports an error.
	_ = fresh.Refresh(c.Context(), wallClock())
	scheme := "http"
	if secure.tls != nil {
		scheme = "https"
	}
	fmt.Fprintf(c.ErrOrStderr(), "serving project %s on %s://%s (%s)\n", p.Name, scheme, ln.Addr(), st.Name)
	// Everything else works until the last request is answered.
	work, stop := context.WithCancel(context.WithoutCancel(c.Context()))
	defer stop()
	g, ctx := errgroup.WithContext(work)
	g.Go(func() error {
		defer stop()
		serving, end := context.WithCancel(ctx)
		defer end()
		defer context.AfterFunc(c.Context(), end)()
		return srv.Serve(serving, ln)
	})
	g.Go(func() error { return ignoreHangups(ctx, hangups, log) })
	g.Go(func() error { return secure.run(ctx, log) })
	g.Go(func() error { return queue.Run(ctx) })
	g.Go(func() error { return clocks.Run(ctx) })
	g.Go(func() error {
		return retention.Run(ctx, p.Online.Retain, func(err error) { log.Warn("records stay in the log", "reason", err) })
	})
	g.Go(func() error {
		return fresh.Run(ctx, func(err error) { log.Warn("it is not known how stale views are", "reason", err) })
	})
	g.Go(func() error {
		return applier.Run(ctx, func(err error) { log.Warn("events wait in the log", "reason", err) })
	})
	return g.Wait()
}

// ignoreHangups keeps a closed terminal, or a daemon that sends SIGHUP to have configuration read
// again, from ending the server.
func ignoreHangups(ctx context.Context, hangups <-chan os.Signal, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangups:
			log.Info("hangup ignored; definitions are read at the start, so restart the server to serve others")
		}
	}
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
