package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/serving"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/internal/ui"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/training"
)

func newServe(o *options) *cobra.Command {
	var f serving.Flags
	var memory, results string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve features and accept events over Connect, gRPC and HTTP/JSON",
		Long: `Serves every feature service of the project and accepts events for its stream sources,
on one port: Connect, gRPC, gRPC-Web, and JSON with an object for each row, which
/openapi.json describes. It also serves /livez, /readyz and /metrics, and pages for a browser
at /ui/. Pushed events are
applied to the online store as they arrive. Other machines can reach the server only with TLS
and known callers: --tls-cert, --tls-key and --callers.

/readyz, and gRPC's health service, say whether requests should be sent here: every view can
be served, log and store answer, and events are applied. On an interrupt the server is not
ready at once, goes on answering for the time of --grace, so that callers can go elsewhere,
and then finishes the requests that are running. On a hangup it reads callers, the certificate,
log.retain, rates of the served log and the definitions again, if their views are materialized.

If unskew.yaml has log: {retain: 7d}, older events are archived and removed from the log. With
served_log: {rate: 1%}, or --served-log, a sample of what is answered is recorded. With
--parity the server computes what it has recorded again, over exactly the events behind it and
as training sees them, a minute later: /parity and metrics say what differs, and why.

Requested training sets are built one at a time and kept for a day in the data folder, or
until newer ones need the room of --training-results. If an
interrupt stops a build, the build runs again after the next start.`,
		Example: `  unskew serve
  curl -s localhost:7171/openapi.json
  curl -s localhost:7171/v1/services/return_risk:read -H 'Content-Type: application/json' \
    -d '{"rows": [{"customer_id": 3, "amount": 20}]}'`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.serve(c, f, memory, results) },
	}
	f.Register(c.Flags())
	c.Flags().StringVar(&memory, "training-memory", "", "use at most `SIZE` of memory for training sets, besides what serving takes (default: a quarter of the machine's)")
	c.Flags().StringVar(&results, "training-results", "64GiB", "keep results of at most `SIZE`, removing those that ended first")
	return c
}

func (o *options) serve(c *cobra.Command, f serving.Flags, trainingMemory, trainingResults string) (err error) {
	memory := defaultMemory(4)
	if trainingMemory != "" {
		if memory, err = parseMemory("--training-memory", trainingMemory); err != nil {
			return err
		}
	}
	results, err := text.ParseSize(trainingResults)
	if err != nil {
		return fmt.Errorf("--training-results: %w", err)
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	var serves atomic.Pointer[featuredefs.Project]
	serves.Store(p)
	cfg := serving.Config{
		Project: p, Flags: f, Out: c.ErrOrStderr(), Telemetry: export,
		Training: func(events eventlog.Log, store onlinestore.Store, log *slog.Logger) (*training.Queue, error) {
			return o.openTraining(&serves, events, store, memory, results, log)
		},
	}
	cfg.Load = func(context.Context) (*featuredefs.Project, error) { return o.load(c, nil) }
	cfg.Changed = serves.Store
	pages := ui.Config{Project: p.Name, Plan: p.Plan}
	reader, err := o.openReader(offline.LeastMemory, 1)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	cfg.Past = func(events eventlog.Log) (recompute.History, recompute.Inputs) {
		from := past{reader, events}
		return from.history, from.inputs
	}
	cfg.Files = &files{reader: reader, hashes: map[*plan.Source]fileHashes{}}
	cfg.Pages = func(values *explain.Project, shadow *recompute.Shadow) http.Handler {
		if shadow != nil {
			pages.Checks, pages.Explain = shadow, pageExplainer{values}.explain
		}
		return ui.Handler(pages)
	}
	return serving.Run(c.Context(), cfg)
}
