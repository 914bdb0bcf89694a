package agg

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// approx_quantile is DDSketch (Masson, Rim, Lee, "DDSketch: a fast and
// fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019)
// with the linearly interpolated mapping: every binade is cut into 64 buckets
// of equal width, so the bucket of a double is its leading bits, the same on
// every machine. A bucket [l, u) with u/l ≤ 65/64 answers 2lu/(l+u), which is
// at most (u−l)/(u+l) ≤ 1/129 < 0.8 % off any value in it: within the 1 % that is
// promised. Buckets are never collapsed.
const (
	bucketBits = 6
	bucketMask = 1<<bucketBits - 1
	// keyShift makes the key of the smallest denormal 1, of its negation -1, of 0 0.
	keyShift = 1074<<bucketBits + 1
	infKey   = 1024<<bucketBits + keyShift
)

// bucketOf is the key of the bucket that holds x, which is not NaN; keys order like values.
func bucketOf(x float64) int32 {
	b := math.Float64bits(x) &^ signBit
	var key int32
	switch {
	case b == 0:
		return 0
	case b>>52 != 0:
		key = int32(b>>(52-bucketBits)) - 1023<<bucketBits + keyShift
	default:
		shift := bits.LeadingZeros64(b) - 11
		key = int32(-1022-shift)<<bucketBits + int32(b<<shift>>(52-bucketBits)&bucketMask) + keyShift
	}
	if x < 0 {
		return -key
	}
	return key
}

// valueOf is what a bucket answers.
func valueOf(key int32) float64 {
	switch {
	case key == 0:
		return 0
	case key < 0:
		return -valueOf(-key)
	case key == infKey:
		return math.Inf(1)
	}
	key -= keyShift
	j := key & bucketMask
	return math.Ldexp(float64(2*(64+j)*(65+j))/float64(64*(129+2*j)), int(key>>bucketBits))
}

// bucket counts the values with one key.
type bucket struct {
	key int32
	n   int64
}

// ddSketch counts n values, nan of them NaN, the rest in buckets ordered by key.
type ddSketch struct {
	n, nan  int64
	buckets []bucket
}

// find is the position of the first bucket with a key not below key.
func (s *ddSketch) find(key int32) int {
	lo, hi := 0, len(s.buckets)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.buckets[mid].key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// count adds n, positive or negative, to the bucket of x.
func (s *ddSketch) count(x float64, n int64) {
	s.n += n
	if x != x {
		s.nan += n
		return
	}
	key := bucketOf(x)
	i := s.find(key)
	if i == len(s.buckets) || s.buckets[i].key != key {
		s.buckets = append(s.buckets, bucket{})
		copy(s.buckets[i+1:], s.buckets[i:])
		s.buckets[i] = bucket{key, n}
		return
	}
	if s.buckets[i].n += n; s.buckets[i].n == 0 {
		s.buckets = append(s.buckets[:i], s.buckets[i+1:]...)
	}
}

// merge adds the counts of o.
func (s *ddSketch) merge(o *ddSketch) {
	s.n += o.n
	s.nan += o.nan
	missing := 0
	i := 0
	for _, b := range o.buckets {
		for i < len(s.buckets) && s.buckets[i].key < b.key {
			i++
		}
		if i < len(s.buckets) && s.buckets[i].key == b.key {
			s.buckets[i].n += b.n
		} else {
			missing++
		}
	}
	if missing > 0 {
		s.mergeMissing(o.buckets, missing)
	}
}

// mergeMissing puts in the n buckets of b that s has no key for, from the last on.
func (s *ddSketch) mergeMissing(b []bucket, n int) {
	i := len(s.buckets) - 1
	s.buckets = append(s.buckets, make([]bucket, n)...)
	at := len(s.buckets) - 1
	for j := len(b) - 1; j >= 0; j-- {
		for i >= 0 && s.buckets[i].key > b[j].key {
			s.buckets[at] = s.buckets[i]
			at, i = at-1, i-1
		}
		if i < 0 || s.buckets[i].key < b[j].key {
			s.buckets[at] = b[j]
			at--
		}
	}
}

// quantile is the answer of the bucket that holds the value of rank floor(q·(n−1)),
// counted from 0; n is not 0.
func (s *ddSketch) quantile(q float64) float64 {
	if s.nan != 0 {
		return math.Float64frombits(plan.CanonicalNaN)
	}
	left := int64(math.Floor(float64(q * float64(s.n-1))))
	for _, b := range s.buckets {
		if left -= b.n; left < 0 {
			return valueOf(b.key)
		}
	}
	return valueOf(s.buckets[len(s.buckets)-1].key)
}

// sketchColumn is approx_quantile.
type sketchColumn struct {
	cells[ddSketch]
	q    float64
	ints bool
}

func (c *sketchColumn) Reset(p int) {
	c.ps[p] = ddSketch{buckets: c.ps[p].buckets[:0]}
}

func (c *sketchColumn) arg(in *Input, row int) float64 {
	if c.ints {
		return float64(in.Arg.Int[row])
	}
	return in.Arg.Double[row]
}

func (c *sketchColumn) Add(p int, in *Input, row int)    { c.ps[p].count(c.arg(in, row), 1) }
func (c *sketchColumn) Remove(p int, in *Input, row int) { c.ps[p].count(c.arg(in, row), -1) }
func (c *sketchColumn) Empty(p int) bool                 { return c.ps[p].n == 0 }

func (c *sketchColumn) Merge(p int, from Column, q int) {
	c.ps[p].merge(&sibling[*sketchColumn](from).ps[q])
}

func (c *sketchColumn) Value(p int, out *vector.Vector, i int) {
	if c.Empty(p) {
		out.SetNull(i)
		return
	}
	out.Double[i] = c.ps[p].quantile(c.q)
}

func (c *sketchColumn) Append(dst []byte, p int) []byte {
	s := &c.ps[p]
	if s.n == 0 {
		return append(dst, tagEmpty)
	}
	dst = binary.AppendUvarint(append(dst, tagSketch), uint64(s.nan))
	dst = binary.AppendUvarint(dst, uint64(len(s.buckets)))
	for i, b := range s.buckets {
		if i == 0 {
			dst = binary.AppendVarint(dst, int64(b.key))
		} else {
			dst = binary.AppendUvarint(dst, uint64(b.key-s.buckets[i-1].key))
		}
		dst = binary.AppendUvarint(dst, uint64(b.n))
	}
	return dst
}

func (c *sketchColumn) Decode(p int, b []byte) ([]byte, error) {
	r, empty := openPartial(b, tagSketch)
	c.Reset(p)
	if !empty {
		c.ps[p].read(&r)
	}
	return r.close(c, p, "approx_quantile")
}

func (s *ddSketch) read(r *reader) {
	s.nan = r.rows(0)
	s.n = s.nan
	n := r.uvarint()
	if n > uint64(len(r.b)/2) || n == 0 && s.nan == 0 {
		r.fail()
		return
	}
	key := int64(-infKey - 1)
	for i := range n {
		if i == 0 {
			key = r.varint()
		} else {
			step := r.uvarint()
			if step == 0 || step > 2*infKey {
				r.fail()
			}
			key += int64(step)
		}
		rows := r.rows(1)
		if r.bad || key < -infKey || key > infKey || rows > math.MaxInt64-s.n {
			r.fail()
			return
		}
		s.buckets = append(s.buckets, bucket{int32(key), rows})
		s.n += rows
	}
}
