package agg

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// This file encodes one word, or a number of two words, of many rows of a grid at once: the
// width of the widest, then all of them in that width.

// widthFor is the smallest of 0, 1, 2, 4 and 8 bytes that hold x.
func widthFor(x uint64) int {
	switch {
	case x == 0:
		return 0
	case x>>8 == 0:
		return 1
	case x>>16 == 0:
		return 2
	case x>>32 == 0:
		return 4
	}
	return 8
}

// appendUints appends the differences between word off of the rows and base, which is at
// most the least of them.
func appendUints(dst []byte, g *grid, off int, rows []int32, base uint64) []byte {
	var all uint64
	for _, p := range rows {
		all |= g.words[g.row(int(p))+off] - base
	}
	width := widthFor(all)
	dst, b := extendBytes(append(dst, byte(width)), width*len(rows), 0)
	words, step := g.words[off:], g.width
	switch width {
	case 1:
		for i, p := range rows {
			b[i] = byte(words[int(p)*step] - base)
		}
	case 2:
		for i, p := range rows {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(words[int(p)*step]-base))
		}
	case 4:
		for i, p := range rows {
			binary.LittleEndian.PutUint32(b[4*i:], uint32(words[int(p)*step]-base))
		}
	case 8:
		for i, p := range rows {
			binary.LittleEndian.PutUint64(b[8*i:], words[int(p)*step]-base)
		}
	}
	return dst
}

// extendBytes appends n bytes for the caller to write through b. b is longer by spare
// bytes, which may be overwritten and are not part of the result.
func extendBytes(dst []byte, n, spare int) (longer, b []byte) {
	from := len(dst)
	dst = slices.Grow(dst, n+spare)
	return dst[:from+n], dst[from : from+n+spare]
}

// uints reads what appendUints wrote.
func (r *reader) uints(g *grid, off int, rows []int32, base uint64) {
	width := int(r.byte())
	b := r.take(width * len(rows))
	if r.bad {
		return
	}
	words, step := g.words[off:], g.width
	var all uint64
	switch width {
	case 0:
		for _, p := range rows {
			words[int(p)*step] = base
		}
	case 1:
		for i, p := range rows {
			x := uint64(b[i])
			all |= x
			words[int(p)*step] = x + base
		}
	case 2:
		for i, p := range rows {
			x := uint64(binary.LittleEndian.Uint16(b[2*i:]))
			all |= x
			words[int(p)*step] = x + base
		}
	case 4:
		for i, p := range rows {
			x := uint64(binary.LittleEndian.Uint32(b[4*i:]))
			all |= x
			words[int(p)*step] = x + base
		}
	case 8:
		for i, p := range rows {
			x := binary.LittleEndian.Uint64(b[8*i:])
			all |= x
			words[int(p)*step] = x + base
		}
	}
	if widthFor(all) != width {
		r.fail()
	}
}

// atLeastOne fails if word off of some row is not a valid number of rows, 1 to 2^63-1.
func (r *reader) atLeastOne(g *grid, off int, rows []int32) {
	var bad uint64
	for _, p := range rows {
		bad |= g.words[g.row(int(p))+off] - 1
	}
	if bad>>63 != 0 {
		r.fail()
	}
}

// appendWide appends the 128-bit two's complement numbers in words off and off+1 of the
// rows, divided by the largest power of two that divides all of them: the width in bytes,
// the exponent of that power, and the numbers, lowest byte first.
func appendWide(dst []byte, g *grid, off int, rows []int32) []byte {
	var low, magnitude [2]uint64
	for _, p := range rows {
		at := g.row(int(p)) + off
		lo, hi := g.words[at], g.words[at+1]
		low[0], low[1] = low[0]|lo, low[1]|hi
		sign := uint64(int64(hi) >> 63)
		magnitude[0], magnitude[1] = magnitude[0]|(lo^sign), magnitude[1]|(hi^sign)
	}
	if low == ([2]uint64{}) {
		return append(dst, 0)
	}
	shift := uint(bits.TrailingZeros64(low[0]))
	if low[0] == 0 {
		shift = 64 + uint(bits.TrailingZeros64(low[1]))
	}
	width := wideWidth(magnitude[0], magnitude[1], shift)
	dst, b := extendBytes(append(dst, byte(width), byte(shift)), width*len(rows), 16)
	for i, p := range rows {
		at := g.row(int(p)) + off
		lo, hi := shiftRight(g.words[at], g.words[at+1], shift)
		binary.LittleEndian.PutUint64(b[i*width:], lo)
		binary.LittleEndian.PutUint64(b[i*width+8:], hi)
	}
	return dst
}

// wideWidth is the number of bytes that numbers need when shifted right by shift; hi:lo is
// the bitwise or of their magnitudes.
func wideWidth(lo, hi uint64, shift uint) int {
	return (max(wideLen(lo, hi)-int(shift), 0) + 8) / 8 // one bit more for the sign
}

func wideLen(lo, hi uint64) int {
	if hi != 0 {
		return 64 + bits.Len64(hi)
	}
	return bits.Len64(lo)
}

// shiftRight shifts a two's complement number by less than 128 bits.
func shiftRight(lo, hi uint64, n uint) (uint64, uint64) {
	if n >= 64 {
		return uint64(int64(hi) >> (n - 64)), uint64(int64(hi) >> 63)
	}
	return lo>>n | hi<<1<<(63-n), uint64(int64(hi) >> n)
}

func shiftLeft(lo, hi uint64, n uint) (uint64, uint64) {
	if n >= 64 {
		return 0, lo << (n - 64)
	}
	return lo << n, hi<<n | lo>>1>>(63-n)
}

// wide reads what appendWide wrote.
func (r *reader) wide(g *grid, off int, rows []int32) {
	width := int(r.byte())
	if width == 0 {
		return // the cells are 0 already
	}
	shift := uint(r.byte())
	rest := r.b // reaches beyond the numbers, so that most of them can be read as 16 bytes
	b := r.take(width * len(rows))
	if r.bad || width > 16 || shift > 127 {
		r.fail()
		return
	}
	words, step := g.words[off:], g.width
	var low, magnitudeLo, magnitudeHi uint64
	for i, p := range rows {
		lo, hi := wideAt(rest, b, i*width, width)
		lo, hi = signExtend(lo, hi, width)
		sign := uint64(int64(hi) >> 63)
		magnitudeLo, magnitudeHi = magnitudeLo|(lo^sign), magnitudeHi|(hi^sign)
		low |= lo
		if shift > 63 {
			lo, hi = 0, lo
		}
		cell := words[int(p)*step:][:2:2]
		cell[0], cell[1] = lo<<(shift&63), hi<<(shift&63)|lo>>1>>(^shift&63)
	}
	if low&1 == 0 || wideWidth(magnitudeLo, magnitudeHi, 0) != width || wideLen(magnitudeLo, magnitudeHi)+int(shift) > 127 {
		r.fail()
	}
}

// wideAt is the 16 bytes at i. rest begins like b and may be longer; near the end of rest
// only the width bytes of the number are read.
func wideAt(rest, b []byte, i, width int) (lo, hi uint64) {
	if i+16 <= len(rest) {
		return binary.LittleEndian.Uint64(rest[i:]), binary.LittleEndian.Uint64(rest[i+8:])
	}
	var padded [16]byte
	copy(padded[:], b[i:i+width])
	return binary.LittleEndian.Uint64(padded[:]), binary.LittleEndian.Uint64(padded[8:])
}
