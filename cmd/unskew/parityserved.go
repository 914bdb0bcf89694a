package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// period is what --from and --to say.
func (f *parityFlags) period() (from, to plan.EventTime, err error) {
	from, to = plan.Always, plan.Never
	if f.from != "" {
		if from, err = plan.ParseTime(f.from); err != nil {
			return from, to, fmt.Errorf("--from: %w", err)
		}
	}
	if f.to != "" {
		if to, err = plan.ParseTime(f.to); err != nil {
			return from, to, fmt.Errorf("--to: %w", err)
		}
	}
	if from >= to {
		return from, to, fmt.Errorf("--from %s is not before --to %s", f.from, f.to)
	}
	return from, to, nil
}

// parityServed computes recorded answers of a service again.
func (o *options) parityServed(c *cobra.Command, f *parityFlags, args []string) (err error) {
	from, to, err := f.period()
	if err != nil {
		return err
	}
	least := 0.0
	if f.failBelow != "" {
		if least, err = featuredefs.ParseRate(f.failBelow); err != nil {
			return fmt.Errorf("--fail-below: %w", err)
		}
	}
	if f.resume != "" && f.to == "" {
		return errors.New("--resume needs --to, or the answers that are recorded meanwhile would belong to the run too")
	}
	if f.explain < 0 {
		return fmt.Errorf("--explain %d: give a number of differences, or 0 for none", f.explain)
	}
	memory, err := (&trainFlags{memory: f.memory}).bytes()
	if err != nil {
		return err
	}
	reader, err := o.openReader(memory, f.threads)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	service, err := pick("feature service", strings.Join(args, ""), p.Plan.Services, func(s *plan.Service) string { return s.Name })
	if err != nil {
		return err
	}
	s := &servedParity{o: o, reader: reader, project: p, html: f.html, explained: f.explain, resume: f.resume, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	report, err := s.run(c, recompute.Config{Service: service, From: from, To: to, Threads: f.threads, Memory: memory / 2, By: f.by})
	if err != nil {
		return err
	}
	return o.tell(c, f, report, least)
}

// servedParity computes recorded answers again.
type servedParity struct {
	o         *options
	reader    *relation.Reader
	project   *featuredefs.Project
	st        *backend.Backend
	progress  *progress
	resume    string // where what is done is kept; "": nowhere
	html      string // where a page goes; "": nowhere
	explained int    // how many differences it explains
}

func (s *servedParity) run(c *cobra.Command, cfg recompute.Config) (_ *recompute.Report, err error) {
	dir := backend.ServedLogDir(s.project)
	units, closeUnits, err := recompute.Find(dir, cfg.Service.Name, cfg.From, cfg.To)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeUnits()) }()
	cfg.Units = units
	if len(cfg.Units) == 0 {
		return nil, fmt.Errorf("no answer of service %s in that time is in %s; servers record them with served_log: {rate: 1%%} in unskew.yaml or serve --served-log 1%%, a minute later at most", cfg.Service.Name, dir)
	}
	if s.st, err = openStores(c, s.project); err != nil {
		return nil, err
	}
	defer closeWith(&err, s.st)
	warn(c.ErrOrStderr(), s.st)
	from := past{s.reader, s.st.Log}
	cfg.Log, cfg.History, cfg.Progress = s.st.Log, from.history, s.hear()
	if cfg.Builds, err = recompute.FindBuilds(c.Context(), s.st.Store, cfg.Service, from.inputs); err != nil {
		return nil, err
	}
	if s.resume != "" {
		if cfg.Checkpoint, err = s.checkpoint(c.Context(), &cfg); err != nil {
			return nil, err
		}
	}
	report, err := recompute.Run(c.Context(), cfg)
	switch {
	case err != nil:
	case report.Rows == 0:
		err = fmt.Errorf("no answer of service %s in that time is in %s", cfg.Service.Name, dir)
	case report.Compute.Compared+report.Data.Compared == 0:
		err = fmt.Errorf("of %s nothing could be compared: %s; see docs/parity.md", quantity(report.Rows, "row"), listed(report.NotComputed))
	default:
		err = s.writePage(c.Context(), report)
	}
	return report, err
}

