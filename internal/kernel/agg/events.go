package agg

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// listed is one row of latest_n or earliest_n; its strings are clones.
type listed struct {
	t   plan.EventTime
	key uint64 // of a fixed argument
	id  string
	str string // of another argument
}

func (a *listed) compare(b *listed) int {
	switch {
	case a.t != b.t:
		return cmp.Compare(a.t, b.t)
	case a.id != b.id:
		return strings.Compare(a.id, b.id)
	case a.key != b.key:
		return cmp.Compare(a.key, b.key)
	}
	return strings.Compare(a.str, b.str)
}

// eventsColumn is latest_n and earliest_n: at most n rows in the event order,
// oldest first. Rows that are equal in all parts are kept as often as they come.
type eventsColumn struct {
	cells[[]listed]
	irremovable
	arg      lane
	n        int
	earliest bool
}

func (c *eventsColumn) Empty(p int) bool { return len(c.ps[p]) == 0 }

func (c *eventsColumn) Reset(p int) {
	clear(c.ps[p])
	c.ps[p] = c.ps[p][:0]
}

func (c *eventsColumn) Add(p int, in *Input, row int) {
	list := c.ps[p]
	e := listed{t: in.Time[row], id: idOf(in, row)}
	if len(list) == c.n && c.tooFar(list, e.t) {
		return
	}
	if c.arg.fixed {
		e.key = c.arg.key(in.Arg, row)
	} else {
		e.str = c.arg.str(in.Arg, row)
	}
	c.insert(p, e)
}

// tooFar reports whether the time alone keeps a row out of a full list.
func (c *eventsColumn) tooFar(list []listed, t plan.EventTime) bool {
	if c.earliest {
		return t > list[c.n-1].t
	}
	return t < list[0].t
}

func (c *eventsColumn) insert(p int, e listed) {
	list := c.ps[p]
	i := len(list)
	if i > 0 && list[i-1].compare(&e) > 0 {
		i = sort.Search(i-1, func(j int) bool { return list[j].compare(&e) > 0 })
	}
	switch {
	case len(list) < c.n:
	case c.earliest:
		if i == c.n {
			return
		}
		list = list[:c.n-1]
	default:
		if i == 0 {
			return
		}
		// The oldest makes room at the front, which append reclaims when it must.
		list[0] = listed{}
		list, i = list[1:], i-1
	}
	e.id, e.str = strings.Clone(e.id), strings.Clone(e.str)
	c.ps[p] = slices.Insert(list, i, e)
}

// Merge shares the strings of q with p: nobody changes them.
func (c *eventsColumn) Merge(p int, from Column, q int) {
	a, b := c.ps[p], sibling[*eventsColumn](from).ps[q]
	if len(b) == 0 {
		return
	}
	if len(a) > 0 && a[len(a)-1].compare(&b[0]) > 0 {
		a = mergeSorted(a, b)
	} else {
		a = append(a, b...)
	}
	if extra := len(a) - c.n; extra > 0 {
		if c.earliest {
			clear(a[c.n:])
			a = a[:c.n]
		} else {
			clear(a[:extra])
			a = a[extra:]
		}
	}
	c.ps[p] = a
}

// mergeSorted merges into new memory.
func mergeSorted(a, b []listed) []listed {
	merged := make([]listed, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].compare(&b[0]) <= 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

func (c *eventsColumn) Value(p int, out *vector.Vector, i int) {
	values := make([]plan.Value, len(c.ps[p]))
	for j := range c.ps[p] {
		if e := &c.ps[p][j]; c.arg.fixed {
			values[j] = c.arg.fixedValue(e.key)
		} else {
			values[j] = c.arg.strValue(e.str)
		}
	}
	out.Any[i] = plan.ListValue(values)
}

func (c *eventsColumn) Append(dst []byte, p int) []byte {
	if c.Empty(p) {
		return append(dst, tagEmpty)
	}
	list := c.ps[p]
	dst = binary.AppendUvarint(append(dst, tagEvents), uint64(len(list)))
	for i := range list {
		e := &list[i]
		if i == 0 {
			dst = binary.AppendVarint(dst, int64(e.t))
		} else {
			dst = binary.AppendUvarint(dst, uint64(e.t)-uint64(list[i-1].t))
		}
		dst = appendBytes(dst, e.id)
		dst = c.arg.append(dst, e.key, []byte(e.str))
	}
	return dst
}

func (c *eventsColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagEvents)
	c.Reset(p)
	if !empty {
		c.read(&r, p)
	}
	return r.close(c, p, "latest_n or earliest_n")
}

func (c *eventsColumn) read(r *reader, p int) {
	n := r.elements(3)
	if n > c.n {
		r.fail()
		return
	}
	list := slices.Grow(c.ps[p], n)
	for i := range n {
		var e listed
		if i == 0 {
			e.t = plan.EventTime(r.varint())
		} else if e.t = list[i-1].t + plan.EventTime(r.uvarint()); e.t < list[i-1].t {
			r.fail()
		}
		e.id = string(r.bytes())
		k, s := c.arg.read(r)
		e.key, e.str = k, string(s)
		if r.bad || i > 0 && list[i-1].compare(&e) > 0 {
			r.fail()
			break
		}
		list = append(list, e)
	}
	c.ps[p] = list
}
