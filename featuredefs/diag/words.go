package diag

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
)

// DidYouMean is " (did you mean "x"?)" for the candidate nearest to name, or ""
// when none is near enough to be a likely slip. The order of candidates does not matter.
func DidYouMean(name string, candidates []string) string {
	return nearest.Hint(name, slices.Sorted(slices.Values(candidates)))
}

// WithArticle writes a type for a sentence: "an int", "a list(string)".
func WithArticle(t plan.Type) string {
	s := t.String()
	if s[0] == 'i' || s[0] == 'o' { // int, optional; but a uint
		return "an " + s
	}
	return "a " + s
}
