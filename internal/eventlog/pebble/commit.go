package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// groupBytes bounds the requests that one commit takes from the queue; it always takes the first.
const groupBytes = 16 << 20

// request is a call of Append or Register. done is closed once results and err are set.
type request struct {
	shard     *shard
	entries   []eventlog.Entry
	registers bool
	results   []eventlog.Result
	err       error
	done      chan struct{}
}

func (r *request) bytes() int {
	n := 0
	for _, e := range r.entries {
		n += len(e.ID) + len(e.Payload)
	}
	return n
}

// submit queues the request and waits for its answer. If no caller is the leader, this one
// becomes it and commits all queued requests, including its own, with one sync.
func (l *Log) submit(ctx context.Context, shard string, r *request) error {
	if !l.gate.Enter() {
		return eventlog.ErrClosed
	}
	defer l.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := eventlog.Check(shard, r.entries); err != nil {
		return err
	}
	if len(r.entries) == 0 {
		return nil
	}
	if err := l.enqueue(shard, r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case l.leading <- struct{}{}:
		l.lead(r)
		return r.err
	case <-ctx.Done():
		if l.withdraw(r) {
			return ctx.Err()
		}
		<-r.done
		return r.err
	}
}

// lead commits groups until r is answered, and then releases leadership.
func (l *Log) lead(r *request) {
	defer func() { <-l.leading }()
	for {
		select {
		case <-r.done:
			return
		default:
			l.commit(l.takeGroup())
		}
	}
}

func (l *Log) enqueue(shard string, r *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.shardLocked(shard)
	if err != nil {
		return err
	}
	r.shard = s
	l.queue = append(l.queue, r)
	return nil
}

