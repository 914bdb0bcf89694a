package agg

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// seed is random in each process, so that nobody can choose keys that collide. No encoding
// and no value depends on it: entries are sorted when they leave a table.
var (
	seed      = maphash.MakeSeed()
	seedOfInt = maphash.String(seed, "")
)

func hashInt(k uint64) uint64 { return mix(k ^ seedOfInt) }

func hashString(k string) uint64 { return maphash.String(seed, k) }

// entry is one key of a table.
type entry[K cmp.Ordered, V any] struct {
	key K
	val V
}

const (
	// linear is the largest number of entries that a table searches one by one.
	linear = 12
	// retained is the largest number of slots that a cleared table keeps.
	retained = 1024
)

// table is a small hash table: entries in no particular order and, if there are many, slots
// that point to them, with open addressing and linear probing. The zero table is empty. It
// keeps the keys passed to insert, not those passed to find. The caller must pass the same
// hash function every time.
type table[K cmp.Ordered, V any] struct {
	entries []entry[K, V]
	slots   []int32 // 1 + a position in entries, or 0; a power of two, at most half full
}

// find is the position of k in entries, or -1.
func (t *table[K, V]) find(k K, hash func(K) uint64) int {
	if t.slots == nil {
		for i := range t.entries {
			if t.entries[i].key == k {
				return i
			}
		}
		return -1
	}
	mask := len(t.slots) - 1
	for i := int(hash(k)) & mask; ; i = (i + 1) & mask {
		at := int(t.slots[i]) - 1
		if at < 0 || t.entries[at].key == k {
			return at
		}
	}
}

// insert appends k, which must not be there.
func (t *table[K, V]) insert(k K, v V, hash func(K) uint64) {
	t.entries = append(t.entries, entry[K, V]{k, v})
	switch n := len(t.entries); {
	case t.slots == nil && n <= linear:
	case 2*n > len(t.slots):
		t.rehash(4*n, hash)
	default:
		t.link(n-1, hash)
	}
}

// rehash rebuilds the slots, at least n of them.
func (t *table[K, V]) rehash(n int, hash func(K) uint64) {
	size := 64
	for size < n {
		size *= 2
	}
	t.slots = make([]int32, size)
	for i := range t.entries {
		t.link(i, hash)
	}
}

// link makes a free slot point to entry at.
func (t *table[K, V]) link(at int, hash func(K) uint64) {
	mask := len(t.slots) - 1
	i := int(hash(t.entries[at].key)) & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = int32(at + 1)
}

// slotOf is the slot that points to entry at.
func (t *table[K, V]) slotOf(at int, hash func(K) uint64) int {
	mask := len(t.slots) - 1
	i := int(hash(t.entries[at].key)) & mask
	for int(t.slots[i]) != at+1 {
		i = (i + 1) & mask
	}
	return i
}

// remove removes entry at; the last entry moves to its position.
func (t *table[K, V]) remove(at int, hash func(K) uint64) {
	last := len(t.entries) - 1
	if t.slots != nil {
		t.vacate(t.slotOf(at, hash), hash)
		if at != last {
			t.slots[t.slotOf(last, hash)] = int32(at + 1)
		}
	}
	t.entries[at] = t.entries[last]
	t.entries[last] = entry[K, V]{}
	t.entries = t.entries[:last]
}

// vacate empties a slot and moves back the later slots of the probe sequence.
func (t *table[K, V]) vacate(free int, hash func(K) uint64) {
	mask := len(t.slots) - 1
	for i := (free + 1) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		first := int(hash(t.entries[t.slots[i]-1].key)) & mask
		if (i-first)&mask >= (i-free)&mask {
			t.slots[free] = t.slots[i]
			free = i
		}
	}
	t.slots[free] = 0
}

func (t *table[K, V]) clear() {
	clear(t.entries)
	t.entries = t.entries[:0]
	if len(t.slots) > retained {
		t.slots = nil
	}
	clear(t.slots)
}

// sorted appends the entries in key order to dst.
func (t *table[K, V]) sorted(dst []entry[K, V]) []entry[K, V] {
	dst = append(dst, t.entries...)
	slices.SortFunc(dst, func(a, b entry[K, V]) int { return cmp.Compare(a.key, b.key) })
	return dst
}
