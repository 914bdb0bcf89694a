package agg

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// grid is memory for partials of fixed size: rows of equal width, in which every slot has
// its cell, a few words at the same offset of each row. A row of zeros is empty.
type grid struct {
	words []uint64
	width int        // words of a row
	long  []ExactSum // sums that are too wide for their cells
	spare []int      // free list: indexes of unused sums in long
}

// row is the index of the first word of row p.
func (g *grid) row(p int) int { return p * g.width }

func (g *grid) len() int { return len(g.words) / g.width }

// grow appends n rows.
func (g *grid) grow(n int) {
	from := len(g.words)
	if n = from + n*g.width; n <= cap(g.words) {
		g.words = g.words[:n]
		clear(g.words[from:])
		return
	}
	g.words = append(g.words, make([]uint64, n-from)...)
}

// cellKind is an aggregate whose partial is a cell. It depends only on its slot, so one
// serves any number of grids. A cell is identified by the index of its first word.
type cellKind interface {
	// size is the number of words.
	size() int
	// what names the partial in errors.
	what() string

	empty(g *grid, at int) bool
	// reset makes a cell empty and frees the ExactSum that it owns, if any.
	reset(g *grid, at int)
	add(g *grid, at int, in *Input, row int)
	addRows(g *grid, at int, in *Input, rows []int32)
	removeRows(g *grid, at int, in *Input, rows []int32)
	// mergeRows merges the cells at q of n consecutive rows of from into the cell at at,
	// which is none of them.
	mergeRows(g *grid, at int, from *grid, q, n int)
	// value is Column.Value for aggregate f of the kind's family.
	value(f plan.AggFunc, g *grid, at int, out *vector.Vector, i int)

	// append writes the encoding of a cell that is not empty, beginning with a tag.
	// decode reads what follows the tag, which is not tagEmpty, into an empty cell.
	append(dst []byte, g *grid, at int) []byte
	decode(g *grid, at int, tag byte, r *reader)
	// packs reports whether pack can encode the cells at word off of the given rows, none
	// of them empty; it may change the representation of a cell. pack writes them all at
	// once, unpack reads them.
	packs(g *grid, off int, rows []int32) bool
	pack(dst []byte, g *grid, off int, rows []int32) []byte
	unpack(g *grid, off int, rows []int32, r *reader)
	// locate skips what pack wrote for n rows and records where its parts are. mergePacked
	// merges cells [from, to) of these n into one.
	locate(n int, r *reader, x *packed)
	mergePacked(g *grid, at int, x *packed, from, to int)
}

// appendCell appends the encoding of one cell, including its tag.
func appendCell(k cellKind, dst []byte, g *grid, at int) []byte {
	if k.empty(g, at) {
		return append(dst, tagEmpty)
	}
	return k.append(dst, g, at)
}

// cellColumn is a Column of cells.
type cellColumn struct {
	grid
	kind cellKind
	fn   plan.AggFunc
}

func newCells(k cellKind, f plan.AggFunc) *cellColumn {
	return &cellColumn{grid: grid{width: k.size()}, kind: k, fn: f}
}

func (c *cellColumn) Len() int   { return c.len() }
func (c *cellColumn) Grow(n int) { c.grow(n) }

func (c *cellColumn) Truncate(n int) {
	for p := n; p < c.len(); p++ {
		c.Reset(p)
	}
	c.words = c.words[:c.row(n)]
}

func (c *cellColumn) Reset(p int) { c.kind.reset(&c.grid, c.row(p)) }

func (c *cellColumn) Add(p int, in *Input, row int) { c.kind.add(&c.grid, c.row(p), in, row) }

func (c *cellColumn) Remove(p int, in *Input, row int) {
	one := [1]int32{int32(row)}
	c.removeRows(p, in, one[:])
}

func (c *cellColumn) addRows(p int, in *Input, rows []int32) {
	c.kind.addRows(&c.grid, c.row(p), in, rows)
}

func (c *cellColumn) removeRows(p int, in *Input, rows []int32) {
	c.kind.removeRows(&c.grid, c.row(p), in, rows)
}

func (c *cellColumn) Merge(p int, from Column, q int) {
	o := cellsOf(from)
	if o.kind.what() != c.kind.what() { // catches most mismatches: kinds do not record their slot
		panic("agg: merging partials of different slots")
	}
	c.kind.mergeRows(&c.grid, c.row(p), &o.grid, o.row(q), 1)
}

// cellsOf returns the cells of a Column that has some.
func cellsOf(c Column) *cellColumn {
	if x, ok := c.(*extremeColumn); ok {
		return &x.cellColumn
	}
	return sibling[*cellColumn](c)
}

func (c *cellColumn) Empty(p int) bool { return c.kind.empty(&c.grid, c.row(p)) }

func (c *cellColumn) Value(p int, out *vector.Vector, i int) {
	c.kind.value(c.fn, &c.grid, c.row(p), out, i)
}

func (c *cellColumn) Append(dst []byte, p int) []byte {
	return appendCell(c.kind, dst, &c.grid, c.row(p))
}

func (c *cellColumn) Decode(p int, b []byte) ([]byte, error) {
	r := reader{b: b}
	c.Reset(p)
	r.cell(c.kind, &c.grid, c.row(p))
	if r.bad {
		c.Reset(p)
		return nil, errMalformed(c.kind.what())
	}
	return r.b, nil
}

// cell reads what appendCell wrote into an empty cell.
func (r *reader) cell(k cellKind, g *grid, at int) {
	if tag := r.byte(); tag != tagEmpty {
		k.decode(g, at, tag, r)
	}
}

// alwaysPacks is embedded by the kinds whose cells can all be packed.
type alwaysPacks struct{}

func (alwaysPacks) packs(*grid, int, []int32) bool { return true }

// irremovableCells is embedded by the kinds whose additions cannot be undone.
type irremovableCells struct{}

func (irremovableCells) removeRows(*grid, int, *Input, []int32) {
	panic("agg: Remove from an aggregate that is not Removable")
}
