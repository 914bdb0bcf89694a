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
}

// order is how causes are preferred when events of several make one difference.
var order = []Cause{Source, Duplicate, Clock, Lag, Late, Outcome, Unknown}

// shownEvents is how many events an example has.
const shownEvents = 5

// finding is a fact that makes a difference.
type finding struct {
	cause Cause
	role  *role
	fact  *fact
}

// causeOf finds the events that make value o differ from that of training, and the first of their causes.
func (x *rowCompare) causeOf(o int) (Cause, []Event) {
	found := x.findings(o, true)
	if len(found) == 0 {
		found = x.findings(o, false) // an event outside the windows only tells that the entity is known
	}
	if len(found) == 0 {
		return Unknown, nil
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.cause), slices.Index(order, b.cause)), cmp.Compare(b.fact.time, a.fact.time),
			cmp.Compare(a.role.number, b.role.number), cmp.Compare(a.fact.id, b.fact.id), cmp.Compare(a.fact.column, b.fact.column), cmp.Compare(a.fact.position, b.fact.position))
	})
	var events []Event
	for _, f := range found[:min(len(found), shownEvents)] {
		events = append(events, x.event(f.role, f.fact, f.cause))
	}
	return found[0].cause, events
}

// findings are the facts that make value o differ, of those in its windows or of all: all facts that are odd, and some of the others.
func (x *rowCompare) findings(o int, inWindow bool) (found []finding) {
	for i := range x.reach[o] {
		r := &x.reach[o][i]
		of := x.roles[r.role]
		e := of.facts.index[x.spine.Entity(of.number)[x.number]]
		if e == nil {
			continue
		}
		see := func(f *fact) bool {
			if inWindow && !r.sees(f.time, x.t, f.column) {
				return false
			}
			cause := x.judge(of, f)
			if cause != "" {
				found = append(found, finding{cause, of, f})
			}
			return cause != ""
		}
		for _, f := range e.odd {
			see(f)
		}
		for shard, list := range e.even {
			after := of.positions[x.number].At(shard)
			next, _ := slices.BinarySearchFunc(list, after+1, func(f *fact, p uint64) int { return cmp.Compare(f.position, p) })
			// What was stored at T or later is visible to nobody as of T.
			for seen := 0; next < len(list) && list[next].arrived < x.t && seen < shownEvents; next++ {
				if see(list[next]) {
					seen++
				}
			}
		}
	}
	return found
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
	return slices.ContainsFunc(r.facts.index[x.spine.Entity(r.number)[x.number]].equal[content], func(g *fact) bool {
		return g != f && g.visible < x.t && g.knownVisible < x.t && (g.build || g.position <= r.positions[x.number].At(g.shard))
	})
}

func (x *rowCompare) event(r *role, f *fact, cause Cause) Event {
	e := Event{Cause: cause, View: r.ref.As, ID: f.id, Column: f.column, Time: f.time.String()}
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