// checkpoint is one about the files as they are and the builds that are live.
func (s *servedParity) checkpoint(ctx context.Context, cfg *recompute.Config) (*recompute.Checkpoint, error) {
	h := sha256.New()
	for i := range cfg.Service.Views {
		v := cfg.Service.Views[i].View
		inputs, err := (past{s.reader, s.st.Log}).inputs(ctx, v.Source, plan.Never)
		if err != nil {
			return nil, err
		}
		b := cfg.Builds[v.Fingerprint]
		fmt.Fprintf(h, "%s %x %d %d %t\n", v.Fingerprint, inputs, b.Number, b.Build, b.InputsChanged)
	}
	return &recompute.Checkpoint{Path: s.resume, Of: [sha256.Size]byte(h.Sum(nil))}, nil
}

// past reads what states were built from.
type past struct {
	reader *relation.Reader
	log    eventlog.Log
}

func (p past) inputs(ctx context.Context, src *plan.Source, to plan.EventTime) ([32]byte, error) {
	return (&materialization{reader: p.reader, to: to}).inputs(ctx, src)
}

func (p past) history(ctx context.Context, views []*plan.View, r recompute.Range, workers int, f func(worker int, ev *kernel.Events) error) error {
	return p.over(nil)(ctx, views, r, workers, f)
}

// over is the history with some rows in place of files; nil: with the files.
func (p past) over(rows offline.Rows) recompute.History {
	return func(ctx context.Context, views []*plan.View, r recompute.Range, workers int, f func(worker int, ev *kernel.Events) error) error {
		h := offline.ViewHistory(p.reader, p.log, r.Until, views...)
		h.To, h.Rows = &r.To, rows
		_, err := h.ReadBy(ctx, workers, f)
		return err
	}
}

// hear shows the phases of a run. Each may come several times.
func (s *servedParity) hear() func(recompute.Progress) {
	phase := ""
	units := map[string]string{"rows": "rows", "events": "events", "compare": "rows", "explain": "rows"}
	return func(p recompute.Progress) {
		if p.Phase != phase {
			phase = p.Phase
			s.progress.begin(phase, units[phase], 0)
		}
		s.progress.add(p.Done)
	}
}

// tell prints a report and says whether it is good.
func (o *options) tell(c *cobra.Command, f *parityFlags, r *recompute.Report, least float64) error {
	below := r.Data.Rate() < least
	if f.junit != "" {
		if err := writeServedJUnit(f.junit, r, f.failBelow, below); err != nil {
			return err
		}
	}
	if o.json {
		if err := printJSON(c, r); err != nil {
			return err
		}
	} else if err := printServed(c, r, f.by); err != nil {
		return err
	}
	switch {
	case r.Wrong() > 0:
		return &findings{quantity(r.Wrong(), "served value") + " cannot be had from the events behind them; see docs/parity.md"}
	case below:
		return &findings{fmt.Sprintf("%s of the served values are those of training, less than %s", r.Data.Percent(), f.failBelow)}
	}
	return nil
}

// listed lists counts, the largest first.
func listed[K ~string](of map[K]int64) string {
	var keys []K
	for k := range of {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s %s", k, count(of[k]))
	}
	return strings.Join(parts, ", ")
}

func tallied(t *recompute.Tally) string {
	text := fmt.Sprintf("%s compared, %s different", count(t.Compared), count(t.Different))
	if t.Different > 0 {
		text += fmt.Sprintf(", %s equal: %s", t.Percent(), listed(t.Causes))
	}
	return text
}

func printServed(c *cobra.Command, r *recompute.Report, by string) error {
	out := c.OutOrStdout()
	if err := printDifferent(c, r, by); err != nil {
		return err
	}
	fmt.Fprintf(out, "service %s: %s served from %s to %s\n", r.Service, quantity(r.Rows, "row"), r.First, r.Last)
	fmt.Fprintf(out, "compute parity: %s\n", tallied(&r.Compute))
	if len(r.NotComputed) > 0 {
		fmt.Fprintf(out, "not computed: %s\n", listed(r.NotComputed))
	}
	_, err := fmt.Fprintf(out, "data parity: %s\n", tallied(&r.Data))
	return err
}

