package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Texts are counted exactly as long as a row group has no more than exactTexts different
// ones and the training set no more than keptTexts. Beyond the first, each sampleStep-th row of
// the rest of the group is counted for all of them. Beyond the second, the rarest are given up.
const (
	exactTexts = 2048
	sampleStep = 16
	keptTexts  = 4096
	// mostText is how many bytes of a text are looked at.
	mostText = 200
)

// GroupTexts are the texts of a row group.
type GroupTexts struct {
	codes   int
	index   map[string]int32
	names   []string
	counts  []uint32 // by text and code
	skip    int      // rows until the next one that is counted
	sampled bool
	last    string // text that was counted last, and its number
	lastAt  int32
	failed  []uint32 // by code: rows that have a text though their expression failed
}

func newGroupTexts(codes int) *GroupTexts {
	return &GroupTexts{codes: codes, index: map[string]int32{}, lastAt: -1, failed: make([]uint32, codes)}
}

// addAll counts the texts that a column has.
func (g *GroupTexts) addAll(v *vector.Vector, statuses []kernel.Status, codes []uint8) {
	for i, s := range v.Str[:len(codes)] {
		if !v.Valid(i) {
			continue
		}
		if statuses[i] == kernel.Failed {
			g.failed[codes[i]]++
		}
		weight := uint32(1)
		if g.sampled {
			if g.skip > 0 {
				g.skip--
				continue
			}
			g.skip, weight = sampleStep-1, sampleStep
		}
		g.add(s, codes[i], weight)
	}
}

func (g *GroupTexts) add(s string, code uint8, weight uint32) {
	if g.lastAt < 0 || s != g.last {
		g.last, g.lastAt = s, g.number(clip(s))
	}
	g.counts[int(g.lastAt)*g.codes+int(code)] += weight
}

func (g *GroupTexts) number(s string) int32 {
	n, ok := g.index[s]
	if !ok {
		n = int32(len(g.names))
		s = strings.Clone(s)
		g.index[s] = n
		g.names = append(g.names, s)
		g.counts = append(g.counts, make([]uint32, g.codes)...)
		g.sampled = len(g.names) > exactTexts
	}
	return n
}

func clip(s string) string {
	if len(s) > mostText {
		return s[:mostText]
	}
	return s
}

// categories are the texts of a training set.
type categories struct {
	codes   int
	index   map[string][]uint32 // counts by code
	given   bool                // some were given up
	sampled bool                // counts are estimates
	failed  []uint32            // by code: rows that have a text though their expression failed
}

func newCategories(codes int) *categories {
	return &categories{codes: codes, index: map[string][]uint32{}, failed: make([]uint32, codes)}
}

// take adds the texts of a row group.
func (c *categories) take(g *GroupTexts) {
	c.sampled = c.sampled || g.sampled
	for code, n := range g.failed {
		c.failed[code] += n
	}
	for n, name := range g.names {
		from := g.counts[n*g.codes:][:g.codes]
		to := c.index[name]
		if to == nil {
			c.index[name] = slices.Clone(from)
			continue
		}
		for code, n := range from {
			to[code] += n
		}
	}
	if len(c.index) > 2*keptTexts {
		c.shrink()
	}
}

// category is a text and its rows by code.
type category struct {
	name   string
	rows   int64
	counts []uint32
}

// sorted lists the texts, the most frequent first, of equals the lesser one.
func (c *categories) sorted() []category {
	out := make([]category, 0, len(c.index))
	for name, counts := range c.index {
		out = append(out, category{name, total(counts), counts})
	}
	slices.SortFunc(out, func(a, b category) int {
		return cmp.Or(cmp.Compare(b.rows, a.rows), strings.Compare(a.name, b.name))
	})
	return out
}

// shrink gives up all but the most frequent. Which ones of the same count go is decided by
// the texts, so that it does not depend on chance.
func (c *categories) shrink() {
	all := c.sorted()
	c.given = true
	for _, gone := range all[keptTexts:] {
		delete(c.index, gone.name)
	}
}

func total(counts []uint32) int64 {
	n := int64(0)
	for _, x := range counts {
		n += int64(x)
	}
	return n
}
