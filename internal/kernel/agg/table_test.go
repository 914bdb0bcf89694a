package agg

import "testing"

// unmix is the inverse of mix.
func unmix(k uint64) uint64 {
	k = (k ^ k>>31 ^ k>>62) * inverse(0x94d049bb133111eb)
	k = (k ^ k>>27 ^ k>>54) * inverse(0xbf58476d1ce4e5b9)
	return (k ^ k>>30 ^ k>>60) - 0x9e3779b97f4a7c15
}

// inverse is 1/x modulo 2^64 for odd x, by Newton's method.
func inverse(x uint64) uint64 {
	y := x
	for range 6 {
		y *= 2 - x*y
	}
	return y
}

// steps is the total probe length of all entries.
func steps(t *table[uint64, int64], hash func(uint64) uint64) (n int) {
	mask := len(t.slots) - 1
	for at := range t.entries {
		n += (t.slotOf(at, hash) - int(hash(t.entries[at].key))) & mask
	}
	return n
}

// TestP10_CraftedKeysDoNotCollide: keys that mix alone would hash to one slot, which anybody
// can compute, are spread by a hash with a random seed.
func TestP10_CraftedKeysDoNotCollide(t *testing.T) {
	const n = 5000
	var plain, seeded table[uint64, int64]
	for i := range uint64(n) {
		k := unmix(i << 20)
		if mix(k) != i<<20 {
			t.Fatalf("unmix is not an inverse: mix(%#x) is %#x", k, mix(k))
		}
		plain.insert(k, 1, mix)
		seeded.insert(k, 1, hashInt)
	}
	if got := steps(&plain, mix); got < n*n/4 {
		t.Errorf("the probe length of the crafted keys without a seed is %d: they do not collide", got)
	}
	if got := steps(&seeded, hashInt); got > 4*n {
		t.Errorf("the total probe length of %d crafted keys is %d", n, got)
	}
}
