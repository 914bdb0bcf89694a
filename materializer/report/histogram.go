package report

import (
	"math"

	"github.com/unskew/unskew/internal/vector"
)

// histogram counts numbers by sign, exponent and the first bits of the fraction, and within
// such a bucket by the code of the row. With all bits, the relative width of a bucket is less
// than 1/64, and ints up to 128, halves up to 64 and so on have their own buckets.
//
// If the counts would take more than maxCells, the buckets are made wider. Their width depends
// only on which exponents occur, so the order of rows and of merges does not matter.
type histogram struct {
	codes  int
	bits   uint     // of the fraction
	page   []uint16 // by sign and exponent: number of its page of counts, from 1; 0 for none
	pages  int
	counts []uint32 // by page, bucket and code
	nan    []int64  // by code
}

// MostBytes is about the most that the counts of an output take.
const MostBytes = 4 * maxCells

const (
	exponents = 1 << 12 // including the sign
	finest    = 6       // bits of the fraction
	maxCells  = 1 << 17
	// coarserFrom is the number of codes from which a histogram has two bits less.
	coarserFrom = 16
)

func newHistogram(codes int) *histogram {
	h := &histogram{codes: codes, bits: finest, page: make([]uint16, exponents), nan: make([]int64, codes)}
	if codes >= coarserFrom {
		h.bits -= 2
	}
	return h
}

// add counts a number that is not NaN. Both zeros count as one.
func (h *histogram) add(x float64, code uint8) {
	b := math.Float64bits(x + 0)
	page := h.page[b>>52]
	if page == 0 {
		page = h.newPage(b >> 52)
	}
	bucket := int(page-1)<<h.bits | int(b>>(52-h.bits))&(1<<h.bits-1)
	h.counts[bucket*h.codes+int(code)]++
}

// addAll counts the numbers of a column that are not null, by the codes of their rows.
func (h *histogram) addAll(numbers []float64, v *vector.Vector, codes []uint8) {
	every := v.Null == nil && v.Err == nil
	for i, x := range numbers {
		switch {
		case !every && !v.Valid(i):
		case x != x:
			h.nan[codes[i]]++
		default:
			h.add(x, codes[i])
		}
	}
}

func (h *histogram) newPage(exponent uint64) uint16 {
	h.pages++
	h.page[exponent] = uint16(h.pages)
	h.counts = append(h.counts, make([]uint32, h.codes<<h.bits)...)
	for len(h.counts) > maxCells && h.bits > 0 {
		h.widen()
	}
	return uint16(h.pages)
}

// widen merges each two buckets.
func (h *histogram) widen() {
	half := make([]uint32, len(h.counts)/2)
	for i, n := range h.counts {
		bucket, code := i/h.codes, i%h.codes
		half[bucket/2*h.codes+code] += n
	}
	h.counts, h.bits = half, h.bits-1
}

// merge adds the counts of another histogram with as many codes. o must not be used afterwards.
func (h *histogram) merge(o *histogram) {
	for h.bits > o.bits {
		h.widen()
	}
	for e, page := range o.page {
		if page == 0 {
			continue
		}
		if h.page[e] == 0 {
			h.newPage(uint64(e))
		}
		for o.bits > h.bits {
			o.widen()
		}
		size := h.codes << h.bits
		to, from := h.counts[int(h.page[e]-1)*size:][:size], o.counts[int(page-1)*size:][:size]
		for i, n := range from {
			to[i] += n
		}
	}
	for c, n := range o.nan {
		h.nan[c] += n
	}
}

// bucket is a small range of numbers: the one nearest to zero, and the rows by code.
type bucket struct {
	number float64
	counts []uint32
}

// buckets lists the buckets with rows, in ascending order.
func (h *histogram) buckets() []bucket {
	var out []bucket
	for place := range exponents {
		e := place // negative numbers first, from the greatest exponent down
		if place < exponents/2 {
			e = exponents - 1 - place
		} else {
			e -= exponents / 2
		}
		if h.page[e] == 0 {
			continue
		}
		for i := range 1 << h.bits {
			fraction := i
			if e >= exponents/2 {
				fraction = 1<<h.bits - 1 - i
			}
			at := (int(h.page[e]-1)<<h.bits | fraction) * h.codes
			if counts := h.counts[at:][:h.codes]; anyOf(counts) {
				out = append(out, bucket{math.Float64frombits(uint64(e)<<52 | uint64(fraction)<<(52-h.bits)), counts})
			}
		}
	}
	return out
}

func anyOf(counts []uint32) bool {
	for _, n := range counts {
		if n != 0 {
			return true
		}
	}
	return false
}
