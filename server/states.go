package server

import (
	"context"
	"sync/atomic"

	"github.com/unskew/unskew/internal/limits"
)

// How large states are is only known once they are there. A read reserves memory by the size that
// states of the view have had lately.
const (
	// firstState is the assumed size of a state of which nothing is known.
	firstState = 64 << 10
	// manyStates are so many that a wrong estimate costs much memory. From there on a state is assumed to
	// have at least leastState bytes.
	manyStates = 64
	leastState = 4 << 10
	// freeStates is how many bytes are read without a reservation.
	freeStates = 256 << 10
	// forgetting is how slowly an estimate falls to the size of smaller states.
	forgetting = 64
)

// stateSize is the estimated size of a state of a view. It is safe for concurrent use; an update that
// is lost does no harm.
type stateSize struct{ bytes atomic.Int64 } // 0: no state has been seen

// estimate is the size that a state is assumed to have.
func (s *stateSize) estimate() int64 {
	if n := s.bytes.Load(); n > 0 {
		return n
	}
	return firstState
}

// seen updates the estimate by a read of states that have so many bytes on average.
func (s *stateSize) seen(average int64) {
	old := s.bytes.Load()
	s.bytes.Store(max(average, old-(old+forgetting-1)/forgetting))
}

// estimate is how many bytes of states a query may fetch.
func (s *service) estimate(q *query) (bytes int64) {
	entities := 0
	for i := range s.plan.Views {
		entities += len(q.sets[s.setOf[i]].keys)
	}
	least := int64(0)
	if entities > manyStates {
		least = leastState
	}
	for i := range s.plan.Views {
		bytes += int64(len(q.sets[s.setOf[i]].keys)) * max(least, s.sizes[i].estimate())
	}
	return min(bytes, limits.FetchingBytes)
}

// reserveStates waits until so many bytes of states may be fetched. fetched must follow.
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
		if present > 0 {
			s.sizes[i].seen(int64(bytes / present))
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
