package main

const (
	sweepFile   = "internal/kernel/sweep.go"
	readersFile = "internal/kernel/reader.go"
)

// sweepMutants break the replay that makes training sets.
var sweepMutants = []mutant{
	{
		name: "sweep-tail-excluded", tag: "b1", breaks: "An event exactly at the tail is outside the window in training only.",
		file: sweepFile, old: "times[t.byTime[w.out]] < tail {", new: "times[t.byTime[w.out]] <= tail {",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-sees-now", tag: "w4", breaks: "An event that becomes known exactly at T is seen by the row at T.",
		file: sweepFile, old: "t.visible[t.byVisible[t.in]] < at {", new: "t.visible[t.byVisible[t.in]] <= at {",
		tests: []string{oracleTests},
	},
	{
		name: "walk-sees-now", tag: "w4", breaks: "An event that happens exactly at T is seen by the row at T, where no event is late.",
		file: sweepFile, old: "times[in] < at; {", new: "times[in] <= at; {",
		tests: []string{oracleTests},
	},
	{
		name: "walk-tail-excluded", tag: "b1", breaks: "An event exactly at the tail is outside the window in training only, where no event is late.",
		file: sweepFile, old: "times[out] < tail; {", new: "times[out] <= tail; {",
		tests: []string{oracleTests},
	},
	{
		name: "results-without-elements", tag: "p8", breaks: "The elements of lists in results take no memory.",
		file: "internal/kernel/resultcodec.go", old: "\t\tn += bytesOf(e)\n", new: "\t\tn += 0 * bytesOf(e)\n",
		tests: []string{"internal/kernel"},
	},
	{
		name: "superseded-across-a-row", tag: "o1", breaks: "An event that a spine row reads is dropped because the entity has a later one in the same block.",
		file: "internal/kernel/superseded.go", old: "s.from = times[later-1]", new: "s.from = times[0]",
		tests: []string{"internal/kernel"},
	},
	{
		name: "superseded-for-other-slots", tag: "o1", breaks: "The latest event that passes a filter is dropped because a later one passes no filter.",
		file: "internal/kernel/superseded.go", old: "passes&^s.passes == 0", new: "true",
		tests: []string{"internal/kernel"},
	},
	{
		name: "superseded-ties", tag: "o1", breaks: "Of events that happen at once, the one that comes last in its block is the latest.",
		file: "internal/kernel/superseded.go", old: "at < s.time &&", new: "at <= s.time &&",
		tests: []string{"internal/kernel"},
	},
	{
		name: "superseded-make-entities-new", tag: "o1", breaks: "An entity counts as new because its events were dropped.",
		file: "internal/kernel/superseded.go", old: "if at < s.last && i >= old {", new: "if at < s.last && i > old {",
		tests: []string{"internal/kernel"},
	},
	{
		name: "radix-skips-a-digit", tag: "o1", breaks: "Many rows of one entity are sorted without the highest bits of their times.",
		file: "internal/kernel/timesort.go", old: "span > 0; span >>= radixBits", new: "span >= radixSize; span >>= radixBits",
		tests: []string{"internal/kernel"},
	},
	{
		name: "spans-keep-what-passed", tag: "b1", breaks: "Events that passed through a window between two rows stay in its sum.",
		file: "internal/kernel/agg/bulk.go", old: "min(max(lastTo, from), to), to,", new: "lastTo, to,",
		tests: []string{"internal/kernel/agg"},
	},
	{
		name: "totals-of-another-entity", tag: "b1", breaks: "The sums of an entity are those of the entity before it.",
		file: "internal/kernel/agg/bulk.go", old: "to[len(to)-1], totalsWanted", new: "to[len(to)-1], t.state",
		tests: []string{"internal/kernel"},
	},
	{
		name: "totals-overflow", tag: "b6", breaks: "A sum of large doubles is that of what is left of them in 128 bits.",
		file: "internal/kernel/agg/doublesum.go", old: "} else if x != 0 {\n\t\t\treturn false\n\t\t}\n\t\tif (hi", new: "}\n\t\tif (hi",
		tests: []string{"internal/kernel/agg"},
	},
	{
		name: "maximum-forgets-the-chain", tag: "o1", breaks: "The largest event of a window is forgotten when smaller ones enter.",
		file: "internal/kernel/agg/chain.go", old: "for old > 0 && !c.beats(", new: "for old > 0 && c.beats(",
		tests: []string{"internal/kernel/agg"},
	},
	{
		name: "chain-skips-ties", tag: "o1", breaks: "Of events that happen at once, the latest is the one that came last.",
		file: "internal/kernel/agg/chain.go", old: "return before < last", new: "return before <= last",
		tests: []string{"internal/kernel/agg"},
	},
	{
		name: "sweep-known-from-its-second", tag: "b6", breaks: "An event is seen from the beginning of the second in which it becomes known.",
		file: sweepFile, old: "t.visible[t.byVisible[t.in]] < at {", new: "t.visible[t.byVisible[t.in]]-t.visible[t.byVisible[t.in]]%1000000 < at {",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-known-afterwards", tag: "b7", breaks: "An entity is known to the rows before its first event.",
		file: sweepFile, old: "if visible[0] < at {", new: "if visible[0] > at {",
		tests: []string{oracleTests},
	},
	{
		name: "late-group-is-known", tag: "w3", breaks: "A column that only the group reads is taken for known with its row.",
		file: "featuredefs/lang/split.go", old: "plan.Columns(s.Arg, s.By, s.Group, s.Filter)", new: "plan.Columns(s.Arg, s.By, s.Filter)",
		tests: []string{oracleTests},
	},
	{
		name: "late-order-is-known", tag: "w3", breaks: "A column that only the value to order by reads is taken for known with its row.",
		file: "featuredefs/lang/split.go", old: "plan.Columns(s.Arg, s.By, s.Group, s.Filter)", new: "plan.Columns(s.Arg, s.Group, s.Filter)",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-leaves-unentered", tag: "b1", breaks: "Events that passed through a window between two rows are taken out of it.",
		file: sweepFile, old: "w.left = t.byTime[out:max(out, min(w.out, in))]", new: "w.left = t.byTime[out:w.out]",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-enters-past-the-tail", tag: "b1", breaks: "Events that passed through a window between two rows stay in it.",
		file: sweepFile, old: "min(max(in, w.out), t.in):t.in]", new: "in:t.in]",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-removes-unseen", tag: "w1", breaks: "An event that was never known inside the window is taken out of it.",
		file: sweepFile, old: "if t.visible[e] < last {", new: "if t.visible[e] <= last {",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-late-event-enters", tag: "w1", breaks: "An event that becomes known after it has left the window still enters.",
		file: sweepFile, old: "if times[e] >= tail {", new: "if times[e] >= tail || out > 0 {",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-ignores-late-columns", tag: "w3", breaks: "A column known later than its row is read as soon as the row.",
		file: sweepFile, old: "h.visible[class], class == 0", new: "h.visible[0], class == 0",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-joins-late-columns", tag: "w3", breaks: "Aggregates of columns that are known at different times move together.",
		file: sweepFile, old: "return s.replay.classOf[t[0]] == s.replay.classOf[i] && (", new: "return (",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-future-makes-known", tag: "n1", breaks: "An entity counts as known before its first event is visible.",
		file: sweepFile, old: "if visible[0] < at {", new: "if visible[0] < plan.Never {",
		tests: []string{oracleTests},
	},
	{
		name: "sweep-keeps-last-entity", tag: "k1", breaks: "An entity begins with the aggregates of the one before.",
		file: readersFile, old: "\tr.column.Truncate(0)\n", new: "",
		tests: []string{oracleTests},
	},
	{
		name: "chain-of-late-events", tag: "w1", breaks: "A maximum expects events to become known in the order in which they happened.",
		file: readersFile, old: "c.useTree = !t.inOrder;", new: "c.useTree = !t.inOrder && t == nil;",
		tests: []string{oracleTests},
	},
	{
		name: "chain-tail-excluded", tag: "b1", breaks: "A maximum exactly at the tail is outside the window in training only.",
		file: readersFile, old: "times[c.rows[i]] < tail {", new: "times[c.rows[i]] <= tail {",
		tests: []string{oracleTests},
	},
	{
		name: "late-only-at-first", tag: "w1", breaks: "Whether events come late is decided by the last of them.",
		file: "internal/kernel/history.go", old: "h.late = h.late || b.late", new: "h.late = b.late",
		tests: []string{oracleTests},
	},
	{
		name: "replay-mixes-rows", tag: "k4", breaks: "Two spine rows of one entity share the values of the first.",
		file: "internal/kernel/whole.go", old: "rows[i] = At{int32(p), next[p]}", new: "rows[i] = At{int32(p), next[p] &^ 1}",
		tests: []string{oracleTests},
	},
	{
		name: "block-loses-bits", tag: "k4", breaks: "Events that a filter leaves out count where more than 32 slots are kept.",
		file: "internal/kernel/block.go", old: "return 1 + (i-firstBits)/64, uint(i-firstBits) % 64", new: "return 0, uint(i) % 64",
		tests: []string{"internal/kernel"},
	},
	{
		name: "spilled-events-lost", tag: "p8", breaks: "Events that did not fit into memory are not read back.",
		file: "materializer/offline/blocks.go", old: "range file {", new: "range file[:len(file)/2] {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "long-tail-excluded", tag: "b1", breaks: "An event exactly at the tail is outside the window where the events of an entity do not fit into memory.",
		file: "internal/kernel/sweeplong.go", old: "t.history.time[x.rows[i]] >= t.lower", new: "t.history.time[x.rows[i]] > t.lower",
		tests: []string{"internal/kernel"},
	},
	{
		name: "long-leaves-early", tag: "w1", breaks: "An event that is known only after the tail has passed it is taken out of a window that never had it.",
		file: "internal/kernel/sweeplong.go", old: "h.visible[r.class][row] < last && (", new: "(",
		tests: []string{"internal/kernel"},
	},
	{
		name: "pieces-divide-a-time", tag: "b1", breaks: "Events of one time are in two slices of a long entity, and those of the second count twice or never.",
		file: "internal/kernel/pieces.go", old: "if p.valueAt > 0 {", new: "if p.valueAt > 1<<30 {",
		tests: []string{"internal/kernel"},
	},
	{
		name: "stored-part-loses-entities", tag: "p8", breaks: "Of a part that does not fit into memory, only the last range of entities has values.",
		file: "internal/kernel/sweepstored.go", old: "r.sweepEntities(r.next, end)", new: "r.sweepEntities(max(r.next, end-1), end)",
		tests: []string{"internal/kernel"},
	},
	{
		name: "spilled-results-shift", tag: "p8", breaks: "Results that did not fit into memory are read from the wrong row on.",
		file: "materializer/offline/results.go", old: "p.row = 0\n", new: "p.row = p.row / 2\n",
		tests: []string{"materializer/offline"},
	},
	{
		name: "repeated-ids-lost", tag: "p8", breaks: "Rows with repeated ids that did not fit into memory are not read back.",
		file: "materializer/offline/deliveryfile.go", old: "range d.parts[part] {\n\t\tif to", new: "range d.parts[part][:len(d.parts[part])/2] {\n\t\tif to",
		tests: []string{"materializer/offline"},
	},
	{
		name: "ids-without-limit", tag: "p8", breaks: "An event id may have any number of rows, all of them in memory.",
		file: "materializer/offline/resolve.go", old: "if of.number() > limits.Deliveries {", new: "if of.number() < 0 {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "full-disk-unnamed", tag: "p9", breaks: "A full disk is an error that does not say which disk.",
		file: "materializer/offline/scratch.go", old: "errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)", new: "errors.Is(err, syscall.EDQUOT)",
		tests: []string{"materializer/offline"},
	},
	{
		name: "file-null-is-empty", tag: "n1", breaks: "A null list is written as an empty one.",
		file: "internal/parquetfile/shred.go", old: "case a.IsNull(i):\n\t\tk.null(c, rep, c.def-1)", new: "case a.IsNull(i):\n\t\tk.null(c, rep, c.def)",
		tests: []string{"internal/parquetfile/arrowfile"},
	},
}
