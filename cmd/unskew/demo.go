package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/validate/parity"
)

// The definitions and times that the demo uses of the flights example.
const (
	exampleDir = "examples/flights"
	demoSet    = "delays_2013"
	demoFrom   = "2013-12-01T00:00:00Z"
)

func newDemo(o *options) *cobra.Command {
	var rows int
	var out string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on a year of real flights",
		Long: `Runs everything on the flights example: validates the definitions, refuses a leak, builds
the training set, materializes history up to December, pushes December event by event
through the online path under a simulated clock, compares served values with the training
set, bit by bit, and shows the events behind one of them. Then it delivers an event late to a
second server, and writes a page that shows which values that changed, and why. Run it in a
checkout of the repository, or name the example with -C.`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("project") {
				o.project = exampleDir
			}
			return o.demo(c, rows, out)
		},
	}
	c.Flags().IntVar(&rows, "rows", 600, "ask for `N` flights")
	c.Flags().StringVar(&out, "out", "demo-out", "write the training set to `DIR`")
	completeFlag(c, "out", directories)
	return c
}

// demo is one run of the demo and the data for its report.
type demo struct {
	*replay
	c                 *cobra.Command
	begun             time.Time
	training, serving time.Duration
	report            *parity.Report
	sample            parity.Row // one flight, as in the training set
	served            []parity.Cell
	late              *lateEvent // the fault that is planted; nil: no flight was fit to show
}

func (o *options) demo(c *cobra.Command, rows int, out string) (err error) {
	if _, err := os.Stat(filepath.Join(o.project, featuredefs.ConfigFile)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the flights example is not in %s; run the demo in a checkout of the repository, or name the folder with -C", o.project)
	}
	if rows < 0 {
		return fmt.Errorf("--rows %d: it is a number of flights, or 0 for all", rows)
	}
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	d, err := o.newDemo(c, reader, rows)
	if err != nil {
		return err
	}
	d.say("2. A leak is refused")
	if err := d.leak(); err != nil {
		return err
	}
	d.say("3. The training set: every flight of 2013, each as of two hours before it was to leave")
	phase := time.Now()
	if err := d.train(c.Context(), out); err != nil {
		return err
	}
	d.training = time.Since(phase)
	d.say("4. Serving: history up to %s materialized, then events pushed one after another, and flights asked for at their time", demoFrom[:10])
	phase = time.Now()
	if d.report, err = d.serve(c.Context(), out); err != nil {
		return err
	}
	d.serving = time.Since(phase)
	if err := d.print(out); err != nil {
		return err
	}
	if d.report.Different > 0 {
		return &findings{}
	}
	return nil
}

func (o *options) newDemo(c *cobra.Command, reader *relation.Reader, rows int) (*demo, error) {
	d := &demo{c: c, begun: time.Now()}
	d.say("1. Definitions in %s", o.project)
	p, found, err := o.compile(c.Context(), reader, nil)
	if err != nil {
		return nil, err
	}
	if err := textFormat(c.OutOrStdout(), p, found); err != nil {
		return nil, err
	}
	if found.HasErrors() {
		return nil, &findings{}
	}
	set, err := pick("training set", demoSet, p.Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
	if err != nil {
		return nil, err
	}
	from, err := plan.ParseTime(demoFrom)
	if err != nil {
		return nil, err
	}
	d.replay = &replay{o: o, project: p, reader: reader, set: set, from: from, rows: rows, progress: newProgress(c.OutOrStdout(), o.quiet), observe: d.observe}
	return d, nil
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.c.OutOrStdout(), "\n"+format+"\n", args...)
}

// observe keeps the first flight without missing values.
func (d *demo) observe(row parity.Row, got []parity.Cell) {
	if d.served != nil {
		return
	}
	for _, w := range row.Want {
		if w.Value.IsNull() {
			return
		}
	}
	d.sample, d.served = row, got
}

// leakyView is a typical mistake: it uses the outcome as a feature.
const leakyView = `kind: Source
name: bookings
from: data/spine.parquet
event_time: as_of
columns:
  origin: {type: string}
  as_of: {type: timestamp}
  late_or_cancelled: {type: bool, outcome: true}
---
kind: FeatureView
name: airport_lateness
entity: airport
source: bookings
features:
  bookings_24h: count("24h")
  late_bookings_24h: count("24h").where(late_or_cancelled)
`

// leak compiles the definitions together with leakyView and prints the resulting errors.
func (d *demo) leak() error {
	dir, err := os.MkdirTemp("", "unskew-leak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(filepath.Join(dir, featuredefs.FeaturesDir), os.DirFS(filepath.Join(d.o.project, featuredefs.FeaturesDir))); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(d.o.project, featuredefs.ConfigFile))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, featuredefs.ConfigFile), config, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, featuredefs.FeaturesDir, "leak.yaml"), []byte(leakyView), 0o644); err != nil {
		return err
	}
	_, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		return err
	}
	if !found.HasErrors() {
		return errors.New("the leak was not detected")
	}
	return found.Render(d.c.OutOrStdout())
}

