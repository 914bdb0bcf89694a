package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/wire"
)

// reader computes the features of one request at a time. It owns the kernels' scratch memory.
type reader struct {
	service *service
	views   []*viewReader
	derive  *kernel.Service
	stop    func() bool // reports whether the current request has ended

	// scratch buffers
	at     []plan.EventTime
	states [][]int32 // for each view, the mapping from row to entity
	answer answer
	served servedlog.Row
}

// viewReader is the kernel of one view in one role of the service, with the states fetched for the
// current request.
type viewReader struct {
	ref         plan.ViewRef
	fingerprint string // of the view
	kernel      *kernel.View
	fetched

	// of each entity, if the reader of states keeps values
	prepared []*kernel.Prepared
	wanted   []bool
	segment  segment // that the current request has encoded; empty if it has not
}

func newReader(s *service) (*reader, error) {
	r := &reader{service: s}
	for i, ref := range s.plan.Views {
		k, err := kernel.NewView(ref.View)
		if err != nil {
			return nil, err
		}
		k.Only(s.featuresOf(i))
		r.views = append(r.views, &viewReader{ref: ref, fingerprint: ref.View.Fingerprint.String(), kernel: k})
	}
	var err error
	if r.derive, err = kernel.NewService(s.plan); err != nil {
		return nil, err
	}
	var views []*kernel.View
	for _, v := range r.views {
		views = append(views, v.kernel)
	}
	r.answer = answer{
		cols: r.derive.Outputs(views), places: make([]wire.RowMap, len(s.outputs)), views: r.views, features: make([]*kernel.Features, len(views)),
	}
	r.states = make([][]int32, len(views))
	stop := func() bool { return r.stop != nil && r.stop() }
	for _, v := range r.views {
		v.kernel.StopWhen(stop)
	}
	r.derive.StopWhen(stop)
	return r, nil
}

// featuresOf returns the indexes of the features that the service takes from view number ref.
func (s *service) featuresOf(ref int) (features []int) {
	for _, f := range s.plan.Features {
		if f.Ref == ref {
			features = append(features, f.Feature)
		}
	}
	return features
}

func (r *reader) reset() {
	for _, v := range r.views {
		v.fetched, v.segment = fetched{}, segment{}
		clear(v.prepared)
	}
	clear(r.states)
	r.stop = nil
}

// answer is the result of a request. It belongs to the reader, whose next request overwrites it.
type answer struct {
	asOf     plan.EventTime
	cols     []*kernel.FeatureColumn // all outputs of the service, in its order
	places   []wire.RowMap           // for each output, the mapping from row to value
	views    []*viewReader
	features []*kernel.Features // of each view
	derived  *kernel.Features
	kept     []fetched // if not nil, the answer consists of the segments kept of each view, and has nothing else
}

// read computes the features of all views and then the derived ones, as of t. If an applied event
// is visible at t or later, it reads as of the first moment that sees that event instead. The error is
// errMoved if a kept value is not valid then.
func (r *reader) read(ctx context.Context, q *query, states []fetched, t plan.EventTime) (*answer, error) {
	for i, v := range r.views {
		v.fetched = states[i]
		t = max(t, v.newest(t)+1)
	}
	a := &r.answer
	for i, v := range r.views {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if a.features[i], err = v.read(t); err != nil {
			return nil, fmt.Errorf("view %s: %w", v.ref.View.Name, err)
		}
		r.states[i] = v.places
	}
	a.asOf, a.derived = t, r.derive.DeriveShared(a.features, r.states, &q.request, r.times(q.n, t))
	for o, f := range r.service.plan.Features {
		if p := r.states[f.Ref]; p != nil || a.places[o] != nil {
			a.places[o] = p
		}
	}
	return a, nil
}

// times returns n copies of t.
func (r *reader) times(n int, t plan.EventTime) []plan.EventTime {
	r.at = slices.Grow(r.at[:0], n)[:n]
	for i := range r.at {
		r.at[i] = t
	}
	return r.at
}

// explain reports why selected outputs failed.
func (r *reader) explain(q *query, a *answer, failed func(output string, row int, text string)) {
	for _, o := range q.outputs {
		if a.cols[o].Errors == 0 {
			continue
		}
		for row := range q.n {
			if at := a.places[o].Of(row); a.cols[o].Status[at] == kernel.Failed || a.cols[o].Status[at] == kernel.Lost {
				failed(r.service.outputs[o].Name, row, r.derive.ErrorText(a.features, a.derived, o, at))
			}
		}
	}
}

// newest returns the newest visible time in the fetched states if it is since or later, else any earlier time.
func (v *viewReader) newest(since plan.EventTime) plan.EventTime {
	newest := plan.Always
	for e := range v.States {
		if v.stateBytes(e) > 0 {
			newest = max(newest, v.newestOf(e, since))
		}
	}
	return newest
}

// newestOf returns the newest time of the state of entity e, which has one, if it is since or later.
func (v *viewReader) newestOf(e int, since plan.EventTime) plan.EventTime {
	if k := v.kept(e); k != nil {
		return k.Newest
	}
	return v.kernel.NewestOf(v.States[e], since)
}

// appliedOf returns the positions that the state of entity e, which has one, has applied.
func (v *viewReader) appliedOf(e int) logpos.Vector {
	if k := v.kept(e); k != nil {
		return k.Applied
	}
	return v.kernel.AppliedOf(v.States[e])
}