// withdraw removes r from the queue and reports whether it did; a leader may have taken it.
func (l *Log) withdraw(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, queued := range l.queue {
		if queued == r {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (l *Log) takeGroup() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < len(l.queue) && (n == 0 || size+l.queue[n].bytes() <= groupBytes) {
		size += l.queue[n].bytes()
		n++
	}
	taken := l.queue[:n:n]
	l.queue = append([]*request(nil), l.queue[n:]...)
	return taken
}

// commit makes the requests durable and answers them, or fails them all. Only the leader
// calls it, so every id that it finds in the database is durable.
func (l *Log) commit(requests []*request) {
	g := group{
		log:   l,
		batch: l.db.NewBatch(),
		now:   l.clock(),
		seen:  map[string]eventlog.Seen{},
		ends:  map[*shard]end{},
		lists: map[*shard]*eventlog.Segments{},
	}
	err := g.addAll(requests)
	if err == nil {
		err = g.storeSegments()
	}
	if err == nil && !g.batch.Empty() {
		err = g.batch.Commit(cockroach.Sync)
	}
	err = errors.Join(err, g.batch.Close())
	if err == nil {
		l.publish(&g)
	}
	for _, r := range requests {
		if err != nil {
			r.err = fmt.Errorf("write to shard %q: %w", r.shard.name, err)
		}
		close(r.done)
	}
}

// publish makes the new ends of shards visible to readers.
func (l *Log) publish(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, list := range g.lists {
		s.segments = *list
	}
	for s, e := range g.ends {
		if e.position == s.end {
			continue
		}
		s.end, s.appended = e.position, e.appended
		for grown := range s.waiting {
			select {
			case grown <- struct{}{}:
			default: // another shard has grown
			}
		}
	}
}

// end is the end of a shard once its group is durable.
type end struct {
	position eventlog.Position
	appended plan.EventTime
}

// group turns requests into one batch, in order.
type group struct {
	log   *Log
	batch *cockroach.Batch
	now   plan.EventTime
	ids   *cockroach.Iterator      // opened by the first look-up
	seen  map[string]eventlog.Seen // ids of this group by key
	ends  map[*shard]end
	lists map[*shard]*eventlog.Segments // as they will be
	key   []byte                        // scratch
	value []byte                        // scratch
}

func (g *group) addAll(requests []*request) (err error) {
	defer func() {
		if g.ids != nil {
			err = errors.Join(err, g.ids.Close())
		}
	}()
	for _, r := range requests {
		// Only the leader changes states, so it may read them without the lock.
		if !r.shard.state.Takes() {
			r.err = fmt.Errorf("write to shard %q: nothing was stored: %w", r.shard.name, eventlog.ErrSealed)
			continue
		}
		if r.err = g.checkClock(r); r.err != nil {
			continue
		}
		if err := g.add(r); err != nil {
			return err
		}
	}
	return nil
}

// checkClock returns an error if the shard's time is so far ahead of the clock that new records
// would be invisible for long.
func (g *group) checkClock(r *request) error {
	to := g.endOf(r.shard)
	if r.registers || g.log.ahead == 0 || to.position == 0 || to.appended-g.now <= plan.EventTime(g.log.ahead) {
		return nil
	}
	return &eventlog.ClockError{Shard: r.shard.name, Clock: g.now, Newest: to.appended}
}

func (g *group) add(r *request) error {
	for i := range r.entries {
		e := &r.entries[i]
		var result eventlog.Result
		var err error
		if r.registers {
			err = g.register(r.shard, e)
		} else if result, err = g.append(r.shard, e); err == nil {
			r.results[i] = result
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *group) append(s *shard, e *eventlog.Entry) (eventlog.Result, error) {
	list, err := g.segmentsOf(s)
	if err != nil {
		return eventlog.Result{}, err
	}
	seen, segment, found, err := g.lookup(s, list, e.ID)
	if err != nil {
		return eventlog.Result{}, err
	}
	outcome, fields := eventlog.Appended, []eventlog.Field(nil)
	switch {
	case found:
		list.Cover(segment, e)
		if outcome, fields = seen.Classify(e); outcome != eventlog.Filled {
			return eventlog.Result{Outcome: outcome, Position: seen.Position}, nil
		}
	case list.Refuses(e):
		return eventlog.Result{Outcome: eventlog.Expired, Forgotten: list.Forgotten}, nil
	case e.ID != "":
		segment = list.Place(e, g.now)
	}
	to := g.endOf(s)
	to = end{position: to.position + 1, appended: max(to.appended, g.now)}
	g.ends[s] = to
	if found {
		seen = seen.Fill(e, fields, to.position, to.appended)
	} else {
		seen = eventlog.FirstSeen(e, to.position, to.appended)
	}
	if err := g.record(s, e, to, &seen, found); err != nil {
		return eventlog.Result{}, err
	}
	return eventlog.Result{Outcome: outcome, Position: to.position}, g.remember(s, segment, e.ID, &seen)
}

// record stores a delivery at the end, and the versions of the event that it fills.
func (g *group) record(s *shard, e *eventlog.Entry, to end, seen *eventlog.Seen, fills bool) error {
	if fills {
		g.key = appendVersionsKey(g.key[:0], s.name, to.position)
		g.value = eventlog.AppendVersions(g.value[:0], seen.Versions)
		if err := g.batch.Set(g.key, g.value, nil); err != nil {
			return err
		}
	}
	g.key = appendEventKey(g.key[:0], s.name, to.position)
	g.value = appendEvent(g.value[:0], to.appended, e)
	return g.batch.Set(g.key, g.value, nil)
}

func (g *group) register(s *shard, e *eventlog.Entry) error {
	if e.ID == "" {
		return nil
	}
	list, err := g.segmentsOf(s)
	if err != nil {
		return err
	}
	seen, segment, found, err := g.lookup(s, list, e.ID)
	if err != nil {
		return err
	}
	changed := true
	switch {
	case found:
		list.Cover(segment, e)
		seen, changed = seen.Register(e)
	case list.Refuses(e):
		return nil
	default:
		segment, seen = list.Place(e, g.now), eventlog.FirstSeen(e, 0, plan.Always)
	}
	if !changed {
		return nil
	}
	return g.remember(s, segment, e.ID, &seen)
}

// remember puts the id into a segment of the index. An empty id is never deduplicated.
func (g *group) remember(s *shard, segment uint32, id string, seen *eventlog.Seen) error {
	if id == "" {
		return nil
	}
	g.key = appendIDKey(g.key[:0], s.name, segment, id)
	g.value = appendSeen(g.value[:0], seen)
	g.seen[string(g.key)] = *seen
	return g.batch.Set(g.key, g.value, nil)
}

// endOf returns the shard's end as this group has made it so far. Only the
// leader changes s.end, so it may read it without the lock.
func (g *group) endOf(s *shard) end {
	if e, ok := g.ends[s]; ok {
		return e
	}
	return end{position: s.end, appended: s.appended}
}

// lookup finds an id, and its segment, in this group or in the database. An empty id is never
// found.
func (g *group) lookup(s *shard, list *eventlog.Segments, id string) (seen eventlog.Seen, segment uint32, found bool, err error) {
	if id == "" {
		return eventlog.Seen{}, 0, false, nil
	}
	for i := len(list.List) - 1; i >= -1 && !found && err == nil; i-- {
		if segment = 0; i >= 0 {
			segment = list.List[i].Number
		}
		g.key = appendIDKey(g.key[:0], s.name, segment, id)
		seen, found, err = g.lookupKey()
	}
	return seen, segment, found, err
}

// lookupKey finds the id with the key g.key. Nearly all ids are new, so the seek uses the Bloom
// filters of every level, including the last.
func (g *group) lookupKey() (eventlog.Seen, bool, error) {
	if found, ok := g.seen[string(g.key)]; ok {
		return found, true, nil
	}
	if g.ids == nil {
		it, err := g.log.db.NewIter(&cockroach.IterOptions{UseL6Filters: true})
		if err != nil {
			return eventlog.Seen{}, false, err
		}
		g.ids = it
	}
	if !g.ids.SeekPrefixGE(g.key) || !bytes.Equal(g.ids.Key(), g.key) {
		return eventlog.Seen{}, false, g.ids.Error()
	}
	value, err := g.ids.ValueAndErr()
	if err != nil {
		return eventlog.Seen{}, false, err
	}
	found, err := decodeSeen(value)
	return found, err == nil, err
}
