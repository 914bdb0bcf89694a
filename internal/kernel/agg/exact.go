package agg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
)

// A sum is a two's complement integer in units of 2^-2176, cut into 64-bit
// limbs: bit 0 of limb i weighs 2^(64i-2176). The unit is fine enough for the
// square of the smallest denormal (2^-2148) and is a whole number of limbs, so a
// product of two sums is again limb-aligned (see variance).
const (
	origin      = 2176 // the bit that weighs 1
	originLimb  = origin / 64
	doubleShift = origin - 1075   // bit of the last place of a double with biased exponent 0, as if normal
	squareShift = origin - 2*1075 // the same for its square
	// maxBit bounds what Decode accepts: 2^63 squares of MaxFloat64 stay below it.
	maxBit = origin + 2*1024 + 64
	// maxTop bounds the magnitude of a sum's top limb: below it, adding one more value or
	// another sum in the same window cannot overflow.
	maxTop = 1 << 62
	// defaultBase is the base of a window wherever the values allow it, so that most sums
	// have equal bases when they merge: values in [2^-12, 2^52) and the squares of those in
	// [2^-38, 2^26).
	defaultBase = originLimb - 2
	// spilled is the base of a sum whose limbs are in ext; no real base is near it.
	spilled = math.MinInt32
)

// ExactSum is the exact sum of doubles, or of squares of doubles, over the full
// exponent range. It rounds only when read, so the order of additions does not
// matter, and Sub undoes Add exactly. The zero ExactSum is the empty sum.
//
// A window of four limbs is inline and wide enough for values whose magnitudes
// differ by a factor of about 2^130; only a wider sum, or one to which NaN or an infinity was
// added, owns heap memory. Use Merge, not assignment, to copy one.
//
// The idea of a fixed-point accumulator wide enough for every double is from
// U. Kulisch and W. L. Miranker, Computer Arithmetic in Theory and Practice, 1981.
type ExactSum struct {
	win  [4]uint64 // two's complement, least significant first; the top limb is within ±maxTop
	base int32     // index of win[0], or spilled
	ext  *exactExt
}

// exactExt is the part of a sum that most sums do not need.
type exactExt struct {
	limbs               []uint64 // two's complement when the sum has spilled
	base                int      // index of limbs[0]
	nan, posInf, negInf int64
}

// Add adds x.
func (s *ExactSum) Add(x float64) {
	b := math.Float64bits(x)
	e := uint(b>>52) & 0x7ff
	if e-1 >= 0x7fe {
		s.addRare(b, 1)
		return
	}
	pos := e + doubleShift
	k := int(pos>>6) - int(s.base)
	m := b&(1<<52-1) | 1<<52
	neg := uint64(int64(b) >> 63)
	lo := m << (pos & 63)
	hi := m >> 1 >> (^pos & 63)
	var c uint64
	switch k {
	case 0:
		s.win[0], c = bits.Add64(s.win[0], lo^neg, neg&1)
		s.win[1], c = bits.Add64(s.win[1], hi^neg, c)
		s.win[2], c = bits.Add64(s.win[2], neg, c)
		s.win[3], _ = bits.Add64(s.win[3], neg, c)
	case 1:
		s.win[1], c = bits.Add64(s.win[1], lo^neg, neg&1)
		s.win[2], c = bits.Add64(s.win[2], hi^neg, c)
		s.win[3], _ = bits.Add64(s.win[3], neg, c)
	case 2:
		s.win[2], c = bits.Add64(s.win[2], lo^neg, neg&1)
		s.win[3], _ = bits.Add64(s.win[3], hi^neg, c)
	default:
		if s.useDefaultBase(int(pos >> 6)) {
			s.Add(x)
			return
		}
		s.addAnywhere(int(pos>>6), [3]uint64{lo, hi}, neg)
		return
	}
	if (s.win[3]+maxTop)>>63 != 0 {
		s.makeRoom(math.MaxInt32, math.MinInt32)
	}
}

// useDefaultBase moves the window of an empty sum to the default base and reports whether it
// did. It does not if a double at the given limb would not fit there.
func (s *ExactSum) useDefaultBase(limb int) bool {
	if s.base != 0 || s.win != ([4]uint64{}) || limb < defaultBase || limb > defaultBase+1 {
		return false
	}
	s.base = defaultBase
	return true
}

// Sub undoes an Add of x.
func (s *ExactSum) Sub(x float64) {
	if b := math.Float64bits(x); b>>52&0x7ff == 0x7ff {
		s.addRare(b, -1)
		return
	}
	s.Add(-x)
}

