package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// The epoch is one value for the whole store that changes whenever a live record does, so a read of
// many views checks one key instead of a record for each view. It lists the changes that are
// pending; an epoch without any is settled. A writer
//
//  1. adds its change to the epoch,
//  2. changes the live record,
//  3. removes from the epoch every change that can no longer happen, its own among them.
//
// So a live record never changes while the epoch is settled, and no two epochs are equal: a reader
// that finds the settled epoch under which it has read a live record need not read it again. After a
// crash the epoch stays pending, and reads ask for every live record until another writer removes
// the change. docs/decisions/0086 has the argument in full.
const (
	epochPrefix  = 'e'
	epochFormat  = 1
	epochHeadLen = 8 + 1 + 8 // revision, format, a random number
	changeLen    = 32 + 8 + 8
)

var epochKey = []byte{epochPrefix}

// change is a pending change of a view's live record.
type change struct {
	view   plan.Fingerprint
	number uint64 // of the generation that becomes live, or deletion
	build  uint64
}

// deletion is the number of a change that deletes the live record.
const deletion = math.MaxUint64

// over reports whether a change has happened or cannot happen any more. live is nil if the view has
// no live record.
func (c change) over(live *Generation) bool {
	if c.number == deletion {
		return live == nil
	}
	return live != nil && live.Number >= c.number
}

// settled reports whether an epoch as it is stored has no pending changes. A store without an
// epoch is not settled.
func settled(epoch []byte) bool { return len(epoch) == epochHeadLen && epoch[8] == epochFormat }

func encodeEpoch(revision uint64, pending []change) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, revision), epochFormat)
	b = binary.BigEndian.AppendUint64(b, rand.Uint64())
	for _, c := range pending {
		b = append(b, c.view[:]...)
		b = binary.BigEndian.AppendUint64(b, c.number)
		b = binary.BigEndian.AppendUint64(b, c.build)
	}
	return b
}

var errEpoch = errors.New("registry: the epoch of the store is damaged or of another format; if no other version of unskew uses the store, remove its key e")

// decodeEpoch returns the pending changes; b is nil if the store has no epoch.
func decodeEpoch(b []byte) (pending []change, err error) {
	if b == nil {
		return nil, nil
	}
	if len(b) < epochHeadLen || b[8] != epochFormat || (len(b)-epochHeadLen)%changeLen != 0 {
		return nil, errEpoch
	}
	for b = b[epochHeadLen:]; len(b) > 0; b = b[changeLen:] {
		pending = append(pending, change{plan.Fingerprint(b), binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[40:])})
	}
	return pending, nil
}

// changeLive performs a change of a live record under the protocol of the epoch. If perform fails,
// the change may have happened, so it stays pending.
func changeLive(ctx context.Context, store onlinestore.Store, c change, perform func() error) error {
	if err := updateEpoch(ctx, store, c); err != nil {
		return fmt.Errorf("announce the change: %w", err)
	}
	if err := perform(); err != nil {
		return err
	}
	// The change has happened. If the epoch cannot be settled, reads ask for every live record until
	// the next change, which is no reason to report a failure.
	_ = updateEpoch(ctx, store)
	return nil
}

// epochRetries bounds how often an update starts over because another writer came first.
const epochRetries = 100

// updateEpoch adds changes to the epoch and removes those that are over.
func updateEpoch(ctx context.Context, store onlinestore.Store, add ...change) error {
	for range epochRetries {
		got, err := store.Get(ctx, [][]byte{epochKey})
		if err != nil {
			return err
		}
		stored, err := decodeEpoch(got[0])
		if err != nil {
			return err
		}
		pending, err := notOver(ctx, store, union(stored, add))
		if err != nil || got[0] != nil && slices.Equal(pending, stored) {
			return err
		}
		revision := onlinestore.Revision(got[0])
		done, err := store.Swap(ctx, []onlinestore.Write{{Key: epochKey, Expect: revision, Value: encodeEpoch(revision+1, pending)}})
		if err != nil || done[0] {
			return err
		}
	}
	return fmt.Errorf("other writers changed the epoch of the store %d times meanwhile", epochRetries)
}

// union appends the changes that a list does not have.
func union(list, add []change) []change {
	list = slices.Clip(list)
	for _, c := range add {
		if !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

// notOver returns the changes that may still happen.
func notOver(ctx context.Context, store onlinestore.Store, list []change) (pending []change, err error) {
	keys := make([][]byte, len(list))
	for i, c := range list {
		keys[i] = liveKey(c.view)
	}
	records, err := store.Get(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		var live *Generation
		if records[i] != nil {
			g, err := decodeRecord(c.view, records[i])
			if err != nil {
				return nil, err
			}
			live = &g
		}
		if !c.over(live) {
			pending = append(pending, c)
		}
	}
	return pending, nil
}
