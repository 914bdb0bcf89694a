package report

import (
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// The numbers of texts and ranges that are listed.
const (
	topTexts     = 20
	topOfCohort  = 5
	rareBelow    = 10
	rareExamples = 5
	listedRanges = 10
	// tableTexts is the number of texts that are distinguished for measuring information.
	tableTexts = 64
)

// quantilesOf are the listed quantiles.
var quantilesOf = []float64{0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

var cohortNames = [cohorts]string{"no_events", "few_events", "more_events"}

var formNames = map[form]string{asNumber: "number", asAge: "age_seconds", asSize: "size", asText: "text"}

// summary computes the report of one output from its counts.
type summary struct {
	shape  *Shape
	counts *featureCounts
	// statuses counts the rows of all parts by status and code.
	statuses [statusKinds][]uint32
	whole    bool // the numbers are whole
	buckets  []bucket
	texts    []category
}

func (c *Counts) summary(i int) *summary {
	s := &summary{shape: c.shape, counts: &c.features[i]}
	for k := range s.statuses {
		s.statuses[k] = make([]uint32, c.shape.codes())
		for p := range s.counts.statuses {
			for code, n := range s.counts.statuses[p][k] {
				s.statuses[k][code] += n
			}
		}
	}
	switch c.shape.Outputs[i].Type.Unwrap().Kind {
	case plan.Bool, plan.Int, plan.Uint, plan.List, plan.Map:
		s.whole = true
	}
	if s.counts.numbers != nil {
		s.buckets = s.counts.numbers.buckets()
	} else {
		s.texts = s.counts.texts.sorted()
	}
	return s
}

// isOf reports whether a code belongs to a cohort; the cohort cohorts stands for all.
func (s *summary) isOf(code int, c cohort) bool {
	return c == cohorts || code/(s.shape.Classes+1) == int(c)
}

// sum adds up the counts of a cohort.
func sum[T uint32 | int64](s *summary, counts []T, of cohort) (n int64) {
	for code, x := range counts {
		if s.isOf(code, of) {
			n += int64(x)
		}
	}
	return n
}

// byClass adds up the counts of a cohort by class, without rows that have no class.
func (s *summary) byClass(counts []uint32, of cohort) []int64 {
	out := make([]int64, s.shape.Classes)
	for code, n := range counts {
		if class := code % (s.shape.Classes + 1); class < s.shape.Classes && s.isOf(code, of) {
			out[class] += int64(n)
		}
	}
	return out
}

func (s *summary) status(k kernel.Status, of cohort) int64 { return sum(s, s.statuses[k], of) }

func (s *summary) rates(of cohort) Rates {
	rows := int64(0)
	for k := range s.statuses {
		rows += s.status(kernel.Status(k), of)
	}
	share := func(n int64) Number { return Number(float64(n) / float64(rows)) }
	return Rates{rows, share(rows - s.present(of)), share(s.status(kernel.Defaulted, of)), share(s.status(kernel.Failed, of))}
}

// present is the number of rows with a value. For texts it is computed from the statuses.
func (s *summary) present(of cohort) int64 {
	if s.counts.numbers == nil {
		return s.status(kernel.Present, of) + s.status(kernel.Defaulted, of) + sum(s, s.counts.texts.failed, of)
	}
	n := sum(s, s.counts.numbers.nan, of)
	for _, b := range s.buckets {
		n += sum(s, b.counts, of)
	}
	return n
}

func (s *summary) values(of cohort, ordered bool) Values {
	v := Values{Correlation: Number(s.table(of).associate(ordered).correlation)}
	if s.counts.numbers == nil {
		v.Categories = s.categories(of)
		v.Correlation = Number(math.NaN())
		return v
	}
	v.NaN = sum(s, s.counts.numbers.nan, of)
	v.Quantiles = quantilesIn(s.buckets, func(counts []uint32) int64 { return sum(s, counts, of) })
	return v
}

// quantilesIn are the values of ranks ⌊q·(n−1)⌋ of n; rows returns the number of rows in counts.
func quantilesIn(buckets []bucket, rows func(counts []uint32) int64) Quantiles {
	n := int64(0)
	for _, b := range buckets {
		n += rows(b.counts)
	}
	if n == 0 {
		return nil
	}
	var out Quantiles
	below, next := int64(0), 0
	for _, b := range buckets {
		below += rows(b.counts)
		for next < len(quantilesOf) && int64(float64(quantilesOf[next]*float64(n-1))) < below {
			out = append(out, Quantile{quantilesOf[next], b.number})
			next++
		}
	}
	return out
}

func (s *summary) categories(of cohort) *Categories {
	t := s.counts.texts
	c := &Categories{Exact: !t.sampled && !t.dropped, Top: []Category{}}
	limit := topTexts
	if of != cohorts {
		limit = topOfCohort
	}
	var all []Category
	for _, x := range s.texts {
		if n := sum(s, x.counts, of); n > 0 {
			all = append(all, Category{x.name, n})
		}
	}
	slices.SortStableFunc(all, func(a, b Category) int { return int(min(max(b.Rows-a.Rows, -1), 1)) })
	c.Distinct = int64(len(all))
	c.Top = append(c.Top, all[:min(limit, len(all))]...)
	if of == cohorts && c.Exact {
		c.Rare = rareOf(all)
	}
	return c
}

// rareOf lists the texts that are too rare for a model to learn from, the rarest first; nil if
// there are none.
func rareOf(all []Category) *Rare {
	r := &Rare{Below: rareBelow}
	for i := len(all) - 1; i >= 0 && all[i].Rows < rareBelow; i-- {
		r.Values++
		r.Rows += all[i].Rows
		if len(r.Examples) < rareExamples {
			r.Examples = append(r.Examples, all[i].Value)
		}
	}
	if r.Values == 0 {
		return nil
	}
	return r
}

// table is the rows of a cohort by their values and the class of their label.
func (s *summary) table(of cohort) *table {
	t := &table{classes: s.shape.Classes}
	missing := s.byClass(nil, of)
	count := func(counts []uint32, sign int64) []int64 {
		row := s.byClass(counts, of)
		for c, n := range row {
			missing[c] += sign * n
		}
		return row
	}
	for k := range s.statuses {
		count(s.statuses[k], 1)
	}
	if s.counts.numbers != nil {
		for _, b := range s.buckets {
			t.rows = append(t.rows, count(b.counts, -1))
		}
		t.ordered = len(t.rows)
		t.rows = append(t.rows, count(nan32(s.counts.numbers.nan), -1))
	} else {
		for i, x := range s.texts {
			if i < tableTexts {
				t.rows = append(t.rows, count(x.counts, -1))
			}
		}
	}
	for _, k := range []kernel.Status{kernel.Empty, kernel.UnknownEntity} {
		t.rows = append(t.rows, count(s.statuses[k], -1))
	}
	// The rest is other texts and failures. It may be negative if texts are estimates.
	for c := range missing {
		missing[c] = max(missing[c], 0)
	}
	t.rows = append(t.rows, missing)
	return t
}

func nan32(counts []int64) []uint32 {
	out := make([]uint32, len(counts))
	for i, n := range counts {
		out[i] = uint32(n)
	}
	return out
}

// byRange are the rows of all cohorts by ranges of numbers, with about equally many rows in each.
func (s *summary) byRange() []Range {
	var rows [][]int64
	var numbers []float64
	for _, b := range s.buckets {
		of := make([]int64, s.shape.Classes+1)
		for code, n := range b.counts {
			of[code%(s.shape.Classes+1)] += int64(n)
		}
		rows, numbers = append(rows, of), append(numbers, b.number)
	}
	var out []Range
	next := 0
	for _, of := range ranges(rows, listedRanges) {
		r := Range{From: Number(numbers[next]), ByClass: of[:s.shape.Classes]}
		for n := r.add(of); n > 0; next++ {
			for _, x := range rows[next] {
				n -= x
			}
			r.To = Number(numbers[next])
		}
		out = append(out, r)
	}
	return out
}

// add counts the rows of a range.
func (r *Range) add(byClass []int64) int64 {
	for _, n := range byClass {
		r.Rows += n
	}
	return r.Rows
}

// feature is the report of output i, and its association with the label.
func (c *Counts) feature(i int, parts []string, ordered bool) (Feature, association) {
	o := &c.shape.Outputs[i]
	s := c.summary(i)
	a := s.table(cohorts).associate(ordered)
	if s.counts.numbers == nil {
		a.auc, a.aucLower = math.NaN(), math.NaN()
	}
	f := Feature{
		Name: o.Name, Type: o.Type.String(), Measured: formNames[s.counts.form], Definition: o.Definition,
		Statuses: statusMap(c.Statuses(i)), StatusesByPart: map[string]map[string]int64{},
		Rates: s.rates(cohorts), Values: s.values(cohorts, ordered),
		AUC: Number(a.auc), AUCLower: Number(a.aucLower), Information: Number(a.information), InformationLower: Number(a.infoLower),
		Cohorts: []CohortRows{},
	}
	if s.counts.numbers != nil {
		f.Ranges = s.byRange()
	}
	f.constant = s.constant()
	for p, name := range parts {
		f.StatusesByPart[name] = statusMap(s.counts.statusesOf(p))
	}
	for of := range cohorts {
		if r := s.rates(of); r.Rows > 0 && len(o.Views) > 0 {
			f.Cohorts = append(f.Cohorts, CohortRows{cohortNames[of], r, s.values(of, ordered)})
		}
	}
	return f, a
}

func statusMap(n [statusKinds]int64) map[string]int64 {
	out := map[string]int64{}
	for k, x := range n {
		if x > 0 {
			out[kernel.Status(k).String()] = x
		}
	}
	return out
}

// constant reports whether all values are equal.
func (s *summary) constant() bool {
	if t := s.counts.texts; t != nil {
		return !t.sampled && !t.dropped && len(s.texts) == 1
	}
	if len(s.buckets) != 1 || sum(s, s.counts.numbers.nan, cohorts) > 0 {
		return false
	}
	// All values are in one bucket, so they are equal only if the bucket has a single number.
	x := s.buckets[0].number
	return x == 0 || s.whole && math.Abs(x) < float64(uint64(2)<<s.counts.numbers.bits)
}
