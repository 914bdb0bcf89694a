package agg

import (
	"cmp"
	"slices"
)

// entry is one key of a table.
type entry[K cmp.Ordered, V any] struct {
	key K
	val V
}

// linear is up to how many entries a table is searched one by one.
const linear = 12

// table is a small map: entries in no particular order, with an index only when
// there are many. The zero table is empty. It never stores a key it is asked for, only
// those it is given by insert.
type table[K cmp.Ordered, V any] struct {
	entries []entry[K, V]
	index   map[K]int32 // position in entries; nil up to linear entries
}

// find is the position of k in entries, or -1.
func (t *table[K, V]) find(k K) int {
	if t.index != nil {
		if i, ok := t.index[k]; ok {
			return int(i)
		}
		return -1
	}
	for i := range t.entries {
		if t.entries[i].key == k {
			return i
		}
	}
	return -1
}

// insert appends k, which must not be there.
func (t *table[K, V]) insert(k K, v V) {
	t.entries = append(t.entries, entry[K, V]{k, v})
	switch {
	case t.index != nil:
		t.index[k] = int32(len(t.entries) - 1)
	case len(t.entries) > linear:
		t.index = make(map[K]int32, 2*len(t.entries))
		for i := range t.entries {
			t.index[t.entries[i].key] = int32(i)
		}
	}
}

// remove takes the entry at position i out; the last one takes its place.
func (t *table[K, V]) remove(i int) {
	last := len(t.entries) - 1
	if t.index != nil {
		delete(t.index, t.entries[i].key)
		if i != last {
			t.index[t.entries[last].key] = int32(i)
		}
	}
	t.entries[i] = t.entries[last]
	t.entries[last] = entry[K, V]{}
	t.entries = t.entries[:last]
}

func (t *table[K, V]) clear() {
	clear(t.entries)
	t.entries, t.index = t.entries[:0], nil
}

// sorted appends the entries in key order to dst.
func (t *table[K, V]) sorted(dst []entry[K, V]) []entry[K, V] {
	dst = append(dst, t.entries...)
	slices.SortFunc(dst, func(a, b entry[K, V]) int { return cmp.Compare(a.key, b.key) })
	return dst
}
