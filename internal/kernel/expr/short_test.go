package expr

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// TestShortStrings checks comparisons of packed short strings against comparing the strings.
func TestShortStrings(t *testing.T) {
	text := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', 0}), 0, maxShort+1, -1)
	rapid.Check(t, func(rt *rapid.T) {
		a := rapid.SliceOfN(text, 1, 130).Draw(rt, "strings")
		list := rapid.SliceOfN(text, 2, smallSet).Draw(rt, "list")
		if rapid.Bool().Draw(rt, "hit") {
			list[0] = a[0]
		}
		k := list[0]
		if len(k) > 0 && len(k) <= maxShort {
			bits := equalToShort(a[:min(64, len(a))], k)
			for i, s := range a[:min(64, len(a))] {
				if got := bits>>i&1 != 0; got != (s == k) {
					rt.Fatalf("%q == %q is %v", s, k, got)
				}
			}
		}
		x := inNode{}
		for _, s := range list {
			x.consts = append(x.consts, &constant{val: plan.StringValue(s), mem: newCol(stringT)})
		}
		if x.pack(); x.short == nil {
			return
		}
		got := vector.NewBitmap(len(a))
		x.searchShort(got, a)
		for i, s := range a {
			if got.Get(i) != slices.Contains(list, s) {
				rt.Fatalf("%q in %q is %v", s, list, got.Get(i))
			}
		}
	})
}
