package agg

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Layout is what the Blocks of some slots have in common. It is not changed once made
// and may be shared.
type Layout struct {
	places   []place
	width    int
	others   []*plan.Slot // slots whose partials are not cells
	distinct []*plan.Slot // slots that have a dictionary beside their cells
}

// place is where the partials of a slot are: in cells at an offset, or in a Column.
type place struct {
	kind  cellKind // nil for a Column
	off   int
	other int // of the Columns
	dict  int // 1 + the number of its dictionary, 0 for none
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
			p := place{kind: k, off: l.width}
			if dictionary {
				l.distinct = append(l.distinct, s)
				p.dict = len(l.distinct)
			}
			l.places = append(l.places, p)
			l.width += k.size()
			continue
		}
		if _, err := newColumn(s); err != nil {
			return nil, err
		}
		l.places = append(l.places, place{other: len(l.others)})
		l.others = append(l.others, s)
	}
	return l, nil
}

// Block holds partials of several slots, one of each in a row; rows are numbered from
// 0 and move when others come or go. The partials of fixed size lie side by side, so
// that an event touches little memory. Like a Column it keeps no reference into what
// it is given and is not safe for concurrent use.
//
// With distinct_count among the slots (see lastseen.go) rows are in order of time: what is
// merged for a value is all rows from some row on, only the first rows are reset, and no
// row is absorbed or moved across another that is not empty.
type Block struct {
	grid
	layout *Layout
	others []movable
	dicts  []dictionary
	rows   int
	all    []int32  // the numbers from 0
	some   []int32  // scratch: numbers of rows
	packed []packed // of the slots, after Load: what is not in the grid
	used   []bool   // scratch of Decode: rows in which some slot has a partial
	full   bool     // all of them are
}

// movable is a Column whose partials can change places.
type movable interface {
	Column
	open(p int)
	cut(from, to int)
	swap(p, q int)
}

