package report

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Output is a column of values, as the report needs to know it.
type Output struct {
	Name       string
	Type       plan.Type
	Views      []int  // roles of the service whose events it depends on
	Definition string // file:line
}

// Shape is what is counted.
type Shape struct {
	Outputs []Output
	Roles   []string
	Classes int // of the label, at most MostClasses; 0 without one
	Parts   int // of the training set
}

// MostClasses is how many classes of a label are told apart.
const MostClasses = 20

// NoClass is the class of a row without a label.
const NoClass = 255

// cohort is how well a row's entity is known by its events.
type cohort uint8

const (
	without cohort = iota // no event is visible
	few                   // fewer than kernel.FewEvents are
	many
	cohorts
)

// statusKinds is more than there are statuses.
const statusKinds = 8

// Counts are the numbers of rows that a report is made of. They belong to one goroutine at a
// time. What of several Counts is merged depends on the rows alone, whoever counted them,
// but that Texts are taken over in the order of row groups.
type Counts struct {
	shape    *Shape
	features []featureCounts
}

// featureCounts are those of one output.
type featureCounts struct {
	form     form
	statuses [][statusKinds][]uint32 // by part; by code
	numbers  *histogram
	texts    *categories
}

// form is how values are looked at.
type form uint8

const (
	asNumber form = iota // bool, int, uint, double; duration in seconds
	asAge                // timestamp: seconds before the row's time
	asSize               // list, map: number of elements
	asText               // string, bytes
)

func formOf(t plan.Type) form {
	switch t.Unwrap().Kind {
	case plan.Timestamp:
		return asAge
	case plan.List, plan.Map:
		return asSize
	case plan.String, plan.Bytes:
		return asText
	}
	return asNumber
}

// codes is how many kinds of rows are told apart: a cohort and a class, the last class being that
// of rows without a label.
func (s *Shape) codes() int { return int(cohorts) * (s.Classes + 1) }

// NewCounts are counts of no rows.
func NewCounts(s *Shape) *Counts {
	c := &Counts{shape: s, features: make([]featureCounts, len(s.Outputs))}
	for i, o := range s.Outputs {
		f := &c.features[i]
		f.form = formOf(o.Type)
		f.statuses = make([][statusKinds][]uint32, s.Parts)
		for p := range f.statuses {
			for k := range f.statuses[p] {
				f.statuses[p][k] = make([]uint32, s.codes())
			}
		}
		if f.form == asText {
			f.texts = newCategories(s.codes())
		} else {
			f.numbers = newHistogram(s.codes())
		}
	}
	return c
}

// Collector counts rows into Counts. It serves one goroutine at a time.
type Collector struct {
	counts  *Counts
	texts   []*GroupTexts // of the row group at hand, by output; nil where the values are no text
	classes []uint8       // of the rows at hand
	part    int
	roles   []codedRows // by role
	any     codedRows   // where an output depends on no or on several roles
	numbers []float64
}

// codedRows are the codes of the rows at hand, and how many rows each code has.
type codedRows struct {
	codes []uint8
	rows  []uint32
}

// add adds a row.
func (c *codedRows) add(code uint8) {
	c.codes = append(c.codes, code)
	c.rows[code]++
}

// reset forgets the rows; codes is how many codes there are.
func (c *codedRows) reset(codes int) {
	c.codes = c.codes[:0]
	if c.rows == nil {
		c.rows = make([]uint32, codes)
	}
	clear(c.rows)
}

// NewCollector makes a collector with counts of its own.
func NewCollector(s *Shape) *Collector {
	return &Collector{counts: NewCounts(s), roles: make([]codedRows, len(s.Roles))}
}

// Counts are what was counted.
func (c *Collector) Counts() *Counts { return c.counts }

// BeginGroup begins a row group of a part.
func (c *Collector) BeginGroup(part int) {
	c.part, c.texts = part, make([]*GroupTexts, len(c.counts.features))
	for i := range c.texts {
		if c.counts.features[i].form == asText {
			c.texts[i] = newGroupTexts(c.counts.shape.codes())
		}
	}
}

// Texts are the texts of the row group, for Counts.TakeTexts.
func (c *Collector) Texts() []*GroupTexts { return c.texts }

// Rows looks at some rows of the group: the classes of their labels, the results of each role,
// and the outputs. Nothing of them is kept.
func (c *Collector) Rows(classes []uint8, at []plan.EventTime, roles []*kernel.Features, outputs []kernel.FeatureColumn) {
	c.classes = c.classes[:0]
	for _, class := range classes {
		if class == NoClass {
			class = uint8(c.counts.shape.Classes)
		}
		c.classes = append(c.classes, class)
	}
	for i, r := range roles {
		c.code(&c.roles[i], r)
	}
	for i := range outputs {
		c.column(i, &outputs[i], at)
	}
}