// addRare adds a double that is zero, denormal, infinite or NaN; n is -1 to remove an
// infinity or NaN, else 1.
func (s *ExactSum) addRare(b uint64, n int64) {
	m := b & (1<<52 - 1)
	if b<<1 == 0 {
		return
	}
	if b>>52&0x7ff == 0 {
		const pos = doubleShift + 1
		s.addAnywhere(pos>>6, [3]uint64{m << (pos & 63), m >> (64 - pos&63)}, uint64(int64(b)>>63))
		return
	}
	if s.ext == nil {
		s.ext = &exactExt{}
	}
	switch {
	case m != 0:
		s.ext.nan += n
	case b>>63 == 0:
		s.ext.posInf += n
	default:
		s.ext.negInf += n
	}
}

// AddSquare adds x², exactly; x is finite.
func (s *ExactSum) AddSquare(x float64) { s.addSquare(x, 0) }

// SubSquare undoes AddSquare.
func (s *ExactSum) SubSquare(x float64) { s.addSquare(x, ^uint64(0)) }

func (s *ExactSum) addSquare(x float64, neg uint64) {
	b := math.Float64bits(x)
	e := uint(b>>52) & 0x7ff
	m := b & (1<<52 - 1)
	if e == 0 {
		e = 1
	} else {
		m |= 1 << 52
	}
	pos := 2*e + squareShift
	k := int(pos>>6) - int(s.base)
	hi, lo := bits.Mul64(m, m)
	sh := pos & 63
	a0 := lo << sh
	a1 := hi<<sh | lo>>1>>(^sh&63)
	a2 := hi >> 1 >> (^sh & 63)
	var c uint64
	switch k {
	case 0:
		s.win[0], c = bits.Add64(s.win[0], a0^neg, neg&1)
		s.win[1], c = bits.Add64(s.win[1], a1^neg, c)
		s.win[2], c = bits.Add64(s.win[2], a2^neg, c)
		s.win[3], _ = bits.Add64(s.win[3], neg, c)
	case 1:
		s.win[1], c = bits.Add64(s.win[1], a0^neg, neg&1)
		s.win[2], c = bits.Add64(s.win[2], a1^neg, c)
		s.win[3], _ = bits.Add64(s.win[3], a2^neg, c)
	default:
		s.addAnywhere(int(pos>>6), [3]uint64{a0, a1, a2}, neg)
		return
	}
	if (s.win[3]+maxTop)>>63 != 0 {
		s.makeRoom(math.MaxInt32, math.MinInt32)
	}
}

func (s *ExactSum) addAnywhere(limb int, a [3]uint64, neg uint64) {
	s.addMagnitude(limb, a[:], neg)
}

// addMagnitude adds the natural number a, whose lowest limb has index limb, or
// subtracts it where neg is all ones.
func (s *ExactSum) addMagnitude(limb int, a []uint64, neg uint64) {
	a, limb = trim(a, limb)
	if len(a) == 0 {
		return
	}
	high := topBit(a, limb)
	if s.base != spilled && (limb < int(s.base) || reach(high) > int(s.base)+3) {
		s.makeRoom(limb, high)
	}
	if s.base == spilled {
		s.ext.add(limb, high, a, neg)
		return
	}
	addInto(s.win[:], limb-int(s.base), a, neg)
	if (s.win[3]+maxTop)>>63 != 0 {
		s.makeRoom(math.MaxInt32, math.MinInt32)
	}
}

// reach is the index of the limb that must be the top one for a number whose bits are all
// below bit high, so that the top limb stays below maxTop/2.
func reach(high int) int { return (high + 2) >> 6 }

// makeRoom moves the window so that a value spanning the limbs from low to reach(high) can
// be added to it, or spills the sum if that takes more than four limbs.
func (s *ExactSum) makeRoom(low, high int) {
	if s.win != ([4]uint64{}) {
		var buf [4]uint64
		mag, base := trim(magnitude(buf[:0], s.win[:]), int(s.base))
		low = min(low, base)
		high = max(high, topBit(mag, base))
	}
	bottom := reach(high) - 3
	if bottom > low {
		s.spill(low, reach(high))
		return
	}
	if bottom <= defaultBase && defaultBase <= low {
		s.moveTo(defaultBase)
		return
	}
	s.moveTo((bottom + low) >> 1)
}

