package vector

import "math/bits"

// Bitmap holds one bit a row, 64 to a word, row 0 in the lowest bit of word 0. A
// nil Bitmap has no bit set. Bits at and beyond the vector's length are zero.
type Bitmap []uint64

// NewBitmap has room for n bits, all zero.
func NewBitmap(n int) Bitmap { return make(Bitmap, Words(n)) }

// Words is the number of 64-bit words that n bits take.
func Words(n int) int { return (n + 63) / 64 }

// Get reports bit i; a nil Bitmap has none.
func (b Bitmap) Get(i int) bool { return b != nil && b[i>>6]>>(uint(i)&63)&1 != 0 }

// Set sets bit i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (uint(i) & 63) }

// Clear clears bit i.
func (b Bitmap) Clear(i int) { b[i>>6] &^= 1 << (uint(i) & 63) }

// Put sets bit i to v.
func (b Bitmap) Put(i int, v bool) {
	if v {
		b.Set(i)
	} else {
		b.Clear(i)
	}
}

// Any reports whether a bit is set.
func (b Bitmap) Any() bool {
	for _, w := range b {
		if w != 0 {
			return true
		}
	}
	return false
}

// Count is the number of set bits.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Fill sets the first n bits and clears the rest; len(b) must be Words(n).
func (b Bitmap) Fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if r := uint(n) & 63; r != 0 && len(b) > 0 {
		b[len(b)-1] = 1<<r - 1
	}
}

// Zero clears every bit.
func (b Bitmap) Zero() { clear(b) }

// All reports whether the first n bits are set; later bits are ignored.
func (b Bitmap) All(n int) bool {
	for _, w := range b[:n>>6] {
		if w != ^uint64(0) {
			return false
		}
	}
	rest := uint64(1)<<(uint(n)&63) - 1
	return rest == 0 || b[n>>6]&rest == rest
}
