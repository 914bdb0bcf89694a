// Package serving runs the server of a project: it opens the log and the store, applies events, watches
// clocks, freshness and callers, and answers requests until it is told to stop. It needs no cgo.
package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/materializer/training"
	"github.com/unskew/unskew/server"
)

// Config says what is served.
type Config struct {
	Project *featuredefs.Project
	Flags   Flags
	Out     io.Writer // for the log, and the line that says where the server listens
	// Training opens the queue of training sets; nil: the server builds none.
	Training func(eventlog.Log, onlinestore.Store, *slog.Logger) (*training.Queue, error)
	// Past reads what states were built from, for explanations; nil: only what is in the log can be read.
	Past func(eventlog.Log) (recompute.History, recompute.Inputs)
	// Files reads the files that states were built from, for --parity; nil: nobody can.
	Files recompute.Past
	// Pages makes what answers browsers at /ui, from what explains values and, with --parity, what was found; nil: there are no pages. They are
	// handed in, so that a server that only serves is small.
	Pages func(*explain.Project, *recompute.Shadow) http.Handler
	// Telemetry begins to export spans and these metrics, if the environment says so, until it is stopped; nil: nothing is exported. It is handed
	// in for the same reason.
	Telemetry func(context.Context, prometheus.Gatherer, *slog.Logger) (stop func(context.Context) error, err error)
	// Load reads the project again, at a hangup, and Changed is told which one is served from then on. nil: it stays as it was.
	Load    func(context.Context) (*featuredefs.Project, error)
	Changed func(*featuredefs.Project)
}

