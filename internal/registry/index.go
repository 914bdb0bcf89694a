package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Index is the index of the entities that a generation has states of. It tells an entity whose state the store has
// lost from one that never had any. docs/decisions/0114 says what it costs and what it cannot see.
//
// It is a trie over hashes of entity keys, whose leaves are buckets. A bucket that would have too many hashes is
// divided into two, by the next bit, and stays as a mark of that. Entities are added after their states are
// written and before the offset that follows is, and are never removed. It is safe for concurrent use.
type Index struct {
	store      onlinestore.Store
	generation Generation
	hint       atomic.Int32 // the depth at which the last bucket was found

	mu     sync.Mutex
	looked map[bucketID]*bucket // that LookToAdd has read since the last Add
}

const (
	indexPrefix = 'x'
	// A bucket that would have more hashes than bucketMost is divided. A build makes buckets with about
	// bucketAverage.
	bucketMost    = 256
	bucketAverage = 96
	// mostLooked bounds how many buckets are kept for Add, about 4 MB.
	mostLooked = 4096
	// deepest is a depth at which buckets are not divided. It is never reached unless hashes are alike.
	deepest = 48
	// deepestFirst is the greatest depth of the first buckets of a build.
	deepestFirst = 24

	leafFormat    = 1 // followed by hashes in ascending order, 8 bytes each
	dividedFormat = 2
	hashBytes     = 8
	bucketHead    = 8 + 1
	bucketSum     = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenIndex returns the index of a generation, nil if it has none because an older version of this program built it.
func OpenIndex(store onlinestore.Store, g Generation) *Index {
	if !g.Indexed {
		return nil
	}
	x := &Index{store: store, generation: g}
	x.hint.Store(int32(g.Depth))
	return x
}

// EntityHash is the hash of an entity key in the index.
func EntityHash(entity []byte) uint64 {
	sum := sha256.Sum256(entity)
	return binary.BigEndian.Uint64(sum[:])
}

// bucketID is a place in the trie: the first bits of the hashes below it.
type bucketID struct {
	depth uint8
	bits  uint64 // the others are 0
}

func idOf(hash uint64, depth uint8) bucketID {
	if depth == 0 {
		return bucketID{}
	}
	return bucketID{depth, hash >> (64 - depth) << (64 - depth)}
}

// children are the places into which a bucket is divided.
func (id bucketID) children() [2]bucketID {
	return [2]bucketID{{id.depth + 1, id.bits}, {id.depth + 1, id.bits | 1<<(63-id.depth)}}
}

// indexes returns the prefix of the keys of the generation's buckets.
func (g Generation) indexes() []byte {
	b := g.Prefix()
	b[0] = indexPrefix
	return b
}

func (g Generation) bucketKey(id bucketID) []byte {
	return binary.BigEndian.AppendUint64(append(g.indexes(), id.depth), id.bits)
}

// bucket is what is stored at a place.
type bucket struct {
	id       bucketID
	revision uint64 // Absent: nothing
	divided  bool   // its hashes are in its children
	hashes   []byte // ascending, hashBytes each
	damaged  bool   // what is stored cannot be read
}

func (b *bucket) encode(revision uint64) []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, bucketHead+len(b.hashes)+bucketSum), revision)
	if b.divided {
		out = append(out, dividedFormat)
	} else {
		out = append(append(out, leafFormat), b.hashes...)
	}
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

// decodeBucket refers to value.
func decodeBucket(id bucketID, value []byte) bucket {
	b := bucket{id: id, revision: onlinestore.Revision(value)}
	if value == nil {
		return b
	}
	n := len(value) - bucketSum
	if n < bucketHead || crc32.Checksum(value[:n], castagnoli) != binary.BigEndian.Uint32(value[n:]) || (n-bucketHead)%hashBytes != 0 {
		b.damaged = true
		return b
	}
	switch value[8] {
	case dividedFormat:
		b.divided = true
	case leafFormat:
		b.hashes = value[bucketHead:n]
	default:
		b.damaged = true
	}
	return b
}

func (b *bucket) len() int { return len(b.hashes) / hashBytes }

func (b *bucket) at(i int) uint64 { return binary.BigEndian.Uint64(b.hashes[i*hashBytes:]) }