// print prints the closing report, whose last line is the verdict.
func (d *demo) print(out string) error {
	w := d.c.OutOrStdout()
	d.say("5. One flight, as trained and as served")
	if err := d.printFlight(); err != nil {
		return err
	}
	if err := d.explain(); err != nil {
		return err
	}
	if d.late != nil {
		if err := d.plantFault(out); err != nil {
			return err
		}
	}
	d.say("Where to go next")
	fmt.Fprintf(w, "  %s holds the training set and manifest.json\n", out)
	fmt.Fprintf(w, "  %s the definitions, with comments that explain the language\n", filepath.Join(d.o.project, featuredefs.FeaturesDir))
	fmt.Fprintf(w, "  unskew materialize -C %[1]s && unskew serve -C %[1]s    serve it yourself\n", d.o.project)
	fmt.Fprintf(w, "  docs/semantics.md says what a value means\n")
	values := d.trained() * int64(len(d.set.Service.Outputs()))
	d.say("trained  %s flights, %s values in %s: %s values/s", count(d.trained()), count(values), round(d.training), count(perSecond(values, d.training)))
	fmt.Fprintf(w, "served   %s flights asked, %s events materialized and %s pushed, each durable before it counts, in %s\n",
		count(int64(d.report.Rows)), count(d.report.Materialized), count(d.report.Pushed), round(d.serving))
	fmt.Fprintf(w, "in all   %s\n", round(time.Since(d.begun)))
	if d.late != nil {
		fmt.Fprintf(w, "page     %s: open it in a browser; it shows the planted fault, explained\n", filepath.Join(out, demoPage))
	}
	printReport(d.c, d.report)
	return nil
}

func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / d.Seconds()) }

func (d *demo) trained() int64 {
	var n int64
	for _, f := range d.manifest.Files {
		n += f.Rows
	}
	return n
}

// shownFeatures bounds the table of the sample flight.
const shownFeatures = 16

func (d *demo) printFlight() error {
	if d.served == nil {
		return nil
	}
	w := tabwriter.NewWriter(d.c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "as of %s", d.sample.At)
	for i, k := range d.set.Service.Keys {
		fmt.Fprintf(w, ", %s %s", k.Name, d.sample.Keys[i])
	}
	fmt.Fprintf(w, "\nfeature\ttrained\tserved\tstatus\tdefined in\n")
	outputs := d.set.Service.Outputs()
	step := max(1, len(outputs)/shownFeatures)
	for i := 0; i < len(outputs); i += step {
		pos := definedAt(d.set.Service, i)
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%s:%d\n", outputs[i].Name, d.sample.Want[i].Value, d.served[i].Value, d.served[i].Status, pos.File, pos.Line)
	}
	return w.Flush()
}

// demoFeature is the feature of which the demo shows the events, demoEvents how many.
const (
	demoFeature = "airport_departures.mean_dep_delay_1h"
	demoEvents  = 8
)

// explain shows the events of one value of the sample flight.
func (d *demo) explain() error {
	if d.served == nil {
		return nil
	}
	s := d.set.Service
	o := slices.IndexFunc(s.Features, func(f plan.ServiceFeature) bool { return f.Name == demoFeature })
	if o < 0 {
		return fmt.Errorf("service %s has no feature %s", s.Name, demoFeature)
	}
	ref := &s.Views[s.Features[o].Ref]
	cfg := explain.Config{View: ref.View, Feature: s.Features[o].Feature, At: d.sample.At, Events: demoEvents, Note: "the value above, trained and served", History: past{d.reader, nil}.history}
	for _, name := range ref.Keys {
		k := slices.IndexFunc(s.Keys, func(k plan.Field) bool { return k.Name == name })
		cfg.Key = append(cfg.Key, d.sample.Keys[k])
	}
	e, err := explain.Run(d.c.Context(), cfg)
	if err != nil {
		return err
	}
	if served := recompute.NewCell(d.served[o].Value, d.served[o].Status.String()); served.Bits != e.Training.Bits {
		return fmt.Errorf("%s was served as %v, and its events give %v", demoFeature, served, e.Training)
	}
	if d.late, err = lateEventOf(ref.View, e); err != nil {
		return err
	}
	d.say("6. One of these values, event by event: unskew explain %s", demoFeature)
	return printExplanation(d.c, e)
}

// definedAt returns the position where an output of a service is defined.
func definedAt(s *plan.Service, output int) plan.Pos {
	if d := output - len(s.Features); d >= 0 {
		return s.Derived[d].Pos
	}
	f := s.Features[output]
	return s.Views[f.Ref].View.Features[f.Feature].Pos
}
