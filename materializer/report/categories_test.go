package report

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// countTexts counts groups of texts.
func countTexts(groups [][]string) *categories {
	c := newCategories(1)
	for _, texts := range groups {
		g := newGroupTexts(1)
		v := vector.New(plan.T(plan.String), len(texts))
		copy(v.Str, texts)
		g.addAll(v, slices.Repeat([]kernel.Status{kernel.Present}, len(texts)), make([]uint8, len(texts)))
		c.add(g)
	}
	return c
}

func TestFewTextsAreCountedExactly(t *testing.T) {
	c := countTexts([][]string{{"b", "a", "b", "b"}, {"c", "a", ""}})
	var got []string
	for _, x := range c.sorted() {
		got = append(got, fmt.Sprintf("%s=%d", x.name, x.rows))
	}
	if want := []string{"b=3", "a=2", "=1", "c=1"}; !slices.Equal(got, want) || c.sampled || c.dropped {
		t.Errorf("%v, want %v", got, want)
	}
}

// Of more texts than are kept, the frequent ones are found with approximate numbers, and memory
// stays bounded.
func TestManyTextsAreEstimated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	var groups [][]string
	rows := 0
	for range 6 {
		var texts []string
		for range 1 << 16 {
			if r.IntN(10) == 0 {
				rows++
				texts = append(texts, "often")
			} else {
				texts = append(texts, fmt.Sprint(r.IntN(1<<30)))
			}
		}
		groups = append(groups, texts)
	}
	c := countTexts(groups)
	first := c.sorted()[0]
	if !c.sampled || first.name != "often" || float64(first.rows) < 0.9*float64(rows) || float64(first.rows) > 1.1*float64(rows) {
		t.Errorf("%s on %d rows, want %d", first.name, first.rows, rows)
	}
	if len(c.index) > 2*keptTexts {
		t.Errorf("%d texts are kept", len(c.index))
	}
}

func TestRareTextsAreNamed(t *testing.T) {
	all := []Category{{"many", 500}, {"ten", 10}, {"nine", 9}, {"one", 1}}
	r := rareOf(all)
	if r.Values != 2 || r.Rows != 10 || !slices.Equal(r.Examples, []string{"one", "nine"}) {
		t.Errorf("%+v", r)
	}
	if r := rareOf(all[:2]); r != nil {
		t.Errorf("%+v", r)
	}
}
