package main

import (
	"context"

	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/ui"
)

// pageEvents is how many events an explanation in a page has.
const pageEvents = 30

// writePage writes what was found as a page, with explanations of some differences.
func (s *servedParity) writePage(ctx context.Context, r *recompute.Report) error {
	if s.html == "" {
		return nil
	}
	p := &ui.Parity{Project: s.project.Name, Origin: ui.Served, Plan: s.project.Plan, Reports: []*recompute.Report{r}}
	x := pageExplainer{explainable(s.project, s.reader, s.st.Log, s.st.Store)}
	if err := x.explainAll(ctx, p, s.explained, s.progress); err != nil {
		return err
	}
	return p.WriteFile(s.html)
}

// pageExplainer explains values for pages, as unskew explain --request does.
type pageExplainer struct{ *explain.Project }

// explainAll explains some differences of a page, at most n.
func (x pageExplainer) explainAll(ctx context.Context, p *ui.Parity, n int, show *progress) error {
	ids := p.ToExplain(n)
	if len(ids) > 0 {
		show.begin("explain", "values", int64(len(ids)))
	}
	p.Explained = map[string]ui.Explained{}
	for _, id := range ids {
		_, e := p.Find(id)
		why, err := x.explain(ctx, e.Feature, e.RequestID, e.Row)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.Explained[id] = ui.Explained{Explanation: why}
		if err != nil {
			p.Explained[id] = ui.Explained{Failed: err.Error()}
		}
		show.add(1)
	}
	return nil
}

func (x pageExplainer) explain(ctx context.Context, output, request string, row int64) (*explain.Explanation, error) {
	return x.Explain(ctx, explain.Request{Feature: output, ID: request, Row: row, Events: pageEvents})
}
