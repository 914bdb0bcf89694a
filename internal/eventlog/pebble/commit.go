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

// groupBytes bounds what one commit takes from the queue, beyond its first request.
const groupBytes = 16 << 20

// A request is a call of Append or Register until it is answered: done is closed
// after results and err were set.
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

// submit queues the request and waits for its answer. Whoever finds nobody
// leading commits what is queued, its own request included, with one sync.
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

// lead commits groups until r is answered and gives the token back.
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

// withdraw takes r out of the queue, unless a leader has it already.
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

// commit makes the requests durable and answers them, or fails them all. Only
// the leader calls it, so every id it finds in the database is durable.
func (l *Log) commit(requests []*request) {
	g := group{
		log:   l,
		batch: l.db.NewBatch(),
		now:   l.clock(),
		seen:  map[string]seenID{},
		ends:  map[*shard]end{},
	}
	err := g.addAll(requests)
	if err == nil && !g.batch.Empty() {
		err = g.batch.Commit(cockroach.Sync)
	}
	err = errors.Join(err, g.batch.Close())
	if err == nil {
		l.publish(g.ends)
	}
	for _, r := range requests {
		if err != nil {
			r.err = fmt.Errorf("write to shard %q: %w", r.shard.name, err)
		}
		close(r.done)
	}
}

// publish lets readers see what is durable now.
func (l *Log) publish(ends map[*shard]end) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, e := range ends {
		if e.position == s.end {
			continue
		}
		s.end, s.appended = e.position, e.appended
		close(s.advanced)
		s.advanced = make(chan struct{})
	}
}

// end is where a shard will end when its group is durable.
type end struct {
	position eventlog.Position
	appended plan.EventTime
}

// group turns requests into one batch, in order.
type group struct {
	log   *Log
	batch *cockroach.Batch
	now   plan.EventTime
	ids   *cockroach.Iterator // opened by the first look-up
	seen  map[string]seenID   // ids of this group by key
	ends  map[*shard]end
	key   []byte // scratch
	value []byte // scratch
}

func (g *group) addAll(requests []*request) (err error) {
	defer func() {
		if g.ids != nil {
			err = errors.Join(err, g.ids.Close())
		}
	}()
	for _, r := range requests {
		if err := g.add(r); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) add(r *request) error {
	for i, e := range r.entries {
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

func (g *group) append(s *shard, e eventlog.Entry) (eventlog.Result, error) {
	if e.ID != "" {
		prior, found, err := g.lookup(s, e.ID)
		if err != nil {
			return eventlog.Result{}, err
		}
		if found {
			return prior.answer(e.Payload), nil
		}
	}
	to := g.endOf(s)
	to = end{position: to.position + 1, appended: max(to.appended, g.now)}
	g.ends[s] = to
	g.key = appendEventKey(g.key[:0], s.name, to.position)
	g.value = appendEvent(g.value[:0], to.appended, e)
	if err := g.batch.Set(g.key, g.value, nil); err != nil {
		return eventlog.Result{}, err
	}
	return eventlog.Result{Outcome: eventlog.Appended, Position: to.position}, g.remember(s, e, to.position)
}

func (g *group) register(s *shard, e eventlog.Entry) error {
	if e.ID == "" {
		return nil
	}
	if _, found, err := g.lookup(s, e.ID); found || err != nil {
		return err
	}
	return g.remember(s, e, 0)
}

// remember puts the id into the index; an empty one is never deduplicated.
func (g *group) remember(s *shard, e eventlog.Entry, p eventlog.Position) error {
	if e.ID == "" {
		return nil
	}
	id := seenID{digest: eventlog.DigestOf(e.Payload), position: p}
	g.key = appendIDKey(g.key[:0], s.name, e.ID)
	g.value = id.append(g.value[:0])
	g.seen[string(g.key)] = id
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

// lookup finds an id in this group or in the database. Nearly every id is new:
// the seek asks the Bloom filters, those of the last level too.
func (g *group) lookup(s *shard, id string) (seenID, bool, error) {
	g.key = appendIDKey(g.key[:0], s.name, id)
	if found, ok := g.seen[string(g.key)]; ok {
		return found, true, nil
	}
	if g.ids == nil {
		it, err := g.log.db.NewIter(&cockroach.IterOptions{UseL6Filters: true})
		if err != nil {
			return seenID{}, false, err
		}
		g.ids = it
	}
	if !g.ids.SeekPrefixGE(g.key) || !bytes.Equal(g.ids.Key(), g.key) {
		return seenID{}, false, g.ids.Error()
	}
	value, err := g.ids.ValueAndErr()
	if err != nil {
		return seenID{}, false, err
	}
	found, err := decodeSeenID(value)
	return found, err == nil, err
}
