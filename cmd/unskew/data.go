package main

import (
	"context"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// sampledRows is how many rows of each source and spine are checked.
const sampledRows = 10_000

// dataCheck compares the declarations of sources and spines with their data, and reads the
// first rows of each as training would.
type dataCheck struct {
	reader *relation.Reader
	found  diag.Diagnostics
}

func checkData(ctx context.Context, reader *relation.Reader, p *plan.Plan) (diag.Diagnostics, error) {
	d := &dataCheck{reader: reader}
	for _, s := range p.Sources {
		if s.From != "" || s.SQL != "" {
			d.source(ctx, s)
		}
	}
	for _, t := range p.Training {
		if t.Spine.Served {
			continue // what servers will have recorded
		}
		problems, badRow := offline.CheckSpine(ctx, reader, t, sampledRows)
		d.problems(problems, t.Spine.RelationPos, t.Spine.ColumnPos)
		if badRow != nil {
			d.report(t.Spine.RelationPos, featuredefs.RuleBadRow, badRow.Error())
		}
	}
	return d.found, ctx.Err()
}

func (d *dataCheck) source(ctx context.Context, s *plan.Source) {
	columns := make([]plan.Field, len(s.Columns))
	for i, c := range s.Columns {
		columns[i] = c.Field
	}
	problems := offline.CheckColumns(ctx, d.reader, relation.SourceRelation(s), columns)
	d.problems(problems, s.RelationPos, s.ColumnPos)
	if len(problems) > 0 {
		return
	}
	sample, err := offline.SampleSource(ctx, d.reader, s, sampledRows)
	switch {
	case err != nil:
		d.report(s.RelationPos, featuredefs.RuleBadRow, err.Error())
	case sample.In1970 > 0:
		d.report(s.ColumnPos[s.EventTime], featuredefs.RuleTimeIn1970, offline.SuspiciousTimes(sample.In1970, sample.First1970))
	}
}

// problems reports each problem at the position of its column, or else of the relation.
func (d *dataCheck) problems(problems []offline.Problem, of plan.Pos, columns map[string]plan.Pos) {
	for _, p := range problems {
		at, named := columns[p.Column]
		if !named {
			at = of
		}
		d.report(at, featuredefs.RuleSchema, p.Err.Error())
	}
}

func (d *dataCheck) report(pos plan.Pos, rule diag.Rule, message string) {
	d.found = append(d.found, diag.Diagnostic{Pos: pos, Severity: rule.Severity, Rule: rule.ID, Message: message})
}
