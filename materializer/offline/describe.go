package offline

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/materializer/report"
)

// beginReport prepares the counters of the report.
func (t *trainer) beginReport() (err error) {
	if t.shape, err = t.reportShape(); err != nil {
		return err
	}
	t.counts = report.NewCounts(t.shape)
	return nil
}

// reportShape describes the columns and parts that the report counts.
func (t *trainer) reportShape() (*report.Shape, error) {
	svc := t.Set.Service
	k, err := kernel.NewService(svc)
	if err != nil {
		return nil, err
	}
	s := &report.Shape{Classes: len(t.spine.labels.classes()), Parts: len(t.partition.names)}
	for _, v := range svc.Views {
		s.Roles = append(s.Roles, v.As)
	}
	for i, o := range svc.Outputs() {
		out := report.Output{Name: o.Name, Type: o.Type}
		if d := i - len(svc.Features); d >= 0 {
			out.Views, out.Definition = k.Behind(d), position(svc.Derived[d].Pos)
		} else {
			f := svc.Features[i]
			out.Views, out.Definition = []int{f.Ref}, position(svc.Views[f.Ref].View.Features[f.Feature].Pos)
		}
		s.Outputs = append(s.Outputs, out)
	}
	return s, nil
}

func position(p plan.Pos) string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// describe makes the report of a training set whose manifest is complete except for its warnings.
// changed counts, for each output of a final set, the rows with another known value.
func (t *trainer) describe(m *Manifest, changes report.Changes) *report.Report {
	r := &report.Report{
		Project: m.Project, TrainingSet: m.TrainingSet, Service: m.Service, ServiceFingerprint: m.ServiceFingerprint, AsOf: m.AsOf,
		SpineRows: m.Spine.Rows, First: m.Spine.First, Last: m.Spine.Last, Warnings: m.Warnings, Label: t.describeLabel(m),
		Parts: []report.Part{}, Dropped: []report.Rows{}, Entities: []report.EntityRows{},
	}
	times := t.timesOfParts()
	for i := range m.Files {
		f := &m.Files[i]
		p := report.Part{Rows: rowsByLabel(t.partition.names[i], f.Labels), LabelsKnownLate: f.LabelsKnownLate}
		p.Rows.Rows = f.Rows
		p.First, p.Last = times[i].text()
		r.Parts = append(r.Parts, p)
	}
	if m.Split != nil {
		for i := range m.Split.Dropped {
			r.Dropped = append(r.Dropped, rowsByLabel(m.Split.Dropped[i].Why, &m.Split.Dropped[i].LabelCounts))
		}
		for _, f := range m.Split.Folds {
			r.Folds = append(r.Folds, report.Fold{Fold: f.Fold, From: f.From, LabelsKnownLate: f.LabelsKnownLate,
				Train: rowsByLabel("train", &f.Train.LabelCounts), Validation: rowsByLabel("validation", &f.Validation.LabelCounts)})
		}
		if h := m.Split.Holdout; h != nil {
			r.Holdout = &report.Holdout{Entity: h.Entity, Keys: h.Keys, Fraction: report.Number(h.Fraction)}
		}
	}
	r.Timeline = t.timeline()
	r.Entities = append(r.Entities, t.entityRows()...)
	r.Finish(t.counts, changes)
	return r
}

func rowsByLabel(name string, c *LabelCounts) report.Rows {
	if c == nil {
		return report.Rows{Name: name}
	}
	return report.Rows{Name: name, Rows: c.Rows, ByLabel: c.ByLabel, Unlabelled: c.Unlabelled}
}

func (t *trainer) timesOfParts() []timeRange {
	out := make([]timeRange, len(t.partition.names))
	for row := 0; row < len(t.spine.at); {
		part, n := t.partition.run(row, len(t.spine.at)-row)
		if !isDropped(part) {
			out[part].add(t.spine.at[row : row+n])
		}
		row += n
	}
	return out
}

// describeLabel is the report's section about the label; nil without one.
func (t *trainer) describeLabel(m *Manifest) *report.Label {
	if m.Spine.Label == "" {
		return nil
	}
	l := &report.Label{Column: m.Spine.Label, Classes: []string{}}
	if m.Label == nil {
		return l
	}
	l.Classes, l.Ordered = m.Label.Classes, t.spine.labels != nil && t.spine.labels.ordered
	l.Horizon, l.HorizonFrom, l.DataEnd, l.RowsTooYoung = m.Label.Horizon, m.Label.HorizonFrom, m.Label.DataEnd, m.Label.RowsTooYoung
	if t.spine.labelKnown == nil {
		return l
	}
	delays := report.NewDelays(len(l.Classes))
	for i, at := range t.spine.at {
		class := t.spine.labels.class(i)
		if known := t.spine.labelKnown[i]; known == plan.Never {
			delays.Never(class)
		} else {
			d := delayOf(at, known)
			delays.Add(class, float64(d)/float64(plan.Second), d > t.partition.horizon.span)
		}
	}
	l.Delays = delays.ByClass(l.Classes)
	return l
}

// timelineSteps bounds the number of intervals on the timeline. Each is as long as one of
// timelineStretches, or a number of weeks.
const timelineSteps = 80

var timelineStretches = []plan.Micros{
	plan.Second, 10 * plan.Second, plan.Minute, 5 * plan.Minute, 15 * plan.Minute, plan.Hour, 3 * plan.Hour, 6 * plan.Hour, 12 * plan.Hour,
	plan.Day, 2 * plan.Day, 7 * plan.Day,
}

// stretch is the length of an interval of a timeline.
func stretch(of timeRange) plan.EventTime {
	least := plan.Micros(of.last-of.first)/(timelineSteps-1) + 1
	for _, s := range timelineStretches {
		if s >= least {
			return plan.EventTime(s)
		}
	}
	weeks := (least-1)/(7*plan.Day) + 1
	return plan.EventTime(weeks * 7 * plan.Day)
}

