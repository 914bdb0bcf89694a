package offline

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// labelled makes labels of ints; -1 is null.
func labelled(values ...int64) *labels {
	r := newLabelReader(plan.Int)
	v := vector.New(plan.T(plan.Int), len(values))
	for i, x := range values {
		if v.Set(i, plan.IntValue(x)); x < 0 {
			v.SetNull(i)
		}
	}
	r.add(v)
	return r.labels()
}

// TestW6_TheHorizonIsThatOfTheSlowestClass: a class that is rare counts like the others, a
// wrong date does not, and what is not known does not either.
func TestW6_TheHorizonIsThatOfTheSlowestClass(t *testing.T) {
	const day = plan.EventTime(plan.Day)
	var at, known []plan.EventTime
	var label []int64
	row := func(y int64, k plan.EventTime) {
		label = append(label, y)
		known = append(known, k)
		at = append(at, plan.EventTime(len(at)))
	}
	for i := range 1000 {
		row(0, plan.EventTime(i)+3*day)
	}
	for i := range 10 {
		row(1, plan.EventTime(1000+i)+30*day) // rare and slow
	}
	for range 10 {
		row(0, plan.MaxTime) // the year 9999, by which somebody means never
		row(0, plan.Never)
		row(-1, plan.MaxTime)
	}
	h := horizonOf(at, known, labelled(label...), &plan.Split{Train: 1})
	if h.span != 30*plan.Day || h.from != measuredHorizon || h.end != 1009+30*day {
		t.Errorf("the horizon is %v (%s), the data ends at %v", h.span, h.from, h.end)
	}
	declared := horizonOf(at, known, labelled(label...), &plan.Split{Train: 1, HorizonDeclared: true, LabelHorizon: 3 * plan.Day})
	if declared.span != 3*plan.Day || declared.from != declaredHorizon || declared.end != 999+3*day {
		t.Errorf("the declared horizon is %v (%s), the data ends at %v", declared.span, declared.from, declared.end)
	}
	if h := horizonOf(at, nil, labelled(label...), nil); h != forever(0) {
		t.Errorf("without known times the horizon is %+v", h)
	}
}

// TestW6_RanksAreExact: of n delays 1 % may be longer, rounded down.
func TestW6_RanksAreExact(t *testing.T) {
	for _, tc := range []struct {
		n    int
		want plan.Micros
	}{{1, 1}, {99, 99}, {100, 99}, {101, 100}, {199, 198}, {200, 198}, {1000, 990}} {
		at, known := make([]plan.EventTime, tc.n), make([]plan.EventTime, tc.n)
		for i := range known {
			known[i] = plan.EventTime(tc.n - i)
		}
		if got := longestDelay(at, known, nil); got != tc.want {
			t.Errorf("of delays from 1 to %d the horizon is %d, want %d", tc.n, got, tc.want)
		}
	}
	if got := longestDelay([]plan.EventTime{9}, []plan.EventTime{3}, nil); got != 0 {
		t.Errorf("a label that was known before its row has the delay %d", got)
	}
}

// TestW6_EveryPartHasTheRateOfItsTime simulates spines as they are on some day: every
// label has its delay by its class, and one that is not known by then is missing, or its
// row is. Whatever the delays and the day, a part has every row of its time, and so the
// true rate, and no row without a label.
func TestW6_EveryPartHasTheRateOfItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rows, every = 1200, 10 // one label in ten is 1, evenly
		delay := [2]plan.EventTime{
			plan.EventTime(rapid.IntRange(0, 250).Draw(t, "delay of 0")), plan.EventTime(rapid.IntRange(0, 250).Draw(t, "delay of 1")),
		}
		// By then some label of either class is known.
		day := plan.EventTime(rapid.IntRange(int(max(delay[0], delay[1]))+every, rows+300).Draw(t, "day"))
		leaveOut := rapid.Bool().Draw(t, "leave out rows without a label")
		var at, known []plan.EventTime
		var label []int64
		for i := range plan.EventTime(rows) {
			y := int64(0)
			if i%every == 0 {
				y = 1
			}
			k := i + delay[y]
			if i > day || k > day && leaveOut {
				continue
			}
			if k > day {
				y, k = -1, plan.Never
			}
			at, known, label = append(at, i), append(known, k), append(label, y)
		}
		l := labelled(label...)
		s := &plan.Split{Train: 0.6, Validation: 0.2, Test: 0.2, Embargo: plan.Micros(rapid.IntRange(0, 60).Draw(t, "embargo"))}
		p := divide(at, nil, horizonOf(at, known, l, s), s)
		for part := range p.names {
			checkPart(t, p, at, label, uint8(part), every)
		}
	})
}

// checkPart looks at the rows of a part, whose times are whole numbers.
func checkPart(t *rapid.T, p *partition, at []plan.EventTime, label []int64, part uint8, every float64) {
	var times []plan.EventTime
	positive := 0
	for i, of := range p.of {
		if of != part {
			continue
		}
		times = append(times, at[i])
		switch label[i] {
		case 1:
			positive++
		case -1:
			t.Fatalf("the row at %d is in %s without a label", at[i], p.names[part])
		}
	}
	if len(times) == 0 {
		return
	}
	if slices.Sort(times); int(times[len(times)-1]-times[0])+1 != len(times) {
		t.Fatalf("%s has %d rows from %d to %d", p.names[part], len(times), times[0], times[len(times)-1])
	}
	if want := float64(len(times)) / every; math.Abs(float64(positive)-want) > 1 {
		t.Fatalf("%s has %d positives in %d rows", p.names[part], positive, len(times))
	}
}

func TestClassesOfLabels(t *testing.T) {
	values := func(n int) (out []int64) {
		for i := range n {
			out = append(out, int64(n-i))
		}
		return append(out, -1)
	}
	for _, tc := range []struct {
		l     *labels
		names string
		of    []uint8
	}{
		{labelled(7, 3, -1, 3), "[3 7]", []uint8{1, 0, noClass, 0}},
		{labelled(), "[]", nil},
		{labelled(values(4)...), "[1 2 3 4]", []uint8{3, 2, 1, 0, noClass}},
		{labelled(values(21)...), "[up to 6 over 6 to 11 over 11 to 16 over 16]", []uint8{3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, noClass}},
		{labelled(values(24)...), "[up to 6 over 6 to 12 over 12 to 18 over 18]", []uint8{3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, noClass}},
	} {
		if got := fmt.Sprint(tc.l.names); got != tc.names || !slices.Equal(tc.l.of, tc.of) {
			t.Errorf("classes %s of %v, want %s of %v", got, tc.l.of, tc.names, tc.of)
		}
	}
	r := newLabelReader(plan.String)
	for i := range maxClasses + 1 {
		r.add(vector.Of(plan.T(plan.String), plan.StringValue(fmt.Sprint(i))))
	}
	if l := r.labels(); fmt.Sprint(l.names) != "[any]" || slices.Max(l.of) != 0 {
		t.Errorf("many strings are the classes %v of %v", l.names, l.of)
	}
}