func (s *ExactSum) moveTo(base int) {
	old, sign := s.win, signOf(s.win[:])
	for i := range s.win {
		switch j := base + i - int(s.base); {
		case j < 0:
			s.win[i] = 0
		case j >= len(old):
			s.win[i] = sign
		default:
			s.win[i] = old[j]
		}
	}
	s.base = int32(base)
}

// spill moves the limbs to the heap, with room from limb low to limb top.
func (s *ExactSum) spill(low, top int) {
	if s.ext == nil {
		s.ext = &exactExt{}
	}
	mag, base := s.win[:], int(s.base)
	for len(mag) > 1 && mag[0] == 0 {
		mag, base = mag[1:], base+1
	}
	low = min(low, base)
	s.ext.base = low
	s.ext.limbs = make([]uint64, max(top+1, base+len(mag))-low)
	sign := signOf(mag)
	copy(s.ext.limbs[base-low:], mag)
	for i := base - low + len(mag); i < len(s.ext.limbs); i++ {
		s.ext.limbs[i] = sign
	}
	s.win, s.base = [4]uint64{}, spilled
}

func (x *exactExt) add(limb, high int, a []uint64, neg uint64) {
	if limb < x.base || reach(high) > x.base+len(x.limbs)-1 {
		x.widen(min(limb, x.base), max(reach(high), x.base+len(x.limbs)-1))
	}
	addInto(x.limbs, limb-x.base, a, neg)
	if top := x.base + len(x.limbs) - 1; (x.limbs[len(x.limbs)-1]+maxTop)>>63 != 0 {
		x.widen(x.base, top+1)
	}
}

func (x *exactExt) widen(low, top int) {
	wider := make([]uint64, top+1-low)
	n := copy(wider[x.base-low:], x.limbs) + x.base - low
	sign := signOf(x.limbs)
	for ; n < len(wider); n++ {
		wider[n] = sign
	}
	x.limbs, x.base = wider, low
}

// Merge adds the sum o. It does not change o, and the two share no memory afterwards.
func (s *ExactSum) Merge(o *ExactSum) {
	if o.ext == nil && s.ext == nil {
		if s.base == o.base {
			s.addWindow(&o.win)
			return
		}
		if s.win == ([4]uint64{}) {
			*s = *o
			return
		}
	}
	if o.ext != nil {
		s.addSpecials(o.ext)
	}
	var buf [72]uint64
	limbs, base := o.limbs()
	s.addMagnitude(base, magnitude(buf[:0], limbs), signOf(limbs))
}

func (s *ExactSum) addWindow(o *[4]uint64) {
	var c uint64
	s.win[0], c = bits.Add64(s.win[0], o[0], 0)
	s.win[1], c = bits.Add64(s.win[1], o[1], c)
	s.win[2], c = bits.Add64(s.win[2], o[2], c)
	s.win[3], _ = bits.Add64(s.win[3], o[3], c)
	if (s.win[3]+maxTop)>>63 != 0 {
		s.makeRoom(math.MaxInt32, math.MinInt32)
	}
}

func (s *ExactSum) addSpecials(x *exactExt) {
	if x.nan == 0 && x.posInf == 0 && x.negInf == 0 {
		return
	}
	if s.ext == nil {
		s.ext = &exactExt{}
	}
	s.ext.nan += x.nan
	s.ext.posInf += x.posInf
	s.ext.negInf += x.negInf
}

// special reports whether NaN or an infinity is in the sum.
func (s *ExactSum) special() bool {
	return s.ext != nil && (s.ext.nan|s.ext.posInf|s.ext.negInf) != 0
}

// exactOfShort converts a short sum (see doubleSumKind) to an ExactSum.
func exactOfShort(lo, hi uint64) ExactSum {
	if lo|hi == 0 {
		return ExactSum{}
	}
	const shift = shortBit % 64
	return ExactSum{base: shortLimb, win: [4]uint64{
		lo << shift, lo>>(64-shift) | hi<<shift, uint64(int64(hi) >> (64 - shift)), uint64(int64(hi) >> 63),
	}}
}

