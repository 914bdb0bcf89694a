package offline

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// folds divides time at cuts into intervals and says which part each belongs to. All of a part is
// in the same folds.
type folds struct {
	cuts  []plan.EventTime // in order
	parts []uint8          // of the intervals before, between and after the cuts; or why they are dropped
	list  []fold
}

// fold is what a model that goes live at a given time is trained and validated on.
type fold struct {
	from              plan.EventTime
	train, validation []uint8 // parts, in order of time
}

func (f *folds) partAt(t plan.EventTime) uint8 {
	i, at := slices.BinarySearch(f.cuts, t)
	if at {
		i++
	}
	return f.parts[i]
}

// interval is the times from one time, included, until another.
type interval struct{ from, until plan.EventTime }

// layFolds lays out the folds and, after them, the test part if there is one.
func (p *partition) layFolds(at []plan.EventTime, s *plan.Split) {
	sorted := p.oldEnough(at)
	kept := len(sorted) - rankOf(s.Test, len(sorted)) // rows for the folds
	rank := func(i int) plan.EventTime {
		if len(sorted) == 0 {
			return plan.MinTime
		}
		return sorted[min(i, len(sorted)-1)]
	}
	test := plan.Never
	for i := range s.Folds {
		p.boundaries = append(p.boundaries, rank((i+1)*kept/(s.Folds+1)))
		p.begin = append(p.begin, fmt.Sprintf("fold %d", i+1))
	}
	if s.Test > 0 {
		test = rank(kept)
		p.boundaries, p.begin = append(p.boundaries, test), append(p.begin, "test")
	}
	p.folds = &folds{list: make([]fold, s.Folds)}
	for i := range p.folds.list {
		p.folds.list[i].from = p.boundaries[i]
	}
	h, e := plan.EventTime(p.horizon.span), plan.EventTime(p.embargo)
	for _, b := range p.boundaries {
		p.folds.cuts = append(p.folds.cuts, b-h, b, b+e)
	}
	slices.Sort(p.folds.cuts)
	p.folds.cuts = slices.Compact(p.folds.cuts)
	var last []int // the uses of the interval before
	for i := range len(p.folds.cuts) + 1 {
		s := interval{plan.Always, plan.Never}
		if i > 0 {
			s.from = p.folds.cuts[i-1]
		}
		if i < len(p.folds.cuts) {
			s.until = p.folds.cuts[i]
		}
		uses := p.uses(s, test)
		p.folds.parts = append(p.folds.parts, p.partOf(s, uses, slices.Equal(uses, last)))
		last = uses
	}
	if s.Test > 0 {
		p.names[len(p.names)-1] = "test"
	}
}

// inTest stands for the test part among the uses of an interval.
const inTest = 0

// uses lists what an interval is used for: n for training in fold n (from 1), −n for validation in
// fold n, inTest for the test part. test is the boundary of the test part, Never without one.
func (p *partition) uses(s interval, test plan.EventTime) (uses []int) {
	h, e := plan.EventTime(p.horizon.span), plan.EventTime(p.embargo)
	list := p.folds.list
	for i, f := range list {
		end := test
		if test != plan.Never {
			end -= h
		}
		if i+1 < len(list) {
			end = min(end, list[i+1].from)
		}
		switch {
		case s.until <= f.from-h:
			uses = append(uses, i+1)
		case s.from >= f.from+e && s.until <= end:
			uses = append(uses, -i-1)
		}
	}
	if test != plan.Never && s.from >= test+e {
		uses = append(uses, inTest)
	}
	return uses
}

// partOf is the part of an interval: a new one unless its uses equal those of the interval before.
func (p *partition) partOf(s interval, uses []int, asBefore bool) uint8 {
	switch {
	case len(uses) == 0 && slices.ContainsFunc(p.boundaries, func(b plan.EventTime) bool { return b <= s.from && s.from < b+plan.EventTime(p.embargo) }):
		return droppedByEmbargo
	case len(uses) == 0:
		return droppedByHorizon
	case asBefore:
		return uint8(len(p.names) - 1)
	}
	part := uint8(len(p.names))
	p.names, p.next = append(p.names, fmt.Sprintf("segment-%02d", part+1)), append(p.next, plan.Never)
	for _, use := range uses {
		switch {
		case use > 0:
			p.folds.list[use-1].train = append(p.folds.list[use-1].train, part)
		case use < 0:
			p.folds.list[-use-1].validation = append(p.folds.list[-use-1].validation, part)
		}
	}
	return part
}

// segments is the number of parts that are in folds; they are the first parts.
func (f *folds) segments() int {
	n := 0
	for _, fold := range f.list {
		for _, part := range slices.Concat(fold.train, fold.validation) {
			n = max(n, int(part)+1)
		}
	}
	return n
}

// pairs are, for each fold, its validation parts and its training parts.
func (f *folds) pairs() (out []partPair) {
	for i, fold := range f.list {
		p := partPair{name: fmt.Sprintf("fold %d, validation", i+1), with: fmt.Sprintf("fold %d, train", i+1)}
		for _, part := range fold.validation {
			p.parts |= 1 << part
		}
		for _, part := range fold.train {
			p.others |= 1 << part
		}
		out = append(out, p)
	}
	return out
}
