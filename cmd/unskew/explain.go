package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/sdk"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	keys    []string
	at      string
	request string
	row     int64
	events  int
	server  string
}

func newExplain(o *options) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain VIEW.FEATURE",
		Short: "Show how the value of a feature came about, event by event",
		Long: `Shows the definition of a feature, the aggregates that it reads, the events of one entity that
are in them, and those that are left out with the reason. It computes the value as training
sees it, over all events that are known now, and again over the events that serving has, and
compares both with the value that serving answers: these must be equal bit for bit. Where
training and serving differ, the events that only one of them has are marked.

A feature is named VIEW.FEATURE; with --request, also as a service names it, ROLE.FEATURE.

Without --at the value is as of now. With --at it is that of training at another time; serving
answers as of now only. With --request it is the value that a server recorded for a request
(served_log: in unskew.yaml), whose id was in the header X-Request-Id of the answer.

Files, log and store of the project are read here, beside a server that has them open. With
--server the server explains instead, to callers with the role admin.`,
		Example: `  unskew explain spending.mean_30d --key user_id=42
  unskew explain spending.mean_30d --key user_id=42 --at 2025-03-01T12:00:00Z --json
  unskew explain spending.mean_30d --request 7QX4KJ2M`,
		Args:              takes(1, 1),
		ValidArgsFunction: first(o.completes(viewFeatureNames), cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(c *cobra.Command, args []string) error { return o.explain(c, &f, args[0]) },
	}
	c.Flags().StringArrayVarP(&f.keys, "key", "k", nil, "`NAME=VALUE` of a key of the view's entity; repeat for several")
	c.Flags().StringVar(&f.at, "at", "", "as of this `TIME`, such as 2025-03-01T12:00:00Z, instead of now")
	c.Flags().StringVar(&f.request, "request", "", "explain what was answered to the request with this `ID`")
	c.Flags().Int64Var(&f.row, "row", 0, "row `N` of the request, from 0")
	c.Flags().IntVar(&f.events, "events", 20, "list `N` events; all are counted")
	c.Flags().StringVar(&f.server, "server", "", "ask the server at `URL` instead of reading the project's log, store and files")
	c.MarkFlagsMutuallyExclusive("at", "request")
	c.MarkFlagsMutuallyExclusive("key", "request")
	c.MarkFlagsOneRequired("key", "request")
	return c
}

func viewFeatureNames(p *plan.Plan) (names []cobra.Completion) {
	for _, v := range p.Views {
		for _, f := range v.Features {
			names = append(names, cobra.CompletionWithDesc(v.Name+"."+f.Name, f.Description))
		}
	}
	return names
}

func (o *options) explain(c *cobra.Command, f *explainFlags, name string) error {
	r := explain.Request{Feature: name, ID: f.request, Row: f.row, Events: f.events}
	keys, err := parseGiven("key", "--key", f.keys)
	if err != nil {
		return err
	}
	r.Keys = keys.text
	if f.at != "" {
		t, err := plan.ParseTime(f.at)
		if err != nil {
			return fmt.Errorf("--at: %w", err)
		}
		r.At = &t
	}
	e, err := o.explanation(c, f, r)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(c, e)
	}
	return printExplanation(c, e)
}

// explanation explains a value here, or asks a server.
func (o *options) explanation(c *cobra.Command, f *explainFlags, r explain.Request) (_ *explain.Explanation, err error) {
	if f.server != "" {
		return askExplanation(c.Context(), f.server, r)
	}
	reader, err := o.openReader(0, 0)
	if err != nil {
		return nil, err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return nil, err
	}
	st, err := openStores(c, p)
	if err != nil {
		return nil, err
	}
	defer closeWith(&err, st)
	warn(c.ErrOrStderr(), st)
	r.Now = clock.Now()
	return explainable(p, reader, st.Log, st.Store).Explain(c.Context(), r)
}

// explainable is a project of which values can be explained.
func explainable(p *featuredefs.Project, reader *relation.Reader, log eventlog.Log, store onlinestore.Store) *explain.Project {
	from := past{reader, log}
	return &explain.Project{Plan: p.Plan, Log: log, Store: store, Served: backend.ServedLogDir(p), History: from.history, Inputs: from.inputs}
}