// short converts the sum to a short one; ok is false if it does not fit.
func (s *ExactSum) short() (lo, hi uint64, ok bool) {
	if s.special() {
		return 0, 0, false
	}
	var buf [72]uint64
	limbs, base := s.limbs()
	mag, base := trim(magnitude(buf[:0], limbs), base)
	if len(mag) == 0 {
		return 0, 0, true
	}
	if 64*base+bits.TrailingZeros64(mag[0]) < shortBit || topBit(mag, base) > shortBit+127 {
		return 0, 0, false
	}
	for i, w := range mag {
		if up := 64*(base+i) - shortBit; up < 0 {
			lo |= w >> -up
		} else {
			l, h := shiftLeft(w, 0, uint(up))
			lo, hi = lo|l, hi|h
		}
	}
	neg := signOf(limbs)
	lo, c := bits.Add64(lo^neg, neg&1, 0)
	hi, _ = bits.Add64(hi^neg, 0, c)
	return lo, hi, (hi+maxTop)>>63 == 0
}

// limbs returns the two's complement limbs of the sum and the index of the first.
func (s *ExactSum) limbs() ([]uint64, int) {
	if s.base == spilled {
		return s.ext.limbs, s.ext.base
	}
	return s.win[:], int(s.base)
}

// Float64 is the sum rounded to the nearest double, ties to even: +0 for a zero sum
// whatever the signs of its zeros, NaN if it has a NaN or both infinities.
func (s *ExactSum) Float64() float64 {
	if x := s.ext; x != nil {
		switch {
		case x.nan != 0 || x.posInf != 0 && x.negInf != 0:
			return math.Float64frombits(plan.CanonicalNaN)
		case x.posInf != 0:
			return math.Inf(1)
		case x.negInf != 0:
			return math.Inf(-1)
		}
		var buf [72]uint64
		limbs, base := s.limbs()
		return signed(roundLimbs(magnitude(buf[:0], limbs), base, false), signOf(limbs))
	}
	neg := signOf(s.win[:])
	var mag [4]uint64
	var c uint64
	mag[0], c = bits.Add64(s.win[0]^neg, 0, neg&1)
	mag[1], c = bits.Add64(s.win[1]^neg, 0, c)
	mag[2], c = bits.Add64(s.win[2]^neg, 0, c)
	mag[3], _ = bits.Add64(s.win[3]^neg, 0, c)
	return signed(roundLimbs(mag[:], int(s.base), false), neg)
}

// appendFinite appends the finite part of the sum as ±m·2^e with m odd: a header
// 2·len(m)+sign and e+2176, both as unsigned varints, and m in little-endian bytes. Zero is
// one 0 byte.
func (s *ExactSum) appendFinite(dst []byte) []byte {
	var buf [72]uint64
	limbs, base := s.limbs()
	mag, base := trim(magnitude(buf[:0], limbs), base)
	if len(mag) == 0 {
		return append(dst, 0)
	}
	zeros := bits.TrailingZeros64(mag[0])
	size := (topBit(mag, base) - 64*base - zeros + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(size)<<1|signOf(limbs)&1)
	dst = binary.AppendUvarint(dst, uint64(64*base+zeros))
	end := len(dst) + size
	for i, w := range mag {
		w >>= zeros
		if i+1 < len(mag) && zeros > 0 {
			w |= mag[i+1] << (64 - zeros)
		}
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst[:end]
}

// readFinite reads what appendFinite wrote into s, which must be zero.
func (s *ExactSum) readFinite(r *reader) {
	header := r.uvarint()
	if header == 0 {
		return
	}
	size, neg := int(min(header>>1, maxBit)), -(header & 1)
	bit := int(min(r.uvarint(), maxBit+8))
	m := r.take(size)
	if len(m) == 0 || m[0]&1 == 0 || m[size-1] == 0 || bit+8*size > maxBit+8 {
		r.fail()
		return
	}
	if size > 24 {
		s.readLong(bit, m, neg)
		return
	}
	var padded [32]byte
	copy(padded[:], m)
	shift := uint(bit & 63)
	var mag [4]uint64
	var low uint64 // bits carried over from the limb below
	for i := range mag {
		w := binary.LittleEndian.Uint64(padded[8*i:])
		mag[i] = w<<shift | low
		low = w >> 1 >> (^shift & 63)
	}
	s.addMagnitude(bit>>6, mag[:], neg)
}

// readLong adds or subtracts the natural number m·2^(bit-2176).
func (s *ExactSum) readLong(bit int, m []byte, neg uint64) {
	var mag [72]uint64
	shift := bit & 63
	for i, c := range m {
		at := 8*i + shift
		mag[at>>6] |= uint64(c) << (at & 63)
		mag[at>>6+1] |= uint64(c) >> 1 >> (^at & 63)
	}
	s.addMagnitude(bit>>6, mag[:], neg)
}
