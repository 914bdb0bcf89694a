package registry

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Garbage is a build of a view's state that nothing reads any more: of a definition that is
// gone, or one that another build took the place of, or that died.
type Garbage struct {
	Generation                // View, Number and Build alone
	Gone       bool           // no view of the plan has this definition
	Live       bool           // it is what readers of the gone definition would find
	Keys       int64          // states, dead letters, log positions
	Bytes      int64          // of keys and values
	Since      plan.EventTime // when it was first seen that nothing reads it
}

const (
	markPrefix = 'g'
	markFormat = 1
	markLen    = 8 + 1 + 8
)

// markKey is the key of the mark that says since when a build is garbage.
func (g Generation) markKey() []byte {
	b := g.Prefix()
	b[0] = markPrefix
	return b
}

func mark(since plan.EventTime) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, 1), markFormat)
	return binary.BigEndian.AppendUint64(b, uint64(since))
}

// buildOf is the build that a key belongs to.
func buildOf(key []byte) (Generation, error) {
	if len(key) < prefixLen {
		return Generation{}, fmt.Errorf("registry: a key of the store has %d bytes, too few for one of this program", len(key))
	}
	return Generation{View: plan.Fingerprint(key[1:33]), Number: binary.BigEndian.Uint64(key[33:]), Build: binary.BigEndian.Uint64(key[41:])}, nil
}

// FindGarbage lists the builds in the store that none of the views reads, the longest unused
// first. A build that was not seen to be garbage before is marked with now, and counts from
// then: a materialization that is under way looks like one that died. It looks at every
// state of the store.
func FindGarbage(ctx context.Context, store onlinestore.Store, views []*plan.View, now plan.EventTime) ([]Garbage, error) {
	live, err := liveBuilds(ctx, store)
	if err != nil {
		return nil, err
	}
	found := map[Generation]*Garbage{}
	for _, prefix := range []byte{statePrefix, letterPrefix, offsetPrefix, reachedPrefix} {
		err := store.Scan(ctx, []byte{prefix}, func(key, value []byte) error {
			b, err := buildOf(key)
			if err != nil {
				return err
			}
			if found[b] == nil {
				found[b] = &Garbage{Generation: b}
			}
			found[b].Keys++
			found[b].Bytes += int64(len(key) + len(value))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for garbage: %w", err)
		}
	}
	// A definition without states has its live record.
	for _, b := range live {
		if found[b] == nil {
			found[b] = &Garbage{Generation: b}
		}
	}
	var out []Garbage
	for b, g := range found {
		g.Gone = !slices.ContainsFunc(views, func(v *plan.View) bool { return v.Fingerprint == b.View })
		if !g.Gone && live[b.View] == b {
			continue
		}
		g.Live = live[b.View] == b
		out = append(out, *g)
	}
	if err := markAll(ctx, store, out, now); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Garbage) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), slices.Compare(a.View[:], b.View[:]), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Build, b.Build))
	})
	return out, nil
}

// liveBuilds is the live build of every view that has one, whatever the plan.
func liveBuilds(ctx context.Context, store onlinestore.Store) (map[plan.Fingerprint]Generation, error) {
	live := map[plan.Fingerprint]Generation{}
	err := store.Scan(ctx, []byte{livePrefix}, func(key, value []byte) error {
		if len(key) != 1+len(plan.Fingerprint{}) {
			return fmt.Errorf("registry: the record of a view has a key of %d bytes", len(key))
		}
		g, err := decodeRecord(plan.Fingerprint(key[1:]), value)
		live[g.View] = Generation{View: g.View, Number: g.Number, Build: g.Build}
		return err
	})
	return live, err
}

// markAll fills in since when each is garbage, marks those that are new, and takes the marks
// of what is read again.
func markAll(ctx context.Context, store onlinestore.Store, garbage []Garbage, now plan.EventTime) error {
	marks := map[Generation]plan.EventTime{}
	err := store.Scan(ctx, []byte{markPrefix}, func(key, value []byte) error {
		b, err := buildOf(key)
		if err == nil && (len(value) != markLen || value[8] != markFormat) {
			err = errors.New("registry: a mark of unused state is damaged; remove the keys that begin with g")
		}
		if err == nil {
			marks[b] = plan.EventTime(binary.BigEndian.Uint64(value[9:]))
		}
		return err
	})
	if err != nil {
		return err
	}
	var writes []onlinestore.Write
	for i := range garbage {
		g := &garbage[i]
		since, seen := marks[g.Generation]
		delete(marks, g.Generation)
		if g.Since = since; !seen {
			g.Since = now
			writes = append(writes, onlinestore.Write{Key: g.markKey(), Expect: onlinestore.Absent, Value: mark(now)})
		}
	}
	if _, err := store.Swap(ctx, writes); err != nil {
		return err
	}
	for b := range marks {
		if err := store.DeletePrefix(ctx, b.markKey()); err != nil {
			return err
		}
	}
	return nil
}

// Collect removes garbage; if it is live, first the record that says so, so that no reader
// finds half of it.
func Collect(ctx context.Context, store onlinestore.Store, g Garbage) error {
	if g.Live {
		err := changeLive(ctx, store, change{view: g.View, number: deletion}, func() error { return store.DeletePrefix(ctx, liveKey(g.View)) })
		if err != nil {
			return err
		}
	}
	if err := Drop(ctx, store, g.Generation); err != nil {
		return err
	}
	return store.DeletePrefix(ctx, g.markKey())
}
