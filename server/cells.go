package server

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/wire"
)

// maxCells bounds the number of cells in an answer: the values of all rows, plus the elements of
// lists and maps as bounded by their definition and by the size of the stored states.
func (s *service) maxCells(q *query, states []fetched) (cells int64, err error) {
	total := 0
	for i := range states {
		for e := range states[i].States {
			total += states[i].stateBytes(e)
		}
	}
	if total > limits.FetchedBytes {
		return 0, tooMuch("the states of the requested entities have %d bytes, and a read may fetch at most %d; ask for fewer rows at a time", total, limits.FetchedBytes)
	}
	for _, o := range q.outputs {
		cells += int64(q.n)
		if s.elements[o] > 0 {
			cells += limits.ElementCells * s.elementsOf(o, q.n, states, s.placesOf(o, states))
		}
	}
	if cells > limits.AnswerCells {
		return 0, tooMuch("an answer of %d rows and %d features may have %d values (an element of a list or map counts as %d), and the limit is %d; ask for fewer rows or features at a time",
			q.n, len(q.outputs), cells, limits.ElementCells, limits.AnswerCells)
	}
	return cells, nil
}

// computedCells bounds the number of cells that a query computes: for each entity those of all
// features of the service, also of those that are not asked for.
func (s *service) computedCells(q *query, states []fetched) (cells int64, err error) {
	for o := range s.outputs {
		n := q.n
		if o < len(s.plan.Features) {
			n = len(states[s.plan.Features[o].Ref].States)
		}
		if cells += int64(n); s.elements[o] > 0 {
			cells += limits.ElementCells * s.elementsOf(o, n, states, nil)
		}
	}
	if cells > limits.AnswerCells {
		return 0, tooMuch("reading %d rows of service %s computes up to %d values (an element of a list or map counts as %d), and the limit is %d; ask for fewer entities at a time, or have a service of the features that you need",
			q.n, s.plan.Name, cells, limits.ElementCells, limits.AnswerCells)
	}
	return cells, nil
}

// minElementBytes is the least number of bytes that an element of a list or map takes in a state.
const minElementBytes = 2

// placesOf returns for each row the entity whose value an output has.
func (s *service) placesOf(o int, states []fetched) wire.RowMap {
	if o >= len(s.plan.Features) {
		return nil
	}
	return states[s.plan.Features[o].Ref].places
}

// elementsOf bounds the number of elements that an output has over n rows, whose entities are
// at places.
func (s *service) elementsOf(o, n int, states []fetched, places wire.RowMap) (elements int64) {
	if o >= len(s.plan.Features) {
		return int64(n) * int64(s.elements[o])
	}
	of := &states[s.plan.Features[o].Ref]
	for i := range n {
		elements += int64(min(s.elements[o], of.stateBytes(places.Of(i))/minElementBytes))
	}
	return elements
}

// maxElements bounds the elements in one value of output o from the definition alone; 0 for a
// scalar.
func maxElements(p *plan.Service, o int) int {
	if d := o - len(p.Features); d >= 0 {
		if !composite(p.Derived[d].Type) {
			return 0
		}
		return derivedElements
	}
	f := p.Features[o]
	v := p.Views[f.Ref].View
	feature := v.Features[f.Feature]
	if !composite(feature.Type) {
		return 0
	}
	most := 0
	feature.Expr.Walk(func(e *plan.Expr) {
		if e.Kind == plan.Aggregate {
			slot := &v.Slots[v.Aggregates[e.Index].Slot]
			switch {
			case slot.Group != nil:
				most = max(most, plan.MaxElements)
			case slot.N > 0 && composite(slot.Type):
				most = max(most, slot.N)
			}
		}
	})
	return max(most, derivedElements)
}

// derivedElements is the assumed size of a list or map that an expression computes.
const derivedElements = 16

func composite(t plan.Type) bool {
	kind := t.Unwrap().Kind
	return kind == plan.List || kind == plan.Map
}
