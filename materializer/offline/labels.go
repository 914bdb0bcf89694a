package offline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// maxClasses is how many values of a label are told apart. Numbers of more than that are
// put in quarters, anything else in one class.
const maxClasses = 20

// noClass is the class of a row without a label.
const noClass = 255

// labels is the class of the label of every row.
type labels struct {
	names []string // of the classes, in the order of their values
	of    []uint8  // of each row, or noClass
}

// classes are the names of the classes; of labels that were not read there are none.
func (l *labels) classes() []string {
	if l == nil {
		return nil
	}
	return l.names
}

// class is the class of a row; labels that were not read are of one class.
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
	class   map[string]uint8
	numbers []float64 // of every row of a numeric label; anything where it is null
	numeric bool
	many    bool // more than maxClasses values
	buf     []byte
}

func newLabelReader(kind plan.Kind) *labelReader {
	return &labelReader{class: map[string]uint8{}, numeric: kind == plan.Int || kind == plan.Double}
}

// add appends a batch; it keeps nothing of v.
func (r *labelReader) add(v *vector.Vector) {
	for i := range v.N {
		if r.numeric {
			r.numbers = append(r.numbers, number(v, i))
		}
		r.of = append(r.of, r.classOf(v, i))
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
	value := v.Value(i)
	r.buf = plan.AppendCanonical(r.buf[:0], value)
	class, ok := r.class[string(r.buf)]
	switch {
	case ok:
		return class
	case len(r.values) == maxClasses:
		r.many = true
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
	l := &labels{of: r.of}
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

// className is a value as people write it, of bounded length.
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

// quarters puts numbers between their quartiles: the values of the ranks ⌈n/4⌉, ⌈n/2⌉
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
	a, b, c := edges[0], edges[1], edges[2]
	return &labels{of: r.of, names: []string{
		fmt.Sprintf("up to %v", a), fmt.Sprintf("over %v to %v", a, b), fmt.Sprintf("over %v to %v", b, c), fmt.Sprintf("over %v", c),
	}}
}

func compareNumbers(a, b float64) int {
	return cmp.Compare(plan.OrderedDouble(a), plan.OrderedDouble(b))
}
