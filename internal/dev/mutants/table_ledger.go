package main

const (
	ledgerFile  = "internal/ledger/ledger.go"
	ledgerTests = "internal/ledger"
)

// ledgerMutants break what is recorded of when serving could see events.
var ledgerMutants = []mutant{
	{
		name: "seen-when-stored", tag: "o11", breaks: "What was stored at the very time up to which states had everything counts as seen.",
		file: ledgerFile, old: "return t.had[i] > v", new: "return t.had[i] >= v",
		tests: []string{ledgerTests},
	},
	{
		name: "seen-at-the-end-of-the-run-before", tag: "o11", breaks: "What came between two looks counts as seen at the first of them.",
		file: "internal/ledger/track.go", old: "plan.Micros(at - t.complete)}, own)", new: "own}, own)",
		tests: []string{ledgerTests},
	},
	{
		name: "joined-runs-forget-the-gap", tag: "o11", breaks: "Of two runs that are joined, the time between them counts as if states had gone on.",
		file: "internal/ledger/track.go", old: "max(r.Lag, next.Lag, plan.Micros(next.From-r.complete()))", new: "max(r.Lag, next.Lag)",
		tests: []string{ledgerTests},
	},
	{
		name: "late-columns-as-declared", tag: "o11", breaks: "As of a ledger, late columns are still known when they are declared to be.",
		file: "materializer/offline/history.go", old: "times[i] = h.Ledger.InFiles(k)", new: "times[i] = k",
		tests: []string{offlineTests},
	},
	{
		name: "pushed-as-stored", tag: "o11", breaks: "As of a ledger, pushed events are still known when the log stored them.",
		file: "materializer/offline/history.go", old: "out[i].Appended = h.Ledger.Logged(records[i].Appended)", new: "out[i].Appended = records[i].Appended",
		tests: []string{offlineTests},
	},
	{
		name: "files-repeat-as-declared", tag: "o11", breaks: "As of a ledger, a row whose id is in several files is known when it is declared to be.",
		file: "materializer/offline/history.go", old: "add = r.resolve.addSeen", new: "add = r.resolve.addFile",
		tests: []string{offlineTests},
	},
}
