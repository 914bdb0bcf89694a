package agg

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Layout says where a Block keeps the partials of each slot. It is immutable and shared by
// all Blocks of the same slots.
type Layout struct {
	fields   []field // of each slot
	width    int
	others   []*plan.Slot // slots whose partials are not cells
	distinct []*plan.Slot // slots that have a dictionary in addition to their cells
}

// field is where the partials of a slot are: in cells at an offset, or in a Column.
type field struct {
	kind  cellKind // nil for a Column
	off   int      // of the cell in its row, in words
	other int      // index of the Column in Block.others
	dict  int      // 1 + index of the dictionary in Block.dicts; 0 for none
}

// NewLayout lays out the partials of slots. It fails where New would.
func NewLayout(slots []*plan.Slot) (*Layout, error) {
	l := &Layout{}
	for _, s := range slots {
		k, err := newKind(s)
		dictionary := false
		if tile := makers[s.Func.Keeps()].tile; tile != nil && s.Group == nil && err == nil {
			dictionary = true
			k, err = tile(s)
		}
		if err != nil {
			return nil, err
		}
		if k != nil {
			f := field{kind: k, off: l.width}
			if dictionary {
				l.distinct = append(l.distinct, s)
				f.dict = len(l.distinct)
			}
			l.fields = append(l.fields, f)
			l.width += k.size()
			continue
		}
		if _, err := newColumn(s); err != nil {
			return nil, err
		}
		l.fields = append(l.fields, field{other: len(l.others)})
		l.others = append(l.others, s)
	}
	return l, nil
}

// Block holds partials of several slots, one of each per row. Rows are numbered from 0;
// inserting or removing a row renumbers the rows after it. The partials of fixed size lie
// side by side, so that an event touches little memory. Like a Column, a Block keeps no
// reference to its arguments and is not safe for concurrent use.
//
// If distinct_count is among the slots (see lastseen.go), rows must be in order of time. Then
// a value is merged from a row and all rows after it, only the first rows are reset, and a row
// is absorbed or moved only across empty rows.
type Block struct {
	grid
	layout *Layout
	others []movable
	dicts  []dictionary
	rows   int
	all    []int32  // 0, 1, 2 …
	some   []int32  // scratch: numbers of rows
	packed []packed // by slot, after Load: cells that are not in the grid
	used   []bool   // scratch of Decode: rows in which some slot has a partial
	full   bool     // every row is used
}

// movable is a Column whose partials can be renumbered.
type movable interface {
	Column
	open(p int)       // inserts an empty partial p
	cut(from, to int) // removes the partials [from, to), all empty
	swap(p, q int)
}

// NewBlock makes a Block without rows.
func (l *Layout) NewBlock() Block {
	b := Block{layout: l, grid: grid{width: l.width}}
	for _, s := range l.others {
		// This cannot fail: NewLayout called it with the same slot.
		c, _ := newColumn(s)
		b.others = append(b.others, c)
	}
	for _, s := range l.distinct {
		b.dicts = append(b.dicts, newDictionary(s))
	}
	return b
}

// Len is the number of rows.
func (b *Block) Len() int { return b.rows }

// Clear removes all rows and keeps their memory.
func (b *Block) Clear() {
	for _, c := range b.others {
		c.Truncate(0)
	}
	for _, d := range b.dicts {
		d.clear()
	}
	clear(b.long)
	clear(b.packed)
	b.packed = b.packed[:0]
	b.words, b.long, b.spare, b.rows = b.words[:0], b.long[:0], b.spare[:0], 0
}

// Grow appends n empty rows.
func (b *Block) Grow(n int) {
	b.grow(n)
	for _, c := range b.others {
		c.Grow(n)
	}
	for _, d := range b.dicts {
		d.grow(n)
	}
	b.rows += n
}

// Insert inserts an empty row p; the rows from p on move up by one.
func (b *Block) Insert(p int) {
	b.grow(1)
	if at := b.row(p); p < b.rows {
		copy(b.words[at+b.width:], b.words[at:])
		clear(b.words[at : at+b.width])
	}
	for _, c := range b.others {
		c.open(p)
	}
	for _, d := range b.dicts {
		d.open(p)
	}
	b.rows++
}