// timeline counts the rows of the spine by time, in intervals of equal length.
func (t *trainer) timeline() []report.Moment {
	var all timeRange
	all.add(t.spine.at)
	if !all.any {
		return []report.Moment{}
	}
	step := stretch(all)
	begin := all.first - (all.first%step+step)%step
	n := int((all.last-begin)/step) + 1
	parts, classes := len(t.partition.names), len(t.spine.labels.classes())
	counts := make([][]int64, n) // by part, dropped rows, by class, rows without a label
	for i := range counts {
		counts[i] = make([]int64, parts+1+classes+1)
	}
	for i, at := range t.spine.at {
		c := counts[(at-begin)/step]
		c[min(int(t.partition.part(i)), parts)]++
		c[parts+1+min(int(t.spine.labels.class(i)), classes)]++
	}
	out := make([]report.Moment, n)
	for i, c := range counts {
		out[i] = report.Moment{From: (begin + plan.EventTime(i)*step).String(), ByPart: named(t.partition.names, c), ByLabel: named(t.spine.labels.classes(), c[parts+1:])}
		for _, x := range c[:parts+1] {
			out[i].Rows += x
		}
	}
	return out
}

func named(names []string, counts []int64) map[string]int64 {
	out := map[string]int64{}
	for i, name := range names {
		if counts[i] > 0 {
			out[name] += counts[i]
		}
	}
	return out
}

// entityRows counts, for each tuple of keys, the entities in each part and in several.
func (t *trainer) entityRows() []report.EntityRows {
	var out []report.EntityRows
	pairs := t.partition.pairs()
	for tuple, keys := range t.spine.tuples {
		i := slices.IndexFunc(t.Set.Service.Views, func(v plan.ViewRef) bool { return slices.Equal(v.Keys, keys) })
		e := report.EntityRows{Entity: t.Set.Service.Views[i].View.Entity.Name, Keys: keys, Shared: []report.SharedEntity{}}
		of := newPresence(t.spine.entities, tuple, t.partition)
		for p, name := range t.partition.names {
			e.Parts = append(e.Parts, report.EntityCount{Part: name, Entities: of.entities(uint8(p)), NoKey: of.noKey[p]})
		}
		rows := of.sharedRows(pairs)
		for i, pair := range pairs {
			e.Shared = append(e.Shared, report.SharedEntity{Part: pair.name, With: pair.with, Entities: of.shared(pair), Rows: rows[i]})
		}
		out = append(out, e)
	}
	return out
}

// partPair is two sets of parts, as bits, whose entities are compared.
type partPair struct {
	name, with    string
	parts, others uint64
}

// pairs are each part with each earlier one. With folds, they are the validation parts of each fold
// with its training parts, and the parts after the folds with all parts of folds.
func (p *partition) pairs() (out []partPair) {
	first := 1
	if p.folds != nil {
		out, first = p.folds.pairs(), p.folds.segments()
	}
	for i := first; i < len(p.names); i++ {
		for j := range i {
			if j >= first || p.folds == nil {
				out = append(out, partPair{p.names[i], p.names[j], 1 << i, 1 << j})
			}
		}
		if p.folds != nil {
			out = append(out, partPair{p.names[i], "folds", 1 << i, 1<<first - 1})
		}
	}
	return out
}

// presence records the parts that each entity of a tuple is in, as a bitset; there are never more
// than 64 parts.
type presence struct {
	entity    []int32 // of each row
	partition *partition
	in        []uint64 // by entity: a bit for each part
	noKey     []int64  // by part: rows without an entity
}

func newPresence(s *kernel.Spine, tuple int, p *partition) *presence {
	out := &presence{s.Entity(tuple), p, make([]uint64, s.Entities(tuple)+1), make([]int64, len(p.names))}
	for row, e := range out.entity {
		part := p.part(row)
		switch {
		case isDropped(part):
		case e == 0:
			out.noKey[part]++
		default:
			out.in[e] |= 1 << part
		}
	}
	return out
}

func (p *presence) entities(part uint8) (n int64) {
	for _, in := range p.in {
		n += int64(in >> part & 1)
	}
	return n
}

// shared counts the entities that are in both sets of a pair.
func (p *presence) shared(pair partPair) (n int64) {
	for _, in := range p.in {
		if in&pair.parts != 0 && in&pair.others != 0 {
			n++
		}
	}
	return n
}

// sharedRows counts, for each pair, the rows of the first set whose entity is also in the second.
func (p *presence) sharedRows(pairs []partPair) []int64 {
	rows := make([]int64, len(pairs))
	of := make([][]int, len(p.partition.names)) // the pairs of each part
	for i, pair := range pairs {
		for part := range of {
			if pair.parts>>part&1 != 0 {
				of[part] = append(of[part], i)
			}
		}
	}
	for row, e := range p.entity {
		part := p.partition.part(row)
		if isDropped(part) {
			continue
		}
		for _, i := range of[part] {
			if p.in[e]&pairs[i].others != 0 {
				rows[i]++
			}
		}
	}
	return rows
}

// writeReport stages the report.
func writeReport(r *report.Report, s *staging) ([]ReportFile, error) {
	var out []ReportFile
	for _, f := range []struct {
		name string
		make func() ([]byte, error)
	}{{report.JSONName, r.JSON}, {report.HTMLName, r.HTML}} {
		raw, err := f.make()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		file, err := s.create(f.name)
		if err != nil {
			return nil, err
		}
		if _, err := file.Write(raw); err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
		out = append(out, ReportFile{f.name, file.size, file.sha256()})
	}
	return out, nil
}
