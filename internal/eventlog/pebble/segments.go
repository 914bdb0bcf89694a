package pebble

import (
	"bytes"
	"errors"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// segments reads which ids a shard remembers.
func (l *Log) segments(shard string) (eventlog.Segments, error) {
	value, closer, err := l.db.Get(appendShard(nil, kindSegments, shard))
	if errors.Is(err, cockroach.ErrNotFound) {
		return eventlog.NoSegments(), nil
	}
	if err != nil {
		return eventlog.Segments{}, err
	}
	list, err := eventlog.DecodeSegments(value)
	return list, errors.Join(err, closer.Close())
}

// segmentsOf returns the ids that the shard remembers, as this group has changed them. The first
// time, it forgets those whose time is over: one deletion for each segment, however many ids it
// has. Only the leader changes s.segments, so it may read them without the lock.
func (g *group) segmentsOf(s *shard) (*eventlog.Segments, error) {
	if list := g.lists[s]; list != nil {
		return list, nil
	}
	list := s.segments.Clone()
	for _, gone := range list.Forget(g.now) {
		ids := appendSegment(nil, s.name, gone)
		if err := g.batch.DeleteRange(ids, pebbledir.Successor(ids), nil); err != nil {
			return nil, err
		}
	}
	g.lists[s] = &list
	return &list, nil
}

// storeSegments writes the lists of segments that have changed.
func (g *group) storeSegments() error {
	for s, list := range g.lists {
		stored := list.Encode()
		if bytes.Equal(stored, s.segments.Encode()) {
			continue
		}
		if err := g.batch.Set(appendShard(nil, kindSegments, s.name), stored, nil); err != nil {
			return err
		}
	}
	return nil
}