// Remove removes the rows [from, to), all empty; the rows after them move down.
func (b *Block) Remove(from, to int) {
	n := copy(b.words[b.row(from):], b.words[b.row(to):])
	b.words = b.words[:b.row(from)+n]
	for _, c := range b.others {
		c.cut(from, to)
	}
	for _, d := range b.dicts {
		d.cut(from, to)
	}
	b.rows -= to - from
}

// Move moves row from to row to, which is empty, and leaves from empty.
func (b *Block) Move(to, from int) {
	source := b.words[b.row(from):b.row(from+1)]
	copy(b.words[b.row(to):], source)
	clear(source)
	for _, c := range b.others {
		c.swap(to, from)
	}
	for _, d := range b.dicts {
		d.move(to, from)
	}
}

// Reset makes a row empty.
func (b *Block) Reset(p int) {
	at := b.row(p)
	for _, x := range b.layout.fields {
		if x.dict > 0 {
			b.dicts[x.dict-1].reset(p, b.words[at+x.off])
		}
		if x.kind != nil {
			x.kind.reset(&b.grid, at+x.off)
		} else {
			b.others[x.other].Reset(p)
		}
	}
}

// Add adds row i of the input to the partial of a slot in row p.
func (b *Block) Add(slot, p int, in *Input, i int) {
	switch x := &b.layout.fields[slot]; {
	case x.dict > 0:
		b.dicts[x.dict-1].add(&b.grid, x.off, p, in, i)
	case x.kind != nil:
		x.kind.add(&b.grid, b.row(p)+x.off, in, i)
	default:
		b.others[x.other].Add(p, in, i)
	}
}

// Absorb merges row q into row p and makes q empty; p and q differ.
func (b *Block) Absorb(p, q int) {
	for slot := range b.layout.fields {
		b.Merge(slot, p, b, q, q+1)
	}
	for _, d := range b.dicts {
		d.absorb(p, q)
	}
	b.Reset(q)
}

// Empty reports whether every partial of row p is empty. Only distinct_count leaves such
// rows behind, when all values of a row are seen again later; they are not stored.
func (b *Block) Empty(p int) bool {
	for i := range b.layout.fields {
		if x := &b.layout.fields[i]; x.kind != nil && !x.kind.empty(&b.grid, b.row(p)+x.off) || x.kind == nil && !b.others[x.other].Empty(p) {
			return false
		}
	}
	return true
}

// LeavesEmpty reports whether adding to a row can make earlier rows empty.
func (b *Block) LeavesEmpty() bool { return len(b.dicts) > 0 }

// Merge adds the partials of a slot in rows [lo, hi) of from to the one in row p of b.
// from is a Block of the same layout, possibly b; then p is outside [lo, hi).
func (b *Block) Merge(slot, p int, from *Block, lo, hi int) {
	x := &b.layout.fields[slot]
	if len(from.packed) > 0 && from.packed[slot].on {
		if cells := &from.packed[slot]; !cells.none {
			x.kind.mergePacked(&b.grid, b.row(p)+x.off, cells, cells.rank(lo), cells.rank(hi))
		}
		return
	}
	if x.kind != nil {
		x.kind.mergeRows(&b.grid, b.row(p)+x.off, &from.grid, from.row(lo)+x.off, hi-lo)
		return
	}
	c, source := b.others[x.other], from.others[x.other]
	for q := lo; q < hi; q++ {
		c.Merge(p, source, q)
	}
}

// Value stores the value of aggregate f, of the slot's family, for the partial in row p
// in row i of out. See Column.
func (b *Block) Value(slot, p int, f plan.AggFunc, out *vector.Vector, i int) {
	if x := &b.layout.fields[slot]; x.kind != nil {
		x.kind.value(f, &b.grid, b.row(p)+x.off, out, i)
	} else {
		ValueAs(f, b.others[x.other], p, out, i)
	}
}

// Append appends the canonical encoding of the partials of all rows, slot by slot, and then
// the dictionaries (docs/formats/state.md). No row may be empty. The number of rows is not
// encoded. Append may change the representation of a partial in b, not its value.
func (b *Block) Append(dst []byte) []byte {
	for i := range b.layout.fields {
		if x := &b.layout.fields[i]; x.kind != nil {
			dst = b.appendCells(dst, x)
		} else {
			dst = appendSized(dst, func(dst []byte) []byte {
				for p := range b.rows {
					dst = b.others[x.other].Append(dst, p)
				}
				return dst
			})
		}
	}
	for i := range b.layout.fields {
		if x := &b.layout.fields[i]; x.dict > 0 {
			dst = appendSized(dst, func(dst []byte) []byte { return b.dicts[x.dict-1].append(dst, &b.grid, x.off) })
		}
	}
	return dst
}