// NewBlock makes a Block without rows.
func (l *Layout) NewBlock() Block {
	b := Block{layout: l, grid: grid{width: l.width}}
	for _, s := range l.others {
		// NewLayout has made one before, so this cannot fail.
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

// Clear takes all rows away, keeping memory.
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

// Insert makes an empty row p; those from p on move one up.
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

// Remove takes the empty rows [from, to) away; those after them move down.
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

// Move makes empty row to what row from is, and that one empty.
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
	for _, x := range b.layout.places {
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
	switch x := &b.layout.places[slot]; {
	case x.dict > 0:
		b.dicts[x.dict-1].add(&b.grid, x.off, p, in, i)
	case x.kind != nil:
		x.kind.add(&b.grid, b.row(p)+x.off, in, i)
	default:
		b.others[x.other].Add(p, in, i)
	}
}

// Absorb merges row q into row p, another one, and makes q empty.
func (b *Block) Absorb(p, q int) {
	for slot := range b.layout.places {
		b.Merge(slot, p, b, q, q+1)
	}
	for _, d := range b.dicts {
		d.absorb(p, q)
	}
	b.Reset(q)
}

// Empty reports whether no slot has anything in row p. Only distinct_count leaves such
// rows behind, when all of a row's values are seen again later; they are not stored.
func (b *Block) Empty(p int) bool {
	for i := range b.layout.places {
		if x := &b.layout.places[i]; x.kind != nil && !x.kind.empty(&b.grid, b.row(p)+x.off) || x.kind == nil && !b.others[x.other].Empty(p) {
			return false
		}
	}
	return true
}

// LeavesEmpty reports whether rows may become empty by what is added to later ones.
func (b *Block) LeavesEmpty() bool { return len(b.dicts) > 0 }

// Merge adds the partials of a slot in rows [lo, hi) of from, a Block of the same
// layout and possibly b, to the one in row p of b, which is none of them.
func (b *Block) Merge(slot, p int, from *Block, lo, hi int) {
	x := &b.layout.places[slot]
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

// Value stores what aggregate f, of the slot's family, makes of the partial in row p
// in row i of out. See Column.
func (b *Block) Value(slot, p int, f plan.AggFunc, out *vector.Vector, i int) {
	if x := &b.layout.places[slot]; x.kind != nil {
		x.kind.value(f, &b.grid, b.row(p)+x.off, out, i)
	} else {
		ValueAs(f, b.others[x.other], p, out, i)
	}
}

// Append appends the canonical encoding of the partials of all rows, none of them empty:
// slot by slot, and then the dictionaries. The number of rows is not part of it. The layout
// is docs/formats/state.md. It may change how b keeps a partial, not what it is.
func (b *Block) Append(dst []byte) []byte {
	for i := range b.layout.places {
		if x := &b.layout.places[i]; x.kind != nil {
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
	for i := range b.layout.places {
		if x := &b.layout.places[i]; x.dict > 0 {
			dst = appendSized(dst, func(dst []byte) []byte { return b.dicts[x.dict-1].append(dst, &b.grid, x.off) })
		}
	}
	return dst
}

// The cells of a slot begin with a byte: which of them are not empty, and whether
// these are packed.
const (
	cellsNone = 0
	cellsAll  = 1
	cellsSome = 2 // one bit for each row follows
	cellsWide = 4 // added: not packed, but partial by partial
)

func (b *Block) appendCells(dst []byte, x *place) []byte {
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

// appendBits appends n bits, lowest first, those of rows set.
func appendBits(dst []byte, rows []int32, n int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, (n+7)/8)...)
	for _, p := range rows {
		dst[at+int(p)/8] |= 1 << (p % 8)
	}
	return dst
}

// Decode replaces the partials by those of n rows at the front of p and returns the
// rest. It refuses a row in which no slot has a partial; what it accepts, Append writes
// again byte for byte. It takes memory for n rows. After an error b is to be cleared.
func (b *Block) Decode(p []byte, n int) (rest []byte, err error) {
	r := b.begin(p, n)
	for i := range b.layout.places {
		if x := &b.layout.places[i]; x.kind != nil {
			err = b.decodeCells(&r, x)
		} else {
			r.sized(func(r *reader) { err = b.decodeColumn(r, b.others[x.other]) })
		}
		if err = failed(&r, err, i, &b.layout.places[i]); err != nil {
			return nil, err
		}
	}
	for i := range b.layout.places {
		if x := &b.layout.places[i]; x.dict > 0 {
			r.sized(func(r *reader) { b.dicts[x.dict-1].decode(&b.grid, x.off, r) })
		}
		if err = failed(&r, nil, i, &b.layout.places[i]); err != nil {
			return nil, err
		}
	}
	if row := slices.Index(b.used, false); !b.full && row >= 0 {
		return nil, fmt.Errorf("row %d is empty", row)
	}
	return r.b, nil
}

// begin makes b a Block of n empty rows that is about to be read from p.
func (b *Block) begin(p []byte, n int) reader {
	b.Clear()
	b.Grow(n)
	b.used = slices.Grow(b.used[:0], n)[:n]
	clear(b.used)
	b.full = n == 0
	return reader{b: p}
}

// failed is what is wrong with slot i, or nil.
func failed(r *reader, err error, i int, x *place) error {
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

// Load is Decode of what values are made of: the partials of the slots that need names,
// without dictionaries. Cells that are packed are left where they are, in p, until b is
// cleared. Nothing can be added to b, and it cannot be encoded. What it does not read it
// does not check.
func (b *Block) Load(p []byte, n int, need []bool) (rest []byte, err error) {
	b.Clear()
	b.rows, b.full = n, true
	b.used = slices.Grow(b.used[:0], n)[:n]
	b.packed = slices.Grow(b.packed, len(b.layout.places))[:len(b.layout.places)]
	r := reader{b: p}
	for i := range b.layout.places {
		switch x := &b.layout.places[i]; {
		case x.kind != nil:
			b.locateCells(&r, x, &b.packed[i])
		case need[i]:
			b.others[x.other].Grow(n)
			r.sized(func(r *reader) { err = b.decodeColumn(r, b.others[x.other]) })
		default:
			r.bytes()
		}
		if err = failed(&r, err, i, &b.layout.places[i]); err != nil {
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

// locateCells leaves the cells of a slot where they are, if they are packed.
func (b *Block) locateCells(r *reader, x *place, to *packed) {
	mode := r.byte()
	if r.locate(x.kind, b.rows, mode, to) {
		return
	}
	if b.len() < b.rows {
		b.grow(b.rows)
	}
	b.readCells(r, x, b.readRows(r, mode&^cellsWide))
}

// DecodeFormat3 is Decode of states of format 3, which had no lengths, and a tally for
// each row in place of dictionaries. Rows may be empty then.
func (b *Block) DecodeFormat3(p []byte, n int) (rest []byte, err error) {
	r := b.begin(p, n)
	for i := range b.layout.places {
		switch x := &b.layout.places[i]; {
		case x.dict > 0:
			for row := range n {
				b.used[row] = b.dicts[x.dict-1].decodeTally(&b.grid, x.off, row, &r) || b.used[row]
			}
		case x.kind != nil:
			err = b.decodeCells(&r, x)
		default:
			err = b.decodeColumn(&r, b.others[x.other])
		}
		if err = failed(&r, err, i, &b.layout.places[i]); err != nil {
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

func (b *Block) decodeCells(r *reader, x *place) error {
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

// readRows reads which rows have cells that are not empty.
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

// readCells reads cells partial by partial, which is for those alone that cannot be packed.
func (b *Block) readCells(r *reader, x *place, rows []int32) {
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
