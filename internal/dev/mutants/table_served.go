package main

const servedTests = "internal/servedlog"

// servedMutants are mistakes in recording what was served.
var servedMutants = []mutant{
	{
		name: "served-from-kept-segments", tag: "p20", breaks: "What is answered from kept segments is not recorded.",
		file: "server/features.go", old: "		whole = nil // a record needs the values", new: "		_ = whole",
		tests: []string{serverTests},
	},
	{
		name: "served-reason", tag: "p20", breaks: "The reason of a default is recorded as its status.",
		file: "server/served.go", old: "out.Reason = col.Reason[at].String()", new: "out.Reason = col.Status[at].String()",
		tests: []string{serverTests},
	},
	{
		name: "served-row-of-entity", tag: "p20", breaks: "Rows that share an entity are recorded with values of other rows.",
		file: "server/served.go", old: "outputOf(a.cols[o], a.places[o].Of(row),", new: "outputOf(a.cols[o], row%len(a.cols[o].Status),",
		tests: []string{serverTests},
	},
	{
		name: "served-queue-without-end", tag: "p20", breaks: "The queue of the served log has no bound.",
		file: "internal/servedlog/servedlog.go", old: "case l.bytes+bytes > l.cfg.QueueBytes:", new: "case bytes > l.cfg.QueueBytes:",
		tests: []string{servedTests},
	},
	{
		name: "served-room-is-not-given-back", tag: "p20", breaks: "Rows that were written still count as queued.",
		file: "internal/servedlog/servedlog.go", old: "	l.bytes -= bytes\n", new: "	_ = bytes\n",
		tests: []string{servedTests},
	},
	{
		name: "served-others-segments", tag: "p20", breaks: "A server removes the segments that others are writing.",
		file: "internal/servedlog/clean.go", old: "return max(10*time.Minute, 2*l.cfg.Visible)", new: "return 0",
		tests: []string{servedTests},
	},
	{
		name: "served-sample-by-service", tag: "p20", breaks: "The sample of one service has other entities than that of another.",
		file: "internal/servedlog/stream.go", old: "return s.sample == All || s.sample.Has(Hash(keys, row))", new: "return s.sample == All || s.sample.Has(Hash(keys, row)^uint64(len(s.service))<<60)",
		tests: []string{servedTests},
	},
}
