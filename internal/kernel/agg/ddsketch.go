package agg

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// approx_quantile is DDSketch (Masson, Rim, Lee, "DDSketch: a fast and
// fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019)
// with the linearly interpolated mapping: every binade is cut into 64 buckets
// of equal width, so the bucket of a double is given by its leading bits, the same on
// every machine. The estimate for a bucket [l, u) with u/l ≤ 65/64 is 2lu/(l+u). Its
// relative error is at most (u−l)/(u+l) ≤ 1/129 < 0.8 %; docs/semantics.md §4 allows 1 %.
// Buckets are never collapsed.
const (
	bucketBits = 6
	bucketMask = 1<<bucketBits - 1
	// keyShift makes 1 the key of the smallest denormal, -1 that of its negation.
	keyShift = 1074<<bucketBits + 1
	infKey   = 1024<<bucketBits + keyShift
)

// bucketOf is the key of the bucket that contains x, which is not NaN. Keys order like values.
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

// valueOf is the estimate for the values in a bucket.
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

// ddSketch counts n values: nan of them are NaN, the rest are in buckets ordered by key.
type ddSketch struct {
	n, nan int64
	keys   []int32
	counts []int64 // by bucket; none is 0
}

// find is the index of the first bucket whose key is at least key.
func (s *ddSketch) find(key int32) int {
	at, n := 0, len(s.keys)
	for n > 0 {
		half := n >> 1
		if s.keys[at+half] < key {
			at += n - half
		}
		n = half
	}
	return at
}

// count adds n, which may be negative, to the count of x's bucket.
func (s *ddSketch) count(x float64, n int64) {
	s.n += n
	if x != x {
		s.nan += n
		return
	}
	s.countKey(bucketOf(x), n)
}

func (s *ddSketch) countKey(key int32, n int64) {
	i := s.find(key)
	if i == len(s.keys) || s.keys[i] != key {
		s.keys = slices.Insert(s.keys, i, key)
		s.counts = slices.Insert(s.counts, i, n)
		return
	}
	if s.counts[i] += n; s.counts[i] == 0 {
		s.keys = slices.Delete(s.keys, i, i+1)
		s.counts = slices.Delete(s.counts, i, i+1)
	}
}

// merge adds the counts of o: by searching for each bucket if o has few, else by merging
// two sorted lists.
func (s *ddSketch) merge(o *ddSketch) {
	s.n += o.n
	s.nan += o.nan
	if 8*len(o.keys) > len(s.keys) {
		s.mergeMany(o)
		return
	}
	for i, key := range o.keys {
		s.countKey(key, o.counts[i])
	}
}

// mergeMany makes room for the buckets that s does not have and merges from the end.
func (s *ddSketch) mergeMany(o *ddSketch) {
	missing := 0
	for i, j := 0, 0; j < len(o.keys); j++ {
		for i < len(s.keys) && s.keys[i] < o.keys[j] {
			i++
		}
		if i == len(s.keys) || s.keys[i] != o.keys[j] {
			missing++
		}
	}
	i := len(s.keys) - 1
	at := i + missing
	s.keys = slices.Grow(s.keys, missing)[:at+1]
	s.counts = slices.Grow(s.counts, missing)[:at+1]
	for j := len(o.keys) - 1; j >= 0; at-- {
		switch {
		case i < 0 || s.keys[i] < o.keys[j]:
			s.keys[at], s.counts[at] = o.keys[j], o.counts[j]
			j--
		case s.keys[i] > o.keys[j]:
			s.keys[at], s.counts[at] = s.keys[i], s.counts[i]
			i--
		default:
			s.keys[at], s.counts[at] = o.keys[j], s.counts[i]+o.counts[j]
			i, j = i-1, j-1
		}
	}
}

// quantile is the estimate for the bucket that contains the value of rank floor(q·(n−1)),
// counted from 0; n is not 0.
func (s *ddSketch) quantile(q float64) float64 {
	if s.nan != 0 {
		return math.Float64frombits(plan.CanonicalNaN)
	}
	left := s.n - 1 // for large n, float64(n-1) may round up beyond it
	if rank := math.Floor(float64(q * float64(s.n-1))); rank < float64(left) {
		left = int64(rank)
	}
	for i, n := range s.counts {
		if left -= n; left < 0 {
			return valueOf(s.keys[i])
		}
	}
	return valueOf(s.keys[len(s.keys)-1])
}

// sketchColumn is approx_quantile.
type sketchColumn struct {
	partials[ddSketch]
	q    float64
	ints bool
}

func (c *sketchColumn) Reset(p int) {
	s := &c.ps[p]
	*s = ddSketch{keys: s.keys[:0], counts: s.counts[:0]}
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
	dst = binary.AppendUvarint(dst, uint64(len(s.keys)))
	for i, key := range s.keys {
		if i == 0 {
			dst = binary.AppendVarint(dst, int64(key))
		} else {
			dst = binary.AppendUvarint(dst, uint64(key-s.keys[i-1]))
		}
		dst = binary.AppendUvarint(dst, uint64(s.counts[i]))
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
	var key int64
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
		s.keys, s.counts = append(s.keys, int32(key)), append(s.counts, rows)
		s.n += rows
	}
}
