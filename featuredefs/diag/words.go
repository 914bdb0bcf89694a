package diag

import (
	"slices"

	"github.com/unskew/unskew/internal/nearest"
)

// DidYouMean returns " (did you mean "x"?)" for the candidate nearest to name, or "" if none
// is near enough to be a likely typo. The order of candidates does not matter.
func DidYouMean(name string, candidates []string) string {
	return nearest.Hint(name, slices.Sorted(slices.Values(candidates)))
}

// Meant returns the candidate that DidYouMean suggests, if there is one.
func Meant(name string, candidates []string) (string, bool) {
	return nearest.Name(name, slices.Sorted(slices.Values(candidates)))
}