// askExplanation asks a server for an explanation.
func askExplanation(ctx context.Context, url string, r explain.Request) (*explain.Explanation, error) {
	client, err := newClient(url)
	if err != nil {
		return nil, err
	}
	ask := sdk.ExplainRequest{Feature: r.Feature, Keys: r.Keys, RequestID: r.ID, Row: r.Row, Events: r.Events}
	if r.Events == 0 {
		ask.Events = sdk.NoEvents
	}
	if r.At != nil {
		ask.At = r.At.Time()
	}
	answer, err := client.Explain(ctx, ask)
	if err != nil {
		return nil, orStart(err)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	e := &explain.Explanation{}
	return e, json.Unmarshal(text, e)
}

// printExplanation prints an explanation for people.
func printExplanation(c *cobra.Command, e *explain.Explanation) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s.%s = %s\n", e.View, e.Feature, e.Expr)
	fmt.Fprintf(out, "%s, version %s, %s\n%s as of %s\n\n", e.Defined, short(e.Version), e.Type, e.Entity, e.AsOf)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tvalue\tstatus\tbits")
	printCell(w, "training: all events that are known now", &e.Training)
	printCell(w, "replayed: the events that serving had", e.Replayed)
	printCell(w, "served", e.Served)
	if err := w.Flush(); err != nil {
		return err
	}
	if e.Error != "" {
		fmt.Fprintf(out, "error: %s\n", e.Error)
	}
	fmt.Fprintf(out, "%s\n", e.Verdict())
	printParts(c, e)
	return printEvents(c, e)
}

func printCell(w *tabwriter.Writer, what string, cell *recompute.Cell) {
	if cell == nil {
		return
	}
	status := cell.Status
	if cell.Reason != "" {
		status += " (" + cell.Reason + ")"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", what, cell.Value, status, cell.Bits)
}

func printParts(c *cobra.Command, e *explain.Explanation) {
	out := c.OutOrStdout()
	for _, p := range e.Parts {
		over := "over all events"
		if p.From != "" {
			over = "over " + p.Window + ", from " + p.From
		}
		fmt.Fprintf(out, "\n%s  %s %s\n   %s (%s)", p.Name, p.Call, over, p.Training.Value, p.Training.Status)
		for _, other := range []struct {
			who  string
			cell *recompute.Cell
		}{{"replayed", p.Replayed}, {"served", p.Served}} {
			if other.cell != nil && *other.cell != p.Training {
				fmt.Fprintf(out, ", %s %s (%s)", other.who, other.cell.Value, other.cell.Status)
			}
		}
		fmt.Fprintf(out, ": %s of %s", count(p.Used), quantity(e.Total, "event"))
		for _, why := range slices.Sorted(maps.Keys(p.LeftOut)) {
			fmt.Fprintf(out, ", %s %s", count(p.LeftOut[why]), why)
		}
		fmt.Fprintln(out)
	}
}

func printEvents(c *cobra.Command, e *explain.Explanation) error {
	if len(e.Events) == 0 {
		return nil
	}
	out := c.OutOrStdout()
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "time\tknown at\tid")
	for _, p := range e.Parts {
		fmt.Fprintf(w, "\t%s", p.Name)
	}
	fmt.Fprintln(w)
	for i := range e.Events {
		x := &e.Events[i]
		known, id := x.Known, x.ID
		if known == x.Time {
			known = ""
		}
		if x.Fills {
			id += " (later delivery)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s", x.Time, known, id)
		for p := range x.Parts {
			fmt.Fprintf(w, "\t%s", x.Parts[p].Text())
		}
		if x.Side != explain.Both {
			fmt.Fprintf(w, "\t<- %s", x.Side)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := e.Total - int64(len(e.Events)); more > 0 {
		fmt.Fprintf(out, "and %s (--events %d lists all)\n", quantity(more, "more event"), e.Total)
	}
	return nil
}
