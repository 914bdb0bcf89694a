package report

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Output describes a column of values.
type Output struct {
	Name       string
	Type       plan.Type
	Views      []int  // indexes of the roles of the service on whose events it depends
	Definition string // file:line
}

// Shape describes what is counted.
type Shape struct {
	Outputs []Output
	Roles   []string
	Classes int // of the label, at most MostClasses; 0 if there is no label
	Parts   int // of the training set
}

// MostClasses is the largest number of classes of a label.
const MostClasses = 20

// NoClass is the class of a row without a label.
const NoClass = 255

// cohort is a group of rows by the number of visible events of their entity.
type cohort uint8

const (
	without cohort = iota // no event
	few                   // fewer than kernel.FewEvents
	many
	cohorts // number of cohorts
)

// statusKinds is a power of two above every status.
const statusKinds = 8

// Counts are the numbers of rows from which a report is made. They are for one goroutine at a
// time. Merged Counts depend only on the rows, not on how they were distributed over Counts;
// texts must be added in the order of row groups.
type Counts struct {
	shape    *Shape
	features []featureCounts
}

// featureCounts are the counts of one output.
type featureCounts struct {
	form     form
	statuses [][statusKinds][]uint32 // by part, status and code
	numbers  *histogram
	texts    *categories
}

// form is how values are measured.
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

// codes is the number of codes. The code of a row is its cohort and its class; rows without a
// label have an additional, last class.
func (s *Shape) codes() int { return int(cohorts) * (s.Classes + 1) }

// NewCounts makes counts of zero rows.
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

// Collector counts rows into Counts. It is for one goroutine at a time.
type Collector struct {
	counts  *Counts
	texts   []*GroupTexts // of the current row group, by output; nil for outputs that are not texts
	classes []uint8       // of the current rows
	part    int
	roles   []codedRows // by role
	any     codedRows   // for outputs that depend on no or several roles
	numbers []float64
}

// codedRows are the codes of the current rows, and the number of rows with each code.
type codedRows struct {
	codes []uint8
	rows  []uint32
}

// add adds a row.
func (c *codedRows) add(code uint8) {
	c.codes = append(c.codes, code)
	c.rows[code]++
}

// reset removes the rows; codes is the number of codes.
func (c *codedRows) reset(codes int) {
	c.codes = c.codes[:0]
	if c.rows == nil {
		c.rows = make([]uint32, codes)
	}
	clear(c.rows)
}

// NewCollector makes a collector with new counts.
func NewCollector(s *Shape) *Collector {
	return &Collector{counts: NewCounts(s), roles: make([]codedRows, len(s.Roles))}
}

// Counts returns the counts.
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

// Texts returns the texts of the row group, for Counts.AddTexts.
func (c *Collector) Texts() []*GroupTexts { return c.texts }

// Rows counts some rows of the group, given the classes of their labels, the results of each
// role, and the outputs. It keeps no reference to them.
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

// code computes the codes of the current rows in a role.
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

// codes are the codes of the current rows for an output: of the role whose entity has the most
// events.
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

// countStatuses counts rows of a part by status. In most columns all rows have the same.
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

// asNumbers are the current rows of a column as numbers of the given form.
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

// Merge adds other counts, except texts. o must not be used afterwards.
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

// AddTexts adds the texts of a row group. It must be called in the order of the groups.
func (c *Counts) AddTexts(texts []*GroupTexts) {
	for i, t := range texts {
		if t != nil {
			c.features[i].texts.add(t)
		}
	}
}

// Statuses is the number of rows of an output by status.
func (c *Counts) Statuses(output int) (n [statusKinds]int64) {
	f := &c.features[output]
	for p := range f.statuses {
		for s, of := range f.statusesOf(p) {
			n[s] += of
		}
	}
	return n
}

// statusesOf is the number of rows of a part by status.
func (f *featureCounts) statusesOf(part int) (n [statusKinds]int64) {
	for s, counts := range f.statuses[part] {
		n[s] = total(counts)
	}
	return n
}
