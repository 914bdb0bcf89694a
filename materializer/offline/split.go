package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Why a row belongs to no part; parts have the numbers below.
const (
	droppedAtEnd     = 253 // its label may not be known yet when the data ends
	droppedByHorizon = 254 // its label may not be known at the next boundary
	droppedByEmbargo = 255 // it follows a boundary too closely
)

func isDropped(part uint8) bool { return part >= droppedAtEnd }

// partition says which part of a split each spine row belongs to.
type partition struct {
	names      []string         // of the parts
	next       []plan.EventTime // of each part, when the next begins; Never where labels may be known at any time
	boundaries []plan.EventTime
	begin      []string // what begins at each boundary
	of         []uint8  // part of each row, or why it was dropped; nil: all rows are part 0
	horizon    labelHorizon
	embargo    plan.Micros
	folds      *folds // nil: the parts follow one another
	holdout    bool   // the last part is the holdout, which is chosen by entity and not by time
}

// drops reports whether a row is in no part.
func (p *partition) drops(row int) bool { return isDropped(p.part(row)) }

func (p *partition) part(row int) uint8 {
	if p.of == nil {
		return 0
	}
	return p.of[row]
}

// wholeSet is the partition of a training set without a split.
func wholeSet(h labelHorizon) *partition {
	return &partition{names: []string{"data"}, next: []plan.EventTime{plan.Never}, horizon: h}
}

// holdoutName is the part of the entities that are held out.
const holdoutName = "holdout"

// divide splits rows by docs/semantics.md §8: held ones (nil: none) go to the holdout, the
// others are split by time. A row's part depends only on its entities, its time, the horizon
// and the embargo.
func divide(at []plan.EventTime, held vector.Bitmap, h labelHorizon, s *plan.Split) *partition {
	p := &partition{horizon: h, embargo: s.Embargo, holdout: s.Holdout != nil}
	rest := at
	if held != nil {
		rest = nil
		for i, t := range at {
			if !held.Get(i) {
				rest = append(rest, t)
			}
		}
	}
	if s.Folds > 0 {
		p.layFolds(rest, s)
	} else {
		p.layParts(rest, s)
	}
	if p.holdout {
		p.names, p.next = append(p.names, holdoutName), append(p.next, plan.Never)
	}
	p.of = make([]uint8, len(at))
	for i, t := range at {
		if p.of[i] = p.partAt(t); held.Get(i) && p.of[i] != droppedAtEnd {
			p.of[i] = uint8(len(p.names) - 1)
		}
	}
	return p
}

// layParts lays out parts that follow one another: every row of one is earlier than every
// row of the next.
func (p *partition) layParts(at []plan.EventTime, s *plan.Split) {
	var used float64
	var ends []float64 // of the parts but the last, as fractions of the rows that stay
	for _, part := range []struct {
		name     string
		fraction float64
	}{{"train", s.Train}, {"validation", s.Validation}, {"test", s.Test}} {
		if part.fraction == 0 {
			continue
		}
		if len(p.names) > 0 {
			ends = append(ends, used)
			p.begin = append(p.begin, part.name)
		}
		p.names = append(p.names, part.name)
		used += part.fraction
	}
	p.boundaries = p.findBoundaries(at, ends)
	p.next = append(slices.Clone(p.boundaries), plan.Never)
}

// oldEnough returns, sorted, the times of the rows whose labels are known by the end of the data.
func (p *partition) oldEnough(at []plan.EventTime) []plan.EventTime {
	sorted := make([]plan.EventTime, 0, len(at))
	for _, t := range at {
		if !p.horizon.tooYoung(t) {
			sorted = append(sorted, t)
		}
	}
	slices.Sort(sorted)
	return sorted
}

// findBoundaries finds the boundaries with which most rows are kept and every part has one.
func (p *partition) findBoundaries(at []plan.EventTime, ends []float64) []plan.EventTime {
	sorted := p.oldEnough(at)
	for kept := len(sorted); kept > 0; kept-- {
		if boundaries, ok := p.layOut(sorted, ends, kept); ok {
			return boundaries
		}
	}
	var boundaries []plan.EventTime
	for _, end := range ends {
		b := plan.MinTime
		if len(sorted) > 0 {
			b = sorted[min(rankOf(end, len(sorted)), len(sorted)-1)]
		}
		boundaries = append(boundaries, b)
	}
	return boundaries
}

// layOut computes boundaries such that the parts divide the kept rows by their fractions; ok
// is false if there are too few rows or a part would be empty.
func (p *partition) layOut(sorted []plan.EventTime, ends []float64, kept int) (boundaries []plan.EventTime, ok bool) {
	begin, lost := 0, 0 // of the part; rows lost between parts so far
	for _, end := range ends {
		cut := min(rankOf(end, kept)+lost, len(sorted)-1)
		if firstAt(sorted, sorted[cut]) <= begin {
			return nil, false
		}
		b := sorted[cut] + plan.EventTime(p.horizon.span)
		begin = firstAt(sorted, b+plan.EventTime(p.embargo))
		lost += max(0, begin-cut)
		boundaries = append(boundaries, b)
	}
	return boundaries, kept+lost <= len(sorted) && begin < len(sorted)
}

// rankOf is the nearest whole number to a fraction of n: 0.7 of 10 rows is 6.999….
func rankOf(fraction float64, n int) int { return int(float64(fraction*float64(n)) + 0.5) }

// firstAt is the index of the first time at or after t.
func firstAt(sorted []plan.EventTime, t plan.EventTime) int {
	i, _ := slices.BinarySearch(sorted, t)
	return i
}

func (p *partition) partAt(t plan.EventTime) uint8 {
	if p.horizon.tooYoung(t) {
		return droppedAtEnd
	}
	if p.folds != nil {
		return p.folds.partAt(t)
	}
	part := 0
	for part < len(p.boundaries) && t >= p.boundaries[part] {
		part++
	}
	if part > 0 && t < p.boundaries[part-1]+plan.EventTime(p.embargo) {
		return droppedByEmbargo
	}
	if part < len(p.boundaries) && t+plan.EventTime(p.horizon.span) >= p.boundaries[part] {
		return droppedByHorizon
	}
	return uint8(part)
}

// run is how many of n rows, from the given one on, belong to one part, and which.
func (p *partition) run(row, n int) (part uint8, m int) {
	if p.of == nil {
		return 0, n
	}
	of := p.of[row : row+n]
	for m = 1; m < n && of[m] == of[0]; m++ {
	}
	return of[0], m
}
