package agg

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// The first byte of an encoded partial says how to read the rest
// (docs/formats/partials.md). A changed layout gets a new number; old numbers are never
// reused.
const (
	tagEmpty            = 0
	tagCount            = 1
	tagBools            = 2
	tagIntSum           = 3
	tagDoubleSum        = 4
	tagDoubleSumSpecial = 5
	tagIntMoments       = 6
	tagDoubleMoments    = 7
	tagExtreme          = 8
	tagEvent            = 9
	tagExtremeBy        = 10
	tagEvents           = 11
	tagTally            = 12
	tagHyperLogLog      = 13
	tagSketch           = 14
	tagGroups           = 15
)

// reader reads the encoding of one partial strictly: input that is not in canonical form
// fails. After a failure every read returns zero.
type reader struct {
	b    []byte
	bad  bool
	text string // a copy of b, made by shareText
}

// shareText copies the rest of the input once, so that the strings read from here on share
// one allocation.
func (r *reader) shareText() { r.text = string(r.b) }

// str returns the bytes that were just read as a string that the caller may keep.
func (r *reader) str(b []byte) string {
	if r.text == "" || r.bad {
		return string(b)
	}
	at := len(r.text) - len(r.b) - len(b)
	return r.text[at : at+len(b)]
}

// appendSized appends what f appends, preceded by its length in bytes.
func appendSized(dst []byte, f func([]byte) []byte) []byte {
	at := len(dst)
	dst = f(append(dst, 0))
	var head [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(head[:], uint64(len(dst)-at-1))
	dst = slices.Insert(dst, at, head[1:size]...)
	copy(dst[at:], head[:size])
	return dst
}

// sized reads what appendSized wrote; f must read all of it.
func (r *reader) sized(f func(*reader)) {
	part := reader{b: r.bytes(), bad: r.bad}
	if f(&part); part.bad || len(part.b) > 0 {
		r.fail()
	}
}

// openPartial reads the tag. If empty is true, the partial is empty or the tag is wrong, and
// nothing follows.
func openPartial(b []byte, tag byte) (r reader, empty bool) {
	r = reader{b: b}
	switch r.byte() {
	case tag:
		return r, r.bad
	case tagEmpty:
		return r, true
	}
	r.fail()
	return r, true
}

// close returns the rest of the input; after a failure it empties partial p of c.
func (r *reader) close(c Column, p int, what string) ([]byte, error) {
	if r.bad {
		c.Reset(p)
		return nil, errMalformed(what)
	}
	return r.b, nil
}

func errMalformed(what string) error {
	return fmt.Errorf("partial of %s: truncated or malformed; it was not written for this aggregate, or is damaged", what)
}

// expect fails unless tag is want.
func (r *reader) expect(tag, want byte) {
	if tag != want {
		r.fail()
	}
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		return uint64(r.byte())
	}
	u, n := binary.Uvarint(r.b)
	if n <= 0 || r.b[n-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return u
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// rows reads a number of rows, at least least.
func (r *reader) rows(least int64) int64 {
	u := r.uvarint()
	if u > math.MaxInt64 || int64(u) < least {
		r.fail()
		return 0
	}
	return int64(u)
}

// elements reads a number of elements, at least one. It fails if fewer than size bytes per
// element remain.
func (r *reader) elements(size int) int {
	u := r.uvarint()
	if u == 0 || u > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(u)
}

// bytes reads a length and that many bytes. The result aliases the input.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

func appendBytes[S string | []byte](dst []byte, s S) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendInteger appends a two's complement integer: 2·length+sign as an unsigned varint and
// its magnitude in little-endian bytes without leading zeros.
func appendInteger(dst []byte, limbs []uint64) []byte {
	var buf [4]uint64
	mag := magnitude(buf[:0], limbs)
	for len(mag) > 0 && mag[len(mag)-1] == 0 {
		mag = mag[:len(mag)-1]
	}
	if len(mag) == 0 {
		return append(dst, 0)
	}
	size := 8*len(mag) - bits.LeadingZeros64(mag[len(mag)-1])/8
	dst = binary.AppendUvarint(dst, uint64(size)<<1|signOf(limbs)&1)
	end := len(dst) + size
	for _, w := range mag {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst[:end]
}

// integer reads what appendInteger wrote into limbs, in two's complement.
func (r *reader) integer(limbs []uint64) {
	clear(limbs)
	header := r.uvarint()
	if header == 0 {
		return
	}
	size := int(min(header>>1, 1<<10))
	if size > 8*len(limbs) {
		r.fail()
		return
	}
	m := r.take(size)
	if len(m) == 0 || m[size-1] == 0 {
		r.fail()
		return
	}
	for i, c := range m {
		limbs[i>>3] |= uint64(c) << (i & 7 * 8)
	}
	if signOf(limbs) != 0 {
		r.fail()
		return
	}
	neg := -(header & 1)
	c := neg & 1
	for i := range limbs {
		limbs[i], c = bits.Add64(limbs[i]^neg, 0, c)
	}
}
