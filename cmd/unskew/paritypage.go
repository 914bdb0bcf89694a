package main

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/onlinestore"
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
	x := &pageExplainer{past: past{s.reader, s.st.Log}, project: s.project, served: backend.ServedLogDir(s.project), store: s.st.Store}
	if err := x.explainAll(ctx, p, s.explained, s.progress); err != nil {
		return err
	}
	return p.WriteFile(s.html)
}

// pageExplainer explains values for pages, as unskew explain --request does.
type pageExplainer struct {
	past
	project *featuredefs.Project
	served  string // folder of the served log
	store   onlinestore.Store
}

// explainAll explains some differences of a page, at most n.
func (x *pageExplainer) explainAll(ctx context.Context, p *ui.Parity, n int, show *progress) error {
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

func (x *pageExplainer) explain(ctx context.Context, output, request string, row int64) (*explain.Explanation, error) {
	if !isOutput(x.project.Plan, output) {
		return nil, fmt.Errorf("no service has the feature %s any more", output)
	}
	one := &explaining{past: x.past, project: x.project, served: x.served, store: x.store, flags: &explainFlags{request: request, row: int(row)}, cfg: &explain.Config{Events: pageEvents}, output: output}
	return one.run(ctx)
}
