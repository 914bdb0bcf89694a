package offline

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// findWarnings finds probable mistakes: empty files, rows without visible events, labels that
// bias a split. Warnings depend only on the manifest, so that equal inputs have equal warnings.
func (m *Manifest) findWarnings() []string {
	w := []string{}
	for _, s := range m.Sources {
		if s.Events() == 0 {
			w = append(w, fmt.Sprintf("source %s has no event", s.Name))
		}
		if s.TimesIn1970 > 0 {
			w = append(w, fmt.Sprintf("source %s: %s", s.Name, SuspiciousTimes(s.TimesIn1970, s.FirstIn1970)))
		}
	}
	w = append(w, m.ledgerWarnings()...)
	w = append(w, m.emptyFiles()...)
	w = append(w, m.emptyFolds()...)
	w = append(w, m.unmatched()...)
	if m.Label != nil {
		w = append(w, m.labelTimes()...)
	}
	return append(w, m.movedLabels()...)
}

// SuspiciousTimes is the warning that n rows have a time in 1970, probably because of a wrong unit.
func SuspiciousTimes(n int64, first string) string {
	rows := "1 row has"
	if n != 1 {
		rows = fmt.Sprintf("%d rows have", n)
	}
	return fmt.Sprintf("%s an event time in 1970 that is not a midnight (the first: %s), as seconds and milliseconds have that are read as microseconds; "+
		"convert them, or give the source a min_time if they are meant", rows, first)
}

// Events is the number of a source's rows that are events.
func (s *SourceManifest) Events() int64 {
	n := s.Rows
	for _, skipped := range s.Skipped {
		n -= skipped
	}
	return n
}

func (m *Manifest) emptyFiles() (w []string) {
	for _, f := range m.Files {
		switch {
		case f.Rows > 0:
		case m.Spine.Rows == 0:
			w = append(w, f.Name+" is empty because the spine is empty")
		case m.Split.Holdout != nil && f.Name == holdoutName+fileSuffix:
			w = append(w, fmt.Sprintf("%s is empty: none of the few entities %s fell into the holdout; change fraction: or seed: in holdout:", f.Name, m.Split.Holdout.Entity))
		case len(m.Split.Folds) > 0: // see emptyFolds
		default:
			w = append(w, fmt.Sprintf("%s is empty: a split with an embargo of %s and a label horizon of %s leaves no row for it; the spine spans %s",
				f.Name, m.Split.Embargo, m.horizon(), m.span()))
		}
	}
	return w
}

// emptyFolds warns of folds without a row to train or to validate on.
func (m *Manifest) emptyFolds() (w []string) {
	if m.Split == nil {
		return nil
	}
	for _, f := range m.Split.Folds {
		for _, rows := range []struct {
			n    int64
			what string
		}{{f.Train.Rows, "train"}, {f.Validation.Rows, "validate"}} {
			if rows.n == 0 {
				w = append(w, fmt.Sprintf("fold %d, from %s on, has no row to %s on: an embargo of %s and a label horizon of %s leave none; the spine spans %s",
					f.Fold, f.From, rows.what, m.Split.Embargo, m.horizon(), m.span()))
			}
		}
	}
	return w
}

func (m *Manifest) horizon() string {
	if m.Label == nil || m.Label.Horizon == "" {
		return plan.Micros(0).String()
	}
	return m.Label.Horizon
}

// span is the time between the first and the last row, in whole days where it has some.
func (m *Manifest) span() plan.Micros {
	first, err := plan.ParseTime(m.Spine.First)
	last, err2 := plan.ParseTime(m.Spine.Last)
	if err != nil || err2 != nil {
		return 0
	}
	span := plan.Micros(last - first)
	for _, unit := range []plan.Micros{plan.Day, plan.Hour, plan.Minute, plan.Second} {
		if span >= unit {
			return span - span%unit
		}
	}
	return span
}

// unmatched warns of views that have no events for most rows.
func (m *Manifest) unmatched() (w []string) {
	rows := int64(0)
	for _, f := range m.Files {
		rows += f.Rows
	}
	for _, v := range m.Views {
		i := slices.IndexFunc(m.Sources, func(s SourceManifest) bool { return s.Name == v.Source })
		if rows == 0 || i < 0 || m.Sources[i].Events() == 0 {
			continue
		}
		s := &m.Sources[i]
		switch {
		case v.RowsWithEvents == 0 && !m.afterFirst(s):
			w = append(w, fmt.Sprintf("view %s: no row has an event: the spine ends at %s, before the events of source %s begin at %s", v.Role, m.Spine.Last, s.Name, s.FirstEvent))
		case v.RowsWithEvents*100 < rows:
			w = append(w, fmt.Sprintf("view %s: %d of %d rows have an event; check that the spine and the events of source %[5]s write %[4]s alike", v.Role, v.RowsWithEvents, rows, strings.Join(v.Keys, ", "), s.Name))
		case v.RowsAfterEvents*2 >= rows:
			w = append(w, fmt.Sprintf("view %s: on %d of %d rows every window begins after the last event of source %s, which is at %s; the spine runs from %s to %s",
				v.Role, v.RowsAfterEvents, rows, s.Name, s.LastEvent, m.Spine.First, m.Spine.Last))
		}
	}
	return w
}

