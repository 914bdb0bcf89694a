package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/validate/golden"
)

func newTest(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "test [DIR...]",
		Short: "Run the authors' tests on every path",
		Long: `Runs the FeatureTests of the project, or of the given project folders, on every path that
computes features: the oracle (a direct implementation of the semantics), the replay that
builds training sets, and the online path (log, applier, store, server) with an in-memory
embedded store, and with Redis if the project or UNSKEW_REDIS_ADDRESSES configures it.
Doubles are compared bit by bit.`,
		ValidArgsFunction: directories,
		RunE:              func(c *cobra.Command, args []string) error { return o.test(c, args) },
	}
}

func (o *options) test(c *cobra.Command, dirs []string) error {
	if len(dirs) == 0 {
		dirs = []string{o.project}
	}
	total := &golden.Result{Failures: []golden.Failure{}}
	tests, wrong := 0, 0
	for _, dir := range dirs {
		of := *o
		of.project = dir
		p, found, err := of.compile(c.Context(), nil, nil)
		if err != nil {
			return err
		}
		if found.HasErrors() {
			if err := found.Render(c.ErrOrStderr()); err != nil {
				return err
			}
			wrong++
			continue
		}
		r, err := golden.Run(c.Context(), p, of.paths(p))
		if err != nil {
			return err
		}
		tests += r.Tests
		total.Values += r.Values
		for _, f := range r.Failures {
			if len(dirs) > 1 {
				f.File = dir + "/" + f.File
			}
			total.Failures = append(total.Failures, f)
		}
	}
	total.Tests = tests
	if o.json {
		if err := printJSON(c, total); err != nil {
			return err
		}
	} else {
		printTested(c, total)
	}
	switch {
	case wrong > 0:
		return &findings{"definitions have errors in " + quantity(int64(wrong), "project")}
	case len(total.Failures) > 0:
		return &findings{}
	}
	return nil
}

func printTested(c *cobra.Command, r *golden.Result) {
	for _, f := range r.Failures {
		fmt.Fprintln(c.OutOrStdout(), f)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s, %s compared, %s\n",
		quantity(int64(r.Tests), "test"), quantity(int64(r.Values), "value"), quantity(int64(len(r.Failures)), "failure"))
}

func (o *options) paths(p *featuredefs.Project) []golden.Path {
	paths := []golden.Path{golden.Oracle(), golden.Replay(), golden.Online("embedded store", backend.InMemory)}
	if c := backend.Of(p); c.Redis != nil {
		paths = append(paths, golden.Online("redis", c.Scratch))
	}
	return paths
}
