package kernel

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// Service is a compiled feature service: it derives features across views. It
// owns scratch memory and serves one goroutine at a time.
type Service struct {
	plan  *plan.Service
	outer *outer
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
	return &Service{plan: s, outer: o}, nil
}

// Plan is the plan the service was compiled from.
func (s *Service) Plan() *plan.Service { return s.plan }

// Derive computes the derived features for n = len(at) rows: views[r] holds the
// results of the plan's Views[r], request the request fields by name.
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
	}, func(int) bool { return true })
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