// printDifferent prints what differs, in detail; nothing if nothing does.
func printDifferent(c *cobra.Command, r *recompute.Report, by string) error {
	if r.Compute.Different+r.Data.Different == 0 {
		return nil
	}
	out := c.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "feature\tcompared\tequal\tcauses\tstatuses\tlargest distance")
	for i := range r.Features {
		f := &r.Features[i]
		if f.Compute.Different+f.Data.Different == 0 {
			continue
		}
		distance := "-"
		if f.Distance != nil {
			distance = fmt.Sprintf("%g (%.3g%%)", f.Distance.Max, 100*f.Distance.MaxRelative)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, count(f.Data.Compared), f.Data.Percent(), listed(f.Data.Causes), cmp.Or(listed(f.Statuses), "-"), distance)
	}
	if len(r.Days) > 1 {
		fmt.Fprintln(w, "\nday\tcompared\tequal\tcauses")
		for i := range r.Days {
			d := &r.Days[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.From, count(d.Data.Compared), d.Data.Percent(), cmp.Or(listed(d.Data.Causes), "-"))
		}
	}
	if len(r.Cohorts) > 0 {
		fmt.Fprintf(w, "\n%s\tcompared\tequal\tcauses\n", by)
		for i := range r.Cohorts[:min(len(r.Cohorts), shownCohorts)] {
			x := &r.Cohorts[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Value, count(x.Data.Compared), x.Data.Percent(), cmp.Or(listed(x.Data.Causes), "-"))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := len(r.Cohorts) - shownCohorts; more > 0 {
		fmt.Fprintf(out, "and %d more values with --json\n", more)
	}
	fmt.Fprintln(out, "\nentities with most differences:")
	for _, e := range r.Entities {
		fmt.Fprintf(out, "  %s: %s\n", e.Keys, count(e.Different))
	}
	fmt.Fprintln(out, "\nnewest differences:")
	for i := range r.Examples[:min(len(r.Examples), shownServed)] {
		printExample(c, &r.Examples[i])
	}
	if more := len(r.Examples) - shownServed; more > 0 {
		fmt.Fprintf(out, "  and %d more with --json\n", more)
	}
	fmt.Fprintln(out)
	return nil
}

// shownCohorts is how many values of --by are printed as text.
const shownCohorts = 20

// shownServed is how many examples are printed as text.
const shownServed = 10

func printExample(c *cobra.Command, e *recompute.Example) {
	out := c.OutOrStdout()
	sees := "training sees"
	if e.Comparison == "compute" {
		sees = "the same events give"
	}
	fmt.Fprintf(out, "  %s: %s of %s, request %s row %d at %s\n    served %s, %s %s\n", e.Cause, e.Feature, e.Keys, e.RequestID, e.Row, e.ReadAt, cellText(&e.Served), sees, cellText(&e.Want))
	for _, ev := range e.Events {
		fmt.Fprintf(out, "    %s\n", eventText(&ev))
	}
}

func cellText(v *recompute.Cell) string {
	text := strings.TrimSpace(v.Value + " " + v.Status)
	if v.Reason != "" {
		text += " for " + v.Reason
	}
	if v.Bits != "" {
		text += " [" + v.Bits + "]"
	}
	return text
}

func eventText(e *recompute.Event) string {
	text := "an event"
	if e.ID != "" {
		text = "event " + e.ID
	}
	if e.Column != "" {
		text += ", column " + e.Column
	}
	text += fmt.Sprintf(" (%s) at %s", e.View, e.Time)
	if e.Known != "" {
		text += ", known " + e.Known
	}
	switch {
	case e.Position > 0:
		text += fmt.Sprintf(", stored %s at position %d", e.Arrived, e.Position)
		if e.Shard > 0 {
			text += fmt.Sprintf(" of shard %d", e.Shard)
		}
	case !e.Served:
		text += ", not in the log"
	}
	in := "training sees it"
	if e.Served {
		in = "serving had it"
	}
	return fmt.Sprintf("%s: %s; %s", e.Cause, text, in)
}

// writeServedJUnit writes a test case for each feature, which fails if a value cannot be had from the events behind it, and one for
// the rate.
func writeServedJUnit(path string, r *recompute.Report, least string, below bool) (err error) {
	s := junitSuite{Name: "unskew parity " + r.Service}
	for i := range r.Features {
		f := &r.Features[i]
		k := junitCase{Class: r.Service, Name: f.Name}
		if n := f.Compute.Causes[recompute.Compute] + f.Compute.Causes[recompute.Default]; n > 0 {
			k.Failure = &junitFailure{quantity(n, "value") + " cannot be had from the events behind them", tallied(&f.Compute)}
		}
		s.Cases = append(s.Cases, k)
	}
	rate := junitCase{Class: r.Service, Name: "data parity"}
	if below {
		rate.Failure = &junitFailure{r.Data.Percent() + " are those of training, less than " + least, tallied(&r.Data)}
	}
	s.Cases = append(s.Cases, rate)
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer closeWith(&err, file)
	return s.write(file)
}
