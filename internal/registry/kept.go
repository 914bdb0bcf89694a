package registry

import (
	"container/list"
	"context"
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Value is what a caller made of the state of an entity and keeps. It is immutable.
type Value interface {
	// ValidAt reports whether a read as of t would make the same of the state.
	ValidAt(t plan.EventTime) bool
	// Bytes is how much memory the value takes.
	Bytes() int
}

// NewKeepingReader returns a reader that keeps what its callers make of states (Answer.Keep) for as
// long as neither the state nor the live generation changes, in at most so many bytes. With 0 bytes
// it keeps nothing.
//
// A kept value is used while the store says that the stored state is unchanged. So a write by this
// process is seen by the next read, and one by another process as soon as the store knows of it (see
// onlinestore.Watching). CaughtUp waits for that.
func NewKeepingReader(store onlinestore.Watching, bytes int64) *Reader {
	r := NewReader(store)
	if bytes > 0 {
		r.kept = newKept(store, bytes)
	}
	return r
}

// CaughtUp returns once reads see everything that was written before the call.
func (r *Reader) CaughtUp(ctx context.Context) error {
	if r.kept == nil {
		return ctx.Err()
	}
	return r.kept.store.CaughtUp(ctx)
}

// KeptStats counts what is kept.
type KeptStats struct {
	Hits, Misses, Evicted uint64
	Values, Bytes         int64
}

// KeptStats returns the counts; ok is false if the reader keeps nothing.
func (r *Reader) KeptStats() (s KeptStats, ok bool) {
	if r.kept == nil {
		return s, false
	}
	for i := range r.kept.shards {
		shard := &r.kept.shards[i]
		shard.mu.Lock()
		s.Values += int64(len(shard.of))
		s.Bytes += shard.bytes
		shard.mu.Unlock()
	}
	s.Hits, s.Misses, s.Evicted = r.kept.hits.Load(), r.kept.misses.Load(), r.kept.evicted.Load()
	return s, true
}

// kept is the values by state key and purpose. Which is dropped when there are too many is decided in
// each shard: the one that was used least recently.
type kept struct {
	store                 onlinestore.Watching
	seed                  maphash.Seed
	most                  int64 // bytes of a shard
	shards                [keptShards]keptShard
	recent                [recentMisses]atomic.Uint32 // hashes of keys that were missed
	hits, misses, evicted atomic.Uint64
}

const (
	keptShards = 16
	// recentMisses is how many keys are remembered that were missed once. A value is kept when its
	// entity is read for the second time: most entities of a scan are not.
	recentMisses = 1 << 15
	// entryBytes is what an entry takes besides its key and its value.
	entryBytes = 192
)

type keptShard struct {
	mu    sync.Mutex
	of    map[string]*list.Element // of *entry
	used  list.List                // most recently first
	bytes int64
}

type entry struct {
	key   string
	value Value
	seen  onlinestore.Seen
	bytes int64
}

func newKept(store onlinestore.Watching, bytes int64) *kept {
	k := &kept{store: store, seed: maphash.MakeSeed(), most: bytes / keptShards}
	for i := range k.shards {
		k.shards[i].of = map[string]*list.Element{}
	}
	return k
}

// purposeBytes ends a key: the number Query.For. Before it is the key of the state.
const purposeBytes = 8

func appendKeptKey(dst, prefix, entity []byte, purpose uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append(dst, prefix...), entity...), purpose)
}

func (k *kept) shard(hash uint64) *keptShard { return &k.shards[hash%keptShards] }

// get returns the value of a key that is valid at t, and else whether it should be kept.
func (k *kept) get(key []byte, t plan.EventTime) (v Value, keep bool) {
	hash := maphash.Bytes(k.seed, key)
	if v = k.shard(hash).get(k, key, t); v != nil {
		return v, false
	}
	mark := uint32(hash>>32) | 1
	recent := &k.recent[hash/keptShards%recentMisses]
	if recent.Load() == mark {
		return nil, true
	}
	recent.Store(mark)
	return nil, false
}

func (s *keptShard) get(k *kept, key []byte, t plan.EventTime) Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.of[string(key)]
	if !ok {
		return nil
	}
	e := at.Value.(*entry)
	if !e.value.ValidAt(t) {
		return nil
	}
	if !k.store.Unchanged(key[:len(key)-purposeBytes], e.seen) {
		s.remove(at)
		return nil
	}
	s.used.MoveToFront(at)
	return e.value
}

// put keeps a value that was made of what the store returned with the mark seen.
func (k *kept) put(key []byte, v Value, seen onlinestore.Seen) {
	e := &entry{key: string(key), value: v, seen: seen, bytes: int64(entryBytes + len(key) + v.Bytes())}
	if e.bytes > k.most {
		return
	}
	s := k.shard(maphash.Bytes(k.seed, key))
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.of[e.key]; ok {
		s.remove(old)
	}
	for s.bytes+e.bytes > k.most {
		s.remove(s.used.Back())
		k.evicted.Add(1)
	}
	s.of[e.key] = s.used.PushFront(e)
	s.bytes += e.bytes
}

