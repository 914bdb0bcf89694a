package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/validate/arrival"
)

func newSuggest(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "suggest",
		Short: "Suggest definitions that the recorded data support",
		Long:  `Suggests definitions that the recorded data support.`,
		Args:  takes(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSuggestKnownAt(o))
	return c
}

func newSuggestKnownAt(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "known-at [SOURCE]",
		Short: "Suggest when events and late columns are known, from when they arrived",
		Long: `Reads the log of pushed events, with its archive, and measures how long after their event time
events and late columns arrived; of a table without a stream, when they were in the live state
that unskew materialize built. Compares this with what known_at of the source, or of the
column, says, and suggests a delay that 99 % of the arrivals keep, or the schedule of a job that
sends them once a day or an hour.

Training takes known_at for rows of files. If these are known sooner there than they arrived in
the log, a model learns from values that serving does not have yet: parity calls that late. A
delay that is much longer than arrivals take withholds from training what serving has. Events
that only come through the log are known from their arrival in training, too.

Without SOURCE, all sources of which something is recorded. Fewer than 100 arrivals suggest nothing.`,
		Example:           `  unskew suggest known-at payments`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(sourceNames), cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(c *cobra.Command, args []string) error { return o.suggestKnownAt(c, args) },
	}
}

func (o *options) suggestKnownAt(c *cobra.Command, args []string) (err error) {
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	sources := p.Plan.Sources
	if len(args) == 1 {
		one, err := pick("source", args[0], sources, func(s *plan.Source) string { return s.Name })
		if err != nil {
			return err
		}
		sources = []*plan.Source{one}
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	reports := []*arrival.Report{}
	for _, s := range sources {
		r, err := measureArrivals(c.Context(), reader, st, s)
		if err != nil {
			return err
		}
		if r != nil {
			reports = append(reports, r)
		}
	}
	if len(reports) == 0 {
		return errors.New("nothing is recorded of when events arrive: the log records it of streams, and unskew materialize of tables")
	}
	if o.json {
		return printJSON(c, reports)
	}
	return printArrivals(c, reports)
}

// measureArrivals measures the arrivals of a source; the result is nil if nothing is recorded of it.
func measureArrivals(ctx context.Context, reader *relation.Reader, st *backend.Backend, s *plan.Source) (*arrival.Report, error) {
	if s.Stream {
		return arrival.Measure(ctx, st.Log, s)
	}
	recorded, err := ledger.Read(ctx, st.Store, s.Name)
	if err != nil {
		return nil, err
	}
	of := recorded.Of(nil)
	if of == nil {
		return nil, nil
	}
	return arrival.MeasureFiles(ctx, reader, of, s)
}

func printArrivals(c *cobra.Command, reports []*arrival.Report) error {
	out := c.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "source\tcolumn\tarrivals\thalf within\t90 %\t99 %\tlongest\tdeclared\tlater than that")
	for _, r := range reports {
		for _, d := range append([]arrival.Delays{r.Events}, r.Columns...) {
			later := "-"
			if d.Count > 0 && d.Declared != "not declared" {
				later = percentOf(d.Count, d.Count-d.Later)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Source, cmp.Or(d.Column, "-"), count(d.Count), cmp.Or(d.P50, "-"), cmp.Or(d.P90, "-"), cmp.Or(d.P99, "-"), cmp.Or(d.Longest, "-"), d.Declared, later)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		for _, d := range append([]arrival.Delays{r.Events}, r.Columns...) {
			of := "source " + r.Source
			if d.Column != "" {
				of = "column " + d.Column + " of source " + r.Source
			}
			switch {
			case d.Suggested == "":
			case !r.Files && d.Column == "":
				fmt.Fprintf(out, "%s has no files: training knows its events from when they arrived; nothing needs to be declared\n", of)
			default:
				fmt.Fprintf(out, "%s: write known_at: %s\n", of, d.Suggested)
			}
		}
	}
	return nil
}
