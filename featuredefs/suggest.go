package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/internal/nearest"
)

// didYouMean is " (did you mean "x"?)" for the candidate nearest to name, or ""
// when none is near enough to be a likely slip. The order of candidates does not matter.
func didYouMean(name string, candidates []string) string {
	return nearest.Hint(name, slices.Sorted(slices.Values(candidates)))
}
