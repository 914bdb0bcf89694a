package agg

import (
	"bytes"

	"github.com/unskew/unskew/internal/vector"
)

// ranked is the row with the extreme y.
type ranked struct {
	event
	y    uint64 // directed key of a fixed y
	ystr []byte // key of a y that is not fixed
}

// extremeByColumn is max_by and min_by: the row that is extreme in (y, t, id,
// argument). A NaN y is the greatest, as in plan.Compare: max_by prefers it, min_by
// takes it only if every y is NaN.
type extremeByColumn struct {
	partials[ranked]
	irremovable
	eventOrder
	by lane
}

func (c *extremeByColumn) Empty(p int) bool { return c.ps[p].at == 0 }

func (c *extremeByColumn) Reset(p int) {
	e := &c.ps[p]
	e.clear()
	e.y, e.ystr = 0, e.ystr[:0]
}

func (c *extremeByColumn) Add(p int, in *Input, row int) {
	e, at := &c.ps[p], c.rank(in.Time[row])
	var y uint64
	var ystr string
	var cmp int
	if c.by.fixed {
		y = c.by.key(in.By, row) ^ c.dir
		cmp = compareKeys(e.y, y)
	} else {
		ystr = c.by.str(in.By, row)
		cmp = c.directed(compareBytes(e.ystr, ystr))
	}
	if e.at != 0 && (cmp > 0 || cmp == 0 && !c.beats(&e.event, at, in, row)) {
		return
	}
	c.set(&e.event, at, in, row)
	e.y, e.ystr = y, append(e.ystr[:0], ystr...)
}

func compareKeys(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *extremeByColumn) Merge(p int, from Column, q int) {
	e, f := &c.ps[p], &sibling[*extremeByColumn](from).ps[q]
	if f.at == 0 {
		return
	}
	cmp := compareKeys(e.y, f.y)
	if !c.by.fixed {
		cmp = c.directed(bytes.Compare(e.ystr, f.ystr))
	}
	if e.at != 0 && (cmp > 0 || cmp == 0 && !c.beatsEvent(&e.event, &f.event)) {
		return
	}
	e.copy(&f.event)
	e.y, e.ystr = f.y, append(e.ystr[:0], f.ystr...)
}

func (c *extremeByColumn) Value(p int, out *vector.Vector, i int) {
	if c.Empty(p) {
		out.SetNull(i)
		return
	}
	c.arg.put(out, i, c.ps[p].arg^c.dir, c.ps[p].str)
}

func (c *extremeByColumn) Append(dst []byte, p int) []byte {
	if c.Empty(p) {
		return append(dst, tagEmpty)
	}
	e := &c.ps[p]
	dst = c.by.append(append(dst, tagExtremeBy), e.y^c.dir, e.ystr)
	return c.append(dst, &e.event)
}

func (c *extremeByColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagExtremeBy)
	c.Reset(p)
	if !empty {
		e := &c.ps[p]
		y, s := c.by.read(&r)
		if c.by.fixed {
			e.y = y ^ c.dir
		}
		e.ystr = append(e.ystr, s...)
		c.read(&r, &e.event)
	}
	return r.close(c, p, "max_by or min_by")
}
