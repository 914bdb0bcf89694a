package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// census counts the rows of a spine by their part, or the reason they were dropped, and by label.
type census struct {
	labelled bool // whether the labels were read
	classes  []string
	rows     [256][]int64 // by part or drop reason, then by class; the last counts rows without a label
	late     []int64      // by part: rows whose label became known at the next boundary or later
	// by fold: training rows whose label became known at its boundary or later
	lateInFold []int64
	slower     []int64     // by class: labels that took longer than the horizon
	never      []int64     // by class: rows that do not say when their label was known
	longest    plan.Micros // the longest delay of a label
	tooYoung   int64       // rows whose label may not be known by the end of the data
}

func takeCensus(s *spine, p *partition) *census {
	c := &census{labelled: s.labels != nil, classes: s.labels.classes(), late: make([]int64, len(p.names))}
	if p.folds != nil {
		c.lateInFold = make([]int64, len(p.folds.list))
	}
	n := len(c.classes) + 1
	c.slower, c.never = make([]int64, n), make([]int64, n)
	for i, t := range s.at {
		class := min(int(s.labels.class(i)), n-1)
		part := p.part(i)
		if c.rows[part] == nil {
			c.rows[part] = make([]int64, n)
		}
		c.rows[part][class]++
		if p.horizon.tooYoung(t) {
			c.tooYoung++
		}
		if s.labelKnown != nil {
			c.seeLabel(p, part, class, t, s.labelKnown[i])
		}
	}
	return c
}

// seeLabel counts a row by when its label was known.
func (c *census) seeLabel(p *partition, part uint8, class int, at, known plan.EventTime) {
	if !isDropped(part) {
		if known >= p.next[part] && p.next[part] != plan.Never {
			c.late[part]++
		}
		if p.folds != nil {
			c.seeFolds(p.folds, part, known)
		}
	}
	if known == plan.Never {
		c.never[class]++
		return
	}
	delay := delayOf(at, known)
	c.longest = max(c.longest, delay)
	if delay > p.horizon.span {
		c.slower[class]++
	}
}

// seeFolds counts a row for the folds that train on it before its label is known.
func (c *census) seeFolds(f *folds, part uint8, known plan.EventTime) {
	for i := range f.list {
		if known >= f.list[i].from && slices.Contains(f.list[i].train, part) {
			c.lateInFold[i]++
		}
	}
}

// counts are the rows of a part, or those dropped for one reason.
func (c *census) counts(part uint8) LabelCounts { return c.byLabel(c.rows[part]) }

func (c *census) byLabel(rows []int64) LabelCounts {
	var out LabelCounts
	for class, n := range rows {
		out.Rows += n
		switch {
		case class == len(c.classes) && c.labelled:
			out.Unlabelled = n
		case class < len(c.classes) && n > 0:
			if out.ByLabel == nil {
				out.ByLabel = map[string]int64{}
			}
			out.ByLabel[c.classes[class]] += n
		}
	}
	return out
}

// label is the manifest's section about the label; nil if there is nothing to report.
func (c *census) label(h labelHorizon) *LabelManifest {
	if !c.labelled && h.from == noHorizon {
		return nil
	}
	m := &LabelManifest{Classes: c.classes, HorizonFrom: string(h.from), RowsTooYoung: c.tooYoung}
	if m.Classes == nil {
		m.Classes = []string{}
	}
	if h.from != noHorizon {
		m.Horizon = h.span.String()
	}
	if h.end != plan.Never {
		m.DataEnd = h.end.String()
		m.LongestDelay = c.longest.String()
		slower, never := c.byLabel(c.slower), c.byLabel(c.never)
		m.SlowerThanHorizon, m.NeverKnown = &slower, &never
	}
	return m
}

// split is the manifest's section about the split.
func (c *census) split(p *partition) *SplitManifest {
	m := &SplitManifest{Boundaries: []BoundaryManifest{}, Embargo: p.embargo.String()}
	for i, b := range p.boundaries {
		m.Boundaries = append(m.Boundaries, BoundaryManifest{p.begin[i], b.String()})
	}
	if p.folds != nil {
		for i := range p.folds.list {
			m.Folds = append(m.Folds, c.fold(p, i))
		}
	}
	for _, d := range []struct {
		why  uint8
		name string
	}{{droppedByHorizon, DroppedByHorizon}, {droppedAtEnd, DroppedAtEnd}, {droppedByEmbargo, DroppedByEmbargo}} {
		m.Dropped = append(m.Dropped, DroppedManifest{d.name, c.counts(d.why)})
	}
	return m
}

// fold is the manifest's section about a fold.
func (c *census) fold(p *partition, i int) FoldManifest {
	f := &p.folds.list[i]
	return FoldManifest{i + 1, f.from.String(), c.foldRows(p, f.train), c.foldRows(p, f.validation), c.lateInFold[i]}
}

func (c *census) foldRows(p *partition, parts []uint8) FoldRows {
	out := FoldRows{Files: []string{}}
	rows := make([]int64, len(c.classes)+1)
	for _, part := range parts {
		out.Files = append(out.Files, p.names[part]+fileSuffix)
		for class, n := range c.rows[part] {
			rows[class] += n
		}
	}
	out.LabelCounts = c.byLabel(rows)
	return out
}
