package kernel

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Service is a compiled feature service: it derives features across views. It
// owns scratch memory and is for one goroutine at a time.
type Service struct {
	plan   *plan.Service
	outer  *outer
	behind [][]int  // by derived feature: the views that it reads, directly or through others
	spread []spread // features of views that derived features read
}

// spread is a feature of a view. If rows share entities, col is its column expanded to one
// value per row.
type spread struct {
	ref, feature int
	col          *vector.Vector // scratch
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
		out.readBy(s.Derived[d])
	}
	return out, nil
}

// readBy records the features of views that a derived feature reads.
func (s *Service) readBy(derived *plan.Feature) {
	derived.Expr.Walk(func(e *plan.Expr) {
		if e.Kind != plan.FeatureRef || e.Index >= len(s.plan.Features) {
			return
		}
		f := s.plan.Features[e.Index]
		if s.spreadOf(f.Ref, f.Feature) == nil {
			s.spread = append(s.spread, spread{f.Ref, f.Feature, &vector.Vector{}})
		}
	})
}

func (s *Service) spreadOf(ref, feature int) *spread {
	for i := range s.spread {
		if x := &s.spread[i]; x.ref == ref && x.feature == feature {
			return x
		}
	}
	return nil
}

// viewsBehind lists the views that derived feature d reads, directly or through others; done
// has the lists of the derived features that it refers to.
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

// Behind lists the views that derived feature d reads, directly or through others.
func (s *Service) Behind(d int) []int { return s.behind[d] }

// Plan is the plan the service was compiled from.
func (s *Service) Plan() *plan.Service { return s.plan }

// StopWhen makes Derive call stop; see View.StopWhen.
func (s *Service) StopWhen(stop func() bool) { s.outer.stopWhen(stop) }

// Derive computes the derived features for n = len(at) rows: views[r] holds the
// results of the plan's Views[r], request the request fields by name. A feature without a
// value is UnknownEntity if it reads a view and the entity of every view it reads is unknown.
func (s *Service) Derive(views []*Features, request *vector.Batch, at []plan.EventTime) *Features {
	return s.DeriveShared(views, make([][]int32, len(views)), request, at)
}

// DeriveShared is Derive for rows that may share entities: row i reads row index[r][i] of
// views[r], or row i if index[r] is nil.
func (s *Service) DeriveShared(views []*Features, index [][]int32, request *vector.Batch, at []plan.EventTime) *Features {
	for i := range s.spread {
		if x := &s.spread[i]; index[x.ref] != nil {
			spreadRows(x.col, views[x.ref].Cols[x.feature].Vec, index[x.ref])
		}
	}
	// of reports whether one of the views that derived feature d reads has the bit of row i.
	of := func(bits func(*Features) vector.Bitmap, d, i int) bool {
		return slices.ContainsFunc(s.behind[d], func(v int) bool {
			b, row := bits(views[v]), i
			if index[v] != nil {
				row = int(index[v][i])
			}
			return b != nil && b.Get(row)
		})
	}
	from := sources{known: func(d, i int) bool {
		return len(s.behind[d]) == 0 || of(func(f *Features) vector.Bitmap { return f.Known }, d, i)
	}}
	if slices.ContainsFunc(views, func(f *Features) bool { return f.Lost != nil }) {
		from.lost = func(d, i int) bool { return of(func(f *Features) vector.Bitmap { return f.Lost }, d, i) }
	}
	return s.outer.eval(len(at), at, func(leaf *plan.Expr) *vector.Vector {
		if leaf.Kind == plan.Request {
			return request.Col(leaf.Name)
		}
		if d := leaf.Index - len(s.plan.Features); d >= 0 {
			return s.outer.out.Cols[d].Vec
		}
		f := s.plan.Features[leaf.Index]
		if index[f.Ref] != nil {
			return s.spreadOf(f.Ref, f.Feature).col
		}
		return views[f.Ref].Cols[f.Feature].Vec
	}, from)
}

// spreadRows sets row i of dst to row index[i] of src.
func spreadRows(dst, src *vector.Vector, index []int32) {
	dst.Type = src.Type
	dst.Resize(len(index))
	switch vector.Lane(src.Type) {
	case plan.Bool:
		for i, p := range index {
			dst.Bits.Put(i, src.Bits.Get(int(p)))
		}
	case plan.Int:
		spreadLane(dst.Int, src.Int, index)
	case plan.Double:
		spreadLane(dst.Double, src.Double, index)
	case plan.String:
		spreadLane(dst.Str, src.Str, index)
	default:
		spreadLane(dst.Any, src.Any, index)
	}
	if src.Null == nil && src.Err == nil {
		return
	}
	for i, p := range index {
		if src.IsNull(int(p)) {
			dst.SetNull(i)
		}
		if src.IsErr(int(p)) {
			dst.SetErr(i)
		}
	}
}

func spreadLane[T any](dst, src []T, index []int32) {
	for i, p := range index {
		dst[i] = src[p]
	}
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

// Outputs are pointers to the columns that Assemble lists. They stay valid: Read and
// ReadStored of the views, and Derive, overwrite the same columns at every call.
func (s *Service) Outputs(views []*View) []*FeatureColumn {
	out := make([]*FeatureColumn, 0, len(s.plan.Features)+len(s.plan.Derived))
	for _, f := range s.plan.Features {
		out = append(out, &views[f.Ref].outer.out.Cols[f.Feature])
	}
	for d := range s.outer.out.Cols {
		out = append(out, &s.outer.out.Cols[d])
	}
	return out
}
