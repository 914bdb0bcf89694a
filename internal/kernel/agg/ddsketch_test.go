package agg

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestBucketOrderAndError checks order and relative error of the mapping for values at and
// next to every kind of boundary.
func TestBucketOrderAndError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := finiteDoubles().Draw(t, "x")
		y := rapid.SampledFrom([]float64{
			math.Nextafter(x, math.Inf(1)), math.Nextafter(x, math.Inf(-1)),
			math.Float64frombits(math.Float64bits(x) &^ (1<<46 - 1)), finiteDoubles().Draw(t, "another"),
		}).Draw(t, "y")
		if x < y && bucketOf(x) > bucketOf(y) || x > y && bucketOf(x) < bucketOf(y) {
			t.Fatalf("%v has bucket %d, %v has %d", x, bucketOf(x), y, bucketOf(y))
		}
		got := valueOf(bucketOf(y))
		if bucketOf(got) != bucketOf(y) && math.Abs(y) >= 0x1p-1022 {
			t.Fatalf("the estimate for the bucket of %v, %v, lies in another bucket", y, got)
		}
		// The smallest doubles are 2^-1074 apart, so an estimate may be off by half of that.
		if off := math.Abs(got - y); off > math.Abs(y)/129*(1+0x1p-40) && off > 0x1p-1074 {
			t.Fatalf("the estimate of %v is %v", y, got)
		}
	})
}

func TestBucketsOfExtremeValues(t *testing.T) {
	for _, test := range []struct {
		x    float64
		want int32
	}{
		{0, 0}, {math.Copysign(0, -1), 0},
		{math.SmallestNonzeroFloat64, 1}, {-math.SmallestNonzeroFloat64, -1},
		{math.Inf(1), infKey}, {math.Inf(-1), -infKey}, {math.MaxFloat64, infKey - 1},
	} {
		if got := bucketOf(test.x); got != test.want {
			t.Errorf("the bucket of %v is %d, want %d", test.x, got, test.want)
		}
	}
	if valueOf(infKey) != math.Inf(1) || valueOf(-infKey) != math.Inf(-1) || valueOf(0) != 0 {
		t.Error("the estimate for an extreme value is not the value")
	}
	if got := valueOf(infKey - 1); math.IsInf(got, 0) {
		t.Error("the estimate for the last finite bucket is infinite")
	}
}

// TestQuantileOfHugeCounts has ranks that float64 cannot distinguish.
func TestQuantileOfHugeCounts(t *testing.T) {
	var s ddSketch
	s.count(1, 1<<62)
	s.count(1024, 1<<62-1)
	for q, want := range map[float64]int32{0: bucketOf(1), 0.25: bucketOf(1), 0.75: bucketOf(1024), 1: bucketOf(1024)} {
		if got := bucketOf(s.quantile(q)); got != want {
			t.Errorf("the quantile %v lies in bucket %d, want %d", q, got, want)
		}
	}
}