// afterFirst reports whether some row of the spine comes after the first event of a source.
func (m *Manifest) afterFirst(s *SourceManifest) bool {
	last, err := plan.ParseTime(m.Spine.Last)
	first, err2 := plan.ParseTime(s.FirstEvent)
	return err != nil || err2 != nil || last > first
}

// tolerable is the share of labels that a measured horizon may leave out.
const tolerable = 0.01

// labelTimes warns of labels that become known later than the horizon.
func (m *Manifest) labelTimes() (w []string) {
	l := m.Label
	if l.SlowerThanHorizon == nil {
		return nil
	}
	if l.HorizonFrom == string(declaredHorizon) && l.SlowerThanHorizon.Rows > 0 {
		w = append(w, fmt.Sprintf("label_horizon: %s is shorter than labels take: %s took longer, up to %s; a model may look better than it is",
			l.Horizon, m.shares(l.SlowerThanHorizon), l.LongestDelay))
	}
	if l.HorizonFrom == string(measuredHorizon) && float64(l.NeverKnown.Rows) > tolerable*float64(m.Spine.Rows) {
		w = append(w, fmt.Sprintf("%s is null on %s, so the label horizon of %s is measured without them; declare label_horizon: in split:",
			m.Spine.LabelKnownAt, m.shares(l.NeverKnown), l.Horizon))
	}
	if m.Split == nil && float64(l.RowsTooYoung) > tolerable*float64(m.Spine.Rows) {
		w = append(w, fmt.Sprintf("%d rows are younger than the label horizon of %s when the data ends (%s): late labels may be missing there; declare a split:, which drops such rows",
			l.RowsTooYoung, l.Horizon, l.DataEnd))
	}
	return w
}

// shares is "90.0 % of the rows with y = 0, 1.2 % of those with y = 1".
func (m *Manifest) shares(some *LabelCounts) string {
	all := m.allRows()
	var parts []string
	for _, class := range m.Label.Classes {
		if n := some.ByLabel[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s of the rows with %s = %s", percent(n, all.ByLabel[class]), m.Spine.Label, class))
		}
	}
	if some.Unlabelled > 0 {
		parts = append(parts, fmt.Sprintf("%s of those without a label", percent(some.Unlabelled, all.Unlabelled)))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%s of the rows", percent(some.Rows, m.Spine.Rows))
	}
	return strings.Join(parts, ", ")
}

// allRows counts the rows of the spine, whatever became of them.
func (m *Manifest) allRows() LabelCounts {
	all := LabelCounts{ByLabel: map[string]int64{}}
	add := func(c *LabelCounts) {
		if c == nil {
			return
		}
		all.Rows += c.Rows
		all.Unlabelled += c.Unlabelled
		for class, n := range c.ByLabel {
			all.ByLabel[class] += n
		}
	}
	for i := range m.Files {
		add(m.Files[i].Labels)
	}
	if m.Split != nil {
		for i := range m.Split.Dropped {
			add(&m.Split.Dropped[i].LabelCounts)
		}
	}
	return all
}

func percent(n, of int64) string {
	if of == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(n)/float64(of))
}

// movedLabels warns of the class whose share changes most from one part to the next, if
// the change is statistically significant and large enough to matter.
func (m *Manifest) movedLabels() (w []string) {
	for i := 1; i < len(m.Files); i++ {
		a, b := m.Files[i-1], m.Files[i]
		if a.Labels == nil || b.Labels == nil || len(m.Split.Folds) > 0 || m.Split.Holdout != nil && b.Name == holdoutName+fileSuffix {
			continue // parts of folds are not parts, and the holdout does not follow
		}
		na, nb := a.Labels.Rows-a.Labels.Unlabelled, b.Labels.Rows-b.Labels.Unlabelled
		worst, moved := 0.0, ""
		classes := m.Label.Classes
		if len(classes) == 2 {
			classes = classes[1:] // of false and true, true: the other moves as much
		}
		for _, class := range classes {
			z := moves(a.Labels.ByLabel[class], na, b.Labels.ByLabel[class], nb)
			if z > worst {
				worst, moved = z, class
			}
		}
		if moved != "" {
			w = append(w, fmt.Sprintf("%s = %s on %s of %s and on %s of %s (z = %.1f): the rate changes at the boundary; check that labels are complete and that the spine selects the same kind of rows on both sides",
				m.Spine.Label, moved, percent(a.Labels.ByLabel[moved], na), a.Name, percent(b.Labels.ByLabel[moved], nb), b.Name, worst))
		}
	}
	return w
}

// A change of a share is reported if it is at least four standard errors, and at least a
// fifth of the greater share or five percentage points.
const (
	movedErrors   = 4
	movedRatio    = 0.8
	movedAbsolute = 0.05
)

// moves is the z statistic of the two-proportion test for x of n and y of m; 0 if the shares
// do not differ enough.
func moves(x, n, y, m int64) float64 {
	if n == 0 || m == 0 {
		return 0
	}
	p, q := float64(x)/float64(n), float64(y)/float64(m)
	pooled := float64(x+y) / float64(n+m)
	z := math.Abs(p-q) / math.Sqrt(pooled*(1-pooled)*(1/float64(n)+1/float64(m)))
	if !(z >= movedErrors) || math.Min(p, q) > movedRatio*math.Max(p, q) && math.Abs(p-q) < movedAbsolute {
		return 0
	}
	return z
}
