// Package webpage is what all HTML pages of the program have in common: their style, tables that can be sorted, and how numbers are
// written.
package webpage

import (
	_ "embed"
	"math"
	"strconv"
)

// Style is the style sheet.
//
//go:embed style.css
var Style string

// TableScript makes tables sortable; see its beginning.
//
//go:embed table.js
var TableScript string

// Count formats a whole number with thousands separators.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Number formats a number with three significant digits, a whole one with all.
func Number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case math.IsInf(x, 0):
		return strconv.FormatFloat(x, 'g', -1, 64)
	case x == math.Trunc(x) && math.Abs(x) < 1e12:
		return Count(int64(x))
	case math.Abs(x) >= 1e4 && math.Abs(x) < 1e12:
		return Count(int64(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// Share formats a share in percent.
func Share(of float64) string {
	switch x := 100 * of; {
	case math.IsNaN(x):
		return "–"
	case x == 0:
		return "0 %"
	case x < 0.1:
		return "< 0.1 %"
	case x > 99.9 && x < 100:
		return "> 99.9 %"
	default:
		return strconv.FormatFloat(x, 'f', 1, 64) + " %"
	}
}
