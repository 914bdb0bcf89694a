package agg

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// eventRow is one row of latest_n or earliest_n; its strings are clones.
type eventRow struct {
	t   plan.EventTime
	key uint64 // of a fixed argument
	id  string
	str string // key of an argument that is not fixed
}

func (a *eventRow) compare(b *eventRow) int {
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

// eventList is the rows of one partial in the event order, oldest first: buf from
// index from on. The rows before from have been dropped and are zero.
type eventList struct {
	buf  []eventRow
	from int
}

func (l *eventList) rows() []eventRow { return l.buf[l.from:] }

// drop removes the n oldest rows.
func (l *eventList) drop(n int) {
	clear(l.buf[l.from : l.from+n])
	l.from += n
}

// reserve makes room for n more rows if it can do so without allocating: it moves the rows
// to the front once at least half of buf is free there.
func (l *eventList) reserve(n int) {
	if len(l.buf)+n <= cap(l.buf) || l.from < len(l.buf)-l.from {
		return
	}
	kept := copy(l.buf, l.rows())
	clear(l.buf[kept:])
	l.buf, l.from = l.buf[:kept], 0
}

// eventsColumn is latest_n and earliest_n: at most n rows. Of rows that are equal in all
// parts, each is kept.
type eventsColumn struct {
	partials[eventList]
	irremovable
	arg      lane
	n        int
	earliest bool
	scratch  []eventRow
	text     []byte
	ends     []int
}

func (c *eventsColumn) Empty(p int) bool { return len(c.ps[p].rows()) == 0 }

func (c *eventsColumn) Reset(p int) {
	l := &c.ps[p]
	clear(l.buf)
	l.buf, l.from = l.buf[:0], 0
}

func (c *eventsColumn) Add(p int, in *Input, row int) {
	list := c.ps[p].rows()
	e := eventRow{t: in.Time[row], id: idOf(in, row)}
	if len(list) == c.n && c.outOfRange(list, e.t) {
		return
	}
	if c.arg.fixed {
		e.key = c.arg.key(in.Arg, row)
	} else {
		e.str = c.arg.str(in.Arg, row)
	}
	c.insert(&c.ps[p], e)
}

// outOfRange reports whether the time alone keeps a row out of a full list.
func (c *eventsColumn) outOfRange(list []eventRow, t plan.EventTime) bool {
	if c.earliest {
		return t > list[c.n-1].t
	}
	return t < list[0].t
}

// insert inserts e with clones of its strings in order, unless the list is full and e loses.
func (c *eventsColumn) insert(l *eventList, e eventRow) {
	list := l.rows()
	i := len(list)
	if i > 0 && list[i-1].compare(&e) > 0 {
		i = sort.Search(i-1, func(j int) bool { return list[j].compare(&e) > 0 })
	}
	if len(list) == c.n {
		switch {
		case c.earliest && i == c.n, !c.earliest && i == 0:
			return
		case c.earliest:
			l.buf = l.buf[:len(l.buf)-1]
		default:
			l.drop(1)
			i--
		}
	}
	l.reserve(1)
	e.id, e.str = strings.Clone(e.id), strings.Clone(e.str)
	l.buf = slices.Insert(l.buf, l.from+i, e)
}

// Merge shares the strings of q with p.
func (c *eventsColumn) Merge(p int, from Column, q int) {
	l, b := &c.ps[p], sibling[*eventsColumn](from).ps[q].rows()
	if a := l.rows(); len(a) > 0 && len(b) > 0 && a[len(a)-1].compare(&b[0]) > 0 {
		c.scratch = mergeSorted(c.scratch[:0], a, b)
		b = c.scratch
		l.drop(len(a))
		defer clear(c.scratch)
	}
	if c.earliest {
		b = b[:min(len(b), c.n-len(l.rows()))]
	} else {
		l.drop(max(0, min(len(l.rows()), len(l.rows())+len(b)-c.n)))
		b = b[max(0, len(b)-c.n):]
	}
	l.reserve(len(b))
	l.buf = append(l.buf, b...)
}

func mergeSorted(dst, a, b []eventRow) []eventRow {
	for len(a) > 0 && len(b) > 0 {
		if a[0].compare(&b[0]) <= 0 {
			dst, a = append(dst, a[0]), a[1:]
		} else {
			dst, b = append(dst, b[0]), b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

func (c *eventsColumn) Value(p int, out *vector.Vector, i int) {
	list := c.ps[p].rows()
	values := make([]plan.Value, len(list))
	for j := range list {
		if e := &list[j]; c.arg.fixed {
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
	list := c.ps[p].rows()
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

// read makes all strings of the rows parts of one allocation.
func (c *eventsColumn) read(r *reader, p int) {
	n := r.elements(3)
	if n > c.n {
		r.fail()
		return
	}
	list, text, ends := slices.Grow(c.ps[p].buf, n), c.text[:0], c.ends[:0]
	for i := range n {
		var e eventRow
		if i == 0 {
			e.t = plan.EventTime(r.varint())
		} else if e.t = list[i-1].t + plan.EventTime(r.uvarint()); e.t < list[i-1].t {
			r.fail()
		}
		text = append(text, r.bytes()...)
		ends = append(ends, len(text))
		k, s := c.arg.read(r)
		text = append(text, s...)
		ends = append(ends, len(text))
		e.key = k
		list = append(list, e)
	}
	from, all := 0, string(text)
	for i := range list {
		e := &list[i]
		e.id, e.str = all[from:ends[2*i]], all[ends[2*i]:ends[2*i+1]]
		from = ends[2*i+1]
		if i > 0 && list[i-1].compare(e) > 0 {
			r.fail()
		}
	}
	c.ps[p].buf, c.text, c.ends = list, text, ends
}
