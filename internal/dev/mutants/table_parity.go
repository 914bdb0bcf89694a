package main

const recomputeTests = "internal/recompute"

// parityMutants are mistakes in computing answers again.
var parityMutants = []mutant{
	{
		name: "parity-positions-of-one-shard", tag: "p21", breaks: "Positions of one shard decide about the events of all.",
		file: "internal/recompute/chain.go", old: "cmp.Compare(c.positions[row].At(shard), p)", new: "cmp.Compare(c.positions[row].At(0), p)",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-one-order", tag: "p21", breaks: "Later rows are taken to have applied whatever earlier ones have.",
		file: "internal/recompute/chain.go", old: "return positions[row].Covers(positions[before]) && (", new: "return (",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-events-of-the-build-twice", tag: "p21", breaks: "Records that a build began with are applied again.",
		file: "internal/recompute/track.go", old: "if e > 0 && !b.inBuild(i) {", new: "if e > 0 {",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-lag-is-late", tag: "p21", breaks: "Events that were there and not applied are said to have come late.",
		file: "internal/recompute/explain.go", old: "case f.served && !applied && f.arrived < x.t:", new: "case f.served && !applied && f.arrived < x.t-x.t:",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-compute-is-data", tag: "p21", breaks: "Values are compared with those that training sees only.",
		file: "internal/recompute/compare.go", old: "c.compute.eval(c.pass, func(r *role) *track { return &r.compute },", new: "c.compute.eval(c.pass, func(r *role) *track { return &r.known },",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-of-others", tag: "p21", breaks: "Servers that share a folder all check the rows of all.",
		file: "internal/recompute/shadow.go", old: "case !own && !s.deviates(f):", new: "case !own && f.Process == \"\":",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-page-of-the-last-round", tag: "p21", breaks: "The page of a server shows what the last round has found only.",
		file: "internal/recompute/total.go", old: "Rows: r.Rows + next.Rows,", new: "Rows: next.Rows,",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-rows-twice", tag: "p21", breaks: "A server checks the same rows in every round.",
		file: "internal/recompute/shadow.go", old: "			s.take(of)\n", new: "			_ = of\n",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-log-not-followed", tag: "p21", breaks: "Records that came after history was read are left out, so that a value without them looks right.",
		file: "internal/recompute/kept/read.go", old: "if r.wanted || d.isMixed(rec.ID) {", new: "if (r.wanted || d.isMixed(rec.ID)) && d.reading != nil {",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-old-files", tag: "p21", breaks: "Files that have changed are not read again.",
		file: "internal/recompute/follow.go", old: "case is && now != stamp:", new: "case is && now != stamp && stamp == \"\":",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-strangers", tag: "p21", breaks: "Of an event that deliveries give to several entities, those of one are kept only.",
		file: "internal/recompute/kept/selection.go", old: "if len(d.mixed) > 0 {", new: "if len(d.mixed) < 0 {",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-ids-ahead", tag: "p21", breaks: "It is not noticed that the log takes an event with an id that files have for another entity.",
		file: "internal/recompute/kept/read.go", old: "return is && whom != r.whom()", new: "return is && whom == r.whom()+1",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-rows-without-events", tag: "p21", breaks: "When memory is short, rows of entities whose events were dropped are computed without these.",
		file: "internal/recompute/follow.go", old: "return named && !p.sample.Has(hash)", new: "return named && hash == 0",
		tests: []string{recomputeTests},
	},
	{
		name: "explain-filter", tag: "p21", breaks: "Events that do not pass the filter are said to be used.",
		file: "internal/explain/events.go", old: "	case !filtered.Passes:", new: "	case !filtered.Passes && s.Visible == plan.Always:",
		tests: []string{"internal/explain"},
	},
	{
		name: "explain-late-columns", tag: "p21", breaks: "Events whose late columns are not known yet are said to be used.",
		file: "internal/explain/events.go", old: "case !s.Taken || s.Visible >= x.At:", new: "case !s.Taken || ev.Visible(i) >= x.At:",
		tests: []string{"internal/explain"},
	},
	{
		name: "explain-sides", tag: "p21", breaks: "Events that only serving has are not marked.",
		file: "internal/explain/explain.go", old: "e.Side = ServingOnly", new: "e.Side = Both",
		tests: []string{"internal/explain"},
	},
	{
		name: "parity-other-version-unseen", tag: "p21", breaks: "What servers of another version record is nobody's business.",
		file: "internal/recompute/shadow.go", old: "return ok && !f.Begun.Before(s.since) && ", new: "return false && ok && ",
		tests: []string{recomputeTests},
	},
	{
		name: "parity-earlier-versions", tag: "p21", breaks: "What servers of earlier versions recorded before a release is reported after it.",
		file: "internal/recompute/shadow.go", old: "return ok && !f.Begun.Before(s.since) && ", new: "return ok && ",
		tests: []string{recomputeTests},
	},
	{
		name: "served-set-computed", tag: "p23", breaks: "A training set of what was served has computed values.",
		file: "materializer/servedset/set.go", old: "to.Vec.Set(i, p.batch.Cols[3*output].Value(p.row))", new: "to.Vec.Set(i, c.Vec.Value(i))",
		tests: []string{"materializer/servedset"},
	},
	{
		name: "served-set-repeated", tag: "p23", breaks: "A request that was answered twice is two rows of a training set.",
		file: "materializer/servedset/set.go", old: "if !w.index.first(number) {", new: "if number < 0 {",
		tests: []string{"materializer/servedset"},
	},
	{
		name: "against-accidents", tag: "p21", breaks: "A foreign value gets the first cause that explains it, though others explain more values.",
		file: "validate/against/explain.go", old: "if counts[h] > counts[best] {", new: "if counts[best] == 0 && counts[h] > 0 {",
		tests: []string{"validate/against"},
	},
	{
		name: "against-the-time-itself", tag: "p21", breaks: "A join by event time that includes the time itself is no mistake that is tried.",
		file: "validate/against/explain.go", old: "case same, h.final && h.inclusive(at):", new: "case same:",
		tests: []string{"validate/against"},
	},
	{
		name: "against-seconds-round-up", tag: "p21", breaks: "Times before 1970 are cut to seconds toward zero.",
		file: "validate/against/compare.go", old: "if n < 0 {", new: "if n < -1<<62 {",
		tests: []string{"validate/against"},
	},
}
