package agg

import (
	"encoding/binary"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// groupColumn is an aggregate.by(s): for each key, the index of a partial of inner that is
// not empty. With more than plan.MaxElements keys there is no value, but the partial is exact.
type groupColumn struct {
	partials[table[string, int32]]
	inner    Column
	free     []int32 // free list of partials of inner, all empty
	optional bool    // the values of the map are optionals
	cell     vector.Vector
	scratch  []entry[string, int32]
}

func newGroupColumn(inner Column, t plan.Type) *groupColumn {
	return &groupColumn{
		inner:    inner,
		optional: t.Elem.Kind == plan.Optional,
		cell:     vector.Vector{Type: *t.Elem},
	}
}

// alloc returns an empty partial of inner.
func (c *groupColumn) alloc() int32 {
	if len(c.free) == 0 {
		n := c.inner.Len()
		c.inner.Grow(1)
		return int32(n)
	}
	sub := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	return sub
}

func (c *groupColumn) release(sub int32) {
	c.inner.Reset(int(sub))
	c.free = append(c.free, sub)
}

func (c *groupColumn) Truncate(n int) {
	for p := n; p < len(c.ps); p++ {
		c.Reset(p)
	}
	c.partials.Truncate(n)
}

func (c *groupColumn) Reset(p int) {
	for _, e := range c.ps[p].entries {
		c.release(e.val)
	}
	c.ps[p].clear()
}

func (c *groupColumn) Empty(p int) bool { return len(c.ps[p].entries) == 0 }

func (c *groupColumn) Add(p int, in *Input, row int) {
	t, k := &c.ps[p], in.Group.Str[row]
	i := t.find(k, hashString)
	if i < 0 {
		i = len(t.entries)
		t.insert(strings.Clone(k), c.alloc(), hashString)
	}
	c.inner.Add(int(t.entries[i].val), in, row)
}

func (c *groupColumn) Remove(p int, in *Input, row int) {
	t := &c.ps[p]
	i := t.find(in.Group.Str[row], hashString)
	if i < 0 {
		panic("agg: Remove of a row that was not added")
	}
	sub := t.entries[i].val
	c.inner.Remove(int(sub), in, row)
	if c.inner.Empty(int(sub)) {
		t.remove(i, hashString)
		c.release(sub)
	}
}

// Merge shares the keys of q with p.
func (c *groupColumn) Merge(p int, from Column, q int) {
	t, source := &c.ps[p], sibling[*groupColumn](from)
	for _, e := range source.ps[q].entries {
		i := t.find(e.key, hashString)
		if i < 0 {
			i = len(t.entries)
			t.insert(e.key, c.alloc(), hashString)
		}
		c.inner.Merge(int(t.entries[i].val), source.inner, int(e.val))
	}
}

func (c *groupColumn) Value(p int, out *vector.Vector, i int) {
	n := len(c.ps[p].entries)
	if n > plan.MaxElements {
		out.SetErr(i)
		return
	}
	// MapValue sorts too, but strings sort faster than values.
	c.scratch = c.ps[p].sorted(c.scratch[:0])
	defer clear(c.scratch)
	keys, values := make([]plan.Value, n), make([]plan.Value, n)
	for j, e := range c.scratch {
		c.cell.Resize(1)
		c.inner.Value(int(e.val), &c.cell, 0)
		if c.cell.IsErr(0) {
			out.SetErr(i)
			return
		}
		keys[j], values[j] = plan.StringValue(e.key), c.cell.Value(0)
		if c.optional {
			values[j] = plan.OptionalValue(values[j])
		}
	}
	out.Any[i] = plan.MapValue(keys, values)
}

func (c *groupColumn) Append(dst []byte, p int) []byte {
	t := &c.ps[p]
	if len(t.entries) == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagGroups), uint64(len(t.entries)))
	c.scratch = t.sorted(c.scratch[:0])
	for _, e := range c.scratch {
		dst = c.inner.Append(appendBytes(dst, e.key), int(e.val))
	}
	clear(c.scratch)
	return dst
}

func (c *groupColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagGroups)
	c.Reset(p)
	if !empty {
		c.read(&r, p)
	}
	return r.close(c, p, "an aggregate by group")
}

func (c *groupColumn) read(r *reader, p int) {
	t := &c.ps[p]
	prev := ""
	for n := r.elements(3); n > 0; n-- {
		key := string(r.bytes())
		if r.bad || len(t.entries) > 0 && key <= prev {
			r.fail()
			return
		}
		sub := c.alloc()
		t.insert(key, sub, hashString)
		rest, err := c.inner.Decode(int(sub), r.b)
		if err != nil || c.inner.Empty(int(sub)) {
			r.fail()
			return
		}
		r.b, prev = rest, key
	}
}
