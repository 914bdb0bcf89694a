package kernel

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIntTableIsAMap compares with Go's map for keys of several distributions, among them
// runs and multiples of powers of two.
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
		if rapid.Bool().Draw(t, "direct") {
			table.makeDirect()
		}
		others := rapid.SliceOf(rapid.OneOf(run, rapid.Int64())).Draw(t, "others")
		all := slices.Concat(keys, others)
		for i, id := range table.getAll(nil, all) {
			if k := all[i]; id != want[k] || table.get(k) != id {
				t.Fatalf("getAll of %d gives %d and get %d, want %d", k, id, table.get(k), want[k])
			}
		}
	})
}

// longestProbe is the longest probe sequence among the keys.
func longestProbe(keys []int64) (most int) {
	var t intTable
	for i, k := range keys {
		t.put(k, int32(i+1))
	}
	mask := len(t.entries) - 1
	for i, e := range t.entries {
		if e.id != 0 {
			most = max(most, (i-t.first(e.key))&mask)
		}
	}
	return most
}

// TestP10_CraftedEntitiesDoNotCollide: keys that all collide for fixed factors, which anybody
// can compute, are spread by random factors.
func TestP10_CraftedEntitiesDoNotCollide(t *testing.T) {
	const golden, n = 0x9e3779b97f4a7c15, 4000
	inverse := uint64(golden)
	for range 6 {
		inverse *= 2 - golden*inverse
	}
	keys := make([]int64, n)
	for i := range keys {
		h := uint64(i) * inverse
		h ^= h >> 32
		keys[i] = int64(h * inverse)
		if got := hashInt(keys[i], golden, golden); got != uint64(i) {
			t.Fatalf("the hash of key %d is %d", i, got)
		}
	}
	if most := longestProbe(keys); most > 200 {
		t.Errorf("the longest probe sequence of %d crafted keys is %d", n, most)
	}
}
