package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/unskew/unskew/internal/telemetry"
)

// export begins to export spans and, if there are any, metrics, as the environment says.
func export(ctx context.Context, metrics prometheus.Gatherer, log *slog.Logger) (stop func(context.Context) error, err error) {
	return telemetry.Start(ctx, telemetry.Config{Getenv: os.Getenv, Service: "unskew", Metrics: metrics, Log: log})
}

// lastExport bounds how long a command waits at its end for a collector.
const lastExport = 2 * time.Second

// traced runs a command and exports its spans. That they cannot be exported is a warning.
func traced(c *cobra.Command, run func() error) error {
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	stop, err := export(c.Context(), nil, log)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "warning: no spans are exported: %v\n", err)
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), lastExport)
		defer cancel()
		if err := stop(last); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "warning: the last spans were not exported: %v\n", err)
		}
	}()
	return run()
}
