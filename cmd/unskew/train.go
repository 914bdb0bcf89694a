package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/version"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/servedset"
)

// trainFlags are the flags of train.
type trainFlags struct {
	service, spine, sql, time, label, labelKnownAt string
	fromServed, from, to, outcomes                 string
	out, asOf, memory                              string
	threads                                        int
	unlabelled, withStatus, strict                 bool
}

func newTrain(o *options) *cobra.Command {
	f := &trainFlags{}
	c := &cobra.Command{
		Use:   "train [NAME]",
		Short: "Build a point-in-time training set",
		Long: `Joins the features of a service onto a spine, each row as of its own time: only events
that serving would have known by then count. Writes Parquet and manifest.json to a
directory, which appears only when it is complete. The same inputs give the same bytes for
any --memory and --threads.

The summary shows how many rows have an event in each view, and what a split dropped by
label. It ends with what needs your attention: warnings about rows of the spine that see no
event, about labels known later than the split allows for, and about label rates that differ
between the parts of a split; and features that are too good to be true, because alone they
almost determine the label. With --strict both are errors: exit code 1, and nothing is
written. report.html next to the files describes rows, labels and features.

Give the NAME of a TrainingSet (optional if the project has only one), or give service,
spine and time by flags.

With --from-served, or for a TrainingSet with spine: {served: true}, the rows are those that
servers have recorded in the served log, each as of the time it was answered, and the values
are the ones that were answered: what the model had. Features that were not served then are
computed, as for any other spine. --label is an outcome that was logged for the requests, or a
column of --outcomes; rows without one are left out.`,
		Example: `  unskew train fraud_2025q1 --out data/fraud
  unskew train --service fraud_v1 --spine data/labels.parquet --time ts --label is_fraud --out data/fraud
  unskew train --from-served fraud_v1 --label fraud --from 2025-03-01T00:00:00Z --out data/fraud`,
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(trainingSetNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			return traced(c, func() error { return o.train(c, f, args) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.out, "out", "", "write to `DIR` (default: a folder of the project with the name of the training set)")
	flags.StringVar(&f.service, "service", "", "feature service `NAME`, instead of a training set's name")
	flags.StringVar(&f.spine, "spine", "", "`FILE` or glob with the rows to predict")
	flags.StringVar(&f.sql, "spine-sql", "", "`QUERY` in SQL for the rows to predict, instead of --spine")
	flags.StringVar(&f.time, "time", "", "`COLUMN` of the spine with the as-of time")
	flags.StringVar(&f.label, "label", "", "`COLUMN` of the spine with the label")
	flags.StringVar(&f.labelKnownAt, "label-known-at", "", "`COLUMN` of the spine with the time the label was known")
	flags.StringVar(&f.fromServed, "from-served", "", "rows and values that were served by feature service `NAME`")
	flags.StringVar(&f.from, "from", "", "with rows that were served, those from `TIME` on")
	flags.StringVar(&f.to, "to", "", "with rows that were served, those before `TIME`")
	flags.StringVar(&f.outcomes, "outcomes", "", "`FILE` or glob with labels of served rows: request_id, request_row unless it is 0, and the label")
	flags.BoolVar(&f.unlabelled, "unlabelled", false, "keep served rows without an outcome, with a null label")
	flags.BoolVar(&f.withStatus, "with-status", false, "also write the status of every value")
	flags.BoolVar(&f.strict, "strict", false, "write nothing and exit with 1 if there are warnings or a feature is too good to be true")
	flags.StringVar(&f.asOf, "as-of", "", "values of `KIND`: known, as declared; ledger, as servers recorded that they knew them;\nfinal, as they turned out, only to measure (default: as the training set says, or known)")
	flags.StringVar(&f.memory, "memory", "", "use at most `SIZE` of memory, like 4GB, and the disk of --out for the rest (default: half of the machine's)")
	flags.IntVar(&f.threads, "threads", 0, "use `N` threads (default: one for each core)")
	completeFlag(c, "service", o.completes(serviceNames))
	completeFlag(c, "from-served", o.completes(serviceNames))
	completeFlag(c, "as-of", cobra.FixedCompletions([]cobra.Completion{"known", "ledger", "final"}, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(c, "out", directories)
	return c
}

func (o *options) train(c *cobra.Command, f *trainFlags, args []string) (err error) {
	memory, err := f.bytes()
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"", "known", "ledger", "final"}, f.asOf) {
		return fmt.Errorf("--as-of %s: write known, ledger or final", f.asOf)
	}
	collectBelow(memory, false)
	reader, err := o.openReader(memory, f.threads)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	set, err := f.set(p, args)
	if err != nil {
		return err
	}
	asOf := cmp.Or(f.asOf, set.AsOf, "known")
	if err := checkAsOf(asOf, set); err != nil {
		return err
	}
	from, to, err := f.servedTime(set)
	if err != nil {
		return err
	}
	collectBelow(memory, offline.HasQueries(set))
	out := f.out
	if out == "" {
		out = o.inProject(set.Name)
	}
	st, err := o.trainingStores(c, p, set, asOf == "ledger")
	if err != nil {
		return err
	}
	var log eventlog.Log
	var recorded offline.LedgerOf
	if st != nil {
		defer closeWith(&err, st)
		log = st.Log
	}
	if asOf == "ledger" {
		if recorded, err = ledgers(c.Context(), st, set.Service); err != nil {
			return err
		}
	}
	show := newTrainProgress(newProgress(c.ErrOrStderr(), o.quiet))
	spine := servedSpine{project: p, reader: reader, log: log, from: from, to: to, unlabelled: f.unlabelled, memory: memory, progress: show.served}
	set, served, end, err := spine.of(c.Context(), set)
	if err != nil {
		return err
	}
	defer end()
	m, err := offline.Train(c.Context(), offline.Config{
		Reader: reader, Log: log, Project: p.Name, Set: set, Out: out, WithStatus: f.withStatus, Final: asOf == "final", Ledger: recorded, Served: servedOrNil(served),
		Strict: f.strict, Memory: memory, Threads: f.threads, Engine: celenv.Engine(), Version: version.Release, Command: commandLine(c), Progress: show.hear, Garbage: collectLater,
	})
	strict := (*offline.StrictError)(nil)
	if errors.As(err, &strict) {
		m = strict.Manifest
	} else if err != nil {
		return err
	}
	show.finish()
	if o.json {
		if err := printJSON(c, m); err != nil {
			return err
		}
	} else {
		printTrained(c.OutOrStdout(), m, out)
	}
	if strict != nil {
		return &findings{"--strict: " + strictly(m) + "; nothing was written"}
	}
	return nil
}

// commandLine returns the command as typed, with the program's name instead of its path.
func commandLine(c *cobra.Command) []string {
	return append([]string{"unskew"}, os.Args[1:]...)
}

func (f *trainFlags) set(p *featuredefs.Project, args []string) (*plan.TrainingSet, error) {
	adHoc := f.service != "" || f.spine != "" || f.sql != "" || f.time != "" || f.fromServed != "" || f.outcomes != ""
	if len(args) == 1 {
		if adHoc {
			return nil, fmt.Errorf("name a training set or describe one by --service, --spine and --time, or by --from-served, not both")
		}
		return pick("training set", args[0], p.Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
	}
	if !adHoc {
		set, err := pick("training set", "", p.Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
		if none := (*noneError)(nil); errors.As(err, &none) {
			err = fmt.Errorf("%w; describe one by --service, --spine and --time, or define a TrainingSet", err)
		}
		return set, err
	}
	if f.fromServed != "" {
		return f.servedSet(p)
	}
	if f.outcomes != "" {
		return nil, errors.New("--outcomes has the labels of rows that were served; it needs --from-served")
	}
	if f.time == "" || (f.spine == "") == (f.sql == "") {
		return nil, fmt.Errorf("a training set without a name needs --service, --time and one of --spine and --spine-sql")
	}
	s, err := pick("service", f.service, p.Plan.Services, func(s *plan.Service) string { return s.Name })
	if err != nil {
		return nil, err
	}
	return &plan.TrainingSet{Name: s.Name, Service: s, Spine: plan.Spine{
		From: f.spine, SQL: f.sql, Time: f.time, Label: f.label, LabelKnownAt: f.labelKnownAt,
	}}, nil
}

// servedSet is a training set of what a service served.
func (f *trainFlags) servedSet(p *featuredefs.Project) (*plan.TrainingSet, error) {
	if f.service != "" || f.spine != "" || f.sql != "" || f.time != "" {
		return nil, errors.New("--from-served has rows and times of its own; remove --service, --spine, --spine-sql and --time")
	}
	if f.outcomes != "" && f.label == "" {
		return nil, errors.New("--outcomes needs --label, a column of the file")
	}
	if f.labelKnownAt != "" && f.outcomes == "" {
		return nil, errors.New("when outcomes were known is in the log; with --from-served, --label-known-at is a column of --outcomes")
	}
	s, err := pick("service", f.fromServed, p.Plan.Services, func(s *plan.Service) string { return s.Name })
	if err != nil {
		return nil, err
	}
	return &plan.TrainingSet{Name: s.Name, Service: s, Spine: plan.Spine{Served: true, Label: f.label, LabelKnownAt: f.labelKnownAt, Outcomes: f.outcomes}}, nil
}

// servedTime is the time in which rows were served, if they were.
func (f *trainFlags) servedTime(set *plan.TrainingSet) (from, to plan.EventTime, err error) {
	if !set.Spine.Served {
		if f.from != "" || f.to != "" || f.unlabelled {
			return from, to, errors.New("--from, --to and --unlabelled choose rows that were served; this training set has a spine of its own")
		}
		return from, to, nil
	}
	return (&parityFlags{from: f.from, to: f.to}).period()
}

// servedOrNil is nil, not a nil pointer, for values that are all computed.
func servedOrNil(s *servedset.Set) offline.Served {
	if s == nil {
		return nil
	}
	return s
}

// trainingLog opens the event log if a source of the set is a stream and something may have
// been pushed to it.
func (o *options) trainingLog(c *cobra.Command, p *featuredefs.Project, set *plan.TrainingSet) (eventlog.Log, func(error) error, error) {
	st, err := o.trainingStores(c, p, set, false)
	if err != nil || st == nil {
		return nil, func(err error) error { return err }, err
	}
	return st.Log, func(err error) error { closeWith(&err, st); return err }, nil
}

// trainingStores opens the log and the store if anything in them matters for a set: what was pushed to its sources, and the store if
// it is needed. Otherwise the result is nil.
func (o *options) trainingStores(c *cobra.Command, p *featuredefs.Project, set *plan.TrainingSet, store bool) (*backend.Backend, error) {
	needed := set.Spine.Served && set.Spine.Label != "" && set.Spine.Outcomes == ""
	for _, ref := range set.Service.Views {
		needed = needed || ref.View.Source.Stream
	}
	if !needed && !store || !hasStores(p) {
		return nil, nil
	}
	return openStores(c, p)
}

// trainProgress converts the phases of Train to lines.
type trainProgress struct {
	*progress
	phase string
	done  int64
	last  int64 // last count reported for the current source
}

func newTrainProgress(p *progress) *trainProgress { return &trainProgress{progress: p} }

// rows hears of rows that are done in a phase.
func (t *trainProgress) rows(phase string, done int64) {
	t.hear(offline.Progress{Phase: phase, Done: done})
}

// served hears of rows of the served log.
func (t *trainProgress) served(rows int64) {
	if t.phase != "served" {
		t.phase = "served"
		t.begin(t.phase, "rows", 0)
	}
	t.add(rows)
	t.done += rows
}

var trainUnits = map[string]string{"served": "row", "read": "row", "compute": "row", "explain": "row", "spine": "row", "history": "event", "replay": "part", "write": "row"}

func (t *trainProgress) hear(p offline.Progress) {
	if p.Phase != t.phase {
		t.finish()
		t.phase, t.done, t.last = p.Phase, 0, 0
		total := p.Total
		if p.Phase == "history" {
			total = 0 // of one source
		}
		t.begin(p.Phase, trainUnits[p.Phase]+"s", total)
	}
	if p.Done < t.last { // the next source
		t.last = 0
	}
	t.add(p.Done - t.last)
	t.done += p.Done - t.last
	t.last = p.Done
}

func (t *trainProgress) finish() {
	if t.phase != "" {
		t.end(quantity(t.done, trainUnits[t.phase]))
	}
}
