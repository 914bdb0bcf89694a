package server

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// lastPurpose numbers the views of all services that were deployed. What two services keep of one
// state differs.
var lastPurpose atomic.Uint64

// errMoved says that a value that was kept is not valid at the time of the read.
var errMoved = errors.New("a window has moved during the read")

// keptRow is what the server keeps of the state of an entity in a view of a service. It is a
// registry.Value.
type keptRow struct {
	*kernel.Prepared
	segment
}

// Bytes implements registry.Value.
func (k *keptRow) Bytes() int { return k.Prepared.Bytes() + keptRowBytes + len(k.bytes) }

// keptRowBytes is the size of a keptRow without its parts.
const keptRowBytes = 64

// segment is the part of an answer with one row that has all outputs of a view; bytes is empty if
// there is none.
type segment struct {
	bytes    []byte
	form     form
	statuses [statusCount]int32 // how many of the outputs have each
}

// form is what the bytes of a segment depend on besides the row.
type form struct{ compact, json bool }

// run is consecutive outputs.
type run struct {
	ref      int // the view that all of them come from, -1 for derived features
	from, to int
	kept     bool // the run is all outputs of the view, and none depends on the time of the read alone
}

// runsOf divides the outputs of a service into runs.
func runsOf(p *plan.Service) (runs []run) {
	last := map[int]int{} // the run of each view
	for o, f := range p.Features {
		if n := len(runs) - 1; n >= 0 && runs[n].ref == f.Ref {
			runs[n].to = o + 1
		} else {
			_, before := last[f.Ref]
			runs = append(runs, run{ref: f.Ref, from: o, to: o + 1, kept: !before})
			if before {
				runs[last[f.Ref]].kept = false
			}
			last[f.Ref] = len(runs) - 1
		}
		if n := len(runs) - 1; readsNow(p.Views[f.Ref].View, f.Feature) {
			runs[n].kept = false
		}
	}
	if len(p.Derived) > 0 {
		runs = append(runs, run{ref: -1, from: len(p.Features), to: len(p.Features) + len(p.Derived)})
	}
	return runs
}

// readsNow reports whether a feature of a view depends on the time of the read itself, not only on
// what is in its windows then.
func readsNow(v *plan.View, feature int) (reads bool) {
	v.Features[feature].Expr.Walk(func(e *plan.Expr) {
		reads = reads || e.Kind == plan.Now || e.Kind == plan.FeatureRef && readsNow(v, e.Index)
	})
	return reads
}

// read computes the features of the view as of t. The error is errMoved.
func (v *viewReader) read(t plan.EventTime) (*kernel.Features, error) {
	if len(v.Kept) == 0 {
		return v.kernel.ReadStored(v.States, t), nil
	}
	n := len(v.States)
	v.prepared, v.wanted = slices.Grow(v.prepared[:0], n)[:n], slices.Grow(v.wanted[:0], n)[:n]
	for e := range v.States {
		v.prepared[e], v.wanted[e] = nil, false
		if k := v.kept(e); k == nil {
			v.wanted[e] = v.Wants(e)
		} else if v.prepared[e] = k.Prepared; !k.ValidAt(t) {
			return nil, errMoved
		}
	}
	return v.kernel.ReadPrepared(v.States, v.prepared, v.wanted, t), nil
}

// keep keeps what the current request has prepared and encoded.
func (r *reader) keep() {
	for _, v := range r.views {
		if len(v.Kept) == 0 {
			continue
		}
		for e, wanted := range v.wanted {
			if wanted {
				v.Keep(e, &keptRow{v.prepared[e], v.segment})
			}
		}
		if len(v.segment.bytes) > 0 && !v.wanted[0] {
			v.Renew(0, &keptRow{v.prepared[0], v.segment})
		}
	}
}

func (e encoding) form() form { return form{e.compact, e.json} }

// segmentOf returns the segment of a run that was kept of the only row, nil if there is none.
func segmentOf(x run, states *fetched, how encoding) []byte {
	if x.kept {
		if k := states.kept(0); k != nil && k.form == how.form() {
			return k.bytes
		}
	}
	return nil
}

// segment returns the segment of a run that was kept of the only row, nil if there is none.
func (a *answer) segment(x run, how encoding) []byte {
	switch {
	case x.ref < 0:
		return nil
	case a.kept != nil:
		return segmentOf(x, &a.kept[x.ref], how)
	}
	return segmentOf(x, &a.views[x.ref].fetched, how)
}

// noteSegment makes a segment of what was encoded of a run, if it is to be kept.
func (a *answer) noteSegment(x run, how encoding, encoded []byte) {
	if !x.kept {
		return
	}
	v := a.views[x.ref]
	if len(v.Kept) == 0 || v.kept(0) == nil && !v.wanted[0] {
		return
	}
	v.segment = segment{bytes: slices.Clone(encoded), form: how.form()}
	for o := x.from; o < x.to; o++ {
		v.segment.statuses[a.cols[o].Status[a.places[o].Of(0)]]++
	}
}

// encodeKept answers a request for one row from the segments that were kept, if they are all there.
func (s *Server) encodeKept(c *call, svc *service, states []fetched, now plan.EventTime) (done bool, err error) {
	how := s.encodingOf(c, svc)
	if !how.whole || how.states || s.cfg.Failed != nil {
		return false, nil
	}
	asOf, size := now, 0
	for _, x := range svc.runs {
		if x.ref < 0 {
			return false, nil
		}
		segment := segmentOf(x, &states[x.ref], how)
		if segment == nil {
			return false, nil
		}
		size += len(segment)
	}
	for i := range states {
		k := states[i].kept(0)
		if k == nil {
			return false, nil
		}
		asOf = max(asOf, k.Newest+1)
	}
	for i := range states {
		if !states[i].kept(0).ValidAt(asOf) {
			return false, nil
		}
	}
	if size > how.most {
		return false, how.tooLong()
	}
	a := &answer{asOf: asOf, kept: states}
	if c.answer, err = svc.append(c.answer[:0], &c.query, a, how); err != nil {
		return false, err
	}
	var statuses [statusCount]int
	for _, x := range svc.runs {
		for status, n := range states[x.ref].kept(0).statuses {
			statuses[status] += int(n)
		}
	}
	s.metrics.values(svc, 1, &statuses)
	return true, nil
}
