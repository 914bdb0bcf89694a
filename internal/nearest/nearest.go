// Package nearest finds the name a person probably meant.
package nearest

import (
	"fmt"
	"strings"
)

// Name returns the candidate with the smallest edit distance to name, if that is at most a
// third of name's length (or 1, for short names); the first of several.
func Name(name string, candidates []string) (string, bool) {
	best, limit := "", max(1, len(name)/3)
	for _, c := range candidates {
		if d := distance(name, c); d <= limit && (d < limit || best == "") {
			best, limit = c, d
		}
	}
	return best, best != ""
}

// Hint is ` (did you mean "x"?)`, or nothing when no candidate is near.
func Hint(name string, candidates []string) string {
	if n, ok := Name(name, candidates); ok {
		return ` (did you mean "` + n + `"?)`
	}
	return ""
}

// None says that no thing of a kind has a name, and which names there are.
func None(kind, name string, names []string) string {
	there := "there are none"
	switch len(names) {
	case 0:
	case 1:
		there = "there is " + names[0]
	default:
		there = "there are " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("there is no %s %q%s; %s", kind, name, Hint(name, names), there)
}

// distance is the Levenshtein distance, by bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
