package agg

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// tallyKeys is how a tally handles the keys of its lane.
type tallyKeys[K cmp.Ordered] struct {
	of     func(v *vector.Vector, i int) K // may alias v; -0.0 as +0.0
	hash   func(K) uint64
	clone  func(K) K
	value  func(K) plan.Value
	append func(dst []byte, first bool, prev, k K) []byte
	read   func(r *reader, first bool, prev K) K // fails unless the key is above prev
}

// tallyColumn is distinct_count and top_k: values with their multiplicities.
type tallyColumn[K cmp.Ordered] struct {
	partials[table[K, int64]]
	keys    tallyKeys[K]
	topK    int // top_k; 0 for distinct_count
	limit   int // the largest number of values with which distinct_count has a value
	scratch []entry[K, int64]
}

func (c *tallyColumn[K]) Reset(p int)      { c.ps[p].clear() }
func (c *tallyColumn[K]) Empty(p int) bool { return len(c.ps[p].entries) == 0 }

func (c *tallyColumn[K]) Add(p int, in *Input, row int) {
	t, k := &c.ps[p], c.keys.of(in.Arg, row)
	if i := t.find(k, c.keys.hash); i >= 0 {
		t.entries[i].val++
		return
	}
	t.insert(c.keys.clone(k), 1, c.keys.hash)
}

func (c *tallyColumn[K]) Remove(p int, in *Input, row int) {
	t := &c.ps[p]
	i := t.find(c.keys.of(in.Arg, row), c.keys.hash)
	if i < 0 {
		panic("agg: Remove of a row that was not added")
	}
	if t.entries[i].val--; t.entries[i].val == 0 {
		t.remove(i, c.keys.hash)
	}
}

// Merge shares the strings of q with p.
func (c *tallyColumn[K]) Merge(p int, from Column, q int) {
	t, o := &c.ps[p], &sibling[*tallyColumn[K]](from).ps[q]
	for _, e := range o.entries {
		if i := t.find(e.key, c.keys.hash); i >= 0 {
			t.entries[i].val += e.val
		} else {
			t.insert(e.key, e.val, c.keys.hash)
		}
	}
}

func (c *tallyColumn[K]) Value(p int, out *vector.Vector, i int) {
	n := len(c.ps[p].entries)
	switch {
	case c.topK > 0:
		out.Any[i] = plan.ListValue(c.top(p))
	case n > c.limit:
		out.SetErr(i)
	default:
		out.Int[i] = int64(n)
	}
}

// top lists the values of the topK highest counts, ties by value.
func (c *tallyColumn[K]) top(p int) []plan.Value {
	c.scratch = append(c.scratch[:0], c.ps[p].entries...)
	slices.SortFunc(c.scratch, func(a, b entry[K, int64]) int {
		if a.val != b.val {
			return cmp.Compare(b.val, a.val)
		}
		return cmp.Compare(a.key, b.key)
	})
	values := make([]plan.Value, min(c.topK, len(c.scratch)))
	for i := range values {
		values[i] = c.keys.value(c.scratch[i].key)
	}
	clear(c.scratch)
	return values
}

func (c *tallyColumn[K]) Append(dst []byte, p int) []byte {
	t := &c.ps[p]
	if len(t.entries) == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagTally), uint64(len(t.entries)))
	c.scratch = t.sorted(c.scratch[:0])
	var prev K
	for i, e := range c.scratch {
		dst = c.keys.append(dst, i == 0, prev, e.key)
		dst = binary.AppendUvarint(dst, uint64(e.val))
		prev = e.key
	}
	clear(c.scratch)
	return dst
}

func (c *tallyColumn[K]) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagTally)
	c.Reset(p)
	if !empty {
		t := &c.ps[p]
		n := r.elements(2)
		t.entries = slices.Grow(t.entries, n)
		var prev K
		for i := 0; i < n && !r.bad; i++ {
			k := c.keys.read(&r, i == 0, prev)
			rows := r.rows(1)
			if !r.bad {
				t.insert(k, rows, c.keys.hash)
			}
			prev = k
		}
	}
	return r.close(c, p, "distinct_count or top_k")
}

// fixedKeys encodes the first key like its lane, and each further key as its difference from
// the one before.
func fixedKeys(l lane) tallyKeys[uint64] {
	return tallyKeys[uint64]{
		of:    l.identity,
		hash:  hashInt,
		clone: func(k uint64) uint64 { return k },
		value: l.fixedValue,
		append: func(dst []byte, first bool, prev, k uint64) []byte {
			if first {
				return l.append(dst, k, nil)
			}
			return binary.AppendUvarint(dst, k-prev)
		},
		read: func(r *reader, first bool, prev uint64) uint64 {
			if first {
				k, _ := l.read(r)
				return l.checked(r, k)
			}
			k := prev + r.uvarint()
			if k <= prev {
				r.fail()
			}
			return l.checked(r, k)
		},
	}
}

// checked fails r if identity never returns k.
func (l *lane) checked(r *reader, k uint64) uint64 {
	switch {
	case l.kind == plan.Bool && k > 1,
		l.kind == plan.Double && (k == signBit-1 || plan.OrderedDouble(plan.DoubleOfOrdered(k)) != k):
		r.fail()
	}
	return k
}

func stringKeys(l lane) tallyKeys[string] {
	return tallyKeys[string]{
		of:    l.str,
		hash:  hashString,
		clone: strings.Clone,
		value: l.strValue,
		append: func(dst []byte, _ bool, _, k string) []byte {
			return l.append(dst, 0, []byte(k))
		},
		read: func(r *reader, first bool, prev string) string {
			_, b := l.read(r)
			s := r.str(b)
			if !first && s <= prev {
				r.fail()
			}
			return s
		},
	}
}
