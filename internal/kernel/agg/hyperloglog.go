package agg

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/unskew/unskew/internal/vector"
)

// approx_distinct is HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) with 2^14
// registers, so a relative standard error of 0.81 %, read by the improved
// estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches" (2017), algorithm 6, which needs no bias tables and no logarithm:
// only IEEE operations that every machine rounds alike. Each product is converted to
// float64; otherwise the compiler might fuse it with the addition that follows.
const (
	hllPrecision = 14
	hllRegisters = 1 << hllPrecision
	hllMaxRank   = 64 - hllPrecision + 1
	// hllSparse is the largest number of registers that are kept as a list.
	hllSparse = 512
	// hllListed is the largest number of registers that are encoded as a list.
	hllListed = 4096
	// hllPacked is the size of all registers at 6 bits each.
	hllPacked = hllRegisters * 6 / 8
)

// hyperLogLog is a sketch: sparse until more than hllSparse registers are not 0.
type hyperLogLog struct {
	sparse []uint32 // index<<8 | rank, by index; rank is not 0
	dense  []uint8  // rank of every register; nil while sparse
}

// offer raises register i to rank, if it is lower.
func (h *hyperLogLog) offer(i uint32, rank uint8) {
	if h.dense != nil {
		h.dense[i] = max(h.dense[i], rank)
		return
	}
	at := h.find(i)
	if at < len(h.sparse) && h.sparse[at]>>8 == i {
		h.sparse[at] = max(h.sparse[at], i<<8|uint32(rank))
		return
	}
	if len(h.sparse) == hllSparse {
		h.densify()
		h.dense[i] = rank
		return
	}
	h.sparse = slices.Insert(h.sparse, at, i<<8|uint32(rank))
}

// find is the position in sparse of the first register not below i. Indexes are hashes and
// so evenly spread: the search starts at the expected position.
func (h *hyperLogLog) find(i uint32) int {
	at := int(i) * len(h.sparse) >> hllPrecision
	for at > 0 && h.sparse[at-1]>>8 >= i {
		at--
	}
	for at < len(h.sparse) && h.sparse[at]>>8 < i {
		at++
	}
	return at
}

func (h *hyperLogLog) densify() {
	h.dense = make([]uint8, hllRegisters)
	for _, e := range h.sparse {
		h.dense[e>>8] = uint8(e)
	}
	h.sparse = nil
}

// addHash adds a value with the given hash.
func (h *hyperLogLog) addHash(hash uint64) {
	rank := bits.LeadingZeros64(hash<<hllPrecision|1<<(hllPrecision-1)) + 1
	h.offer(uint32(hash>>(64-hllPrecision)), uint8(rank))
}

// merge raises each register to that of o.
func (h *hyperLogLog) merge(o *hyperLogLog) {
	if o.dense == nil {
		for _, e := range o.sparse {
			h.offer(e>>8, uint8(e))
		}
		return
	}
	if h.dense == nil {
		h.densify()
	}
	for i := 0; i < hllRegisters; i += 8 {
		a, b := binary.LittleEndian.Uint64(h.dense[i:]), binary.LittleEndian.Uint64(o.dense[i:])
		binary.LittleEndian.PutUint64(h.dense[i:], bytewiseMax(a, b))
	}
}

// bytewiseMax is the larger of each two bytes, all of which are below 128.
func bytewiseMax(a, b uint64) uint64 {
	const tops = 0x8080808080808080
	larger := ((a | tops) - b) & tops >> 7 * 0xff // 0xff where a is not below b
	return a&larger | b&^larger
}

// each calls f for the registers that are not 0, by index.
func (h *hyperLogLog) each(f func(i uint32, rank uint8)) {
	for _, e := range h.sparse {
		f(e>>8, uint8(e))
	}
	for i, rank := range h.dense {
		if rank != 0 {
			f(uint32(i), rank)
		}
	}
}

// histogram is the number of registers of each rank.
func (h *hyperLogLog) histogram() (of [64]int) {
	of[0] = hllRegisters - len(h.sparse)
	for _, e := range h.sparse {
		of[e&63]++
	}
	if h.dense == nil {
		return of
	}
	// Four counters for each rank: neighbours often have the same rank, and consecutive
	// increments of one counter would wait for each other.
	var quarter [4][64]uint32
	for i := 0; i < hllRegisters; i += 4 {
		d := h.dense[i : i+4 : i+4]
		quarter[0][d[0]&63]++
		quarter[1][d[1]&63]++
		quarter[2][d[2]&63]++
		quarter[3][d[3]&63]++
	}
	for rank := range of {
		of[rank] = int(quarter[0][rank] + quarter[1][rank] + quarter[2][rank] + quarter[3][rank])
	}
	return of
}

// count is the number of registers that are not 0.
func (h *hyperLogLog) count() int {
	if h.dense == nil {
		return len(h.sparse)
	}
	return hllRegisters - h.histogram()[0]
}

