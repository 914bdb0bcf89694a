package kernel

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// intTable maps ints to positive numbers. It is a hash table with linear probing, which a
// replay uses for every event because it is several times faster than a map.
type intTable struct {
	entries   []intEntry // a power of two, at most half full
	n         int
	shift     uint
	low, high int64 // the least and the greatest key
	// direct is an array of the numbers of the keys from low on. makeDirect replaces entries
	// by it if the keys are dense, like those of a sequence.
	direct []int32
}

type intEntry struct {
	key int64
	id  int32 // 0: free
}

// get is the number of key, 0 for none.
func (t *intTable) get(key int64) int32 {
	if i := uint64(key) - uint64(t.low); i < uint64(len(t.direct)) {
		return t.direct[i]
	}
	if len(t.entries) == 0 {
		return 0
	}
	mask := len(t.entries) - 1
	for i := t.first(key); ; i = (i + 1) & mask {
		if e := &t.entries[i&mask]; e.id == 0 || e.key == key {
			return e.id
		}
	}
}

// getAll appends the numbers of keys.
func (t *intTable) getAll(dst []int32, keys []int64) []int32 {
	if t.direct == nil {
		for _, k := range keys {
			dst = append(dst, t.get(k))
		}
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, len(keys))[:at+len(keys)]
	low, direct := uint64(t.low), t.direct
	for j, k := range keys {
		id := int32(0)
		if i := uint64(k) - low; i < uint64(len(direct)) {
			id = direct[i]
		}
		dst[at+j] = id
	}
	return dst
}

// sparse is the largest ratio of array elements to keys with which direct is used. An element
// takes 4 bytes; the hash table has at least two entries of 16 bytes per key.
const sparse = 8

// makeDirect replaces the hash table by an array if the keys are dense. No key may be put into
// the table afterwards.
func (t *intTable) makeDirect() {
	size := uint64(t.high) - uint64(t.low) + 1
	if t.n == 0 || size-1 >= sparse*uint64(t.n) || t.direct != nil {
		return
	}
	t.direct = make([]int32, size)
	for _, e := range t.entries {
		if e.id != 0 {
			t.direct[uint64(e.key)-uint64(t.low)] = e.id
		}
	}
	t.entries = nil
}

// put adds a key that is not in the table.
func (t *intTable) put(key int64, id int32) {
	if 2*(t.n+1) > len(t.entries) {
		t.grow()
	}
	if t.n == 0 {
		t.low, t.high = key, key
	}
	t.low, t.high = min(t.low, key), max(t.high, key)
	i := t.first(key)
	for t.entries[i].id != 0 {
		i = (i + 1) & (len(t.entries) - 1)
	}
	t.entries[i] = intEntry{key, id}
	t.n++
}

// The factors of the hash: odd, and random in each process, so that nobody can choose keys
// that collide. No result depends on them, because numbers are assigned in order of arrival.
var (
	seed    = maphash.MakeSeed()
	factor  = maphash.String(seed, "a") | 1
	factor2 = maphash.String(seed, "b") | 1
)

// first is the first index of a key's probe sequence: the high bits of its hash.
func (t *intTable) first(key int64) int { return int(hashInt(key, factor, factor2) >> t.shift) }

func hashInt(key int64, factor, factor2 uint64) uint64 {
	h := uint64(key) * factor
	h ^= h >> 32
	return h * factor2
}

func (t *intTable) grow() {
	old := t.entries
	t.entries = make([]intEntry, max(64, 2*len(old)))
	t.shift = uint(64 - bits.TrailingZeros(uint(len(t.entries))))
	t.n = 0
	for _, e := range old {
		if e.id != 0 {
			t.put(e.key, e.id)
		}
	}
}
