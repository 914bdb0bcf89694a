package kernel

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

// TestTimeSorter: rows are sorted by time and then by number, whatever their number, the range
// of their times and what was sorted before.
func TestTimeSorter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s timeSorter
	for _, n := range []int{0, 1, 2, fewRows, fewRows + 1, leastRadix - 1, leastRadix, 5 * leastRadix} {
		for _, bits := range []uint{0, 1, 10, 11, 12, 42, 64} {
			times := make([]plan.EventTime, 2*n)
			for i := range times {
				times[i] = plan.EventTime(rng.Uint64() >> (64 - bits)) // of 64 bits also before 1970
			}
			var rows []int32
			for i := range n {
				rows = append(rows, int32(2*i+rng.IntN(2)))
			}
			want := slices.Clone(rows)
			slices.SortFunc(want, func(a, b int32) int { return cmp.Or(cmp.Compare(times[a], times[b]), cmp.Compare(a, b)) })
			if s.sort(rows, times); !slices.Equal(rows, want) {
				t.Errorf("%d rows with times of %d bits are out of order", n, bits)
			}
		}
	}
}

func BenchmarkTimeSorter(b *testing.B) {
	for _, n := range []int{leastRadix - 1, leastRadix, 20000} {
		times, in := make([]plan.EventTime, n), make([]int32, n)
		for i := range times {
			times[i], in[i] = plan.EventTime(rand.Int64N(int64(60*plan.Day))), int32(i)
		}
		rows := make([]int32, n)
		var s timeSorter
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				copy(rows, in)
				s.sort(rows, times)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
		})
	}
}
