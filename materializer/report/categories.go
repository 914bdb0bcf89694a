package report

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Texts are counted exactly as long as a row group has at most exactTexts distinct ones and the
// training set at most keptTexts. Beyond exactTexts, only every sampleStep-th row of the rest of
// the group is counted, with weight sampleStep. Beyond keptTexts, the rarest texts are dropped.
const (
	exactTexts = 2048
	sampleStep = 16
	keptTexts  = 4096
	// maxText is the number of bytes after which a text is cut off.
	maxText = 200
)

// GroupTexts are the texts of a row group.
type GroupTexts struct {
	codes   int
	index   map[string]int32
	names   []string
	counts  []uint32 // by text and code
	skip    int      // rows to skip before the next one is counted
	sampled bool
	recent  [1 << recentBits]int32 // by shape: one more than the number of the text that was counted last; 0: none
	failed  []uint32               // by code: rows with a default after an error
	fetched byte
}

// recentBits is how long the shapes of recent texts are. A text of few others is found by a look at it, without the hash of
// its bytes.
const recentBits = 10

// shapeOf is a number of recentBits bits that few other texts have. It looks at 16 bytes at most.
func shapeOf(s string) int {
	const factor = 0x9e3779b97f4a7c15 // the golden ratio, whose multiples are far from each other
	n := len(s)
	x := uint64(n)
	if n < 8 {
		for i := range n {
			x = x<<8 | uint64(s[i])
		}
	} else {
		x += eightBytes(s) ^ eightBytes(s[n-8:])*5
	}
	x *= factor
	x ^= x >> 32
	return int(x * factor >> (64 - recentBits))
}

func eightBytes(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.LittleEndian.Uint64(b[:])
}

func newGroupTexts(codes int) *GroupTexts {
	return &GroupTexts{codes: codes, index: map[string]int32{}, failed: make([]uint32, codes)}
}

// fetch looks at every text. They lie here and there in memory, and looks of which none depends on another wait together
// for what is not in the processor's cache. The result is for the compiler, which leaves out what has no use.
func fetch(texts []string) (sum byte) {
	for _, s := range texts {
		if len(s) > 0 {
			sum += s[0]
		}
	}
	return sum
}

// addAll counts the texts of a column.
func (g *GroupTexts) addAll(v *vector.Vector, statuses []kernel.Status, codes []uint8) {
	g.fetched += fetch(v.Str[:len(codes)])
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
	s = clip(s)
	recent := &g.recent[shapeOf(s)]
	n := *recent - 1
	if n < 0 || g.names[n] != s {
		n = g.number(s)
		*recent = n + 1
	}
	g.counts[int(n)*g.codes+int(code)] += weight
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
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}

// categories are the texts of a training set.
type categories struct {
	codes   int
	index   map[string][]uint32 // counts by code
	dropped bool                // some were dropped
	sampled bool                // counts are estimates
	failed  []uint32            // by code: rows with a default after an error
}

func newCategories(codes int) *categories {
	return &categories{codes: codes, index: map[string][]uint32{}, failed: make([]uint32, codes)}
}

// add adds the texts of a row group.
func (c *categories) add(g *GroupTexts) {
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

// sorted lists the texts by descending frequency, those of equal frequency in order.
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

// shrink drops all but the most frequent texts. Texts of equal frequency are dropped by their
// order, so that the result is deterministic.
func (c *categories) shrink() {
	all := c.sorted()
	c.dropped = true
	for _, rare := range all[keptTexts:] {
		delete(c.index, rare.name)
	}
}

func total(counts []uint32) int64 {
	n := int64(0)
	for _, x := range counts {
		n += int64(x)
	}
	return n
}
