package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sample is rows with a value and a class.
type sample struct {
	values  []int
	classes []int
}

func (s *sample) table(classes int) *table {
	t := &table{classes: classes}
	for v := range slices.Max(s.values) + 1 {
		row := make([]int64, classes)
		for i := range s.values {
			if s.values[i] == v {
				row[s.classes[i]]++
			}
		}
		t.rows = append(t.rows, row)
	}
	t.ordered = len(t.rows)
	return t
}

func randomSample(r *rand.Rand, n, values, classes int, tells float64) *sample {
	s := &sample{}
	for range n {
		class := r.IntN(classes)
		value := r.IntN(values)
		if r.Float64() < tells {
			value = class * values / classes
		}
		s.values, s.classes = append(s.values, value), append(s.classes, class)
	}
	return s
}

func TestAUCIsThatOfAllPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		s := randomSample(r, 60, 1+r.IntN(12), 2, r.Float64())
		pairs, won := 0.0, 0.0
		for i := range s.values {
			for j := range s.values {
				if s.classes[i] == 1 && s.classes[j] == 0 {
					pairs++
					switch {
					case s.values[i] > s.values[j]:
						won++
					case s.values[i] == s.values[j]:
						won += 0.5
					}
				}
			}
		}
		want := math.Max(won/pairs, 1-won/pairs)
		if got, _ := s.table(2).auc(); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%g, want %g", got, want)
		}
	}
}

// ranksOf are the ranks of values, the mean rank for equal ones.
func ranksOf(values []int) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		for _, w := range values {
			switch {
			case w < v:
				out[i]++
			case w == v:
				out[i] += 0.5
			}
		}
	}
	return out
}

func TestSpearmanIsTheCorrelationOfRanks(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		s := randomSample(r, 80, 2+r.IntN(12), 2+r.IntN(4), r.Float64())
		x, y := ranksOf(s.values), ranksOf(s.classes)
		mean := float64(len(x)) / 2
		var xy, xx, yy float64
		for i := range x {
			xy += (x[i] - mean) * (y[i] - mean)
			xx += (x[i] - mean) * (x[i] - mean)
			yy += (y[i] - mean) * (y[i] - mean)
		}
		if got, want := s.table(5).spearman(), xy/math.Sqrt(xx*yy); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%g, want %g", got, want)
		}
	}
}

// Features that are independent of the label raise no alarm, however few rows there are. Those
// that are equal to the label raise one as soon as there are enough rows.
func TestAlarmsKnowHowManyRowsThereAre(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 2))
	for range 3000 {
		n := 2 + r.IntN(300)
		classes := 2 + r.IntN(4)
		a := randomSample(r, n, 1+r.IntN(n), classes, 0.3*r.Float64()).table(classes).associate(true)
		if kind := a.tooGood(); kind != "" {
			t.Fatalf("%s: %+v of %d rows", kind, a, n)
		}
	}
	for _, c := range []struct {
		rows, classes int
		want          string
	}{{1000, 2, alarmAUC}, {1000, 4, alarmInformation}, {20, 2, ""}, {60, 4, ""}} {
		a := randomSample(r, c.rows, c.classes, c.classes, 1).table(c.classes).associate(true)
		if got := a.tooGood(); got != c.want {
			t.Errorf("%+v: %q, %+v", c, got, a)
		}
	}
}

// A feature whose absence predicts the label is found too.
func TestAbsenceTells(t *testing.T) {
	table := &table{classes: 2, ordered: 1, rows: [][]int64{{500, 0}, {0, 500}}}
	if a := table.associate(true); a.tooGood() != alarmInformation || a.information < 0.99 {
		t.Errorf("%+v", a)
	}
}

func TestRangesShareRowsEvenly(t *testing.T) {
	var buckets [][]int64
	for i := range 1000 {
		buckets = append(buckets, []int64{int64(i % 7), 1})
	}
	out := ranges(buckets, 10)
	if len(out) != 10 {
		t.Fatalf("%d ranges", len(out))
	}
	for _, r := range out {
		if n := r[0] + r[1]; n < 390 || n > 410 {
			t.Errorf("%d rows", n)
		}
	}
}
