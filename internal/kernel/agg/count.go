package agg

import (
	"encoding/binary"

	"github.com/unskew/unskew/internal/kernel/vector"
)

// countColumn is count(), with or without an argument.
type countColumn struct{ cells[int64] }

func (c *countColumn) Add(p int, _ *Input, _ int)    { c.ps[p]++ }
func (c *countColumn) Remove(p int, _ *Input, _ int) { c.ps[p]-- }
func (c *countColumn) Empty(p int) bool              { return c.ps[p] == 0 }

func (c *countColumn) Merge(p int, from Column, q int) {
	c.ps[p] += sibling[*countColumn](from).ps[q]
}

func (c *countColumn) Value(p int, out *vector.Vector, i int) { out.Int[i] = c.ps[p] }

func (c *countColumn) Append(dst []byte, p int) []byte {
	if c.ps[p] == 0 {
		return append(dst, tagEmpty)
	}
	return binary.AppendUvarint(append(dst, tagCount), uint64(c.ps[p]))
}

func (c *countColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagCount)
	c.ps[p] = 0
	if !empty {
		c.ps[p] = r.rows(1)
	}
	return r.close(c, p, "count")
}

// boolCounts are the rows that are true and false.
type boolCounts struct{ yes, no int64 }

// boolColumn is any and all.
type boolColumn struct {
	cells[boolCounts]
	all bool
}

func (c *boolColumn) Add(p int, in *Input, row int)    { c.count(p, in, row, 1) }
func (c *boolColumn) Remove(p int, in *Input, row int) { c.count(p, in, row, -1) }
func (c *boolColumn) Empty(p int) bool                 { return c.ps[p] == boolCounts{} }

func (c *boolColumn) count(p int, in *Input, row int, n int64) {
	if in.Arg.Bits.Get(row) {
		c.ps[p].yes += n
	} else {
		c.ps[p].no += n
	}
}

func (c *boolColumn) Merge(p int, from Column, q int) {
	o := &sibling[*boolColumn](from).ps[q]
	c.ps[p].yes += o.yes
	c.ps[p].no += o.no
}

func (c *boolColumn) Value(p int, out *vector.Vector, i int) { c.value(c.all, p, out, i) }

func (c *boolColumn) value(all bool, p int, out *vector.Vector, i int) {
	if all {
		out.Bits.Put(i, c.ps[p].no == 0)
	} else {
		out.Bits.Put(i, c.ps[p].yes != 0)
	}
}

func (c *boolColumn) Append(dst []byte, p int) []byte {
	if c.Empty(p) {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagBools), uint64(c.ps[p].yes))
	return binary.AppendUvarint(dst, uint64(c.ps[p].no))
}

func (c *boolColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagBools)
	c.Reset(p)
	if !empty {
		c.ps[p] = boolCounts{yes: r.rows(0), no: r.rows(0)}
		if c.Empty(p) {
			r.fail()
		}
	}
	return r.close(c, p, "any or all")
}
