package report

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbersOf are numbers of many sizes, signs and ties.
func numbersOf(r *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		switch r.IntN(6) {
		case 0:
			out[i] = float64(r.IntN(40) - 20)
		case 1:
			out[i] = math.Copysign(0, -1)
		case 2:
			out[i] = math.Float64frombits(r.Uint64())
			if out[i] != out[i] {
				out[i] = math.Inf(1)
			}
		default:
			out[i] = r.NormFloat64() * math.Exp(3*r.NormFloat64())
		}
	}
	return out
}

func TestBucketsAreInOrderAndNear(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 10, 3000} {
		h, numbers := newHistogram(1), numbersOf(r, n)
		for _, x := range numbers {
			h.add(x, 0)
		}
		slices.Sort(numbers)
		width := math.Exp2(-float64(h.bits))
		rank := 0
		for _, b := range h.buckets() {
			for range b.counts[0] {
				x := numbers[rank]
				if math.Abs(b.number) > math.Abs(x) || math.Abs(x)-math.Abs(b.number) > width*math.Abs(x) && !math.IsInf(x, 0) || x*b.number < 0 {
					t.Fatalf("of %d: number %d is %g, its bucket %g", n, rank, x, b.number)
				}
				rank++
			}
		}
		if rank != n {
			t.Errorf("%d of %d numbers", rank, n)
		}
	}
}

func TestSmallIntsHaveTheirOwnBuckets(t *testing.T) {
	h := newHistogram(1)
	for x := -127; x < 128; x++ {
		h.add(float64(x), 0)
	}
	for i, b := range h.buckets() {
		if b.number != float64(i-127) || b.counts[0] != 1 {
			t.Fatalf("bucket %d: %g, %d rows", i, b.number, b.counts[0])
		}
	}
}

// The histogram does not depend on how rows are distributed over goroutines, nor on the order of
// merges, also if its buckets were made wider.
func TestMergesDoNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for _, codes := range []int{1, 9, 63} {
		numbers := numbersOf(r, 5000)
		whole := newHistogram(codes)
		for i, x := range numbers {
			whole.add(x, uint8(i%codes))
		}
		if codes == 63 && whole.bits >= finest-2 {
			t.Error("the buckets were never made wider")
		}
		for range 20 {
			parts := make([]*histogram, 1+r.IntN(5))
			for i := range parts {
				parts[i] = newHistogram(codes)
			}
			for _, i := range r.Perm(len(numbers)) {
				parts[r.IntN(len(parts))].add(numbers[i], uint8(i%codes))
			}
			merged := newHistogram(codes)
			for _, p := range parts {
				merged.merge(p)
			}
			if got, want := merged.buckets(), whole.buckets(); !slices.EqualFunc(got, want, func(a, b bucket) bool {
				return a.number == b.number && slices.Equal(a.counts, b.counts)
			}) {
				t.Fatalf("%d codes: %d buckets, want %d", codes, len(got), len(want))
			}
		}
	}
}

func TestHistogramIsBounded(t *testing.T) {
	h, r := newHistogram(63), rand.New(rand.NewPCG(3, 1))
	for range 200_000 {
		if x := math.Float64frombits(r.Uint64()); x == x {
			h.add(x, uint8(r.IntN(63)))
		}
	}
	if len(h.counts) > max(maxCells, exponents*63) {
		t.Errorf("%d cells", len(h.counts))
	}
}

func TestQuantilesHaveTheirRanks(t *testing.T) {
	h := newHistogram(1)
	for x := range 101 {
		h.add(float64(x), 0)
	}
	q := quantilesIn(h.buckets(), func(counts []uint32) int64 { return int64(counts[0]) })
	for i, of := range quantilesOf {
		if q[i].Of != of || q[i].Value != math.Floor(100*of) {
			t.Errorf("quantile %g is %+v", of, q[i])
		}
	}
}

func TestNumbersAreJSON(t *testing.T) {
	raw, err := json.Marshal(struct {
		Q Quantiles
		N []Number
	}{Quantiles{{0.05, math.Inf(-1)}, {1, 1.0 / 3}}, []Number{Number(math.NaN()), Number(math.Inf(1)), 1234567890123, 1e300}})
	want := `{"Q":{"0.05":"-Infinity","1":0.333333},"N":[null,"Infinity",1234567890123,1e+300]}`
	if err != nil || !bytes.Equal(raw, []byte(want)) {
		t.Errorf("%s, %v, want %s", raw, err, want)
	}
}