// estimate is the number of distinct values, rounded to a whole number.
func (h *hyperLogLog) estimate() int64 {
	of := h.histogram()
	if of[0] == hllRegisters {
		return 0
	}
	const m = float64(hllRegisters)
	full := float64(float64(of[hllMaxRank]) / m)
	z := float64(m * hllTau(1-full))
	for k := hllMaxRank - 1; k >= 1; k-- {
		z += float64(of[k])
		z = float64(z * 0.5)
	}
	z += float64(m * hllSigma(float64(of[0])/m))
	const alpha = 0.5 / math.Ln2
	return int64(math.Floor(alpha*m*m/z + 0.5))
}

// hllSigma is x + Σ x^(2^k)·2^(k-1) over k ≥ 1, for x below 1.
func hllSigma(x float64) float64 {
	y, z := 1.0, x
	for {
		x = float64(x * x)
		before := z
		z += float64(x * y)
		y += y
		if z == before {
			return z
		}
	}
}

// hllTau is (1 − x − Σ (1−x^(2^-k))²·2^-k over k ≥ 1) / 3, for x from 0 to 1.
func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		gap := 1 - x
		z -= float64(float64(gap*gap) * y)
		if z == before {
			return z / 3
		}
	}
}

// hllColumn is approx_distinct.
type hllColumn struct {
	partials[hyperLogLog]
	irremovable
	lane lane
}

// mix is the increment and the finalizer of SplitMix64 (Steele, Lea, Flood 2014): a fixed
// bijection, so different keys have different hashes.
func mix(k uint64) uint64 {
	k += 0x9e3779b97f4a7c15
	k = (k ^ k>>30) * 0xbf58476d1ce4e5b9
	k = (k ^ k>>27) * 0x94d049bb133111eb
	return k ^ k>>31
}

// hash must never change, because partials depend on it: XXH64 with seed 0 of a string's
// bytes (or a composite's canonical encoding), mix of any other key. -0.0 is +0.0.
func (c *hllColumn) hash(v *vector.Vector, i int) uint64 {
	if c.lane.fixed {
		return mix(c.lane.identity(v, i))
	}
	return xxhash.Sum64String(c.lane.str(v, i))
}

func (c *hllColumn) Add(p int, in *Input, row int) { c.ps[p].addHash(c.hash(in.Arg, row)) }

func (c *hllColumn) Empty(p int) bool { return c.ps[p].dense == nil && len(c.ps[p].sparse) == 0 }

func (c *hllColumn) Merge(p int, from Column, q int) {
	c.ps[p].merge(&sibling[*hllColumn](from).ps[q])
}

func (c *hllColumn) Value(p int, out *vector.Vector, i int) { out.Int[i] = c.ps[p].estimate() }

// Append writes the registers that are not 0 one by one, or all registers packed. Which of
// the two depends only on how many are not 0.
func (c *hllColumn) Append(dst []byte, p int) []byte {
	h := &c.ps[p]
	n := h.count()
	if n == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagHyperLogLog), uint64(n))
	if n > hllListed {
		return appendPacked(dst, h.dense)
	}
	next := uint32(0)
	h.each(func(i uint32, rank uint8) {
		dst = append(binary.AppendUvarint(dst, uint64(i-next)), rank)
		next = i + 1
	})
	return dst
}

// appendPacked appends four registers in three bytes, the first in the lowest bits.
func appendPacked(dst []byte, dense []uint8) []byte {
	at := len(dst)
	dst = slices.Grow(dst, hllPacked)[:at+hllPacked]
	for i := 0; i < len(dense); i += 4 {
		d, b := dense[i:i+4:i+4], dst[at:at+3:at+3]
		w := uint32(d[0]) | uint32(d[1])<<6 | uint32(d[2])<<12 | uint32(d[3])<<18
		b[0], b[1], b[2] = byte(w), byte(w>>8), byte(w>>16)
		at += 3
	}
	return dst
}

func (c *hllColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagHyperLogLog)
	c.Reset(p)
	if !empty {
		switch n := r.uvarint(); {
		case n == 0 || n > hllRegisters:
			r.fail()
		case n > hllListed:
			c.ps[p].readPacked(&r, int(n))
		default:
			c.ps[p].readList(&r, int(n))
		}
	}
	return r.close(c, p, "approx_distinct")
}

func (h *hyperLogLog) readList(r *reader, n int) {
	if n > hllSparse && len(r.b) >= 2*n {
		h.densify()
	}
	next := uint64(0)
	for ; n > 0; n-- {
		gap := r.uvarint()
		i := next + gap
		rank := r.byte()
		if gap >= hllRegisters || i >= hllRegisters || rank == 0 || rank > hllMaxRank {
			r.fail()
			return
		}
		h.offer(uint32(i), rank)
		next = i + 1
	}
}

func (h *hyperLogLog) readPacked(r *reader, n int) {
	b := r.take(hllPacked)
	if b == nil {
		return
	}
	h.densify()
	for i := 0; i < hllRegisters; i += 4 {
		w := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		d := h.dense[i : i+4 : i+4]
		d[0], d[1], d[2], d[3] = uint8(w&63), uint8(w>>6&63), uint8(w>>12&63), uint8(w>>18)
		b = b[3:]
	}
	of := h.histogram()
	if hllRegisters-of[0] != n || slices.Max(of[hllMaxRank+1:]) > 0 {
		r.fail()
	}
}
