package main

const (
	splitFile   = "materializer/offline/split.go"
	horizonFile = "materializer/offline/horizon.go"
	labelsFile  = "materializer/offline/labels.go"

	offlineTests = "materializer/offline"
)

// splitMutants break the division of training sets.
var splitMutants = []mutant{
	{
		name: "split-label-known-at-the-boundary", tag: "w6", breaks: "A label that is known at the boundary counts as known before it.",
		file: splitFile, old: "t+plan.EventTime(p.horizon.span) >= p.boundaries[part]", new: "t+plan.EventTime(p.horizon.span) > p.boundaries[part]",
		tests: []string{offlineTests},
	},
	{
		name: "split-forgets-the-horizon", tag: "w6", breaks: "Rows before a boundary are kept whatever their age.",
		file: splitFile, old: "if part < len(p.boundaries) && t+plan", new: "if p.horizon.end == 0 && part < len(p.boundaries) && t+plan",
		tests: []string{offlineTests},
	},
	{
		name: "split-keeps-the-young", tag: "w6", breaks: "Rows at the end of the data are kept, though only quick labels are there.",
		file: splitFile, old: "if p.horizon.tooYoung(t) {\n\t\treturn droppedAtEnd", new: "if false && p.horizon.tooYoung(t) {\n\t\treturn droppedAtEnd",
		tests: []string{offlineTests},
	},
	{
		name: "split-embargo-is-short", tag: "w5", breaks: "The row at the end of the embargo is dropped with it.",
		file: splitFile, old: "t < p.boundaries[part-1]+plan.EventTime(p.embargo)", new: "t <= p.boundaries[part-1]+plan.EventTime(p.embargo)",
		tests: []string{offlineTests},
	},
	{
		name: "split-fractions-of-all-rows", tag: "w6", breaks: "The fractions are of all rows, and a part shorter than the horizon loses every one.",
		file: splitFile, old: "kept+lost <= len(sorted)", new: "kept <= len(sorted)",
		tests: []string{offlineTests},
	},
	{
		name: "split-empty-part", tag: "w5", breaks: "Boundaries stand where a part between them has no row.",
		file: splitFile, old: "if firstAt(sorted, sorted[cut]) <= begin {", new: "if firstAt(sorted, sorted[cut]) < begin {",
		tests: []string{offlineTests},
	},
	{
		name: "horizon-of-all-classes", tag: "w6", breaks: "The horizon is measured over all labels, and a rare class that is slow does not count.",
		file: labelsFile, old: "	return l.of[row]\n", new: "	return l.of[row] / noClass * noClass\n",
		tests: []string{offlineTests},
	},
	{
		name: "horizon-of-the-quickest", tag: "w6", breaks: "The horizon is that of the quickest class.",
		file: horizonFile, old: "longest = max(longest, d[rank-1])", new: "longest = d[rank-1]",
		tests: []string{offlineTests},
	},
	{
		name: "horizon-is-the-longest", tag: "w6", breaks: "One wrong date is the horizon.",
		file: horizonFile, old: "d[rank-1])", new: "d[len(d)-1+rank*0])",
		tests: []string{offlineTests},
	},
	{
		name: "data-ends-never", tag: "w6", breaks: "A wrong date is the end of the data, and no row is too young for it.",
		file: horizonFile, old: "if known[i] != plan.Never && delayOf(t, known[i]) <= h.span {", new: "if known[i] != plan.Never {",
		tests: []string{offlineTests},
	},
}
