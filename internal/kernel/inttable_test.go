package kernel

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIntTableIsAMap compares with Go's map over keys of every shape, runs and
// multiples of powers of two among them.
func TestIntTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stride := rapid.SampledFrom([]int64{1, -1, 3, 1 << 20, 1 << 32, 1 << 60}).Draw(t, "stride")
		run := rapid.Map(rapid.Int64Range(-500, 500), func(i int64) int64 { return i * stride })
		keys := rapid.SliceOf(rapid.OneOf(run, rapid.Int64())).Draw(t, "keys")
		var table intTable
		want := map[int64]int32{}
		for _, k := range keys {
			if got := table.get(k); got != want[k] {
				t.Fatalf("get(%d) = %d, want %d", k, got, want[k])
			}
			if want[k] == 0 {
				want[k] = int32(len(want) + 1)
				table.put(k, want[k])
			}
		}
		for k, id := range want {
			if got := table.get(k); got != id {
				t.Fatalf("get(%d) = %d, want %d", k, got, id)
			}
		}
	})
}
