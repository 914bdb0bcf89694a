package against

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// mistaken is a service as another system computes it, with a mistake.
type mistaken struct {
	service  *plan.Service
	final    bool // it knows events that were not known yet
	repeated bool // it counts events as often as they are delivered
	turned   bool // of events with one time it takes the other one
}

// mistakes are the services that are tried, those that are no others left out.
func (r *run) mistakes() []mistaken {
	out := []mistaken{{service: r.Service}, {service: r.Service, final: true}}
	if s := r.withoutIDs(); s != nil {
		out = append(out, mistaken{service: s, repeated: true})
	}
	if s := r.withTiesTurned(); s != nil {
		out = append(out, mistaken{service: s, turned: true})
	}
	return out
}

// maxTries is how many services are tried at most.
const maxTries = 4

// withoutIDs is the service over sources in which every delivery is an event; nil if it is no other.
func (r *run) withoutIDs() *plan.Service {
	sources := map[*plan.Source]*plan.Source{}
	return r.changed(func(v *plan.View) (other bool) {
		other = v.Source.EventID != ""
		if sources[v.Source] == nil {
			src := *v.Source
			src.EventID, src.DedupWindow = "", 0
			sources[v.Source] = &src
		}
		v.Source = sources[v.Source]
		return other
	})
}

// withTiesTurned is the service that takes the first of the newest events, and the last of the oldest; nil if it is no other. Of equal y,
// min_by takes the earliest event and max_by the latest, and the least y is that of the newest event if times count down.
func (r *run) withTiesTurned() *plan.Service {
	turned := map[plan.AggFunc]plan.AggFunc{plan.Latest: plan.MinBy, plan.Earliest: plan.MaxBy}
	now := &plan.Expr{Kind: plan.Literal, Type: plan.T(plan.Timestamp), Lit: plan.TimestampValue(r.report.first)} // near the events, for the range of durations
	return r.changed(func(v *plan.View) (other bool) {
		v.Slots = slices.Clone(v.Slots)
		for i := range v.Slots {
			s := &v.Slots[i]
			if turned[s.Func] == "" || s.Group != nil {
				continue
			}
			at := &plan.Expr{Kind: plan.Column, Type: plan.T(plan.Timestamp), Name: v.Source.EventTime}
			s.Func, s.By = turned[s.Func], &plan.Expr{Kind: plan.Call, Type: plan.T(plan.Duration), Name: "_-_", Overloads: []string{"subtract_timestamp_timestamp"}, Args: []*plan.Expr{now, at}}
			other = true
		}
		return other
	})
}

// changed is the service with other views; nil if change says that all are the same.
func (r *run) changed(change func(v *plan.View) (other bool)) *plan.Service {
	s := *r.Service
	s.Views = slices.Clone(s.Views)
	changed, other := map[*plan.View]*plan.View{}, false
	for i := range s.Views {
		from := s.Views[i].View
		if changed[from] == nil {
			v := *from
			other = change(&v) || other
			changed[from] = &v
		}
		s.Views[i].View = changed[from]
	}
	if !other {
		return nil
	}
	return &s
}
