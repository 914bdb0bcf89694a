package offline

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

func TestSplitByTime(t *testing.T) {
	const train, validation, test, drop = 0, 1, 2, dropped
	for _, tc := range []struct {
		name       string
		at, label  []plan.EventTime
		split      plan.Split
		boundaries []plan.EventTime
		of         []uint8
	}{
		{"order does not matter", []plan.EventTime{9, 0, 1, 2, 3, 4, 5, 6, 7, 8}, nil, plan.Split{Train: 0.7, Validation: 0.1, Test: 0.2},
			[]plan.EventTime{7, 8}, []uint8{test, train, train, train, train, train, train, train, validation, test}},
		{"equal times stay together", []plan.EventTime{1, 2, 2, 2, 3}, nil, plan.Split{Train: 0.5, Test: 0.5},
			[]plan.EventTime{2}, []uint8{train, 1, 1, 1, 1}},
		{"embargo", []plan.EventTime{0, 1, 2, 3, 4, 5, 6, 7}, nil, plan.Split{Train: 0.5, Test: 0.5, Embargo: 2},
			[]plan.EventTime{4}, []uint8{0, 0, 0, 0, drop, drop, 1, 1}},
		{"labels known at the boundary are not known before it [w5]", []plan.EventTime{0, 1, 2, 3, 4, 5}, []plan.EventTime{3, 2, plan.Never, 4, plan.Never, 9}, plan.Split{Train: 0.5, Test: 0.5},
			[]plan.EventTime{3}, []uint8{drop, 0, drop, 1, 1, 1}},
		{"no rows", nil, nil, plan.Split{Train: 0.5, Test: 0.5}, []plan.EventTime{plan.MinTime}, []uint8{}},
		{"one part", []plan.EventTime{1, 2}, nil, plan.Split{Train: 1}, nil, []uint8{0, 0}},
	} {
		p := splitByTime(tc.at, tc.label, &tc.split)
		if !slices.Equal(p.boundaries, tc.boundaries) || !slices.Equal(p.of, tc.of) {
			t.Errorf("%s: boundaries %v, parts %v; want %v, %v", tc.name, p.boundaries, p.of, tc.boundaries, tc.of)
		}
	}
}

// TestW5_PartsDoNotOverlap: whatever the times, no row of a part is as late as a row
// of the next, nothing lies in an embargo, and no label was known too late.
func TestW5_PartsDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) plan.EventTime { return plan.EventTime(rapid.Int64Range(-20, 20).Draw(t, label)) }
		n := rapid.IntRange(0, 30).Draw(t, "rows")
		at, label := make([]plan.EventTime, n), make([]plan.EventTime, n)
		for i := range at {
			at[i], label[i] = draw("at"), draw("label")
		}
		s := &plan.Split{Train: 0.6, Validation: 0.2, Test: 0.2, Embargo: plan.Micros(rapid.Int64Range(0, 5).Draw(t, "embargo"))}
		p := splitByTime(at, label, s)
		kept := int64(0)
		for i, part := range p.of {
			if part == dropped {
				continue
			}
			kept++
			if b := p.boundaries; int(part) < len(b) && (at[i] >= b[part] || label[i] >= b[part]) || part > 0 && at[i] < b[part-1]+plan.EventTime(s.Embargo) {
				t.Fatalf("row %d at %d with a label known at %d is in part %d of %v", i, at[i], label[i], part, b)
			}
		}
		if kept+p.embargoed+p.unlabelled != int64(n) {
			t.Fatalf("%d kept, %d and %d dropped of %d", kept, p.embargoed, p.unlabelled, n)
		}
	})
}
