package main

import (
	"context"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// checkData compares what sources and spines declare with the data they name, without
// reading rows.
func checkData(ctx context.Context, reader *relation.Reader, p *plan.Plan) (diag.Diagnostics, error) {
	var found diag.Diagnostics
	report := func(pos plan.Pos, err error) {
		if err != nil {
			found = append(found, diag.Diagnostic{Pos: pos, Severity: diag.Error, Rule: featuredefs.RuleSchema.ID, Message: err.Error()})
		}
	}
	for _, s := range p.Sources {
		if s.From != "" || s.SQL != "" {
			columns := make([]plan.Field, len(s.Columns))
			for i, c := range s.Columns {
				columns[i] = c.Field
			}
			report(s.Pos, reader.Check(ctx, relation.SourceRelation(s), columns))
		}
	}
	for _, t := range p.Training {
		report(t.Pos, offline.CheckSpine(ctx, reader, t))
	}
	return found, ctx.Err()
}
