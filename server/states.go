package server

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
)

// How large states are is only known once they are there. A read reserves memory by the size that
// states of the view have had lately, and is read in parts: after each of them it is known whether the
// others fit.
const (
	// leastState is the assumed size of a state of which nothing is known, and of smaller ones in a read of
	// more than manyStates, where a wrong estimate costs much memory.
	leastState = 4 << 10
	manyStates = 64
	// freeStates is how many bytes are read without a reservation.
	freeStates = 256 << 10
	// forgetting is how slowly an estimate falls to the size of smaller states.
	forgetting = 64
	// A part has about partBytes, and at most partStates.
	partBytes  = 4 << 20
	partStates = 512
	// firstPartStates and nextPartStates are the sizes of the parts while the size of the states of a view is not known.
	firstPartStates = 4
	nextPartStates  = 64
)

// stateSize is the estimated size of a state of a view. It is safe for concurrent use; an update that
// is lost does no harm.
type stateSize struct{ bytes atomic.Int64 } // 0: no state has been seen

// seen updates the estimate by a read of states that have so many bytes on average.
func (s *stateSize) seen(average int64) {
	old := s.bytes.Load()
	s.bytes.Store(max(average, old-(old+forgetting-1)/forgetting))
}

// estimate is what is known of the states of a query before they are read.
type estimate struct {
	entities int
	bytes    int64 // to reserve
	average  int64 // of a state
	known    bool  // the sizes of all views are
}

// estimate returns how many bytes of states a query may fetch.
func (s *service) estimate(q *query) estimate {
	e := estimate{known: true}
	for i := range s.plan.Views {
		e.entities += len(q.sets[s.setOf[i]].keys)
	}
	for i := range s.plan.Views {
		least, seen := int64(0), s.sizes[i].bytes.Load()
		if e.entities > manyStates || seen == 0 {
			least = leastState
		}
		e.known = e.known && seen > 0
		e.bytes += int64(len(q.sets[s.setOf[i]].keys)) * max(least, seen)
	}
	e.average = e.bytes / int64(max(1, e.entities))
	e.bytes = min(e.bytes, limits.FetchingBytes)
	return e
}

// first is how many states the first part has.
func (e *estimate) first() int {
	if !e.known {
		return firstPartStates
	}
	return e.part()
}

// part is how many states of an average size are read at a time.
func (e *estimate) part() int {
	n := min(partStates, max(1, int(partBytes/max(1, e.average))))
	if !e.known {
		n = min(n, nextPartStates)
	}
	return n
}

// errReserveMore says that a read has to begin again with a larger reservation.
var errReserveMore = errors.New("the states are larger than expected")

// readStates reads the states of a query's views into memory that it reserves.
func (s *service) readStates(ctx context.Context, q *query, states stateReader) ([]registry.Answer, error) {
	v, e := visitOf(ctx), s.estimate(q)
	if e.entities > e.first() {
		return s.readParts(ctx, q, states, e)
	}
	if err := v.reserveStates(ctx, e.bytes); err != nil {
		return nil, err
	}
	return states.States(ctx, q.queries, nil)
}

// readParts is readStates for more states than a part has. If they are larger than expected and
// there is no room, it gives up what it has read and waits for all that it needs, so that no read waits for
// another one while it holds memory.
func (s *service) readParts(ctx context.Context, q *query, states stateReader, e estimate) ([]registry.Answer, error) {
	v := visitOf(ctx)
	parts := &registry.Parts{Next: func(done, all, bytes int) (int, error) { return v.nextPart(&e, int64(done), int64(all), int64(bytes)) }}
	for {
		if err := v.reserveStates(ctx, e.bytes); err != nil {
			return nil, err
		}
		parts.First = e.first()
		answers, err := states.States(ctx, q.queries, parts)
		if !errors.Is(err, errReserveMore) {
			return answers, err
		}
		v.doneStates()
	}
}

// nextPart returns the size of the next part of a read. The error is errReserveMore if there is no room for
// it; then e has the bytes to reserve.
func (v *visit) nextPart(e *estimate, done, all, bytes int64) (int, error) {
	if bytes > limits.FetchedBytes {
		return 0, tooMuch("the states of the requested entities have more than %d bytes, and a read may not fetch more; ask for fewer rows at a time", limits.FetchedBytes)
	}
	e.average = bytes / done
	n := min(int64(e.part()), all-done)
	soon, whole := bytes+n*e.average, bytes+(all-done)*e.average
	if soon <= max(v.fetching, freeStates) {
		return int(n), nil
	}
	more := min(max(2*v.fetching, whole), limits.FetchingBytes)
	if v.budget.fetching.try(v.caller, more-v.fetching) {
		v.fetching = more
		return int(n), nil
	}
	e.bytes = more
	return 0, errReserveMore
}

// reserveStates waits until so many bytes of states may be fetched. fetchedStates must follow.
func (v *visit) reserveStates(ctx context.Context, bytes int64) error {
	if v.fetching > 0 || bytes <= freeStates {
		return nil // a read that starts over has reserved them
	}
	err := v.budget.fetching.wait(ctx, v.caller, bytes)
	if err == nil {
		v.fetching = bytes
	}
	return err
}

// fetchedStates corrects what was reserved, and the estimates of a service.
func (v *visit) fetchedStates(s *service, states []fetched) {
	total := int64(0)
	for i := range states {
		bytes, present := 0, 0
		for _, b := range states[i].States {
			if b != nil {
				bytes, present = bytes+len(b), present+1
			}
		}
		switch {
		case present > 0:
			s.sizes[i].seen(int64(bytes / present))
		case s.sizes[i].bytes.Load() == 0:
			s.sizes[i].seen(leastState) // most entities have none
		}
		total += int64(bytes)
	}
	if v.fetching > 0 || total > freeStates {
		v.budget.fetching.adjust(v.caller, v.fetching, total)
		v.fetching = total
	}
}

// doneStates gives back the memory of states.
func (v *visit) doneStates() { v.budget.fetching.giveAll(v.caller, &v.fetching) }
