package agg

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// extremeKind is min and max of a fixed lane, and latest_time and earliest_time. The
// first word of a cell is the winning key, directed so that the largest wins. No double and
// no event time has key 0, so 0 is the empty cell. Other types, among them timestamps, which
// may be infinite, have a second word that is 1 in a cell that is not empty.
type extremeKind struct {
	irremovableCells
	alwaysPacks
	lane   lane
	ofTime bool   // the argument is the row's event time
	dir    uint64 // all ones for the smallest: keys are complemented
	marked bool   // cells have the second word
}

func newExtremeKind(l lane, ofTime, smallest bool) *extremeKind {
	marked := l.kind != plan.Double && !ofTime
	return &extremeKind{lane: l, ofTime: ofTime, dir: direction(smallest), marked: marked}
}

func (k *extremeKind) size() int {
	if k.marked {
		return 2
	}
	return 1
}

func (*extremeKind) what() string { return "min or max" }

func (k *extremeKind) empty(g *grid, at int) bool {
	return g.words[at] == 0 && (!k.marked || g.words[at+1] == 0)
}

func (k *extremeKind) reset(g *grid, at int) { clear(g.words[at : at+k.size()]) }

var (
	nanKey    = plan.OrderedDouble(math.NaN())
	posInfKey = plan.OrderedDouble(math.Inf(1))
	negInfKey = plan.OrderedDouble(math.Inf(-1))
)

// direct complements a key if the smallest wins, so that the largest result wins; it is its
// own inverse. NaN wins either way.
func (k *extremeKind) direct(key uint64) uint64 {
	if k.lane.kind == plan.Double && key == nanKey {
		return key
	}
	return key ^ k.dir
}

func (k *extremeKind) directed(in *Input, row int) uint64 {
	if k.ofTime {
		return uint64(in.Time[row]) ^ signBit ^ k.dir
	}
	return k.direct(k.lane.key(in.Arg, row))
}

// set stores key in a cell if it beats the cell's.
func (k *extremeKind) set(g *grid, at int, key uint64) {
	if k.marked {
		g.words[at+1] = 1
	}
	if key > g.words[at] {
		g.words[at] = key
	}
}

func (k *extremeKind) add(g *grid, at int, in *Input, row int) { k.set(g, at, k.directed(in, row)) }

func (k *extremeKind) addRows(g *grid, at int, in *Input, rows []int32) {
	for _, r := range rows {
		k.add(g, at, in, int(r))
	}
}

func (k *extremeKind) mergeRows(g *grid, at int, from *grid, q, n int) {
	best := g.words[at]
	for i, p := n, q; i > 0; i-- {
		best = max(best, from.words[p])
		p += from.width
	}
	g.words[at] = best
	if !k.marked {
		return
	}
	for ; n > 0; n-- {
		g.words[at+1] |= from.words[q+1]
		q += from.width
	}
}

func (k *extremeKind) value(_ plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	if k.empty(g, at) {
		out.SetNull(i)
		return
	}
	k.lane.put(out, i, k.direct(g.words[at]), nil)
}

func (k *extremeKind) append(dst []byte, g *grid, at int) []byte {
	return k.lane.append(append(dst, tagExtreme), k.direct(g.words[at]), nil)
}

func (k *extremeKind) decode(g *grid, at int, tag byte, r *reader) {
	r.expect(tag, tagExtreme)
	key, _ := k.lane.read(r)
	if k.set(g, at, k.direct(key)); k.empty(g, at) {
		r.fail() // no event time has this key
	}
}

// pack writes the least directed key and the differences of all keys from it.
func (k *extremeKind) pack(dst []byte, g *grid, off int, rows []int32) []byte {
	least := ^uint64(0)
	for _, p := range rows {
		least = min(least, g.words[g.row(int(p))+off])
	}
	return appendUints(binary.LittleEndian.AppendUint64(dst, least), g, off, rows, least)
}

func (*extremeKind) locate(n int, r *reader, x *packed) {
	x.least = r.uint64()
	x.rows = r.locateUints(n)
}

func (k *extremeKind) mergePacked(g *grid, at int, x *packed, from, to int) {
	if from < to {
		k.set(g, at, x.least+x.rows.max(from, to))
	}
}

func (k *extremeKind) unpack(g *grid, off int, rows []int32, r *reader) {
	least := r.uint64()
	r.uints(g, off, rows, least)
	if k.marked {
		for _, p := range rows {
			g.words[g.row(int(p))+off+1] = 1
		}
	} else if least == 0 {
		r.fail()
	}
	lowest := ^uint64(0)
	for _, p := range rows {
		key := g.words[g.row(int(p))+off]
		if lowest = min(lowest, key); k.lane.kind == plan.Double && key != nanKey && key^k.dir-negInfKey > posInfKey-negInfKey {
			r.fail()
			return
		}
	}
	// A key that wrapped around zero is below the least.
	if lowest != least {
		r.fail()
	}
}

// extremeColumn is a Column of extremeKind cells that implements Chained.
type extremeColumn struct {
	cellColumn
	of *extremeKind // the kind of the cells
}

func newExtremes(k *extremeKind, f plan.AggFunc) *extremeColumn {
	return &extremeColumn{*newCells(k, f), k}
}

// stringExtreme is a copy of the winning string; its memory is reused when another wins.
type stringExtreme struct {
	s   []byte
	has bool
}

// stringExtremeColumn is min and max of strings.
type stringExtremeColumn struct {
	partials[stringExtreme]
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
