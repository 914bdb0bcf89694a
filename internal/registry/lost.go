package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
)

// The reasons of records of lost states.
const (
	goneReason      = "the online store had it and has it no more; run: unskew repair"
	indexGoneReason = "the online store has lost the part of the index that says whether there was one; run: unskew repair"
)

// LostReason is why there is no state of an entity that the index says this of, "" if it never had one.
func (p Presence) LostReason() string {
	switch p {
	case Had:
		return goneReason
	case Gone:
		return indexGoneReason
	}
	return ""
}

// absence is an entity of an answer without a state.
type absence struct {
	answer, entity int
	reason         string // "" unless its state is lost
}

// markLost puts the record of a lost state where one is absent that the index has. If a live generation has
// changed meanwhile, so that its index may be gone, current is false.
func (r *Reader) markLost(ctx context.Context, queries []Query, known []liveRecord, answers []Answer) (current bool, err error) {
	var absent [][]absence // by answer
	for i := range answers {
		if known[i].index == nil {
			continue
		}
		for e, entity := range queries[i].Entities {
			if entity == nil || answers[i].States[e] != nil {
				continue
			}
			if absent == nil {
				absent = make([][]absence, len(answers))
			}
			absent[i] = append(absent[i], absence{answer: i, entity: e})
		}
	}
	if absent == nil {
		return true, nil
	}
	lost, err := lookUp(ctx, absent, queries, known)
	if err != nil || len(lost) == 0 {
		return true, err
	}
	// The state may have been written after it was looked for and before the index was. And the index may have been removed, with
	// the generation.
	keys := make([][]byte, 0, len(lost)+len(answers))
	for _, a := range lost {
		keys = append(keys, answers[a.answer].Generation.StateKey(queries[a.answer].Entities[a.entity]))
	}
	for i := range answers {
		keys = append(keys, liveKey(answers[i].Generation.View))
	}
	var marks []onlinestore.Seen
	var values [][]byte
	if r.kept == nil {
		values, err = r.store.Get(ctx, keys)
	} else {
		values, marks, err = r.kept.store.GetMarked(ctx, keys)
	}
	if err != nil {
		return false, fmt.Errorf("read online state: %w", err)
	}
	for i := range answers {
		if !bytes.Equal(values[len(lost)+i], known[i].record) {
			r.forget(queries[i])
			return false, nil
		}
	}
	for n, a := range lost {
		to := &answers[a.answer]
		if to.States[a.entity] = values[n]; values[n] == nil {
			to.States[a.entity] = kernel.AppendLost(nil, to.Generation.View, notStored, a.reason)
		}
		if marks != nil && to.keep != nil && to.keep.marks != nil {
			to.keep.marks[a.entity] = marks[n]
		}
	}
	return true, nil
}

// notStored is the revision of records of lost states that are not in the store.
const notStored = 1 << 63

// LostRevision returns a revision for a record of a lost state: greater than that of any state, and never drawn twice.
func LostRevision() uint64 { return notStored | rand.Uint64() }

// lookUp looks each answer's absent entities up in the index of its generation, all indexes at once, and returns those that
// it has.
func lookUp(ctx context.Context, absent [][]absence, queries []Query, known []liveRecord) (lost []absence, err error) {
	errs := make([]error, len(absent))
	var wg sync.WaitGroup
	for i, some := range absent {
		if len(some) == 0 {
			continue
		}
		wg.Go(func() {
			entities := make([][]byte, len(some))
			for n, a := range some {
				entities[n] = queries[i].Entities[a.entity]
			}
			var has []Presence
			if has, errs[i] = known[i].index.Look(ctx, entities); errs[i] != nil {
				return
			}
			for n := range some {
				some[n].reason = has[n].LostReason()
			}
		})
	}
	wg.Wait()
	for _, some := range absent {
		for _, a := range some {
			if a.reason != "" {
				lost = append(lost, a)
			}
		}
	}
	return lost, errors.Join(errs...)
}

// forget makes the next round trip ask for the live record of a view.
func (r *Reader) forget(q Query) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.live[q.View.Fingerprint]
	known.epoch = ""
	r.live[q.View.Fingerprint] = known
}
