package agg

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// fixedExtreme is the winning key of a fixed lane, as the column directs it.
type fixedExtreme struct {
	key uint64
	has bool
}

// extremeColumn is min and max of a fixed lane, and latest_time and earliest_time.
type extremeColumn struct {
	cells[fixedExtreme]
	irremovable
	lane   lane
	ofTime bool   // the argument is the row's event time
	dir    uint64 // all ones for the smallest: keys are complemented, so that the largest wins
}

// nanKey is larger than every directed key of another double, so NaN wins.
var nanKey = plan.OrderedDouble(math.NaN())

// direct turns the smallest key into the largest where the column wants it so, and
// back; NaN stays on top.
func (c *extremeColumn) direct(k uint64) uint64 {
	if c.lane.kind == plan.Double && k == nanKey {
		return k
	}
	return k ^ c.dir
}

func (c *extremeColumn) directed(in *Input, row int) uint64 {
	if c.ofTime {
		return uint64(in.Time[row]) ^ signBit ^ c.dir
	}
	return c.direct(c.lane.key(in.Arg, row))
}

func (c *extremeColumn) offer(p int, k uint64) {
	if e := &c.ps[p]; !e.has || k > e.key {
		*e = fixedExtreme{k, true}
	}
}

func (c *extremeColumn) Add(p int, in *Input, row int) { c.offer(p, c.directed(in, row)) }
func (c *extremeColumn) Empty(p int) bool              { return !c.ps[p].has }

func (c *extremeColumn) Merge(p int, from Column, q int) {
	if o := sibling[*extremeColumn](from).ps[q]; o.has {
		c.offer(p, o.key)
	}
}

func (c *extremeColumn) Value(p int, out *vector.Vector, i int) {
	if e := c.ps[p]; e.has {
		c.lane.put(out, i, c.direct(e.key), nil)
		return
	}
	out.SetNull(i)
}

func (c *extremeColumn) Append(dst []byte, p int) []byte {
	if !c.ps[p].has {
		return append(dst, tagEmpty)
	}
	return c.lane.append(append(dst, tagExtreme), c.direct(c.ps[p].key), nil)
}

func (c *extremeColumn) Decode(p int, b []byte) ([]byte, error) {
	if c.lane.kind == plan.Double && len(b) >= 9 && b[0] == tagExtreme {
		if f := math.Float64frombits(binary.LittleEndian.Uint64(b[1:])); f == f {
			c.ps[p] = fixedExtreme{plan.OrderedDouble(f) ^ c.dir, true}
			return b[9:], nil
		}
	}
	r, empty := openPartial(b, tagExtreme)
	c.Reset(p)
	if !empty {
		k, _ := c.lane.read(&r)
		c.ps[p] = fixedExtreme{c.direct(k), true}
	}
	return r.close(c, p, "min or max")
}

// stringExtreme is the winning string in memory of its own, reused when it changes.
type stringExtreme struct {
	s   []byte
	has bool
}

// stringExtremeColumn is min and max of strings.
type stringExtremeColumn struct {
	cells[stringExtreme]
	irremovable
	lane lane
	sign int // -1 for the smallest
}

func (c *stringExtremeColumn) Reset(p int) {
	c.ps[p].s, c.ps[p].has = c.ps[p].s[:0], false
}

func (c *stringExtremeColumn) Add(p int, in *Input, row int) {
	s := c.lane.str(in.Arg, row)
	if e := &c.ps[p]; !e.has || compareBytes(e.s, s)*c.sign < 0 {
		e.s, e.has = append(e.s[:0], s...), true
	}
}

func (c *stringExtremeColumn) Empty(p int) bool { return !c.ps[p].has }

func (c *stringExtremeColumn) Merge(p int, from Column, q int) {
	o := &sibling[*stringExtremeColumn](from).ps[q]
	if e := &c.ps[p]; o.has && (!e.has || bytes.Compare(e.s, o.s)*c.sign < 0) {
		e.s, e.has = append(e.s[:0], o.s...), true
	}
}

func (c *stringExtremeColumn) Value(p int, out *vector.Vector, i int) {
	if e := &c.ps[p]; e.has {
		c.lane.put(out, i, 0, e.s)
		return
	}
	out.SetNull(i)
}

func (c *stringExtremeColumn) Append(dst []byte, p int) []byte {
	if !c.ps[p].has {
		return append(dst, tagEmpty)
	}
	return c.lane.append(append(dst, tagExtreme), 0, c.ps[p].s)
}

func (c *stringExtremeColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagExtreme)
	c.Reset(p)
	if !empty {
		_, s := c.lane.read(&r)
		c.ps[p] = stringExtreme{append(c.ps[p].s, s...), true}
	}
	return r.close(c, p, "min or max")
}
