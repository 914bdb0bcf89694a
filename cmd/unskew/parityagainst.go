package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/version"
	"github.com/unskew/unskew/validate/against"
)

// againstFlags are the flags of parity --against.
type againstFlags struct {
	file, time string
	columns    []string
	lags       []string
	rows       int
	live       liveFlags
}

func (f *againstFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.file, "against", "", "compare values that another system served or trained with, in `FILE|URL`: Parquet, CSV or JSON, or a feature server")
	flags.StringVar(&f.time, "time", "", "with --against, `COLUMN` with the time as of which the values are")
	flags.StringArrayVar(&f.columns, "column", nil, "with --against, `NAME=COLUMN` of a key, request field or feature that is called otherwise there; repeat for several")
	flags.StringArrayVar(&f.lags, "lag", nil, "with --against, also try whether values are older by `DURATION`; repeat for several")
	flags.IntVar(&f.rows, "explain-rows", 5000, "with --against, explain the differences of about `N` rows; 0: all")
	_ = c.MarkFlagFilename("against", "parquet", "csv", "json", "jsonl") // never fails
	f.live.add(c)
	for _, other := range []string{"served", "replay", "html", "training-set", "from", "to", "explain", "by"} {
		c.MarkFlagsMutuallyExclusive("against", other)
	}
}

// parityAgainst compares values of another system.
func (o *options) parityAgainst(c *cobra.Command, f *parityFlags, args []string) (err error) {
	server := isServer(f.against.file)
	if err := f.against.live.check(c, f, server); err != nil {
		return err
	}
	if f.against.time == "" && !server {
		return errors.New("--against needs --time, the column with the time as of which the values are")
	}
	if f.against.rows < 0 {
		return fmt.Errorf("--explain-rows %d: give a number of rows, or 0 for all", f.against.rows)
	}
	least := 0.0
	if f.failBelow != "" {
		if least, err = featuredefs.ParseRate(f.failBelow); err != nil {
			return fmt.Errorf("--fail-below: %w", err)
		}
	}
	memory, err := (&trainFlags{memory: f.memory}).bytes()
	if err != nil {
		return err
	}
	cfg := against.Config{Time: f.against.time, Columns: map[string]string{}, Explain: f.against.rows, Memory: memory, Threads: f.threads, Engine: celenv.Engine(), Version: version.Release}
	for _, pair := range f.against.columns {
		name, column, ok := strings.Cut(pair, "=")
		if !ok || name == "" || column == "" {
			return fmt.Errorf("--column %s: write NAME=COLUMN, like user_id=uid", pair)
		}
		cfg.Columns[name] = column
	}
	for _, lag := range f.against.lags {
		age, err := plan.ParseSpan(lag)
		if err != nil {
			return fmt.Errorf("--lag: %w", err)
		}
		cfg.Lags = append(cfg.Lags, age)
	}
	if cfg.Reader, err = o.openReader(memory, f.threads); err != nil {
		return err
	}
	defer closeWith(&err, cfg.Reader)
	p, err := o.load(c, cfg.Reader)
	if err != nil {
		return err
	}
	if cfg.Service, err = pick("feature service", strings.Join(args, ""), p.Plan.Services, func(s *plan.Service) string { return s.Name }); err != nil {
		return err
	}
	var closeLog func(error) error
	if cfg.Log, closeLog, err = o.trainingLog(c, p, &plan.TrainingSet{Service: cfg.Service}); err != nil {
		return err
	}
	defer func() { err = closeLog(err) }()
	show := newTrainProgress(newProgress(c.ErrOrStderr(), o.quiet))
	cfg.Relation, cfg.Progress = relation.Relation{Owner: f.against.file, From: f.against.file}, show.rows
	if server {
		end, err := o.readLive(c, f, &cfg)
		if err != nil {
			return err
		}
		defer end()
	}
	r, err := against.Run(c.Context(), cfg)
	if err != nil {
		return err
	}
	show.finish()
	return o.tellAgainst(c, f, r, least)
}

// tellAgainst prints a report and says whether it is good.
func (o *options) tellAgainst(c *cobra.Command, f *parityFlags, r *against.Report, least float64) (err error) {
	below := r.Rate() < least
	if f.junit != "" {
		if err := writeAgainstJUnit(f.junit, r, f.failBelow, below); err != nil {
			return err
		}
	}
	if o.json {
		err = printJSON(c, r)
	} else {
		err = printAgainst(c, f.against.file, r)
	}
	if err == nil && below {
		err = &findings{fmt.Sprintf("%s of the values are those of service %s, less than %s", percentOf(r.Compared, r.Different), r.Service, f.failBelow)}
	}
	return err
}

func percentOf(compared, different int64) string {
	return (&recompute.Tally{Compared: compared, Different: different}).Percent()
}

func printAgainst(c *cobra.Command, file string, r *against.Report) error {
	out := c.OutOrStdout()
	if r.Different > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "feature\tcolumn\tcompared\tequal\tcauses\tmedian age\tlargest distance")
		for i := range r.Features {
			x := &r.Features[i]
			if x.Different == 0 {
				continue
			}
			distance := "-"
			if x.Largest > 0 {
				distance = fmt.Sprintf("%g", x.Largest)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Column, count(x.Compared), percentOf(x.Compared, x.Different), listed(x.Causes), cmp.Or(x.Age, "-"), distance)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out, "\nexamples:")
		for i := range r.Examples {
			e := &r.Examples[i]
			fmt.Fprintf(out, "  %s: %s of %s at %s, row %s\n    theirs %s, here %s\n", e.Cause, e.Feature, e.Keys, e.At, count(e.Row), cellText(&e.Theirs), cellText(&e.Ours))
			if e.Is != "" {
				fmt.Fprintf(out, "    %s\n", e.Is)
			}
		}
		fmt.Fprintln(out)
	}
	for _, name := range r.NotThere {
		fmt.Fprintf(out, "not there: %s\n", name)
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotCompared)) {
		fmt.Fprintf(out, "not compared: %s: %s\n", name, r.NotCompared[name])
	}
	fmt.Fprintf(out, "%s: %s from %s to %s\n", file, quantity(r.Rows, "row"), r.First, r.Last)
	text := fmt.Sprintf("%s compared with service %s, version %s, %s different", quantity(r.Compared, "value"), r.Service, short(r.Fingerprint), count(r.Different))
	if r.Different > 0 {
		text += fmt.Sprintf(", %s equal", percentOf(r.Compared, r.Different))
	}
	if r.Explained > 0 {
		text += fmt.Sprintf("; causes of %s: %s", count(r.Explained), listed(r.Causes))
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

// writeAgainstJUnit writes a test case for each feature, and one for the rate.
func writeAgainstJUnit(path string, r *against.Report, least string, below bool) (err error) {
	s := junitSuite{Name: "unskew parity --against " + r.Service}
	for i := range r.Features {
		x := &r.Features[i]
		k := junitCase{Class: r.Service, Name: x.Name}
		if x.Different > 0 {
			k.Failure = &junitFailure{fmt.Sprintf("%s of %s differ", count(x.Different), quantity(x.Compared, "value")), listed(x.Causes)}
		}
		s.Cases = append(s.Cases, k)
	}
	rate := junitCase{Class: r.Service, Name: "values of the other system"}
	if below {
		rate.Failure = &junitFailure{percentOf(r.Compared, r.Different) + " are equal, less than " + least, listed(r.Causes)}
	}
	s.Cases = append(s.Cases, rate)
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer closeWith(&err, file)
	return s.write(file)
}