// The cells of a slot begin with a byte that says which rows have one and whether the cells
// are packed.
const (
	cellsNone = 0
	cellsAll  = 1
	cellsSome = 2 // followed by one bit per row
	cellsWide = 4 // flag: not packed, but encoded one by one
)

func (b *Block) appendCells(dst []byte, x *field) []byte {
	rows := b.some[:0]
	for p := range b.rows {
		if !x.kind.empty(&b.grid, b.row(p)+x.off) {
			rows = append(rows, int32(p))
		}
	}
	b.some = rows
	if len(rows) == 0 {
		return append(dst, cellsNone)
	}
	mode := len(dst)
	if dst = append(dst, cellsAll); len(rows) < b.rows {
		dst[mode] = cellsSome
		dst = appendBits(dst, rows, b.rows)
	}
	if x.kind.packs(&b.grid, x.off, rows) {
		return x.kind.pack(dst, &b.grid, x.off, rows)
	}
	dst[mode] |= cellsWide
	for _, p := range rows {
		dst = x.kind.append(dst, &b.grid, b.row(int(p))+x.off)
	}
	return dst
}

// appendBits appends a bitmap of n bits, lowest first, in which the bits of rows are set.
func appendBits(dst []byte, rows []int32, n int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, (n+7)/8)...)
	for _, p := range rows {
		dst[at+int(p)/8] |= 1 << (p % 8)
	}
	return dst
}

// Decode replaces the partials by those of n rows at the front of p and returns the
// rest. It refuses a row in which every slot is empty. Append writes back every accepted
// input byte for byte. Decode allocates memory for n rows whatever p holds. After an error
// the caller must Clear b.
func (b *Block) Decode(p []byte, n int) (rest []byte, err error) {
	r := b.begin(p, n)
	for i := range b.layout.fields {
		if x := &b.layout.fields[i]; x.kind != nil {
			err = b.decodeCells(&r, x)
		} else {
			r.sized(func(r *reader) { err = b.decodeColumn(r, b.others[x.other]) })
		}
		if err = failed(&r, err, i, &b.layout.fields[i]); err != nil {
			return nil, err
		}
	}
	for i := range b.layout.fields {
		if x := &b.layout.fields[i]; x.dict > 0 {
			r.sized(func(r *reader) { b.dicts[x.dict-1].decode(&b.grid, x.off, r) })
		}
		if err = failed(&r, nil, i, &b.layout.fields[i]); err != nil {
			return nil, err
		}
	}
	if row := slices.Index(b.used, false); !b.full && row >= 0 {
		return nil, fmt.Errorf("row %d is empty", row)
	}
	return r.b, nil
}

// begin makes b a Block of n empty rows and returns a reader of p.
func (b *Block) begin(p []byte, n int) reader {
	b.Clear()
	b.Grow(n)
	b.used = slices.Grow(b.used[:0], n)[:n]
	clear(b.used)
	b.full = n == 0
	return reader{b: p}
}

// failed is the error of slot i, nil if there is none.
func failed(r *reader, err error, i int, x *field) error {
	switch {
	case err != nil:
		return fmt.Errorf("slot %d: %w", i, err)
	case !r.bad:
		return nil
	case x.kind == nil:
		return fmt.Errorf("slot %d: %w", i, errMalformed("a slot"))
	}
	return fmt.Errorf("slot %d: %w", i, errMalformed(x.kind.what()))
}

