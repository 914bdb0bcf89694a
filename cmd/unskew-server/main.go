// Command unskew-server serves the features of a project and applies its events, like unskew serve, but it
// builds no training sets. It contains no DuckDB and needs no C library, so it runs in an empty container.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/serving"
	"github.com/unskew/unskew/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process immediately
	c := newCommand()
	if err := c.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "unskew-server:", err)
		os.Exit(2)
	}
}

func newCommand() *cobra.Command {
	var project string
	var f serving.Flags
	c := &cobra.Command{
		Use:   "unskew-server",
		Short: "Serve the features of an Unskew project",
		Long: `Serves every feature service of the project and accepts events for its stream sources,
as unskew serve does, on one port: Connect, gRPC, gRPC-Web, and JSON with an object for each
row, which /openapi.json describes. It builds no training sets; unskew train and unskew serve
do. The column types of files come from unskew.lock, which unskew validate writes.

Log and store are those of unskew.yaml; UNSKEW_REDIS_ADDRESSES, UNSKEW_REDIS_PASSWORD,
UNSKEW_DATA and others override it (docs/operations.md).`,
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Version:           version.Text(),
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(c *cobra.Command, _ []string) error {
			load := func(context.Context) (*featuredefs.Project, error) {
				p, found, err := featuredefs.Load(project, featuredefs.Options{})
				if err != nil {
					return nil, err
				}
				if found.HasErrors() {
					if err := found.Errors().Render(c.ErrOrStderr()); err != nil {
						return nil, err
					}
					return nil, fmt.Errorf("the definitions in %s have errors", project)
				}
				return p, nil
			}
			p, err := load(c.Context())
			if err != nil {
				return err
			}
			return serving.Run(c.Context(), serving.Config{Project: p, Flags: f, Out: c.ErrOrStderr(), Load: load})
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return fmt.Errorf("%w; see %s --help", err, c.Name()) })
	c.Flags().StringVarP(&project, "project", "C", ".", "use the project in `DIR`")
	f.Register(c.Flags())
	return c
}
