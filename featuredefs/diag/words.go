package diag

import (
	"slices"

	"github.com/unskew/unskew/internal/nearest"
)

// DidYouMean is " (did you mean "x"?)" for the candidate nearest to name, or ""
// when none is near enough to be a likely slip. The order of candidates does not matter.
func DidYouMean(name string, candidates []string) string {
	return nearest.Hint(name, slices.Sorted(slices.Values(candidates)))
}
