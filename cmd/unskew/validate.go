package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celcost"
	"github.com/unskew/unskew/validate"
)

func newValidate(o *options) *cobra.Command {
	var format, against string
	var offline, verbose bool
	var future perturbFlags
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check every definition of the project",
		Long: `Compiles all definitions and prints what is wrong with them: file, line, column, the line
itself and the fix. Unless --offline is set, it opens the data of sources and spines to
compare the columns with the declarations and with unskew.lock.

With --against it also compares with the definitions of a git commit, and reports what would
break existing models: a feature of a service that was removed or now means something else,
and keys and request fields that callers do not send yet.

--verbose lists for every expression an upper bound of the cost of one evaluation, in units
of about ten nanoseconds, and the parts that are evaluated row by row because they have no
columnar form.

With --perturb it also recomputes rows of every training set after all events that became
known at the time of a row or later were changed, removed, or joined by others. A value that
differs is an error, with its row. What was pushed is left as it is, and so are the files that
a sql: reads: its result is what is changed. It reads the sources a few times.

Exit code 0: nothing found; 1: errors; 2: could not run. Warnings alone exit 0.`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.json && c.Flags().Changed("format") && format != "json" {
				return fmt.Errorf("--json and --format %s contradict each other; leave one out", format)
			}
			if o.json {
				format = "json"
			}
			p, err := o.validate(c, format, against, offline, verbose, future)
			if p == nil || !verbose {
				return err
			}
			return cmp.Or(profile(c, p.Plan), err)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "write findings as `FORMAT`: text, json, github, sarif or junit")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also list the cost of every expression")
	c.Flags().StringVar(&against, "against", "", "compare with `REF`: a git commit, branch or tag, like origin/main")
	c.Flags().BoolVar(&offline, "offline", false, "do not open the sources' data")
	c.Flags().BoolVar(&future.on, "perturb", false, "also recompute rows of training sets with other events from their time on")
	c.Flags().IntVar(&future.rows, "rows", 300, "with --perturb, recompute `N` rows of each training set")
	c.Flags().Uint64Var(&future.seed, "seed", 1, "with --perturb, draw rows and changes by `NUMBER`")
	c.MarkFlagsMutuallyExclusive("perturb", "offline")
	completeFlag(c, "format", cobra.FixedCompletions([]cobra.Completion{"text", "json", "github", "sarif", "junit"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// validate prints the findings. It returns the project if every expression was compiled.
func (o *options) validate(c *cobra.Command, format, against string, offline, verbose bool, future perturbFlags) (*featuredefs.Project, error) {
	if verbose && format != "text" {
		return nil, errors.New("--verbose is for --format text")
	}
	write, ok := formats[format]
	if !ok {
		return nil, fmt.Errorf("there is no format %q; formats are text, json, github, sarif, junit", format)
	}
	p, found, err := o.check(c, offline)
	if err != nil {
		return nil, err
	}
	if against != "" && !found.HasErrors() {
		before, err := o.planAt(c.Context(), against)
		if err != nil {
			return nil, fmt.Errorf("--against %s: %w", against, err)
		}
		found = append(found, validate.Against(before, p.Plan)...)
	}
	if future.on && !found.HasErrors() {
		more, err := o.perturb(c, p, future)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if format == "github" || format == "sarif" {
		found = o.fromHere(found)
	}
	if err := write(c.OutOrStdout(), p, found); err != nil {
		return nil, err
	}
	if found.HasErrors() {
		if !onlyCosts(found) {
			p = nil
		}
		return p, &findings{}
	}
	return p, nil
}

// onlyCosts reports whether all errors are about the cost of expressions.
func onlyCosts(found diag.Diagnostics) bool {
	return !slices.ContainsFunc(found, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && d.Rule != featuredefs.RuleCost.ID
	})
}

// fromHere makes file names relative to the current folder instead of the project, because
// tools that show findings next to the lines run at the top of a repository.
func (o *options) fromHere(found diag.Diagnostics) diag.Diagnostics {
	out := slices.Clone(found)
	for i := range out {
		out[i].Pos.File = filepath.ToSlash(o.inProject(out[i].Pos.File))
	}
	return out
}

// check compiles the project and, unless offline, checks its data.
func (o *options) check(c *cobra.Command, offline bool) (p *featuredefs.Project, found diag.Diagnostics, err error) {
	if offline {
		return o.compile(c.Context(), nil, nil)
	}
	reader, err := o.openReader(0, 0)
	if err != nil {
		return nil, nil, err
	}
	defer closeWith(&err, reader)
	p, found, err = o.compile(c.Context(), reader, func(p *plan.Plan) (diag.Diagnostics, error) {
		return checkData(c.Context(), reader, p)
	})
	if err == nil && !found.HasErrors() {
		found = append(found, checkLogs(c.Context(), p)...)
	}
	return p, found, err
}

// profile prints the cost of every expression in the plan.
func profile(c *cobra.Command, p *plan.Plan) error {
	profiles, err := validate.Profiles(p)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nexpression\tpart\tat most\trow by row")
	for _, x := range profiles {
		texts := make([]string, len(x.Fallbacks))
		for i, f := range x.Fallbacks {
			texts[i] = f.Text
		}
		units := fmt.Sprintf("%d units", x.Units)
		if x.Units == celcost.Unknown {
			units = "unknown"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Owner, x.Part, units, strings.Join(texts, "; "))
	}
	return w.Flush()
}

// printJSON writes v as indented JSON on standard output.
func printJSON(c *cobra.Command, v any) error {
	e := json.NewEncoder(c.OutOrStdout())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