// Load decodes only what reading values takes: the partials of the slots whose entry in
// need is true, without dictionaries. Packed cells stay in p, which must not change until b
// is cleared. b can then be neither added to nor encoded. Load does not check what it skips.
func (b *Block) Load(p []byte, n int, need []bool) (rest []byte, err error) {
	b.Clear()
	b.rows, b.full = n, true
	b.used = slices.Grow(b.used[:0], n)[:n]
	b.packed = slices.Grow(b.packed, len(b.layout.fields))[:len(b.layout.fields)]
	r := reader{b: p}
	for i := range b.layout.fields {
		switch x := &b.layout.fields[i]; {
		case x.kind != nil:
			b.locateCells(&r, x, &b.packed[i])
		case need[i]:
			b.others[x.other].Grow(n)
			r.sized(func(r *reader) { err = b.decodeColumn(r, b.others[x.other]) })
		default:
			r.bytes()
		}
		if err = failed(&r, err, i, &b.layout.fields[i]); err != nil {
			return nil, err
		}
	}
	for range b.dicts {
		r.bytes()
	}
	if r.bad {
		return nil, errMalformed("distinct_count")
	}
	return r.b, nil
}

// locateCells finds the cells of a slot if they are packed, and decodes them otherwise.
func (b *Block) locateCells(r *reader, x *field, to *packed) {
	mode := r.byte()
	if r.locate(x.kind, b.rows, mode, to) {
		return
	}
	if b.len() < b.rows {
		b.grow(b.rows)
	}
	b.readCells(r, x, b.readRows(r, mode&^cellsWide))
}

// DecodeFormat3 is Decode for states of format 3, which had no lengths, and one tally per
// row instead of dictionaries. Rows may be empty afterwards.
func (b *Block) DecodeFormat3(p []byte, n int) (rest []byte, err error) {
	r := b.begin(p, n)
	for i := range b.layout.fields {
		switch x := &b.layout.fields[i]; {
		case x.dict > 0:
			for row := range n {
				b.used[row] = b.dicts[x.dict-1].decodeTally(&b.grid, x.off, row, &r) || b.used[row]
			}
		case x.kind != nil:
			err = b.decodeCells(&r, x)
		default:
			err = b.decodeColumn(&r, b.others[x.other])
		}
		if err = failed(&r, err, i, &b.layout.fields[i]); err != nil {
			return nil, err
		}
	}
	if row := slices.Index(b.used, false); !b.full && row >= 0 {
		return nil, fmt.Errorf("row %d is empty", row)
	}
	return r.b, nil
}

// use marks rows in which a slot has a partial.
func (b *Block) use(rows []int32) {
	if b.full = b.full || len(rows) == b.rows; b.full {
		return
	}
	for _, row := range rows {
		b.used[row] = true
	}
}

func (b *Block) decodeColumn(r *reader, c Column) (err error) {
	for row := range b.rows {
		if r.b, err = c.Decode(row, r.b); err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		b.used[row] = b.used[row] || !c.Empty(row)
	}
	return nil
}

func (b *Block) decodeCells(r *reader, x *field) error {
	mode := r.byte()
	if mode == cellsNone {
		return nil
	}
	rows := b.readRows(r, mode&^cellsWide)
	b.use(rows)
	switch {
	case r.bad:
	case mode&cellsWide == 0:
		x.kind.unpack(&b.grid, x.off, rows, r)
	default:
		b.readCells(r, x, rows)
	}
	return nil
}

// readRows reads which rows have a cell that is not empty.
func (b *Block) readRows(r *reader, mode byte) []int32 {
	rows := b.some[:0]
	switch mode {
	case cellsAll:
		if b.rows == 0 {
			r.fail()
		}
		for p := len(b.all); p < b.rows; p++ {
			b.all = append(b.all, int32(p))
		}
		return b.all[:b.rows]
	case cellsSome:
		bits := r.take((b.rows + 7) / 8)
		for i, c := range bits {
			for j := range 8 {
				if c>>j&1 != 0 {
					rows = append(rows, int32(8*i+j))
				}
			}
		}
		if n := len(rows); n == 0 || n >= b.rows || int(rows[n-1]) >= b.rows {
			r.fail()
			return nil
		}
	default:
		r.fail()
	}
	b.some = rows
	return rows
}

// readCells reads cells one by one. It refuses cells that could have been packed, because
// Append would have packed them.
func (b *Block) readCells(r *reader, x *field, rows []int32) {
	for _, p := range rows {
		at := b.row(int(p)) + x.off
		if r.cell(x.kind, &b.grid, at); r.bad || x.kind.empty(&b.grid, at) {
			r.fail()
			return
		}
	}
	if x.kind.packs(&b.grid, x.off, rows) {
		r.fail()
	}
}
