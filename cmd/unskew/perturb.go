package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/validate/perturb"
)

// perturbFlags are the flags of validate --perturb.
type perturbFlags struct {
	on   bool
	rows int
	seed uint64
}

// perturb recomputes rows of every training set with another future. Without a training set, or with fewer
// than one row, there is nothing to check, which is an error.
func (o *options) perturb(c *cobra.Command, p *featuredefs.Project, f perturbFlags) (diag.Diagnostics, error) {
	if f.rows < 1 {
		return nil, fmt.Errorf("--rows %d: it must be at least 1", f.rows)
	}
	if len(p.Plan.Training) == 0 {
		return nil, fmt.Errorf("--perturb recomputes rows of training sets, and the project has none; define a TrainingSet")
	}
	var found diag.Diagnostics
	for _, set := range p.Plan.Training {
		r, err := o.perturbSet(c, p, set, f)
		if err != nil {
			return nil, err
		}
		if !o.quiet {
			fmt.Fprintf(c.ErrOrStderr(), "training set %s: %s, %s compared; of what becomes known later, %s changed, %s removed, %s added\n",
				set.Name, quantity(int64(r.Rows), "row"), quantity(int64(r.Values), "value"), count(r.Changed), count(r.Removed), count(r.Added))
		}
		for i := range r.First {
			d := &r.First[i]
			found = append(found, diag.Diagnostic{Pos: d.Pos, Severity: perturb.Rule.Severity, Rule: perturb.Rule.ID, Message: d.Text(set.Name)})
		}
	}
	return found, nil
}

func (o *options) perturbSet(c *cobra.Command, p *featuredefs.Project, set *plan.TrainingSet, f perturbFlags) (r *perturb.Result, err error) {
	memory, err := (&trainFlags{}).bytes()
	if err != nil {
		return nil, err
	}
	reader, err := o.openReader(memory, 0)
	if err != nil {
		return nil, err
	}
	defer closeWith(&err, reader)
	log, closeLog, err := o.trainingLog(c, p, set)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeLog(err) }()
	spine := servedSpine{project: p, reader: reader, log: log, from: plan.Always, to: plan.Never, memory: memory}
	set, _, end, err := spine.of(c.Context(), set)
	if err != nil {
		return nil, err
	}
	defer end()
	return perturb.Check(c.Context(), perturb.Config{Reader: reader, Log: log, Set: set, Rows: f.rows, Seed: f.seed, Memory: memory, Engine: celenv.Engine()})
}
