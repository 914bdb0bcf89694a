package offline

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/report"
)

// maxClasses is the largest number of label values that are classes of their own. With more,
// numbers are divided into quartiles, and other values form one class.
const maxClasses = report.MostClasses

// noClass is the class of a row without a label.
const noClass = report.NoClass

// labels is the class of the label of every row.
type labels struct {
	names []string // of the classes, in the order of their values
	of    []uint8  // of each row, or noClass
	// ordered: the classes are numbers, or false and true
	ordered bool
}

// classes are the names of the classes; none if labels were not read.
func (l *labels) classes() []string {
	if l == nil {
		return nil
	}
	return l.names
}

// class is the class of a row; 0 for every row if labels were not read.
func (l *labels) class(row int) uint8 {
	if l == nil {
		return 0
	}
	return l.of[row]
}

// labelReader collects a column of labels.
type labelReader struct {
	of      []uint8
	values  []plan.Value // of the classes, in order of appearance
	ints    []int64      // the same, of a label whose lane holds integers
	class   map[string]uint8
	numeric bool
	ordered bool      // values are numbers, or false and true
	many    bool      // more than maxClasses values
	numbers []float64 // if many: the value of every row of a numeric label; undefined where it is null
	buf     []byte
}

func newLabelReader(kind plan.Kind) *labelReader {
	return &labelReader{class: map[string]uint8{}, numeric: kind == plan.Int || kind == plan.Double, ordered: kind != plan.String && kind != plan.Bytes}
}

// add appends a batch; it keeps nothing of v.
func (r *labelReader) add(v *vector.Vector) {
	for i := range v.N {
		r.of = append(r.of, r.classOf(v, i))
		if r.many && r.numeric {
			r.numbers = append(r.numbers, number(v, i))
		}
	}
}

// overflow drops the classes, of which there are too many, and keeps numbers from now on.
func (r *labelReader) overflow() {
	r.many = true
	if !r.numeric {
		return
	}
	for _, class := range r.of {
		x := 0.0
		if class != noClass {
			x = r.values[class].Double()
			if v := r.values[class]; v.Kind() == plan.Int {
				x = float64(v.Int())
			}
		}
		r.numbers = append(r.numbers, x)
	}
}

func number(v *vector.Vector, i int) float64 {
	if v.Type.Kind == plan.Int {
		return float64(v.Int[i])
	}
	return v.Double[i]
}

// classOf is the class of a value. While there are many, all have class 0.
func (r *labelReader) classOf(v *vector.Vector, i int) uint8 {
	if !v.Valid(i) {
		return noClass
	}
	if r.many {
		return 0
	}
	if v.Int == nil {
		return r.classOfValue(v.Value(i))
	}
	if class := slices.Index(r.ints, v.Int[i]); class >= 0 {
		return uint8(class)
	}
	class := r.classOfValue(v.Value(i))
	if !r.many {
		r.ints = append(r.ints, v.Int[i])
	}
	return class
}

// classOfValue looks a value up by its canonical encoding, and makes it a class if it is new.
func (r *labelReader) classOfValue(value plan.Value) uint8 {
	r.buf = plan.AppendCanonical(r.buf[:0], value)
	class, ok := r.class[string(r.buf)]
	switch {
	case ok:
		return class
	case len(r.values) == maxClasses:
		r.overflow()
		return 0
	}
	class = uint8(len(r.values))
	if value.Kind() == plan.String {
		value = plan.StringValue(strings.Clone(value.Str()))
	}
	r.values = append(r.values, value)
	r.class[string(r.buf)] = class
	return class
}

// labels is what was read, with the classes in order.
func (r *labelReader) labels() *labels {
	switch {
	case r.many && r.numeric:
		return r.quarters()
	case r.many:
		for i, c := range r.of {
			if c != noClass {
				r.of[i] = 0
			}
		}
		return &labels{names: []string{"any"}, of: r.of}
	}
	order := make([]uint8, len(r.values)) // classes by value
	for i := range order {
		order[i] = uint8(i)
	}
	slices.SortFunc(order, func(a, b uint8) int { return plan.Compare(r.values[a], r.values[b]) })
	l := &labels{of: r.of, ordered: r.ordered}
	to := make([]uint8, len(order))
	for i, class := range order {
		l.names = append(l.names, className(r.values[class]))
		to[class] = uint8(i)
	}
	for i, c := range l.of {
		if c != noClass {
			l.of[i] = to[c]
		}
	}
	return l
}

// className formats a value for people, with bounded length.
func className(v plan.Value) string {
	name := v.String()
	if v.Kind() == plan.String {
		name = v.Str()
	}
	const limit = 40
	if r := []rune(name); len(r) > limit {
		name = string(r[:limit]) + "…"
	}
	return name
}

// quarters makes four classes, divided at the quartiles: the values of ranks ⌈n/4⌉, ⌈n/2⌉
// and ⌈3n/4⌉. NaN is greater than all others.
func (r *labelReader) quarters() *labels {
	var sorted []float64
	for i, c := range r.of {
		if c != noClass {
			sorted = append(sorted, r.numbers[i])
		}
	}
	slices.SortFunc(sorted, compareNumbers)
	var edges [3]float64
	for q := range edges {
		edges[q] = sorted[((q+1)*len(sorted)+3)/4-1]
	}
	for i, c := range r.of {
		if c == noClass {
			continue
		}
		r.of[i] = 0
		for _, edge := range edges {
			if compareNumbers(r.numbers[i], edge) > 0 {
				r.of[i]++
			}
		}
	}
	a, b, c := numberName(edges[0]), numberName(edges[1]), numberName(edges[2])
	return &labels{of: r.of, ordered: true, names: []string{"up to " + a, "over " + a + " to " + b, "over " + b + " to " + c, "over " + c}}
}

// numberName writes numbers of usual sizes without an exponent.
func numberName(x float64) string {
	if size := math.Abs(x); size >= 1e-4 && size < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func compareNumbers(a, b float64) int {
	return cmp.Compare(plan.OrderedDouble(a), plan.OrderedDouble(b))
}
