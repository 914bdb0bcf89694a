package offline

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// labelHorizon is the age at which every label counts as known, by docs/semantics.md §8.
type labelHorizon struct {
	span plan.Micros
	from horizonOrigin
	end  plan.EventTime // of the data; Never: unknown, so no row is too young
}

// horizonOrigin is where a label horizon comes from, as the manifest writes it.
type horizonOrigin string

const (
	noHorizon       horizonOrigin = ""
	declaredHorizon horizonOrigin = "declared"
	measuredHorizon horizonOrigin = "measured"
)

// tooYoung reports whether the label of a row may not be known by the end of the data.
func (h labelHorizon) tooYoung(t plan.EventTime) bool { return t+plan.EventTime(h.span) > h.end }

// horizonOf is the declared horizon of a spine or, without one, the measured horizon; s is nil without a split.
func horizonOf(at, known []plan.EventTime, l *labels, s *plan.Split) labelHorizon {
	h := labelHorizon{end: plan.Never}
	switch {
	case s != nil && s.HorizonDeclared:
		h.span, h.from = s.LabelHorizon, declaredHorizon
	case known != nil:
		h.span, h.from = longestDelay(at, known, l), measuredHorizon
	}
	if known == nil {
		return h
	}
	h.end = plan.Always
	for i, t := range at {
		h.end = max(h.end, t)
		if known[i] != plan.Never && delayOf(t, known[i]) <= h.span {
			h.end = max(h.end, known[i])
		}
	}
	return h
}

// delayOf is how long after a row's time its label was known.
func delayOf(at, known plan.EventTime) plan.Micros { return max(0, plan.Micros(known-at)) }

// longestDelay is the maximum over the classes of the 99th percentile of the delays of
// known labels.
func longestDelay(at, known []plan.EventTime, l *labels) plan.Micros {
	delays := make([][]plan.Micros, max(1, len(l.classes())))
	for i := range at {
		if class := l.class(i); class != noClass && known[i] != plan.Never {
			delays[class] = append(delays[class], delayOf(at[i], known[i]))
		}
	}
	var longest plan.Micros
	for _, d := range delays {
		if len(d) == 0 {
			continue
		}
		slices.Sort(d)
		rank := (99*len(d) + 99) / 100 // rounded up
		longest = max(longest, d[rank-1])
	}
	return longest
}