// renew replaces a value if it is still kept.
func (k *kept) renew(key []byte, old, v Value) {
	s := k.shard(maphash.Bytes(k.seed, key))
	s.mu.Lock()
	at, ok := s.of[string(key)]
	ok = ok && at.Value.(*entry).value == old
	s.mu.Unlock()
	if ok {
		k.put(key, v, at.Value.(*entry).seen)
	}
}

func (s *keptShard) remove(at *list.Element) {
	e := s.used.Remove(at).(*entry)
	delete(s.of, e.key)
	s.bytes -= e.bytes
}

// found is the kept values of queries.
type found struct {
	kept *kept
	of   [][]Value // by query; nil: nothing was looked for
	keep [][]bool  // by query: the entities whose values should be kept
	all  bool      // there is a value of every entity
}

// find looks for values of the states in the generations that are believed live.
func (r *Reader) find(queries []Query, known []liveRecord) found {
	f := found{kept: r.kept}
	if r.kept == nil {
		return f
	}
	f.of, f.keep, f.all = make([][]Value, len(queries)), make([][]bool, len(queries)), true
	total := 0
	for i := range queries {
		total += len(queries[i].Entities)
	}
	values, wanted := make([]Value, total), make([]bool, total)
	hits, misses := 0, 0
	var memory [128]byte
	key := memory[:0]
	for i, q := range queries {
		if q.For == 0 || known[i].record == nil {
			f.all = false
			continue
		}
		n := len(q.Entities)
		f.of[i], values = values[:n:n], values[n:]
		f.keep[i], wanted = wanted[:n:n], wanted[n:]
		for e, entity := range q.Entities {
			if entity == nil {
				continue
			}
			key = appendKeptKey(key[:0], known[i].prefix, entity, q.For)
			if f.of[i][e], f.keep[i][e] = r.kept.get(key, q.At); f.of[i][e] == nil {
				misses++
			} else {
				hits++
			}
		}
	}
	f.all = f.all && misses == 0
	r.kept.hits.Add(uint64(hits))
	r.kept.misses.Add(uint64(misses))
	return f
}

// vouched reports whether the known generations are live now, by what the store knows of the epoch.
func (r *Reader) vouched(known []liveRecord, mark onlinestore.Seen) bool {
	for i := range known {
		if known[i].epoch == "" {
			return false
		}
	}
	return r.kept.store.Unchanged(epochKey, mark)
}

// missing is the queries for the states of which there is no value.
func (f *found) missing(queries []Query) []Query {
	if f.kept == nil {
		return queries
	}
	out := make([]Query, len(queries))
	for i, q := range queries {
		out[i] = q
		if f.of[i] == nil {
			continue
		}
		out[i].Entities = make([][]byte, len(q.Entities))
		for e, v := range f.of[i] {
			if v == nil {
				out[i].Entities[e] = q.Entities[e]
			}
		}
	}
	return out
}

// answers are those of queries of which all values were found.
func (f *found) answers(queries []Query, known []liveRecord) []Answer {
	out, total := make([]Answer, len(queries)), 0
	for i := range queries {
		total += len(queries[i].Entities)
	}
	states := make([][]byte, total)
	for i := range queries {
		n := len(queries[i].Entities)
		out[i] = Answer{Generation: known[i].generation, States: states[:n:n]}
		states = states[n:]
	}
	f.complete(out, queries, known)
	return out
}

// complete adds the found values to answers.
func (f *found) complete(answers []Answer, queries []Query, known []liveRecord) {
	if f.kept == nil {
		return
	}
	keeps := make([]keep, len(answers))
	for i := range answers {
		a, k := &answers[i], &keeps[i]
		if a.keep != nil {
			k.marks = a.keep.marks
		}
		k.kept, k.entities, k.purpose, k.prefix, k.wanted = f.kept, queries[i].Entities, queries[i].For, known[i].prefix, f.keep[i]
		a.Kept, a.keep = f.of[i], k
	}
}

// keep is what an Answer needs for keeping values.
type keep struct {
	kept     *kept
	entities [][]byte
	purpose  uint64
	prefix   []byte
	marks    []onlinestore.Seen // of the states that were fetched; empty if none were
	wanted   []bool
}

// Wants reports whether a value of entity number e should be kept.
func (a *Answer) Wants(e int) bool {
	k := a.keep
	return k != nil && k.wanted != nil && k.wanted[e] && k.marks != nil && k.marks[e] != 0
}

// Keep keeps a value that was made of the state of entity number e, or of its absence.
func (a *Answer) Keep(e int, v Value) {
	k := a.keep
	k.kept.put(appendKeptKey(nil, k.prefix, k.entities[e], k.purpose), v, k.marks[e])
}

// Renew keeps v in place of the value that was found of entity number e, of the same state.
func (a *Answer) Renew(e int, v Value) {
	k := a.keep
	k.kept.renew(appendKeptKey(nil, k.prefix, k.entities[e], k.purpose), a.Kept[e], v)
}
