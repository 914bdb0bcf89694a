package main

const (
	foldFile     = "materializer/offline/fold.go"
	deliveryFile = "internal/ingest/delivery.go"
	versionsFile = "internal/eventlog/versions.go"
	lateTests    = onlineTests
)

// lateMutants break outcomes that arrive later, and what is remembered of events until then.
var lateMutants = []mutant{
	{
		name: "label-known-at-once", tag: "w1", breaks: "A value that is late, but known before the label, changes after the label.",
		file: "materializer/offline/final.go", old: "t.trainKnown(ctx, t.partition.horizon.span)", new: "t.trainKnown(ctx, 0*t.partition.horizon.span)",
		tests: []string{offlineTests},
	},
	{
		name: "label-horizon-of-rows-only", tag: "w1", breaks: "What is known with the label is known before it happened.",
		file: "materializer/offline/history.go", old: "return max(t, k-plan.EventTime(by))", new: "return k - plan.EventTime(2*by)",
		tests: []string{offlineTests},
	},
	{
		name: "history-of-old-events-is-not-noted", tag: "p15", breaks: "What files hold of an event that is remembered, and as old as forgotten ones, may be pushed again as new.",
		file: "internal/eventlog/redis/write.go", old: "ids = append(ids, e.ID) // the server may remember it", new: "",
		tests: []string{"internal/eventlog/redis"},
	},
	{
		name: "forgotten-too-early", tag: "p15", breaks: "The ids of events ahead of their time are forgotten before these are old.",
		file: "internal/eventlog/ids.go", old: "later(roundUp(max(now, e.Time), grid), e.Keep)", new: "later(roundUp(now, grid), e.Keep)",
		tests: []string{"internal/eventlog", "internal/eventlog/pebble"},
	},
	{
		name: "forgotten-counts-again", tag: "p15", breaks: "An event whose id was forgotten is taken as a new one.",
		file: "internal/eventlog/ids.go", old: `return e.ID != "" && e.Time < s.Forgotten`, new: `return e.ID != "" && e.Time < s.Forgotten && e.Keep == 0`,
		tests: []string{"internal/eventlog", "internal/eventlog/pebble"},
	},
	{
		name: "contradiction-is-forgotten", tag: "p15", breaks: "A delivery that contradicted its event becomes an event when that is forgotten.",
		file: "internal/eventlog/ids.go", old: "e.Keep > 0 && e.Time > s.List[i].Newest", new: "e.Keep > 0 && e.Time > s.List[i].Newest && e.Keep < 0",
		tests: []string{"internal/eventlog", "internal/eventlog/pebble"},
	},
	{
		name: "trimmed-beyond-the-slowest-view", tag: "p18", breaks: "Records are removed from the log that a view has not applied.",
		file: "materializer/online/retention.go", old: "f.Last <= s.Applied &&", new: "f.Last <= max(s.Applied, s.Archived) &&",
		tests: []string{onlineTests},
	},
	{
		name: "slowest-is-the-first-view", tag: "p18", breaks: "What one view has applied decides for all.",
		file: "materializer/online/retention.go", old: "consumed[i].Offset.At(k) < consumed[slowest].Offset.At(k)", new: "consumed[i].Offset.At(k) < consumed[slowest].Offset.At(k) && i < 0",
		tests: []string{onlineTests},
	},
	{
		name: "archive-read-twice", tag: "p18", breaks: "The last record of one page of an archive is the first of the next.",
		file: "internal/eventlog/archive/archive.go", old: "from := int(after + 1 - f.First)", new: "from := max(0, int(after-f.First))",
		tests: []string{"internal/eventlog/archive"},
	},
	{
		name: "trimmed-unread", tag: "p18", breaks: "Records are removed from the log without a look at their copies.",
		file: "internal/eventlog/archive/archive.go", old: "after < to; {", new: "after < to && to == 0; {",
		tests: []string{"internal/eventlog/archive"},
	},
	{
		name: "archive-of-another-log", tag: "p18", breaks: "Files are read as history of a log that they are not of.",
		file: "internal/eventlog/archive/archive.go", old: "mark != trimmed.Mark {", new: "mark != trimmed.Mark && f.First == 0 {",
		tests: []string{"internal/eventlog/archive"},
	},
	{
		name: "checksum-unread", tag: "p18", breaks: "Records of a damaged file are read as they are.",
		file: "internal/eventlog/archive/files.go", old: "digestOf(records) != m.SHA256 ||", new: "len(digestOf(records)) != len(m.SHA256) ||",
		tests: []string{"internal/eventlog/archive"},
	},
	{
		name: "conflict-fills", tag: "o5", breaks: "A row that contradicts its event fills it all the same.",
		file: foldFile, old: "if r.contradicts(a.columns, out.columns) {", new: "if r.contradicts(a.columns, out.columns) && i < 0 {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "filled-known-with-its-row", tag: "w7", breaks: "A column that a later row filled is known as if the first had brought it.",
		file: foldFile, old: "a.columns[c], max(a.at, rows[a.row].lateKnown[l])", new: "a.columns[c], max(first.at, rows[a.row].lateKnown[l])",
		tests: []string{"materializer/offline"},
	},
	{
		name: "outcome-of-a-file-at-once", tag: "w7", breaks: "Of two rows of files with other outcomes, the one stands that was known later.",
		file: foldFile, old: "if d.lateKnown[l] > at {", new: "if d.lateKnown[l] > at && at < 0 {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "filling-is-an-event", tag: "w7", breaks: "An event counts once more when its outcome comes.",
		file: stateFile, old: "case rows.events.Fills(int(i)):", new: "case rows.events.Fills(int(i)) && i < 0:",
		tests: []string{lateTests},
	},
	{
		name: "filling-adds-again", tag: "w7", breaks: "An aggregate that knew all its columns takes the event again when another column comes.",
		file: "internal/kernel/view.go", old: "ev.Fills(i) && !ev.completes(i, s.plan.KnownColumns)", new: "ev.Fills(i) && !ev.completes(i, s.plan.KnownColumns) && i < 0",
		tests: []string{lateTests},
	},
	{
		name: "filling-adds-to-all", tag: "w7", breaks: "Aggregates that read no late column take the event again.",
		file: "internal/kernel/view.go", old: "out.takes[w] &^= ev.Filling[w]", new: "out.takes[w] &^= ev.Filling[w] & 0",
		tests: []string{lateTests},
	},
	{
		name: "filling-forgets-the-others", tag: "w7", breaks: "Columns that other deliveries brought are missing from the one that completes an event.",
		file: deliveryFile, old: "if !s.late(f.Name) && f.Name != s.row.column {", new: "if &versions[v] != own || !s.late(f.Name) {",
		tests: []string{lateTests},
	},
	{
		name: "filling-known-when-its-event-was", tag: "w7", breaks: "A pushed outcome counts as known before it was pushed.",
		file: deliveryFile, old: "from.Column[f.Name][i] = known", new: "from.Column[f.Name][i] = min(known, first.Known)",
		tests: []string{lateTests},
	},
	{
		name: "log-takes-another-outcome", tag: "o5", breaks: "The log takes a second outcome for a redelivery.",
		file: versionsFile, old: "case !bytes.Equal(value, f.Value):", new: "case !bytes.Equal(value, f.Value) && ok && false:",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "push-hastens-what-files-hold", tag: "w7", breaks: "A pushed column that files say is known later is known when the push arrives, in training only.",
		file: foldFile, old: "max(a.at, rows[a.row].lateKnown[l])", new: "a.at",
		tests: []string{"materializer/offline"},
	},
	{
		name: "registered-and-gone", tag: "w7", breaks: "A pushed row that filled an event of a file is an event as pushed once the file is gone.",
		file: "materializer/offline/history.go", old: "|| r.registered.has(rec.ID)", new: "|| r.registered.has(\"\")",
		tests: []string{"materializer/offline"},
	},
	{
		name: "history-fills-nothing", tag: "w7", breaks: "An outcome that was materialized takes effect once more when it is pushed.",
		file: versionsFile, old: "return s.Fill(e, missing, 0, plan.Always), true", new: "return *s, false",
		tests: []string{"internal/eventlog/pebble"},
	},
}
