package main

import (
	"context"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// The rules about rows, beside those about definitions.
var (
	ruleBadRow     = diag.Rule{ID: "bad-row", Severity: diag.Error, Purpose: "The first rows of a source's data are events."}
	ruleTimeIn1970 = diag.Rule{ID: "time-in-1970", Severity: diag.Warning, Purpose: "Seconds and milliseconds are not read as microseconds."}
)

// sampledRows is how many rows of each source are looked at to check it.
const sampledRows = 10_000

// checkData compares what sources and spines declare with the data they name, and looks
// at the first rows of each source as training would read them.
func checkData(ctx context.Context, reader *relation.Reader, p *plan.Plan) (diag.Diagnostics, error) {
	var found diag.Diagnostics
	report := func(pos plan.Pos, err error) bool {
		if err != nil {
			found = append(found, diag.Diagnostic{Pos: pos, Severity: diag.Error, Rule: featuredefs.RuleSchema.ID, Message: err.Error()})
		}
		return err == nil
	}
	for _, s := range p.Sources {
		if s.From != "" || s.SQL != "" {
			columns := make([]plan.Field, len(s.Columns))
			for i, c := range s.Columns {
				columns[i] = c.Field
			}
			if report(s.Pos, reader.Check(ctx, relation.SourceRelation(s), columns)) {
				found = append(found, checkRows(ctx, reader, s)...)
			}
		}
	}
	for _, t := range p.Training {
		report(t.Pos, offline.CheckSpine(ctx, reader, t))
	}
	return found, ctx.Err()
}

// checkRows looks at the first rows of a source.
func checkRows(ctx context.Context, reader *relation.Reader, s *plan.Source) diag.Diagnostics {
	sample, err := offline.SampleSource(ctx, reader, s, sampledRows)
	switch {
	case err != nil:
		return diag.Diagnostics{{Pos: s.Pos, Severity: diag.Error, Rule: ruleBadRow.ID, Message: err.Error()}}
	case sample.In1970 > 0:
		return diag.Diagnostics{{Pos: s.Pos, Severity: diag.Warning, Rule: ruleTimeIn1970.ID, Message: offline.SuspiciousTimes(sample.In1970, sample.First1970)}}
	}
	return nil
}