// Run serves until ctx ends, then answers what is running, and returns.
func Run(ctx context.Context, c Config) (err error) {
	// From the beginning, hangups do not end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	memory, err := c.Flags.check()
	if err != nil {
		return err
	}
	r := newRun(c, memory)
	r.work(func(ctx context.Context) error { return r.followHangups(ctx, hangups) })
	defer r.export(ctx)()
	if r.secure, err = c.Flags.security(r.log); err != nil {
		return err
	}
	ln, err := server.Listen(c.Flags.Listen, r.secure.secured())
	if err != nil {
		return err
	}
	of := backend.Of(c.Project)
	of.Waiting = backend.TellWaiting(c.Out)
	if r.backend, err = of.OpenAlone(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	defer func() { err = errors.Join(err, r.backend.Close()) }()
	if err := r.open(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	return r.serve(ctx, ln)
}

// run is a server and what works beside it.
type run struct {
	Config
	near    int64 // bytes of the near cache
	keep    int64 // bytes of the events that are kept for --parity
	reloads *prometheus.CounterVec
	clocks  *clock.Watch
	served  *servedlog.Log // nil: nothing is recorded
	// freshness knows how stale views are, follower is what follows their definitions.
	freshness *freshness.Tracker
	follower  follower
	log       *slog.Logger
	metrics   *prometheus.Registry
	secure    security
	backend   *backend.Backend
	server    *server.Server
	shadow    *recompute.Shadow // nil: nothing is checked
	history   recompute.History // nil: that of the log
	inputs    recompute.Inputs
	workers   []func(context.Context) error
}

func newRun(c Config, memory sizes) *run {
	r := &run{Config: c, near: memory.near, keep: memory.keep, log: slog.New(slog.NewTextHandler(c.Out, nil)), metrics: prometheus.NewRegistry()}
	r.reloads, r.follower.next = newReloads(r.metrics), make(chan *following)
	return r
}

// export begins to export what is measured, and returns what ends that. It never keeps a server from serving.
func (r *run) export(ctx context.Context) (stop func()) {
	if r.Telemetry == nil {
		return func() {}
	}
	end, err := r.Telemetry(ctx, r.metrics, r.log)
	if err != nil {
		r.log.Error("no spans and metrics are exported", "reason", err)
	}
	return func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
		defer cancel()
		if err := end(last); err != nil {
			r.log.Warn("the last spans or metrics were not exported", "reason", err)
		}
	}
}

// work adds something that runs until its context ends.
func (r *run) work(f func(context.Context) error) { r.workers = append(r.workers, f) }

// warns returns a function that logs errors under a message.
func (r *run) warns(message string) func(error) {
	return func(err error) { r.log.Warn(message, "reason", err) }
}

// open makes the server and its workers.
func (r *run) open(ctx context.Context) error {
	p, b := r.Project.Plan, r.backend
	cfg := server.Config{
		Clock: clock.Now, Log: r.log, Metrics: r.metrics, Grace: r.Flags.Grace, MaxStaleness: r.Flags.MaxStaleness,
	}
	if err := r.watchStores(&cfg); err != nil {
		return err
	}
	states, err := b.KeepingStates(ctx, r.near)
	if err != nil {
		return err
	}
	for _, text := range b.Warnings {
		fmt.Fprintf(r.Out, "warning: %s\n", text)
	}
	r.secure.warn(p, r.log)
	r.work(func(ctx context.Context) error { return r.secure.run(ctx, r.log) })
	cfg.States = states
	r.secure.configure(&cfg)
	if err := r.openEvents(ctx); err != nil {
		return err
	}
	if r.Past != nil {
		r.history, r.inputs = r.Past(b.Log)
	}
	if err := r.openServed(&cfg); err != nil {
		return err
	}
	following, err := r.follow(ctx, r.Project, nil)
	if err != nil {
		return err
	}
	values := &explain.Project{Plan: p, Log: b.Log, Store: b.Store, Served: backend.ServedLogDir(r.Project), History: r.history, Inputs: r.inputs}
	following.explains = values
	r.follower.now.Store(following)
	r.work(r.runFollowing)
	if err := r.metrics.Register(&r.follower); err != nil {
		return err
	}
	cfg.Ingester, cfg.Applying, cfg.Explain = &r.follower, &r.follower, &r.follower
	if r.Pages != nil {
		cfg.Pages = r.Pages(values, r.shadow)
	}
	visibility := ledger.NewRecorder(b.Store)
	cfg.Freshness = freshness.New(freshness.Config{Log: b.Log, Store: b.Store, Clock: clock.Now, CaughtUp: states.CaughtUp, Found: record(visibility)})
	r.freshness = cfg.Freshness
	r.work(func(ctx context.Context) error { return r.keepLedger(ctx, visibility, cfg.Freshness) })
	if err := cfg.Freshness.Register(r.metrics); err != nil {
		return err
	}
	r.work(func(ctx context.Context) error {
		return cfg.Freshness.Run(ctx, r.warns("it is not known how stale views are"))
	})
	if r.Training != nil {
		queue, err := r.Training(b.Log, b.Store, r.log)
		if err != nil {
			return err
		}
		cfg.Training = queue
		registerTraining(r.metrics, queue)
		r.work(queue.Run)
	}
	if r.server, err = server.New(cfg); err != nil {
		return err
	}
	if err := r.server.Promote(p); err != nil {
		return err
	}
	kept := r.near
	if r.shadow != nil {
		kept += r.keep
	}
	boundHeap(kept)
	// From here on it is known whether the server is ready; the tracker's Run reports an error.
	_ = cfg.Freshness.Refresh(ctx, clock.Now())
	return nil
}

// openEvents checks what events depend on: clocks, and the layouts of logs.
func (r *run) openEvents(ctx context.Context) (err error) {
	p, b := r.Project.Plan, r.backend
	if r.clocks, err = r.watchClocks(ctx); err != nil {
		return err
	}
	layouts := eventlog.NewLayouts(b.Log)
	for _, src := range p.Sources {
		if src.Stream {
			if err := layouts.Check(ctx, src); err != nil {
				return err
			}
		}
	}
	r.clocks.Register(r.metrics)
	r.work(r.clocks.Run)
	return nil
}

// lastLook bounds how long the end of a server waits for what it records last.
const lastLook = 2 * time.Second

// keepLedger stores what the tracker finds until ctx ends, and then what it finds once more, after the last answer.
func (r *run) keepLedger(ctx context.Context, of *ledger.Recorder, tracker *freshness.Tracker) error {
	report := r.warns("training sets as of the ledger may take events for later than they were seen")
	if err := of.Run(ctx, ledger.DefaultEvery, clock.Now, report); err != nil {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	if err := errors.Join(tracker.Refresh(last, clock.Now()), of.Store(last)); err != nil {
		report(err)
	}
	return nil
}

// record records up to when the views of streams have their log.
func record(in *ledger.Recorder) func(at plan.EventTime, views []*plan.View, marks freshness.Marks) {
	return func(at plan.EventTime, views []*plan.View, marks freshness.Marks) {
		for _, v := range views {
			if m, ok := marks[v.Fingerprint]; ok && v.Source.Stream && m.Complete != plan.Always {
				in.Observe(v, at, m.Complete)
			}
		}
	}
}

// setAside logs an event or entity that is in no state of a view.
func (r *run) setAside(v *plan.View, l registry.DeadLetter) {
	r.log.Error("event or entity set aside", "view", v.Name, "source", v.Source.Name, "shard", l.Shard, "position", l.Position,
		"entity", entitykey.Text(v.Entity, l.Entity), "reason", l.Reason)
}

// watchClocks starts to watch the clocks that event times depend on. A server does not start
// while one of them is wrong.
func (r *run) watchClocks(ctx context.Context) (*clock.Watch, error) {
	var sources []string
	for _, s := range r.Project.Plan.Sources {
		if s.Stream {
			sources = append(sources, s.Name)
		}
	}
	begin := time.Now()
	w := clock.New(clock.Config{
		Log: r.backend.Log, Sources: sources, Skew: r.backend.Skew, Now: clock.Now, Elapsed: func() time.Duration { return time.Since(begin) }, Report: r.log,
	})
	return w, w.Check(ctx)
}

// serve answers requests until ctx ends. Everything else works until the last one is answered.
func (r *run) serve(ctx context.Context, ln net.Listener) error {
	scheme := "http"
	if r.secure.tls != nil {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s", scheme, ln.Addr())
	share, err := r.backend.Share("unskew serve on " + url)
	if err != nil {
		r.log.Warn("other commands on this machine have to wait until the server ends", "reason", err)
	}
	if share != nil {
		r.work(share)
	}
	fmt.Fprintf(r.Out, "serving project %s on %s (%s)\n", r.Project.Name, url, r.backend.Name)
	if r.Pages != nil {
		fmt.Fprintf(r.Out, "in a browser: %s/ui/\n", url)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, working := errgroup.WithContext(work)
	g.Go(func() error {
		defer stop()
		serving, end := context.WithCancel(working)
		defer end()
		defer context.AfterFunc(ctx, end)()
		return r.server.Serve(serving, ln)
	})
	for _, f := range r.workers {
		g.Go(func() error { return f(working) })
	}
	return g.Wait()
}
