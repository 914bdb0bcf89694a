package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/text"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	keys    []string
	at      string
	request string
	row     int
	events  int
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
(served_log: in unskew.yaml), whose id was in the header X-Request-Id of the answer.`,
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
	c.Flags().IntVar(&f.row, "row", 0, "row `N` of the request, from 0")
	c.Flags().IntVar(&f.events, "events", 20, "list `N` events; all are counted")
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

// viewFeature finds VIEW.FEATURE.
func viewFeature(p *plan.Plan, name string) (*plan.View, int, error) {
	view, feature, ok := strings.Cut(name, ".")
	if !ok {
		return nil, 0, fmt.Errorf("%q names no feature: write VIEW.FEATURE", name)
	}
	v, err := pick("view", view, p.Views, func(v *plan.View) string { return v.Name })
	if err != nil {
		return nil, 0, err
	}
	f, err := pick("feature of view "+v.Name, feature, v.Features, func(f *plan.Feature) string { return f.Name })
	if err != nil {
		return nil, 0, err
	}
	return v, slices.Index(v.Features, f), nil
}

func (o *options) explain(c *cobra.Command, f *explainFlags, name string) (err error) {
	if f.events < 0 || f.row < 0 {
		return errors.New("--events and --row are not negative")
	}
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	cfg := explain.Config{At: wallClock(), Events: f.events}
	output := ""
	if f.request != "" && isOutput(p.Plan, name) {
		output = name
	} else if cfg.View, cfg.Feature, err = viewFeature(p.Plan, name); err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	warn(c.ErrOrStderr(), st)
	x := &explaining{past: past{reader, st.Log}, project: p, served: backend.ServedLogDir(p), store: st.Store, flags: f, cfg: &cfg, output: output}
	e, err := x.run(c.Context())
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(c, e)
	}
	return printExplanation(c, e)
}

// explaining is a running explanation.
type explaining struct {
	past
	project *featuredefs.Project
	served  string // folder of the served log
	store   onlinestore.Store
	flags   *explainFlags
	cfg     *explain.Config
	output  string // of a service, with a request: the view and its feature are found by it
}

// isOutput reports whether a service has a feature of a view under this name, ROLE.FEATURE.
func isOutput(p *plan.Plan, name string) bool {
	return slices.ContainsFunc(p.Services, func(s *plan.Service) bool {
		return slices.ContainsFunc(s.Features, func(f plan.ServiceFeature) bool { return f.Name == name })
	})
}

func (x *explaining) run(ctx context.Context) (_ *explain.Explanation, err error) {
	x.cfg.History = x.history
	switch {
	case x.flags.request != "":
		err = x.recorded(ctx)
	case x.flags.at != "":
		x.cfg.At, err = plan.ParseTime(x.flags.at)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		x.cfg.Note = "serving answers as of now only, so there is nothing to compare with"
		x.cfg.Key, err = keyOf(x.cfg.View.Entity, x.flags.keys)
	default:
		if x.cfg.Key, err = keyOf(x.cfg.View.Entity, x.flags.keys); err == nil {
			err = x.live(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	src := x.cfg.View.Source
	shards, err := eventlog.NewLayouts(x.log).Find(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	if src.Stream {
		if x.cfg.Ends, err = shards.Ends(ctx, x.log); err != nil {
			return nil, err
		}
	}
	return explain.Run(ctx, *x.cfg)
}

// keyOf parses the key of an entity.
func keyOf(e *plan.Entity, pairs []string) (key []plan.Value, err error) {
	g, err := parseGiven("key", "--key", pairs)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(e.Keys))
	for i, k := range e.Keys {
		names[i] = k.Name
	}
	for _, name := range slices.Sorted(maps.Keys(g.text)) {
		if !slices.Contains(names, name) {
			return nil, noSuch("key of entity "+e.Name, name, names)
		}
	}
	for _, k := range e.Keys {
		written, ok := g.text[k.Name]
		if !ok {
			return nil, fmt.Errorf("the key %s of entity %s is missing: add --key %s=VALUE", k.Name, e.Name, k.Name)
		}
		v, err := text.Parse(written, k.Type.Kind)
		if err == nil && v.IsNull() {
			err = errors.New("it is null")
		}
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Name, err)
		}
		key = append(key, v)
	}
	return key, nil
}

// live compares with the live state.
func (x *explaining) live(ctx context.Context) error {
	v := x.cfg.View
	g, err := recompute.FindBuild(ctx, x.store, v, x.inputs)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		x.cfg.Note = none.Error()
		return nil
	}
	if err != nil {
		return err
	}
	got, err := x.store.Get(ctx, [][]byte{g.StateKey(entitykey.Append(nil, x.cfg.Key...))})
	if err != nil {
		return err
	}
	k, err := kernel.NewView(v)
	if err != nil {
		return err
	}
	until := g.Positions.Vector()
	if got[0] != nil {
		until = logpos.Max(until, k.AppliedOf(got[0]))
		x.cfg.At = max(x.cfg.At, k.NewestOf(got[0], x.cfg.At)+1)
	}
	x.serving(&g, until).State = got[0]
	return nil
}

// recorded compares with what a server recorded.
func (x *explaining) recorded(ctx context.Context) error {
	dir := x.served
	files, err := servedlog.List(dir)
	if err != nil {
		return err
	}
	for _, s := range x.project.Plan.Services {
		for i := range s.Features {
			f := &s.Features[i]
			switch {
			case x.output == f.Name:
				x.cfg.View, x.cfg.Feature = s.Views[f.Ref].View, f.Feature
			case x.output != "" || s.Views[f.Ref].View != x.cfg.View || f.Feature != x.cfg.Feature:
				continue
			}
			for _, file := range files {
				if file.Service != s.Name {
					continue
				}
				found, err := x.inSegment(ctx, file.Path, s, f)
				if found || err != nil {
					return err
				}
			}
		}
	}
	return fmt.Errorf("no row %d of a request %s with this feature is in %s; servers write their rows a minute later at most, and record a sample (served_log: in unskew.yaml)", x.flags.row, x.flags.request, dir)
}

// inSegment looks for the row in a segment.
func (x *explaining) inSegment(ctx context.Context, path string, s *plan.Service, f *plan.ServiceFeature) (found bool, err error) {
	seg, err := servedlog.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, seg.Close()) }()
	o := slices.IndexFunc(seg.Outputs, func(out plan.Field) bool { return out.Name == f.Name })
	role := slices.Index(seg.Views, s.Views[f.Ref].As)
	if o < 0 || role < 0 {
		return false, nil
	}
	for row, err := range seg.Rows() {
		if err != nil {
			return false, err
		}
		if row.RequestID == x.flags.request && row.Number == x.flags.row {
			return true, x.recordedRow(ctx, seg, row, &s.Views[f.Ref], row.Outputs[o], &row.Views[role])
		}
	}
	return false, ctx.Err()
}

// recordedRow compares with a recorded row.
func (x *explaining) recordedRow(ctx context.Context, seg *servedlog.Segment, row *servedlog.Row, ref *plan.ViewRef, out servedlog.Output, of *servedlog.View) error {
	v := x.cfg.View
	if seg.KeysHashed {
		return errors.New("the entity is not known: hash_keys hides the keys of the served log; name it with --key and --at")
	}
	for _, name := range ref.Keys {
		if i := slices.IndexFunc(seg.Keys, func(k plan.Field) bool { return k.Name == name }); i >= 0 {
			x.cfg.Key = append(x.cfg.Key, row.Keys[i])
		}
	}
	if len(x.cfg.Key) != len(ref.Keys) || slices.ContainsFunc(x.cfg.Key, plan.Value.IsNull) {
		return errors.New("the row has no key of this view's entity")
	}
	if out.Status == "" {
		return errors.New("the request did not ask for this feature")
	}
	x.cfg.At = row.AsOf
	cell := recompute.NewCell(out.Value, out.Status)
	if cell.Reason = out.Reason; out.Status == "STALE" {
		cell.Status, cell.Reason = out.Reason, ""
	}
	g, err := recompute.FindBuild(ctx, x.store, v, x.inputs)
	if none := (*registry.NotMaterialized)(nil); err != nil && !errors.As(err, &none) {
		return err
	}
	if err != nil || of.Fingerprint != v.Fingerprint.String() || of.Build != g.Build || of.Generation != g.Number {
		x.cfg.Note = fmt.Sprintf("%s (%s) was served, by a version or build of the view that is no longer live, so its events are not known", cell.Value, cell.Status)
		return nil
	}
	x.serving(&g, of.Positions).Recorded = &cell
	return nil
}

// serving compares with what a build had at positions of the log.
func (x *explaining) serving(b *recompute.Build, until logpos.Vector) *explain.Serving {
	x.cfg.Serving = &explain.Serving{Range: recompute.Range{To: b.Materialized, Until: until}, Rewritten: b.InputsChanged}
	if b.InputsChanged {
		x.cfg.Note = "the history was rewritten since it was materialized, so the events that serving has are not known; unskew materialize builds the view anew (docs/parity.md, cause source)"
	}
	return x.cfg.Serving
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
