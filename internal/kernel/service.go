package kernel

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Service is a compiled feature service: it derives features across views. It
// owns scratch memory and serves one goroutine at a time.
type Service struct {
	plan   *plan.Service
	outer  *outer
	behind [][]int // of each derived feature, the views it reads, through others too
}

// NewService compiles the derived features of s.
func NewService(s *plan.Service) (*Service, error) {
	o, err := compileOuter(s.Derived, s.Order, func(e *plan.Expr) plan.Type {
		if e.Kind != plan.FeatureRef {
			return e.Type
		}
		if d := e.Index - len(s.Features); d >= 0 {
			return s.Derived[d].RefType()
		}
		f := s.Features[e.Index]
		return s.Views[f.Ref].View.Features[f.Feature].RefType()
	})
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, err)
	}
	out := &Service{plan: s, outer: o, behind: make([][]int, len(s.Derived))}
	outputs := s.Outputs()
	o.cause = func(leaf *plan.Expr, _ int) string { return outputs[leaf.Index].Name + " failed" }
	for _, d := range s.Order {
		out.behind[d] = viewsBehind(s, d, out.behind)
	}
	return out, nil
}

// viewsBehind lists the views that derived feature d reads; done has those of the
// derived features it refers to.
func viewsBehind(s *plan.Service, d int, done [][]int) []int {
	var views []int
	s.Derived[d].Expr.Walk(func(e *plan.Expr) {
		switch {
		case e.Kind != plan.FeatureRef:
		case e.Index < len(s.Features):
			views = append(views, s.Features[e.Index].Ref)
		default:
			views = append(views, done[e.Index-len(s.Features)]...)
		}
	})
	slices.Sort(views)
	return slices.Compact(views)
}

// Plan is the plan the service was compiled from.
func (s *Service) Plan() *plan.Service { return s.plan }

// StopWhen is for Derive what View.StopWhen is for Read.
func (s *Service) StopWhen(stop func() bool) { s.outer.stopWhen(stop) }

// Derive computes the derived features for n = len(at) rows: views[r] holds the
// results of the plan's Views[r], request the request fields by name. A feature
// without a value is of an unknown entity when every view behind it says so of its own.
func (s *Service) Derive(views []*Features, request *vector.Batch, at []plan.EventTime) *Features {
	return s.outer.eval(len(at), at, func(leaf *plan.Expr) *vector.Vector {
		if leaf.Kind == plan.Request {
			return request.Col(leaf.Name)
		}
		if d := leaf.Index - len(s.plan.Features); d >= 0 {
			return s.outer.out.Cols[d].Vec
		}
		f := s.plan.Features[leaf.Index]
		return views[f.Ref].Cols[f.Feature].Vec
	}, func(d, i int) bool {
		return len(s.behind[d]) == 0 || slices.ContainsFunc(s.behind[d], func(v int) bool { return views[v].Known.Get(i) })
	})
}

// Assemble lists the service's output columns in the order of plan.Service.Outputs,
// given the results of its views and its derived features.
func (s *Service) Assemble(views []*Features, derived *Features) []FeatureColumn {
	out := make([]FeatureColumn, 0, len(s.plan.Features)+len(s.plan.Derived))
	for _, f := range s.plan.Features {
		out = append(out, views[f.Ref].Cols[f.Feature])
	}
	return append(out, derived.Cols...)
}
