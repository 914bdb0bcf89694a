package main

const (
	freshTests  = "internal/freshness"
	serverTests = "server"
)

// servingMutants break what a server says and keeps of states.
var servingMutants = []mutant{
	{
		name: "waiting-events-are-fresh", tag: "p13", breaks: "A view that has not applied the end of its log counts as complete.",
		file: "internal/freshness/tracker.go", old: "m.Complete = min(now, next.Appended)", new: "m.Complete = max(now, next.Appended)",
		tests: []string{freshTests},
	},
	{
		name: "another-log-is-fresh", tag: "p13", breaks: "A view that has applied more than the log has counts as complete.",
		file: "internal/freshness/tracker.go", old: "if m.Position > uint64(later) {", new: "if m.Position > uint64(later)+100 {",
		tests: []string{freshTests},
	},
	{
		name: "old-looks-suffice", tag: "p13", breaks: "A caller gets the result of a look that began before the time it asked for.",
		file: "internal/freshness/tracker.go", old: "if l.began >= since || l.err != nil {", new: "if true {",
		tests: []string{freshTests},
	},
	{
		name: "stale-values-of-unknown-age", tag: "p13", breaks: "A view of unknown staleness is served as if it were fresh.",
		file: "server/freshness.go", old: "if f.known && f.staleness <= q.most {", new: "if f.staleness <= q.most {",
		tests: []string{serverTests},
	},
	{
		name: "marks-of-another-generation", tag: "p13", breaks: "The freshness of the generation before is taken for that of a promoted one.",
		file: "internal/freshness/tracker.go", old: "return mark, ok && mark.Generation.Number == g.Number && mark.Generation.Build == g.Build", new: "return mark, ok",
		tests: []string{freshTests, serverTests},
	},
	{
		name: "a-longer-log-is-the-same", tag: "p13", breaks: "A view counts as complete by another log that is as long as its own.",
		file: "internal/freshness/tracker.go", old: "if last == nil || uint64(last.Mark()) != reached.Mark {", new: "if last == nil || last.Mark() == 0 {",
		tests: []string{freshTests},
	},
	{
		name: "ready-without-a-store", tag: "p14", breaks: "A server is ready although the store does not answer.",
		file: "server/health.go", old: "	case unavailable(last.Err):", new: "	case unavailable(last.Err) && s.cfg.Grace < 0:",
		tests: []string{serverTests},
	},
	{
		name: "ready-by-an-old-look", tag: "p14", breaks: "A server is ready by a comparison that succeeded long ago.",
		file: "server/health.go", old: "	case now-last.Ended > plan.EventTime(silence.Microseconds()):", new: "	case now < last.Ended:",
		tests: []string{serverTests},
	},
	{
		name: "grace-refuses", tag: "p14", breaks: "A server that was told to stop refuses requests before its callers can know.",
		file: "server/listen.go", old: "	case <-time.After(s.cfg.Grace):", new: "	case <-time.After(0):",
		tests: []string{serverTests},
	},
}