// code finds the codes of the rows at hand in a role.
func (c *Collector) code(dst *codedRows, r *kernel.Features) {
	dst.reset(c.counts.shape.codes())
	step := uint8(c.counts.shape.Classes + 1)
	for i, class := range c.classes {
		switch {
		case !r.Known.Get(i):
		case r.Few.Get(i):
			class += step
		default:
			class += 2 * step
		}
		dst.add(class)
	}
}

// codes are the codes of the rows at hand for an output: of the role that knows most of a row's entities.
func (c *Collector) codes(o *Output) *codedRows {
	if len(o.Views) == 1 {
		return &c.roles[o.Views[0]]
	}
	step := uint8(c.counts.shape.Classes + 1)
	c.any.reset(c.counts.shape.codes())
	for i, class := range c.classes {
		code := class
		if len(o.Views) == 0 {
			code += uint8(many) * step
		}
		for _, v := range o.Views {
			code = max(code, c.roles[v].codes[i])
		}
		c.any.add(code)
	}
	return &c.any
}

func (c *Collector) column(i int, col *kernel.FeatureColumn, at []plan.EventTime) {
	f := &c.counts.features[i]
	rows := c.codes(&c.counts.shape.Outputs[i])
	f.countStatuses(c.part, col.Status[:len(c.classes)], rows)
	switch v := col.Vec; {
	case f.form == asText:
		c.texts[i].addAll(v, col.Status, rows.codes)
	case vector.Lane(v.Type) == plan.Double:
		f.numbers.addAll(v.Double[:len(c.classes)], v, rows.codes)
	default:
		f.numbers.addAll(c.asNumbers(f.form, v, at), v, rows.codes)
	}
}

// countStatuses counts rows of a part by status. Most columns have but one.
func (f *featureCounts) countStatuses(part int, statuses []kernel.Status, rows *codedRows) {
	to := &f.statuses[part]
	if len(statuses) == 0 {
		return
	}
	one := true
	for _, s := range statuses[1:] {
		one = one && s == statuses[0]
	}
	if one {
		for code, n := range rows.rows {
			to[statuses[0]&(statusKinds-1)][code] += n
		}
		return
	}
	for row, s := range statuses {
		to[s&(statusKinds-1)][rows.codes[row]]++
	}
}

// asNumbers are the rows at hand of a column, as its form has them.
func (c *Collector) asNumbers(f form, v *vector.Vector, at []plan.EventTime) []float64 {
	c.numbers = c.numbers[:0]
	for i := range c.classes {
		x := 0.0
		switch k := v.Type.Unwrap().Kind; {
		case f == asAge:
			x = float64(int64(at[i])-v.Int[i]) / float64(plan.Second)
		case f == asSize:
			if v.Valid(i) {
				x = float64(elements(v.Any[i]))
			}
		case k == plan.Duration:
			x = float64(v.Int[i]) / 1e9
		case k == plan.Bool:
			if v.Bits.Get(i) {
				x = 1
			}
		case k == plan.Uint:
			x = float64(uint64(v.Int[i]))
		default:
			x = float64(v.Int[i])
		}
		c.numbers = append(c.numbers, x)
	}
	return c.numbers
}

// elements is the number of elements of a list, or of entries of a map.
func elements(v plan.Value) int {
	if v.Kind() == plan.Map {
		return len(v.List()) / 2
	}
	return len(v.List())
}

// Merge adds the numbers of other counts, but for texts; o is then no longer good for anything.
func (c *Counts) Merge(o *Counts) {
	for i := range c.features {
		f, g := &c.features[i], &o.features[i]
		for p := range f.statuses {
			for s := range f.statuses[p] {
				for code, n := range g.statuses[p][s] {
					f.statuses[p][s][code] += n
				}
			}
		}
		if f.numbers != nil {
			f.numbers.merge(g.numbers)
		}
	}
}

// TakeTexts adds the texts of a row group. Groups are taken in their order.
func (c *Counts) TakeTexts(texts []*GroupTexts) {
	for i, t := range texts {
		if t != nil {
			c.features[i].texts.take(t)
		}
	}
}

// Statuses are the rows of an output by status.
func (c *Counts) Statuses(output int) (n [statusKinds]int64) {
	f := &c.features[output]
	for p := range f.statuses {
		for s, of := range f.statusesOf(p) {
			n[s] += of
		}
	}
	return n
}

// statusesOf are the rows of a part by status.
func (f *featureCounts) statusesOf(part int) (n [statusKinds]int64) {
	for s, counts := range f.statuses[part] {
		n[s] = total(counts)
	}
	return n
}