// has reports whether a hash is in the bucket.
func (b *bucket) has(hash uint64) bool {
	i := sort.Search(b.len(), func(i int) bool { return b.at(i) >= hash })
	return i < b.len() && b.at(i) == hash
}

// list returns the hashes.
func (b *bucket) list() []uint64 {
	out := make([]uint64, b.len())
	for i := range out {
		out[i] = b.at(i)
	}
	return out
}

// packed sorts hashes and returns them as a bucket stores them, each once.
func packed(hashes []uint64) []byte {
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	out := make([]byte, 0, len(hashes)*hashBytes)
	for _, h := range hashes {
		out = binary.BigEndian.AppendUint64(out, h)
	}
	return out
}

// lost reports whether the place should have a bucket and has none that can be read.
func (b *bucket) lost() bool { return b.damaged || b.revision == onlinestore.Absent }

// get reads places, each once.
func (x *Index) get(ctx context.Context, ids []bucketID) (map[bucketID]*bucket, error) {
	out := make(map[bucketID]*bucket, len(ids))
	var keys [][]byte
	var of []bucketID
	for _, id := range ids {
		if _, seen := out[id]; !seen {
			out[id] = nil
			of, keys = append(of, id), append(keys, x.generation.bucketKey(id))
		}
	}
	values, err := x.store.Get(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("read the index of entities: %w", err)
	}
	for i, id := range of {
		b := decodeBucket(id, values[i])
		out[id] = &b
	}
	return out, nil
}

