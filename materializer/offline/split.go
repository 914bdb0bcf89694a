package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// dropped is the part of a row that belongs to no part.
const dropped = 255

// partition says which part of a split each spine row belongs to.
type partition struct {
	names      []string // parts that a fraction was given to, in order of time
	boundaries []plan.EventTime
	of         []uint8 // part of each row, or dropped; nil: all rows are part 0
	embargoed  int64   // rows dropped because they follow a boundary too closely
	unlabelled int64   // rows dropped because their label was not known before the boundary
}

// drops reports whether a row is in no part.
func (p *partition) drops(row int) bool { return p.of != nil && p.of[row] == dropped }

// wholeSet is the partition of a training set without a split.
func wholeSet() *partition { return &partition{names: []string{"data"}} }

// splitByTime divides rows at moments, so that every row of a part is earlier than
// every row of the next. A boundary is the as-of time of the row at which the
// fractions so far are used up; rows with equal times stay together, in the later
// part. Two kinds of rows are dropped:
//
//   - a row after a boundary, but less than the embargo after it;
//   - a row before a boundary whose label was not known before it: at that moment no
//     model could have been trained on it. A null label_known_at was never known.
//     (Only with labelKnown.)
func splitByTime(at, labelKnown []plan.EventTime, s *plan.Split) *partition {
	p := &partition{}
	var used float64
	sorted := slices.Sorted(slices.Values(at))
	for _, part := range []struct {
		name     string
		fraction float64
	}{{"train", s.Train}, {"validation", s.Validation}, {"test", s.Test}} {
		if part.fraction == 0 {
			continue
		}
		if len(p.names) > 0 {
			p.boundaries = append(p.boundaries, boundary(sorted, used))
		}
		p.names = append(p.names, part.name)
		used += part.fraction
	}
	p.of = make([]uint8, len(at))
	for i, t := range at {
		p.of[i] = p.place(t, s.Embargo, func() plan.EventTime {
			if labelKnown == nil {
				return plan.Always
			}
			return labelKnown[i]
		})
	}
	return p
}

// boundary is the as-of time at the given fraction of the rows, in order of time.
func boundary(sorted []plan.EventTime, fraction float64) plan.EventTime {
	if len(sorted) == 0 {
		return plan.MinTime
	}
	// 0.7 of 10 rows is 6.999…: the nearest whole number is meant.
	i := int(float64(fraction*float64(len(sorted))) + 0.5)
	return sorted[min(i, len(sorted)-1)]
}

func (p *partition) place(t plan.EventTime, embargo plan.Micros, labelKnown func() plan.EventTime) uint8 {
	part := 0
	for part < len(p.boundaries) && t >= p.boundaries[part] {
		part++
	}
	if part > 0 && t < p.boundaries[part-1]+plan.EventTime(embargo) {
		p.embargoed++
		return dropped
	}
	if part < len(p.boundaries) && labelKnown() >= p.boundaries[part] {
		p.unlabelled++
		return dropped
	}
	return uint8(part)
}
