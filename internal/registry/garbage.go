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

// Garbage is a build of a view's state that nothing reads any more: its definition was removed, or
// the build was replaced by another one or interrupted.
type Garbage struct {
	Generation                // only View, Number and Build are set
	Gone       bool           // no view of the plan has this definition
	Live       bool           // the build is the live one of a removed definition
	Keys       int64          // number of states, dead letters, log positions and parts of the index
	Bytes      int64          // of keys and values
	Since      plan.EventTime // when FindGarbage first found it
}

const (
	markPrefix = 'g'
	markFormat = 1
	markLen    = 8 + 1 + 8
)

// markKey returns the key of the mark with the time since which a build is garbage.
func (g Generation) markKey() []byte {
	b := g.Prefix()
	b[0] = markPrefix
	return b
}

func mark(since plan.EventTime) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, 1), markFormat)
	return binary.BigEndian.AppendUint64(b, uint64(since))
}

// buildOf returns the build that a key belongs to.
func buildOf(key []byte) (Generation, error) {
	if len(key) < prefixLen {
		return Generation{}, fmt.Errorf("registry: a key in the store has only %d bytes; it was not written by this program", len(key))
	}
	return Generation{View: plan.Fingerprint(key[1:33]), Number: binary.BigEndian.Uint64(key[33:]), Build: binary.BigEndian.Uint64(key[41:])}, nil
}

// FindGarbage lists the builds in the store that none of the views reads, those that are unused
// longest first. It marks builds that it finds for the first time with now, from which their grace
// period counts, because a running materialization looks like an interrupted one. It scans every
// state in the store.
func FindGarbage(ctx context.Context, store onlinestore.Store, views []*plan.View, now plan.EventTime) ([]Garbage, error) {
	live, err := liveBuilds(ctx, store)
	if err != nil {
		return nil, err
	}
	found := map[Generation]*Garbage{}
	for _, prefix := range []byte{statePrefix, letterPrefix, changesPrefix, offsetPrefix, reachedPrefix, indexPrefix} {
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
	// A definition without states still has its live record.
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

// liveBuilds returns the live build of every view in the store, including views that are not in the plan.
func liveBuilds(ctx context.Context, store onlinestore.Store) (map[plan.Fingerprint]Generation, error) {
	live := map[plan.Fingerprint]Generation{}
	err := store.Scan(ctx, []byte{livePrefix}, func(key, value []byte) error {
		if len(key) != 1+len(plan.Fingerprint{}) {
			return fmt.Errorf("registry: the key of a live record has %d bytes; it is damaged", len(key))
		}
		g, err := decodeRecord(plan.Fingerprint(key[1:]), value)
		live[g.View] = Generation{View: g.View, Number: g.Number, Build: g.Build}
		return err
	})
	return live, err
}

// markAll sets Since of each garbage build, marks new ones, and removes the marks of builds that are
// read again.
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

// Collect removes a garbage build. It removes a live record first, so that no reader finds a part of
// the build.
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
