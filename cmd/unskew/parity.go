package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/ui"
	"github.com/unskew/unskew/internal/version"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/validate/parity"
)

// parityFlags are the flags of parity.
type parityFlags struct {
	replay, served   bool
	set, from, to    string
	rows             int
	junit, failBelow string
	resume           string
	memory, html     string
	threads, explain int
	against          againstFlags
	by               string
}

func newParity(o *options) *cobra.Command {
	f := &parityFlags{}
	c := &cobra.Command{
		Use:   "parity (--served [SERVICE] | --against FILE|URL [SERVICE] | --replay)",
		Short: "Prove that served values equal those of training",
		Long: `With --served, computes again what servers of the project have recorded in the served log
(served_log: in unskew.yaml), bit for bit, and twice. Compute parity is over exactly the events
that the states had applied: every value must be equal. Data parity is over all events that are
known now, as training sees them: each difference has a cause, with the events that make it.
docs/parity.md says what the causes mean and how to mend them. History is read once, and
servers go on meanwhile. With --html, the result is also a page, in which the newest differences
are explained event by event.

With --against, compares values of another system, such as a feature server that is in use or
the log of one, with those that the definitions give for the same keys and times. Columns are
those called like the keys, the request fields and the features (view.feature, view__feature, or
the feature alone); --column names others. For each difference, the mistakes that systems make
are tried: the value as of an earlier time (lag), with events that were not known yet (late),
as of a later time (clock), with deliveries that were counted twice (duplicate), rounded
(precision), with another one of events of one time (order), or a default. Request fields that
are missing leave out what reads them. With a URL, a feature server is asked: of Feast, or of
Unskew.

With --replay, builds a training set, then drives the same history through the online path
(event log, applier, online store, server on a loopback port) under a simulated clock, reads
the features of sampled rows at their own times, and compares every value and status with the
training set, bit by bit. The history is what train reads: files, and events pushed to the
project's log, which are known from when the log stored them. The replay uses a temporary
store of the project's kind; the project's own store is only read. With --from, history before
that time is materialized and the rest is pushed event by event, and only rows at or after that
time are read. Without it, everything is pushed.

Exit code 1 if a replayed value differs; if a served one differs from that over the same
events because of the program (compute) or a wrong default; or if fewer than --fail-below of
the served, or the other system's, values are equal. Exit code 2 if there was nothing to compare.`,
		Example: `  unskew parity --served fraud_v1 --from 2025-03-01T00:00:00Z --fail-below 99.9%
  unskew parity --served fraud_v1 --html parity.html
  unskew parity --against served.parquet fraud_v1 --time read_at --column user_id=uid
  unskew parity --against http://127.0.0.1:6566 fraud_v1 --save theirs.parquet
  unskew parity --replay --rows 1000 --from 2013-12-01T00:00:00Z`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(serviceNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case f.served:
				return o.parityServed(c, f, args)
			case f.against.file != "":
				return o.parityAgainst(c, f, args)
			}
			return o.parity(c, f, args)
		},
	}
	f.add(c)
	completeFlag(c, "training-set", o.completes(trainingSetNames))
	return c
}

// add declares the flags.
func (f *parityFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&f.served, "served", false, "compute recorded answers again")
	flags.BoolVar(&f.replay, "replay", false, "replay history through the online path")
	flags.StringVar(&f.set, "training-set", "", "with --replay, training set `NAME` (default: the only one)")
	flags.StringVar(&f.from, "from", "", "with --served, only answers from `TIME` on; with --replay, push what became known from then on, and materialize everything before (default: all)")
	flags.StringVar(&f.to, "to", "", "with --served, only answers before `TIME` (default: all)")
	flags.IntVar(&f.rows, "rows", 1000, "with --replay, read `N` rows, evenly spaced; 0: all. With --against URL, ask for so many")
	flags.StringVar(&f.junit, "junit", "", "also write a test report in JUnit's format to `FILE`")
	flags.StringVar(&f.failBelow, "fail-below", "", "fail if fewer values are equal than `RATE`, like 99.9%; with --served, to those of training")
	flags.StringVar(&f.by, "by", "", "with --served, also count by the values of `NAME`, a key or a request field")
	flags.StringVar(&f.resume, "resume", "", "with --served and --to, keep what is done in `FILE`, and go on from there if it exists")
	flags.StringVar(&f.html, "html", "", "also write a page for people, which needs no other file, to `FILE`")
	flags.IntVar(&f.explain, "explain", 5, "with --served and --html, explain the newest `N` differences event by event; each reads the history twice")
	flags.StringVar(&f.memory, "memory", "", "with --served or --against, use about `SIZE` of memory, like 4GB (default: half of the machine's)")
	flags.IntVar(&f.threads, "threads", 0, "with --served or --against, use `N` threads (default: one for each core)")
	c.MarkFlagsMutuallyExclusive("served", "replay")
	for _, flag := range []string{"to", "junit", "fail-below", "explain", "memory", "threads", "by", "resume"} {
		c.MarkFlagsMutuallyExclusive("replay", flag)
	}
	c.MarkFlagsMutuallyExclusive("served", "rows")
	c.MarkFlagsMutuallyExclusive("served", "training-set")
	f.against.add(c)
}

