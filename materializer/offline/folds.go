package offline

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// folds says which stretches of time, divided by cuts, are in which part. A part is a stretch
// that is in the same folds all along.
type folds struct {
	cuts  []plan.EventTime // in order
	parts []uint8          // of the stretches before, between and behind the cuts; or why they are dropped
	list  []fold
}

// fold is what a model is trained and validated on that is taken into use at a moment.
type fold struct {
	from              plan.EventTime
	train, validation []uint8 // parts, in order of time
}

func (f *folds) place(t plan.EventTime) uint8 {
	i, at := slices.BinarySearch(f.cuts, t)
	if at {
		i++
	}
	return f.parts[i]
}

// stretch is the times from a moment until another.
type timeStretch struct{ from, until plan.EventTime }

// layFolds lays out folds and, behind them, a test part if there is one.
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
	var last []int // the folds that the stretch before is in
	for i := range len(p.folds.cuts) + 1 {
		s := timeStretch{plan.Always, plan.Never}
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

// inTest stands for the test part among the uses of a stretch.
const inTest = 0

// uses are what a stretch of time is used for: fold number n, from 1 on, to train, −n to validate,
// or the test. The boundary of the test is Never without one.
func (p *partition) uses(s timeStretch, test plan.EventTime) (uses []int) {
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

// partOf is the part of a stretch, a new one unless it is used as the stretch before.
func (p *partition) partOf(s timeStretch, uses []int, asBefore bool) uint8 {
	switch {
	case len(uses) == 0 && slices.ContainsFunc(p.boundaries, func(b plan.EventTime) bool { return b <= s.from && s.from < b+plan.EventTime(p.embargo) }):
		return droppedByEmbargo
	case len(uses) == 0:
		return droppedByHorizon
	case asBefore:
		return uint8(len(p.names) - 1)
	}
	part := uint8(len(p.names))
	p.names, p.behind = append(p.names, fmt.Sprintf("segment-%02d", part+1)), append(p.behind, plan.Never)
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

// segments is how many parts are in folds; they come first.
func (f *folds) segments() int {
	n := 0
	for _, fold := range f.list {
		for _, part := range slices.Concat(fold.train, fold.validation) {
			n = max(n, int(part)+1)
		}
	}
	return n
}

// pairs are what each fold is validated on with what it is trained on.
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
