package main

const (
	eventsFile   = "internal/kernel/events.go"
	viewFile     = "internal/kernel/view.go"
	featuresFile = "internal/kernel/features.go"
	ingestTests  = "internal/ingest"
	cronTests    = "internal/cron"
)

// valueMutants break what becomes of events on their way in and of values on their
// way out.
var valueMutants = []mutant{
	{
		name: "known-time-ignored", tag: "w1", breaks: "Every event is visible when it happened, known or not.",
		file: eventsFile, old: "return max(e.Time[i], e.Known[i])", new: "return e.Time[i]",
		tests: []string{oracleTests},
	},
	{
		name: "known-before-it-happened", tag: "p6", breaks: "An event whose known time lies before its own is visible before it happens.",
		file: eventsFile, old: "return max(e.Time[i], e.Known[i])", new: "return e.Known[i]",
		tests: []string{"internal/kernel"},
	},
	{
		name: "null-argument-counts", tag: "n1", breaks: "A row whose argument is null is added like any other.",
		file: viewFile, old: "pass[w] &^= v.Null[w]", new: "pass[w] &^= v.Null[w] & 0",
		tests: []string{oracleTests},
	},
	{
		name: "failed-row-counts", tag: "c7", breaks: "A row on which the argument fails is added like any other.",
		file: viewFile, old: "pass[w] &^= v.Err[w]", new: "pass[w] &^= v.Err[w] & 0",
		tests: []string{oracleTests},
	},
	{
		name: "empty-is-unknown", tag: "n1", breaks: "An entity with events outside the window is reported as unknown.",
		file: featuresFile, old: "if known {", new: "if known && failed {",
		tests: []string{oracleTests},
	},
	{
		name: "any-state-is-known", tag: "n1", breaks: "A stored entity counts as known before its first event is visible.",
		file: featuresFile, old: "states[i] != nil && (states[i].events > 0 ||", new: "states[i] != nil && (true ||",
		tests: []string{oracleTests},
	},
	{
		name: "default-hides-errors", tag: "n1", breaks: "A failed feature gets its default without having asked for it.",
		file: featuresFile, old: "case f.OnErrorDefault && f.Default != nil:", new: "case f.Default != nil:",
		tests: []string{oracleTests},
	},
	{
		name: "default-not-applied", tag: "n2", breaks: "A feature without a value stays null although it has a default.",
		file: featuresFile, old: "if f.Default != nil {\n\t\tc.Status[i], c.Reason[i]", new: "if f.Default != nil && known {\n\t\tc.Status[i], c.Reason[i]",
		tests: []string{oracleTests},
	},
	{
		name: "nan-as-computed", tag: "n7", breaks: "A NaN keeps whatever bits the machine gave it.",
		file: "featuredefs/plan/value.go", old: "\t\treturn CanonicalNaN\n", new: "\t\treturn math.Float64bits(f)\n",
		tests: []string{planTests, aggTests},
	},
}