// replayed checks the flags of --replay, and returns the time of --from.
func (f *parityFlags) replayed(args []string) (from plan.EventTime, err error) {
	from = plan.Always
	switch {
	case !f.replay:
		return from, errors.New("add --served, to compute what servers have recorded again, --against, to compare values of another system, or --replay, to replay history before a release")
	case len(args) > 0:
		return from, fmt.Errorf("unexpected argument %q; --replay takes a training set: --training-set NAME", args[0])
	case f.rows < 0:
		return from, fmt.Errorf("--rows %d: give a number of rows, or 0 for all", f.rows)
	}
	if f.from != "" {
		if from, err = plan.ParseTime(f.from); err != nil {
			return from, fmt.Errorf("--from: %w", err)
		}
	}
	return from, nil
}

func (o *options) parity(c *cobra.Command, f *parityFlags, args []string) (err error) {
	from, err := f.replayed(args)
	if err != nil {
		return err
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
	set, err := pick("training set", f.set, p.Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
	if err != nil {
		return err
	}
	log, closeLog, err := o.trainingLog(c, p, set)
	if err != nil {
		return err
	}
	defer func() { err = closeLog(err) }()
	spine := servedSpine{project: p, reader: reader, log: log, from: plan.Always, to: plan.Never}
	set, _, end, err := spine.of(c.Context(), set)
	if err != nil {
		return err
	}
	defer end()
	dir, err := os.MkdirTemp("", "unskew-parity-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	run := &replay{o: o, project: p, reader: reader, log: log, set: set, from: from, rows: f.rows, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	detail := parity.NewDetail(set.Service)
	if f.html != "" {
		run.observe = detail.Observe
	}
	report, err := run.run(c.Context(), dir)
	if err != nil {
		return err
	}
	if f.html != "" {
		page := &ui.Parity{Project: p.Name, Origin: ui.Replay, Plan: p.Plan, Reports: []*recompute.Report{detail.Report()}}
		if err := page.WriteFile(f.html); err != nil {
			return err
		}
	}
	if o.json {
		err = printJSON(c, report)
	} else {
		printReport(c, report)
	}
	if err == nil && report.Different > 0 {
		err = &findings{}
	}
	return err
}

// replay is a training set and its replay through the online path.
type replay struct {
	o        *options
	project  *featuredefs.Project
	reader   *relation.Reader
	log      eventlog.Log // nil: only files are read
	set      *plan.TrainingSet
	from     plan.EventTime
	rows     int
	progress *progress
	manifest *offline.Manifest
	observe  func(row parity.Row, got []parity.Cell) // called for every row read; may be nil
}

// run trains and serves. An empty replay is an error, because it proves nothing.
func (r *replay) run(ctx context.Context, dir string) (*parity.Report, error) {
	if err := r.train(ctx, dir); err != nil {
		return nil, err
	}
	if r.events() == 0 {
		return nil, fmt.Errorf("there is nothing to replay: %s no event, in files or pushed", r.sources("has", "have"))
	}
	report, err := r.serve(ctx, dir)
	if err == nil && report.Pushed+report.Materialized == 0 {
		return nil, fmt.Errorf("there is nothing to replay: no event of %s was known before the latest row of the spine; a pushed event is known from when the log stored it",
			r.sources("", ""))
	}
	return report, err
}

// events returns the number of events that the training set was built from.
func (r *replay) events() int64 {
	var n int64
	for _, s := range r.manifest.Sources {
		n += s.Events()
	}
	return n
}

// sources names the sources of the training set, followed by a verb.
func (r *replay) sources(one, several string) string {
	var names []string
	for _, s := range r.manifest.Sources {
		names = append(names, s.Name)
	}
	if len(names) == 1 {
		return strings.TrimSpace("source " + names[0] + " " + one)
	}
	return strings.TrimSpace("the sources " + strings.Join(names, ", ") + " " + several)
}

// train builds the training set in dir.
func (r *replay) train(ctx context.Context, dir string) error {
	show := newTrainProgress(r.progress)
	var err error
	r.manifest, err = offline.Train(ctx, offline.Config{
		Reader: r.reader, Log: r.log, Project: r.project.Name, Set: r.set, Out: dir, WithStatus: true,
		Engine: celenv.Engine(), Version: version.Release, Command: []string{"unskew", "train", r.set.Name, "--with-status"}, Progress: show.hear,
	})
	if err != nil {
		return err
	}
	show.finish()
	return nil
}

// serve reads rows of the training set in dir through the online path.
func (r *replay) serve(ctx context.Context, dir string) (*parity.Report, error) {
	rows, err := parity.ReadTrainingSet(ctx, dir, r.manifest, r.set, r.from, r.rows)
	if err != nil {
		return nil, err
	}
	show := &replayProgress{progress: r.progress, rows: int64(len(rows))}
	report, err := parity.Replay(ctx, parity.Config{
		Plan: r.project.Plan, Service: r.set.Service, Rows: rows, History: r.history, Open: backend.Of(r.project).Scratch,
		From: r.from, Progress: show.hear, Observe: r.observe,
	})
	if err != nil {
		return nil, err
	}
	show.finish()
	return report, nil
}

// history reads the events that the training set was built from, and no later ones of the
// log.
func (r *replay) history(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error {
	end := r.logEnd(src)
	h := offline.History{Reader: r.reader, Log: r.log, Source: src, Until: &end}
	for _, col := range src.Columns {
		h.Columns = append(h.Columns, col.Name)
	}
	_, err := h.Read(ctx, f)
	return err
}

// logEnd returns the positions up to which training read a source's log.
func (r *replay) logEnd(src *plan.Source) logpos.Vector {
	for _, s := range r.manifest.Sources {
		switch {
		case s.Name != src.Name:
		case s.LogEnds != nil:
			return s.LogEnds
		default:
			return logpos.One(0, s.LogEnd)
		}
	}
	return nil
}

// replayProgress converts the phases of a replay to lines. Pushes and reads alternate, so
// they share a line.
type replayProgress struct {
	*progress
	rows   int64
	phase  parity.Phase
	done   int64
	pushed int64
}

func (p *replayProgress) hear(phase parity.Phase, n int64) {
	if phase == parity.Pushing {
		p.pushed += n
		phase, n = parity.Asking, 0
	}
	if phase != p.phase {
		p.finish()
		p.phase, p.done = phase, 0
		switch phase {
		case parity.Asking:
			p.begin("serve", "rows", p.rows)
		default:
			p.begin(string(phase), "events", 0)
		}
	}
	p.done += n
	p.add(n)
}

func (p *replayProgress) finish() {
	switch p.phase {
	case "":
	case parity.Asking:
		p.end(fmt.Sprintf("%s events pushed and applied, %s rows read", count(p.pushed), count(p.done)))
	default:
		p.end(count(p.done) + " events")
	}
}

func printReport(c *cobra.Command, r *parity.Report) {
	w := c.OutOrStdout()
	for _, d := range r.Differences {
		fmt.Fprintf(w, "row %d as of %s: %s was trained as %s and served as %s\n", d.Row, d.At, d.Feature, d.Trained, d.Served)
	}
	if more := r.Different - len(r.Differences); more > 0 {
		fmt.Fprintf(w, "and %s more\n", count(int64(more)))
	}
	fmt.Fprintf(w, "parity: %d compared, %d different\n", r.Compared, r.Different)
}
