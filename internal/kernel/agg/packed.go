package agg

import (
	"encoding/binary"
	"math/bits"
)

// packed is the encoded cells of one slot, from which windows are read without decoding the
// cells: tiles outside the window are not touched, and those inside are merged directly
// into its partial. Each cellKind uses the last four fields as its pack requires.
type packed struct {
	on    bool   // if false, the cells are in the grid
	none  bool   // no row has a cell
	bits  []byte // bitmap of the rows that have a cell; nil if all have
	first uint64 // the first 64 bits of it
	rows  uints
	other uints
	sums  wides
	least uint64
}

// rank is the number of cells in the rows before row p.
func (x *packed) rank(p int) int {
	if x.bits == nil {
		return p
	}
	if p < 64 {
		return bits.OnesCount64(x.first & (1<<p - 1))
	}
	n, b := bits.OnesCount64(x.first), x.bits[8:]
	for p -= 64; p >= 64; p -= 64 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	return n + bits.OnesCount64(firstWord(b)&(1<<p-1))
}

// firstWord is the first eight bytes of b, padded with zeros.
func firstWord(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var padded [8]byte
	copy(padded[:], b)
	return binary.LittleEndian.Uint64(padded[:])
}

// locate reports whether the cells of a slot are packed, as mode says, and records where
// they are in x, which is zero.
func (r *reader) locate(k cellKind, rows int, mode byte, x *packed) bool {
	x.on = true
	n := rows
	switch mode {
	case cellsNone:
		x.none = true
		return true
	case cellsAll:
		if rows == 0 {
			r.fail()
		}
	case cellsSome:
		n = r.rowBits(rows, x)
	default:
		x.on = false
		return false
	}
	if !r.bad {
		k.locate(n, r, x)
	}
	return true
}

// rowBits reads the bitmap of the rows that have a cell, and returns their number. It fails
// if none or all have one, because the mode says so then.
func (r *reader) rowBits(rows int, x *packed) (n int) {
	x.bits = r.take((rows + 7) / 8)
	if r.bad {
		return 0
	}
	x.first = firstWord(x.bits)
	for _, c := range x.bits {
		n += bits.OnesCount8(c)
	}
	if n == 0 || n >= rows || rows%8 != 0 && x.bits[len(x.bits)-1]>>(rows%8) != 0 {
		r.fail()
	}
	return n
}

// uints are numbers as appendUints encodes them.
type uints struct {
	b     []byte
	width int
}

func (r *reader) locateUints(n int) uints {
	width := int(r.byte())
	if width > 8 || width&(width-1) != 0 {
		r.fail()
	}
	return uints{r.take(width * n), width}
}

// sum is the sum of the numbers [from, to).
func (u *uints) sum(from, to int) (total uint64) {
	b := u.b[from*u.width : to*u.width]
	switch u.width {
	case 1:
		for _, c := range b {
			total += uint64(c)
		}
	case 2:
		for ; len(b) >= 2; b = b[2:] {
			total += uint64(binary.LittleEndian.Uint16(b))
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			total += uint64(binary.LittleEndian.Uint32(b))
		}
	case 8:
		for ; len(b) >= 8; b = b[8:] {
			total += binary.LittleEndian.Uint64(b)
		}
	}
	return total
}

// max is the greatest of the numbers [from, to), 0 if there are none.
func (u *uints) max(from, to int) (most uint64) {
	b := u.b[from*u.width : to*u.width]
	switch u.width {
	case 1:
		for _, c := range b {
			most = max(most, uint64(c))
		}
	case 2:
		for ; len(b) >= 2; b = b[2:] {
			most = max(most, uint64(binary.LittleEndian.Uint16(b)))
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			most = max(most, uint64(binary.LittleEndian.Uint32(b)))
		}
	case 8:
		for ; len(b) >= 8; b = b[8:] {
			most = max(most, binary.LittleEndian.Uint64(b))
		}
	}
	return most
}

// wides are numbers as appendWide encodes them.
type wides struct {
	b     []byte // reaches beyond the numbers, so that most of them can be read as 16 bytes
	end   int    // of the numbers in b
	width int
	shift uint
}

func (r *reader) locateWides(n int) (w wides) {
	if w.width = int(r.byte()); w.width == 0 {
		return w
	}
	w.shift = uint(r.byte())
	w.b, w.end = r.b, w.width*n
	if r.take(w.end); r.bad || w.width > 16 || w.shift > 127 {
		r.fail()
	}
	return w
}

// narrow is the largest width of numbers that fit a word.
const narrow = 8

// sum is the sum of the numbers [from, to), without their common power of two. Their width
// must be at most narrow, and there must be fewer than 2^32.
func (w *wides) sum(from, to int) (lo, hi uint64) {
	if w.width == 0 {
		return 0, 0
	}
	spare := 64 - 8*uint(w.width)
	at, end := from*w.width, to*w.width
	for ; at < end; at += w.width {
		var x uint64
		if at+8 <= len(w.b) {
			x = binary.LittleEndian.Uint64(w.b[at:])
		} else {
			x = firstWord(w.b[at:w.end])
		}
		x = uint64(int64(x<<(spare&63)) >> (spare & 63))
		lo, hi = add128(lo, hi, x, uint64(int64(x)>>63))
	}
	return lo, hi
}

// at is number i, times the power of two.
func (w *wides) at(i int) (lo, hi uint64) {
	if w.width == 0 {
		return 0, 0
	}
	lo, hi = wideAt(w.b, w.b[:w.end], i*w.width, w.width)
	lo, hi = signExtend(lo, hi, w.width)
	return shiftLeft(lo, hi, w.shift)
}

// signExtend extends the lowest width bytes of hi:lo, a two's complement number, to two
// words.
func signExtend(lo, hi uint64, width int) (uint64, uint64) {
	spare := 64 - 8*uint(width)&63 // unused bits of the number's highest word
	if width > 8 {
		return lo, uint64(int64(hi<<(spare&63)) >> (spare & 63))
	}
	lo = uint64(int64(lo<<(spare&63)) >> (spare & 63))
	return lo, uint64(int64(lo) >> 63)
}
