package main

const (
	stateFile    = "internal/kernel/state.go"
	pendingFile  = "internal/kernel/pending.go"
	onlineTests  = "materializer/online"
	registryFile = "internal/registry/registry.go"
	readerFile   = "internal/registry/reader.go"
	epochFile    = "internal/registry/epoch.go"
)

// stateMutants break live state: how events enter it and who reads it.
var stateMutants = []mutant{
	{
		name: "state-sees-now", tag: "w4", breaks: "An event visible exactly at the horizon is in the tiles.",
		file: stateFile, old: "if in.visible[i] >= horizon {", new: "if in.visible[i] > horizon {",
		tests: []string{oracleTests},
	},
	{
		name: "state-counts-the-future", tag: "n1", breaks: "An event that is not visible yet makes its entity known.",
		file: stateFile, old: "case rows.Visible[i] < horizon:", new: "case rows.Time[i] < horizon:",
		tests: []string{oracleTests},
	},
	{
		name: "state-ignores-late-columns", tag: "w3", breaks: "A column known later than its row is added with the row.",
		file: stateFile, old: "if in.visible[i] >= horizon {", new: "if rows.Visible[i] >= horizon {",
		tests: []string{oracleTests},
	},
	{
		name: "state-tail-excluded", tag: "b1", breaks: "The tile that begins at the tail is outside the window in serving only.",
		file: stateFile, old: "series.Before(x.lower)", new: "series.Before(x.lower + 1)",
		tests: []string{oracleTests},
	},
	{
		name: "state-without-tails", tag: "n3", breaks: "Serving reads all tiles it has, past the tail of a window.",
		file: stateFile, old: "series.Before(x.lower)", new: "series.Before(x.lower) * 0",
		tests: []string{oracleTests},
	},
	{
		name: "state-anchored-to-events", tag: "b9", breaks: "Windows end at the newest event instead of the time of the reading.",
		file: stateFile, old: "x := tail{g.windows[w].window.Lower(t), w}", new: "x := tail{g.windows[w].window.Lower(t - t%1000), w}",
		tests: []string{oracleTests},
	},
	{
		name: "state-of-another-plan", tag: "p4", breaks: "The state of one definition is read by another.",
		file: stateFile, old: "if string(b[9:stateHeader]) != ", new: "if b[8] == 0 && string(b[9:stateHeader]) != ",
		tests: []string{oracleTests},
	},
	{
		name: "state-follows-any-clock", tag: "b10", breaks: "A clock that is behind the newest event puts visible events among those that wait.",
		file: stateFile, old: "horizon = max(horizon, s.newest+1)", new: "_ = s.newest",
		tests: []string{oracleTests},
	},
	{
		name: "state-newest-is-ahead", tag: "b10", breaks: "What is visible at the newest time of a state waits, though the state was read after it.",
		file: stateFile, old: "horizon = max(horizon, s.newest+1)", new: "horizon = max(horizon, s.newest)",
		tests: []string{oracleTests},
	},
	{
		name: "log-hides-what-comes-after", tag: "b11", breaks: "A log whose newest record lies a month ahead goes on to store.",
		file: "internal/eventlog/pebble/commit.go", old: "to.appended-g.now <= plan.EventTime(g.log.ahead)", new: "to.appended >= g.now",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "correction-of-one-record", tag: "b11", breaks: "Of the records that a false clock stored, the last alone is corrected.",
		file: "internal/eventlog/clock.go", old: "if p <= x.To {", new: "if p == x.To {",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "declared-times-are-corrected", tag: "b11", breaks: "With the time of a record, what it declared to be known later is set back too.",
		file: "internal/eventlog/clock.go", old: "if v.Known == at {", new: "if v.Known >= at {",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "fold-sees-now", tag: "w4", breaks: "A waiting event enters at the moment it becomes visible, not after.",
		file: pendingFile, old: "if p.visible >= t {", new: "if p.visible > t {",
		tests: []string{oracleTests},
	},
	{
		name: "fold-forgets-the-entity", tag: "n1", breaks: "An event that had to wait does not make its entity known.",
		file: pendingFile, old: "s.events++\n\t\treturn", new: "return",
		tests: []string{oracleTests},
	},
	{
		name: "pending-in-order-of-arrival", tag: "o3", breaks: "The bytes of a state depend on the order in which waiting events came.",
		file: pendingFile, old: "slices.SortFunc(rows, bytes.Compare)", new: "_ = bytes.Compare",
		tests: []string{oracleTests},
	},
	{
		name: "aside-is-applied-to", tag: "p6", breaks: "Events go on to be added to an entity that was set aside, as if the ones before were there.",
		file: "internal/kernel/aside.go", old: "s.aside = string(body)", new: "_ = string(body)",
		tests: []string{onlineTests, "internal/kernel"},
	},
	{
		name: "large-state-stops-its-view", tag: "p6", breaks: "A state that is too large for the store is handed to it.",
		file: "internal/kernel/aside.go", old: "n > limit {", new: "n > limit && limit == 0 {",
		tests: []string{onlineTests},
	},
	{
		name: "applied-twice", tag: "o7", breaks: "The last event a state has applied is applied again after a crash.",
		file: "materializer/online/view.go", old: "if uint64(r.Position) > applied.At(r.Shard) {", new: "if uint64(r.Position) >= applied.At(r.Shard) {",
		tests: []string{onlineTests},
	},
	{
		name: "shards-confused", tag: "o7", breaks: "Whether an event is applied is looked up in the first shard.",
		file: "materializer/online/view.go", old: "applied.At(r.Shard) {", new: "applied.At(0) {",
		tests: []string{onlineTests},
	},
	{
		name: "same-id-in-two-shards", tag: "o5", breaks: "Events go to shards by their place in the call, not by their id.",
		file: "internal/eventlog/shards.go", old: "k = s.Of(entries[i].ID)", new: "k = i % s.N",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "shards-of-an-old-log", tag: "o5", breaks: "A log from before there were shards is divided while it has events.",
		file: "internal/eventlog/shards.go", old: "	if old {\n", new: "	if old && n == 1 {\n",
		tests: []string{"internal/eventlog/pebble"},
	},
	{
		name: "offset-of-others-lost", tag: "o7", breaks: "Storing what was consumed of one shard forgets the others.",
		file: registryFile, old: "offsetValue(logpos.Max(stored, to))", new: "offsetValue(to)",
		tests: []string{"internal/registry"},
	},
	{
		name: "build-of-the-first-shard", tag: "o7", breaks: "A build contains the first shard of the log alone.",
		file: "materializer/offline/backfill.go", old: "for k := range shards.N {", new: "for k := range min(1, shards.N) {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "build-adds-rows-again", tag: "p7", breaks: "A worker of a build adds rows of its batch before to a state again.",
		file: "materializer/offline/build.go", old: "state.rows = state.rows[:0]", new: "_ = state",
		tests: []string{"materializer/offline"},
	},
	{
		name: "build-counts-every-pass", tag: "p7", breaks: "A build counts rows without a key in each pass.",
		file: "materializer/offline/build.go", old: "if part == 0 && !ev.Fills(i) {", new: "if !ev.Fills(i) {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "another-log-is-applied", tag: "o9", breaks: "A log whose records are not those that states were made of is applied to them.",
		file: "materializer/online/view.go", old: "uint64(r.Mark()) != m.Mark", new: "r == nil",
		tests: []string{onlineTests},
	},
	{
		name: "states-before-their-mark", tag: "o9", breaks: "States are written without storing first how far they may reach.",
		file: "materializer/online/applier.go", old: "registry.Mark{Position: uint64(last.Position), Mark", new: "registry.Mark{Position: uint64(p.shards[i].after), Mark",
		tests: []string{onlineTests},
	},
	{
		name: "backfill-without-mark", tag: "o9", breaks: "A build does not store which log it was made of.",
		file: "materializer/offline/backfill.go", old: "make([]registry.Reached, 1), reached)", new: "make([]registry.Reached, 1), nil)",
		tests: []string{"materializer/offline"},
	},
	{
		name: "writes-over-others", tag: "o8", breaks: "A state is written over what another applier has written meanwhile.",
		file: "materializer/online/view.go", old: "again = append(again, c.entityRows)", new: "v.applier.stats.conflicts.Add(1)",
		tests: []string{onlineTests},
	},
	{
		name: "prefix-without-view", tag: "n6", breaks: "The states of all views lie under one prefix.",
		file: registryFile, old: "b = append(b, view[:]...)\n\treturn binary", new: "b = append(b, make([]byte, len(view))...)\n\treturn binary",
		tests: []string{"internal/registry"},
	},
	{
		name: "prefix-without-build", tag: "p4", breaks: "Two builds of one number share their states.",
		file: registryFile, old: "numberPrefix(statePrefix, g.View, g.Number), g.Build)", new: "numberPrefix(statePrefix, g.View, g.Number), 0)",
		tests: []string{"internal/registry"},
	},
	{
		name: "stale-generation", tag: "p4", breaks: "A reader goes on with the generation it has seen first.",
		file: readerFile, old: "bytes.Equal(record, fresh.record)", new: "bytes.Equal(record[8:9], fresh.record[8:9])",
		tests: []string{"internal/registry"},
	},
	{
		name: "switch-unannounced", tag: "p4", breaks: "A live record changes while readers rely on it.",
		file: epochFile, old: "updateEpoch(ctx, store, c)", new: "updateEpoch(ctx, store)",
		tests: []string{"internal/registry"},
	},
	{
		name: "settled-too-early", tag: "p4", breaks: "A change that can still happen is removed from the epoch.",
		file: epochFile, old: "live.Number >= c.number", new: "live.Number+1 >= c.number",
		tests: []string{"internal/registry"},
	},
	{
		name: "epoch-seen-once", tag: "p4", breaks: "A live record that was read before the epoch is taken for one of it.",
		file: "internal/registry/trip.go", old: "if t.seen == t.before {", new: "if t.seen != \"\" {",
		tests: []string{"internal/registry"},
	},
	{
		name: "drops-move-no-mark", tag: "o8", breaks: "A value that was deleted with its prefix since it was read is taken for current.",
		file: "internal/onlinestore/pebble/bulk.go", old: "s.drops.Add(1)\n\tdefer s.drops.Add(1)", new: "s.drops.Add(0)",
		tests: []string{"internal/onlinestore/pebble"},
	},
	{
		name: "marks-stand-still", tag: "o8", breaks: "A value that was written since it was read is taken for the one that was read.",
		file: "internal/onlinestore/pebble/store.go", old: "s.marks[i].Add(1)", new: "s.marks[i].Add(0)",
		tests: []string{"internal/onlinestore/pebble"},
	},
	{
		name: "another-reads-states", tag: "p4", breaks: "Reads that share a round trip all get the states of the first.",
		file: readerFile, old: "states := t.values[first:]", new: "states := t.values[0:]",
		tests: []string{"internal/registry"},
	},
	{
		name: "read-before-newest", tag: "b1", breaks: "A reading is as of the newest event, which it then does not see.",
		file: "server/reader.go", old: "t = max(t, v.newest(t)+1)", new: "t = max(t, v.newest(t))",
		tests: []string{"server"},
	},
	{
		name: "lost-is-new", tag: "o10", breaks: "An entity whose state is gone begins again.",
		file: "materializer/online/view.go", old: "if lost != \"\" {\n\t\tc.loseState", new: "if lost != \"\" && old != nil {\n\t\tc.loseState",
		tests: []string{onlineTests},
	},
	{
		name: "lost-record-stays", tag: "o10", breaks: "The record of a lost state does not change when another event is left out, so a repair misses that event.",
		file: "materializer/online/view.go", old: "c.value = kernel.AppendLost(nil, of.Fingerprint, registry.LostRevision(), reason)\n\tif !c.lost {", new: "if !c.lost {\n\t\tc.value = kernel.AppendLost(nil, of.Fingerprint, registry.LostRevision(), reason)",
		tests: []string{"materializer/offline"},
	},
	{
		name: "lost-has-default", tag: "o10", breaks: "A default stands in for a state that is lost.",
		file: "internal/kernel/features.go", old: "case lost:\n\t\tc.Status[i] = Lost\n\tcase", new: "case lost && f.Default == nil:\n\t\tc.Status[i] = Lost\n\tcase",
		tests: []string{"internal/kernel"},
	},
	{
		name: "index-read-at-one-time", tag: "o10", breaks: "A part of the index that another writer makes during a read counts as lost.",
		file: "internal/registry/index.go", old: "case b.lost() && !again[i]:", new: "case b.lost() && !again[i] && again[i]:",
		tests: []string{"internal/registry"},
	},
	{
		name: "index-below-undivided", tag: "o10", breaks: "An entity is added below a place of the index that is not divided yet, where a later division forgets it.",
		file: "internal/registry/index.go", old: "&& !found[idOf(h, at[i]-1)].divided:", new: "&& b.lost():",
		tests: []string{"internal/registry"},
	},
	{
		name: "index-forgets-after-crash", tag: "o10", breaks: "An entity whose first page was applied before a crash is not added to the index.",
		file: "materializer/online/view.go", old: "if c.index = again > 0; len(c.rows)", new: "if len(c.rows)",
		tests: []string{onlineTests},
	},
	{
		name: "read-trusts-absence", tag: "o10", breaks: "A read takes an absent state for none without asking the index.",
		file: "internal/registry/lost.go", old: "if known[i].index == nil {\n\t\t\tcontinue", new: "if known[i].index != nil {\n\t\t\tcontinue",
		tests: []string{"internal/registry"},
	},
}
