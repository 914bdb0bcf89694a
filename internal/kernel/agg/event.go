package agg

import (
	"bytes"
	"encoding/binary"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// event is the row that wins in the event order: (t, id, argument). The partial owns the
// buffers and reuses them when another row wins.
type event struct {
	at  uint64 // directed time; 0 if there is no row: no valid time gives 0
	arg uint64 // directed key of a fixed argument
	id  []byte
	str []byte // key of an argument that is not fixed
}

// eventOrder compares rows in the event order. Keys are directed: complemented where the
// earliest wins, so that the larger key always wins.
type eventOrder struct {
	arg lane
	dir uint64 // all ones if the earliest wins
}

// rank is the directed time of a row.
func (o *eventOrder) rank(t plan.EventTime) uint64 { return uint64(t) ^ signBit ^ o.dir }

// directed reverses a comparison if the earliest wins.
func (o *eventOrder) directed(cmp int) int {
	if o.dir != 0 {
		return -cmp
	}
	return cmp
}

func idOf(in *Input, row int) string {
	if in.ID == nil {
		return ""
	}
	return in.ID[row]
}

// beats reports whether a row of rank at beats e. Rows equal in all three parts are
// interchangeable.
func (o *eventOrder) beats(e *event, at uint64, in *Input, row int) bool {
	if at != e.at {
		return at > e.at
	}
	if c := compareBytes(e.id, idOf(in, row)); c != 0 {
		return o.directed(c) < 0
	}
	if o.arg.fixed {
		return o.arg.key(in.Arg, row)^o.dir > e.arg
	}
	return o.directed(compareBytes(e.str, o.arg.str(in.Arg, row))) < 0
}

// set makes e the given row.
func (o *eventOrder) set(e *event, at uint64, in *Input, row int) {
	e.at = at
	e.id = append(e.id[:0], idOf(in, row)...)
	if o.arg.fixed {
		e.arg = o.arg.key(in.Arg, row) ^ o.dir
		return
	}
	e.str = append(e.str[:0], o.arg.str(in.Arg, row)...)
}

// beatsEvent reports whether f beats e.
func (o *eventOrder) beatsEvent(e, f *event) bool {
	if f.at != e.at {
		return f.at > e.at
	}
	if c := bytes.Compare(e.id, f.id); c != 0 {
		return o.directed(c) < 0
	}
	if o.arg.fixed {
		return f.arg > e.arg
	}
	return o.directed(bytes.Compare(e.str, f.str)) < 0
}

// copy makes e equal to f without sharing memory.
func (e *event) copy(f *event) {
	e.at, e.arg = f.at, f.arg
	e.id = append(e.id[:0], f.id...)
	e.str = append(e.str[:0], f.str...)
}

// clear makes e empty and keeps its buffers.
func (e *event) clear() { *e = event{id: e.id[:0], str: e.str[:0]} }

func (o *eventOrder) append(dst []byte, e *event) []byte {
	dst = binary.AppendVarint(dst, int64(e.at^o.dir^signBit))
	dst = appendBytes(dst, e.id)
	return o.arg.append(dst, e.arg^o.dir, e.str)
}

func (o *eventOrder) read(r *reader, e *event) {
	if e.at = o.rank(plan.EventTime(r.varint())); e.at == 0 {
		r.fail()
	}
	e.id = append(e.id, r.bytes()...)
	k, s := o.arg.read(r)
	if o.arg.fixed {
		e.arg = k ^ o.dir
	}
	e.str = append(e.str, s...)
}

// eventColumn is latest and earliest.
type eventColumn struct {
	partials[event]
	irremovable
	eventOrder
}

func (c *eventColumn) Reset(p int)      { c.ps[p].clear() }
func (c *eventColumn) Empty(p int) bool { return c.ps[p].at == 0 }

func (c *eventColumn) Add(p int, in *Input, row int) {
	e, at := &c.ps[p], c.rank(in.Time[row])
	if at < e.at {
		return
	}
	if c.beats(e, at, in, row) {
		c.set(e, at, in, row)
	}
}

func (c *eventColumn) Merge(p int, from Column, q int) {
	e, f := &c.ps[p], &sibling[*eventColumn](from).ps[q]
	if c.beatsEvent(e, f) {
		e.copy(f)
	}
}

func (c *eventColumn) Value(p int, out *vector.Vector, i int) {
	if c.Empty(p) {
		out.SetNull(i)
		return
	}
	c.arg.put(out, i, c.ps[p].arg^c.dir, c.ps[p].str)
}

func (c *eventColumn) Append(dst []byte, p int) []byte {
	if c.Empty(p) {
		return append(dst, tagEmpty)
	}
	return c.append(append(dst, tagEvent), &c.ps[p])
}

func (c *eventColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagEvent)
	c.Reset(p)
	if !empty {
		c.read(&r, &c.ps[p])
	}
	return r.close(c, p, "latest or earliest")
}