// find returns the bucket of each hash; one that is lost is that at the place where the trie ends. It begins where the last
// bucket was found, and goes up while the place above is not divided: what is below that belongs to a division that has not
// happened yet, or never will.
func (x *Index) find(ctx context.Context, hashes []uint64) ([]*bucket, error) {
	out := make([]*bucket, len(hashes))
	first := uint8(max(x.hint.Load(), int32(x.generation.Depth)))
	at, down, again := make([]uint8, len(hashes)), make([]bool, len(hashes)), make([]bool, len(hashes))
	for i := range at {
		at[i] = first
	}
	for left := len(hashes); left > 0; {
		var ids []bucketID
		for i, h := range hashes {
			if out[i] != nil {
				continue
			}
			if ids = append(ids, idOf(h, at[i])); !down[i] && at[i] > x.generation.Depth {
				ids = append(ids, idOf(h, at[i]-1))
			}
		}
		found, err := x.get(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, h := range hashes {
			if out[i] != nil {
				continue
			}
			b := found[idOf(h, at[i])]
			switch {
			case !down[i] && at[i] > x.generation.Depth && !found[idOf(h, at[i]-1)].divided:
				at[i]--
			case b.divided && at[i] < deepest:
				at[i]++
				down[i] = true
			case b.lost() && !again[i]:
				// The places of one read are not read at one time: it may have been read before, and the place above after, the division
				// that made it. What was divided before this read began is there.
				down[i], again[i] = true, true
			default:
				out[i] = b
				left--
			}
		}
	}
	if n := len(out); n > 0 {
		x.hint.Store(int32(out[n-1].id.depth))
	}
	return out, nil
}

// Presence says what an index knows of an entity.
type Presence uint8

// The answers of an index.
const (
	Never Presence = iota // it never had a state
	Had                   // it has had one
	Gone                  // not known, since this part of the index is lost
)

// Look returns what the index knows of each entity.
func (x *Index) Look(ctx context.Context, entities [][]byte) ([]Presence, error) {
	return x.look(ctx, entities, false)
}

func (x *Index) look(ctx context.Context, entities [][]byte, keep bool) ([]Presence, error) {
	hashes := hashesOf(entities)
	buckets, err := x.find(ctx, hashes)
	if err != nil {
		return nil, err
	}
	out := make([]Presence, len(entities))
	for i, b := range buckets {
		switch {
		case b.lost():
			out[i] = Gone
		case b.has(hashes[i]):
			out[i] = Had
		}
	}
	if keep {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.looked == nil || len(x.looked) > mostLooked {
			x.looked = map[bucketID]*bucket{}
		}
		for _, b := range buckets {
			x.looked[b.id] = b
		}
	}
	return out, nil
}

// All returns the hashes of all entities in the index, as far as it is there; complete is false if parts of it are lost. Entities that
// are added meanwhile may be missing.
func (x *Index) All(ctx context.Context) (hashes []uint64, complete bool, err error) {
	prefix := x.generation.indexes()
	parts := map[bucketID]bucket{}
	err = x.store.Scan(ctx, prefix, func(key, value []byte) error {
		if len(key) != len(prefix)+1+8 {
			return fmt.Errorf("registry: a key of the index has %d bytes; it was not written by this program", len(key))
		}
		id := bucketID{key[len(prefix)], binary.BigEndian.Uint64(key[len(prefix)+1:])}
		parts[id] = decodeBucket(id, value)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the index of entities: %w", err)
	}
	complete = true
	var below func(id bucketID)
	below = func(id bucketID) {
		b, ok := parts[id]
		switch {
		case !ok || b.lost():
			complete = false
		case b.divided:
			for _, child := range id.children() {
				below(child)
			}
		default:
			hashes = append(hashes, b.list()...)
		}
	}
	for n := range uint64(1) << x.generation.Depth {
		id := bucketID{depth: x.generation.Depth}
		if id.depth > 0 {
			id.bits = n << (64 - id.depth)
		}
		below(id)
	}
	return hashes, complete, nil
}

func hashesOf(entities [][]byte) []uint64 {
	hashes := make([]uint64, len(entities))
	for i, e := range entities {
		hashes[i] = EntityHash(e)
	}
	return hashes
}

// indexRetries bounds how often buckets are read again because another writer changed them.
const indexRetries = 1000

// LookToAdd is Look by a writer that will Add some of the entities, in any number of concurrent calls. Add need not
// read what they have read.
func (x *Index) LookToAdd(ctx context.Context, entities [][]byte) ([]Presence, error) {
	return x.look(ctx, entities, true)
}

// Add adds entities. Where a part of the index is lost it adds nothing: Restore brings that back.
func (x *Index) Add(ctx context.Context, entities [][]byte) error {
	x.mu.Lock()
	looked := x.looked
	x.looked = nil
	x.mu.Unlock()
	hashes := hashesOf(entities)
	left, err := x.addTo(ctx, looked, hashes)
	if err != nil || len(left) == 0 {
		return err
	}
	return x.add(ctx, left, false)
}

// addTo adds hashes to buckets that were read before, and returns those of which it did not.
func (x *Index) addTo(ctx context.Context, looked map[bucketID]*bucket, hashes []uint64) (left []uint64, err error) {
	if len(looked) == 0 {
		return hashes, nil
	}
	to := map[*bucket][]uint64{}
	for _, h := range hashes {
		b := x.lookedUp(looked, h)
		switch {
		case b == nil || b.lost() || b.divided:
			left = append(left, h)
		case !b.has(h):
			to[b] = append(to[b], h)
		}
	}
	missed, err := x.write(ctx, to)
	return append(left, missed...), err
}

// lookedUp is the bucket of a hash among those that were read, nil if it is not there.
func (x *Index) lookedUp(looked map[bucketID]*bucket, hash uint64) *bucket {
	for depth := min(deepest, x.hint.Load()+1); depth >= int32(x.generation.Depth); depth-- {
		if b := looked[idOf(hash, uint8(depth))]; b != nil {
			return b
		}
	}
	return nil
}

// Restore adds all entities of the generation, by their hashes, and makes the parts of the index that are lost again.
func (x *Index) Restore(ctx context.Context, hashes []uint64) error { return x.add(ctx, hashes, true) }

func (x *Index) add(ctx context.Context, hashes []uint64, restore bool) error {
	for range indexRetries {
		buckets, err := x.find(ctx, hashes)
		if err != nil {
			return err
		}
		of, to := map[bucketID]*bucket{}, map[*bucket][]uint64{}
		for i, h := range hashes {
			b := buckets[i]
			if same := of[b.id]; same != nil {
				b = same
			}
			if of[b.id] = b; (restore || !b.lost()) && !b.has(h) {
				to[b] = append(to[b], h)
			}
		}
		if hashes, err = x.write(ctx, to); err != nil || len(hashes) == 0 {
			return err
		}
	}
	return fmt.Errorf("other writers changed the index of entities %d times meanwhile", indexRetries)
}

// write adds hashes to their buckets, and divides those that are full. It returns the hashes that it did not add, because the
// bucket was divided or changed by another writer.
func (x *Index) write(ctx context.Context, to map[*bucket][]uint64) (left []uint64, err error) {
	var writes []onlinestore.Write
	var of []*bucket
	for b, hashes := range to {
		if b.len() >= bucketMost && b.id.depth < deepest {
			left = append(left, hashes...)
			if err := x.divide(ctx, b.id); err != nil {
				return nil, err
			}
			continue
		}
		full := bucket{id: b.id, hashes: packed(append(b.list(), hashes...))}
		writes = append(writes, onlinestore.Write{Key: x.generation.bucketKey(b.id), Expect: b.revision, Value: full.encode(b.revision + 1)})
		of = append(of, b)
	}
	done, err := x.store.Swap(ctx, writes)
	for i, ok := range done {
		if !ok {
			left = append(left, to[of[i]]...)
		}
	}
	return left, indexWritten(err)
}

// divide writes the children of a bucket and then, in its place, that they are there. It does nothing if another writer
// interferes. The children are read before the bucket: while that is whole nobody adds to them, so if somebody has divided it and
// added to them meanwhile, their revisions are no longer those that were read.
func (x *Index) divide(ctx context.Context, id bucketID) error {
	ids := id.children()
	children, err := x.get(ctx, ids[:])
	if err != nil {
		return err
	}
	got, err := x.get(ctx, []bucketID{id})
	if err != nil || got[id].lost() || got[id].divided {
		return err
	}
	whole := got[id]
	var writes []onlinestore.Write
	for _, child := range ids {
		part := bucket{id: child}
		for i := range whole.len() {
			if h := whole.at(i); idOf(h, child.depth) == child {
				part.hashes = binary.BigEndian.AppendUint64(part.hashes, h)
			}
		}
		revision := children[child].revision
		writes = append(writes, onlinestore.Write{Key: x.generation.bucketKey(child), Expect: revision, Value: part.encode(revision + 1)})
	}
	done, err := x.store.Swap(ctx, writes)
	if err != nil || !done[0] || !done[1] {
		return indexWritten(err)
	}
	mark := bucket{id: id, divided: true}
	_, err = x.store.Swap(ctx, []onlinestore.Write{{Key: x.generation.bucketKey(id), Expect: whole.revision, Value: mark.encode(whole.revision + 1)}})
	return indexWritten(err)
}

func indexWritten(err error) error {
	if err != nil {
		return fmt.Errorf("write the index of entities: %w", err)
	}
	return nil
}

// BeginIndex writes the empty index of a generation that has no states yet.
func BeginIndex(ctx context.Context, store onlinestore.Store, g Generation) error {
	if !g.Indexed || g.Depth != 0 {
		return errors.New("registry: an empty index has one bucket")
	}
	empty := bucket{}
	_, err := store.Swap(ctx, []onlinestore.Write{{Key: g.bucketKey(bucketID{}), Expect: onlinestore.Absent, Value: empty.encode(1)}})
	return indexWritten(err)
}

// LoadIndex writes the index of a generation that is being built from the hashes of its entities, which it sorts, and sets Indexed and
// Depth.
func LoadIndex(loader onlinestore.Loader, g *Generation, hashes []uint64) error {
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	g.Indexed, g.Depth = true, 0
	for g.Depth < deepestFirst && len(hashes)>>g.Depth > bucketAverage {
		g.Depth++
	}
	for n := range uint64(1) << g.Depth {
		b := bucket{id: bucketID{depth: g.Depth}}
		if g.Depth > 0 {
			b.id.bits = n << (64 - g.Depth)
		}
		end := 0
		for end < len(hashes) && idOf(hashes[end], g.Depth) == b.id {
			end++
		}
		b.hashes, hashes = packed(hashes[:end]), hashes[end:]
		if err := loader.Put(g.bucketKey(b.id), b.encode(1)); err != nil {
			return err
		}
	}
	return nil
}
