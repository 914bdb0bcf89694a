package offline

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

// forever is the horizon of a spine that does not say when its data ends.
func forever(span plan.Micros) labelHorizon { return labelHorizon{span: span, end: plan.Never} }

func TestSplitByTime(t *testing.T) {
	const train, validation, test = 0, 1, 2
	const age, end, embargo = droppedByHorizon, droppedAtEnd, droppedByEmbargo
	half := plan.Split{Train: 0.5, Test: 0.5}
	for _, tc := range []struct {
		name       string
		at         []plan.EventTime
		horizon    labelHorizon
		split      plan.Split
		boundaries []plan.EventTime
		of         []uint8
	}{
		{"order does not matter", []plan.EventTime{9, 0, 1, 2, 3, 4, 5, 6, 7, 8}, forever(0), plan.Split{Train: 0.7, Validation: 0.1, Test: 0.2},
			[]plan.EventTime{7, 8}, []uint8{test, train, train, train, train, train, train, train, validation, test}},
		{"equal times stay together", []plan.EventTime{1, 2, 2, 2, 3}, forever(0), half,
			[]plan.EventTime{2}, []uint8{train, 1, 1, 1, 1}},
		{"every part gets a row", []plan.EventTime{1, 2, 3}, forever(0), plan.Split{Train: 0.7, Validation: 0.15, Test: 0.15},
			[]plan.EventTime{2, 3}, []uint8{train, validation, test}},
		{"embargo", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7}, forever(0), plan.Split{Train: 0.5, Test: 0.5, Embargo: 2},
			[]plan.EventTime{3}, []uint8{0, 0, 0, embargo, embargo, 1, 1, 1}},
		{"a label known at the boundary is not known before it", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7}, forever(2), half,
			[]plan.EventTime{5}, []uint8{0, 0, 0, age, age, 1, 1, 1}},
		{"two boundaries cost two horizons", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, forever(3), plan.Split{Train: 0.5, Validation: 0.25, Test: 0.25},
			[]plan.EventTime{5, 9}, []uint8{0, 0, age, age, age, 1, age, age, age, 2}},
		{"the embargo comes after the horizon", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, forever(3), plan.Split{Train: 0.5, Test: 0.5, Embargo: 1},
			[]plan.EventTime{6}, []uint8{0, 0, 0, age, age, age, embargo, 1, 1, 1}},
		{"the young at the end of the data", []plan.EventTime{0, 1, 2, 3, 4, 5}, labelHorizon{span: 2, end: 5}, plan.Split{Train: 1},
			nil, []uint8{0, 0, 0, 0, end, end}},
		{"fractions are of what stays", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, labelHorizon{span: 2, end: 9}, half,
			[]plan.EventTime{5}, []uint8{0, 0, 0, age, age, 1, 1, 1, end, end}},
		{"no room for two parts", []plan.EventTime{0, 1, 2, 3}, forever(9), half,
			[]plan.EventTime{2}, []uint8{age, age, 1, 1}},
		{"no rows", nil, forever(0), half, []plan.EventTime{plan.MinTime}, []uint8{}},
		{"no row is old enough", []plan.EventTime{4, 5}, labelHorizon{span: 2, end: 5}, half, []plan.EventTime{plan.MinTime}, []uint8{end, end}},
		{"one part", []plan.EventTime{1, 2}, forever(0), plan.Split{Train: 1}, nil, []uint8{0, 0}},
	} {
		p := divide(tc.at, nil, tc.horizon, &tc.split)
		if !slices.Equal(p.boundaries, tc.boundaries) || !slices.Equal(p.of, tc.of) {
			t.Errorf("%s: boundaries %v, parts %v; want %v, %v", tc.name, p.boundaries, p.of, tc.boundaries, tc.of)
		}
	}
}

// TestW5_PartsDoNotOverlap: whatever the times, no row of a part is as late as a row
// of the next, nothing lies in an embargo, and every label of a part counts as known
// before the next begins and before the data ends.
func TestW5_PartsDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) plan.EventTime { return plan.EventTime(rapid.Int64Range(-20, 20).Draw(t, label)) }
		at := make([]plan.EventTime, rapid.IntRange(0, 40).Draw(t, "rows"))
		for i := range at {
			at[i] = draw("at")
		}
		h := plan.EventTime(rapid.Int64Range(0, 10).Draw(t, "horizon"))
		end := plan.Never
		if rapid.Bool().Draw(t, "ends") {
			end = draw("end")
		}
		s := &plan.Split{Train: 0.6, Validation: 0.2, Test: 0.2, Embargo: plan.Micros(rapid.Int64Range(0, 5).Draw(t, "embargo"))}
		p := divide(at, nil, labelHorizon{span: plan.Micros(h), end: end}, s)
		for i, part := range p.of {
			b := p.boundaries
			inNoEmbargo := part == 0 || isDropped(part) || at[i] >= b[part-1]+plan.EventTime(s.Embargo)
			if !isDropped(part) && (at[i]+h > end || int(part) < len(b) && at[i]+h >= b[part] || !inNoEmbargo) {
				t.Fatalf("row %d at %d is in part %d of %v", i, at[i], part, b)
			}
			if want := slices.Index(at, at[i]); p.of[want] != part {
				t.Fatalf("rows %d and %d are of one time, and in %d and %d", want, i, p.of[want], part)
			}
		}
	})
}

// TestW5_TheSplitIsTheLargest: no boundaries that leave every part its share of rows, each
// at least one, leave more of them. All pairs of boundaries are tried.
func TestW5_TheSplitIsTheLargest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := make([]plan.EventTime, rapid.IntRange(1, 25).Draw(t, "rows"))
		for i := range at {
			at[i] = plan.EventTime(2 * i) // apart, so that ties decide nothing
		}
		h := plan.Micros(rapid.Int64Range(0, 12).Draw(t, "horizon"))
		s := &plan.Split{Train: 0.5, Validation: 0.25, Test: 0.25, Embargo: plan.Micros(rapid.Int64Range(0, 6).Draw(t, "embargo"))}
		got := kept(divide(at, nil, forever(h), s))
		for i := range at {
			for j := i + 1; j < len(at); j++ {
				p := &partition{names: []string{"train", "validation", "test"}, horizon: forever(h), embargo: s.Embargo,
					boundaries: []plan.EventTime{at[i] + plan.EventTime(h), at[j] + plan.EventTime(h)}}
				p.of = make([]uint8, len(at))
				for row, time := range at {
					p.of[row] = p.partAt(time)
				}
				k := kept(p)
				n := k[0] + k[1] + k[2]
				fair := k[0] == rankOf(0.5, n) && k[0]+k[1] == rankOf(0.75, n)
				if fair && k[1] > 0 && k[2] > 0 && k[0] > 0 && n > got[0]+got[1]+got[2] {
					t.Fatalf("%v rows stay, with boundaries at %v it would be %v", got, p.boundaries, k)
				}
			}
		}
	})
}

// kept is how many rows each part has.
func kept(p *partition) (n [3]int) {
	for _, part := range p.of {
		if !isDropped(part) {
			n[part]++
		}
	}
	return n
}
