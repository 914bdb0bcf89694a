package gen

import "pgregory.net/rapid"

// among draws an element of list uniformly; it shrinks to the first. rapid.SampledFrom prefers
// the first elements and the last one.
func among[T any](t *rapid.T, list []T, label string) T {
	return list[below(len(list)).Draw(t, label)]
}

// chance is true with probability 1/n.
func chance(t *rapid.T, n int, label string) bool {
	return below(n).Draw(t, label) == n-1
}

// below draws 0 to n-1 uniformly, for n up to 256.
func below(n int) *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) int {
		bits := 0
		for range 8 {
			bits *= 2
			if rapid.Bool().Draw(t, "bit") {
				bits++
			}
		}
		return bits * n / 256
	})
}
