package recompute

import (
	"cmp"
	"slices"
)

// Event is an event, or a late column of one, that makes a difference.
type Event struct {
	Cause    Cause  `json:"cause"`
	View     string `json:"view"` // the role
	ID       string `json:"id,omitempty"`
	Column   string `json:"column,omitempty"` // the late column that is concerned; "" for the event itself
	Time     string `json:"time"`
	Known    string `json:"known_at,omitempty"` // from when on training sees it
	Arrived  string `json:"arrived,omitempty"`  // when the log stored it
	Shard    int    `json:"shard,omitempty"`
	Position uint64 `json:"position,omitempty"`
	Served   bool   `json:"served"` // it is in what was served, and not in what training sees; else the other way round

	order int64 // of examples: the newest first
}

// order is how causes are preferred when events of several make one difference.
var order = []Cause{Source, Duplicate, Clock, Lag, Late, Outcome, Unknown}

// shownEvents is how many events an example has.
const shownEvents = 5

// causeOf finds the events that make value o differ from that of training, and the first of their causes.
func (x *rowCompare) causeOf(o int) (Cause, []Event) {
	var found []Event
	for _, inWindow := range []bool{true, false} {
		for _, r := range x.reach[o] {
			of := x.roles[r.role]
			for _, f := range of.facts.by[x.spine.Entity(of.number)[x.number]] {
				if inWindow && !r.sees(f.time, x.t, f.column) {
					continue
				}
				if cause := x.judge(of, f); cause != "" {
					found = append(found, x.event(of, f, cause))
				}
			}
		}
		if len(found) > 0 {
			break // an event outside the windows only tells that the entity is known
		}
	}
	if len(found) == 0 {
		return Unknown, nil
	}
	slices.SortStableFunc(found, func(a, b Event) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Cause), slices.Index(order, b.Cause)), cmp.Compare(b.order, a.order),
			cmp.Compare(a.View, b.View), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Position, b.Position))
	})
	return found[0].Cause, found[:min(len(found), shownEvents)]
}

// judge is why serving had a fact and training does not, or the other way round; "" if both or neither have it.
func (x *rowCompare) judge(r *role, f *fact) Cause {
	applied := f.served && (f.build || f.position <= r.positions[x.number].At(f.shard))
	served := applied && f.visible < x.t
	known := f.known && f.knownVisible < x.t
	src := r.ref.View.Source
	switch {
	case served == known && (!served || f.servedContent == f.knownContent):
		return ""
	case served && known:
		return Source // other content
	case served:
		return x.judgeMissing(r, f)
	case f.served && !applied && f.arrived < x.t:
		return Lag
	case f.served && f.column != "":
		return Outcome
	case f.served:
		return Late
	case src.EventID == "" && x.counted(r, f):
		return Duplicate
	// It is in neither build nor log, so files make it visible after the time up to which the view was materialized.
	case !src.Stream:
		return Lag
	case f.column != "":
		return Outcome
	}
	return Late
}

// judgeMissing is judge for what was served and training does not have.
func (x *rowCompare) judgeMissing(r *role, f *fact) Cause {
	switch {
	case r.ref.View.Source.EventID == "" && x.counted(r, f):
		return Duplicate
	case r.build.InputsChanged || !f.known:
		return Source
	}
	return Clock
}

// counted reports whether an equal event of a source without ids is in what was served and in what training sees.
func (x *rowCompare) counted(r *role, f *fact) bool {
	content := f.knownContent
	if f.served {
		content = f.servedContent
	}
	return slices.ContainsFunc(r.facts.by[x.spine.Entity(r.number)[x.number]], func(g *fact) bool {
		return g != f && g.served && g.known && g.servedContent == content && g.knownContent == content && g.visible < x.t && g.knownVisible < x.t &&
			(g.build || g.position <= r.positions[x.number].At(g.shard))
	})
}

func (x *rowCompare) event(r *role, f *fact, cause Cause) Event {
	e := Event{Cause: cause, View: r.ref.As, ID: f.id, Column: f.column, Time: f.time.String(), order: int64(f.time)}
	if f.known {
		e.Known = f.knownVisible.String()
	} else if f.served {
		e.Known = f.visible.String()
	}
	if f.served && !f.build {
		e.Arrived, e.Shard, e.Position = f.arrived.String(), f.shard, f.position
	}
	e.Served = f.served && (f.build || f.position <= r.positions[x.number].At(f.shard)) && f.visible < x.t
	return e
}
