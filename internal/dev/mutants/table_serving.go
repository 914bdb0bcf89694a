package main

const (
	freshTests  = "internal/freshness"
	serverTests = "server"
	leaseTests  = "materializer/online"
	logTests    = "internal/eventlog/pebble"
)

// servingMutants break what a server says and keeps of states.
var servingMutants = []mutant{
	{
		name: "late-writes-of-servers", tag: "o7", breaks: "A server whose leases have ended writes states that it read before.",
		file: "materializer/online/view.go", old: "if err := v.applier.checkHeld(v.batch); err != nil {", new: "if err := v.applier.checkHeld(nil); err != nil {",
		tests: []string{leaseTests},
	},
	{
		name: "ids-move-before-the-seal", tag: "o5", breaks: "Ids are copied to new shards while the old ones still take events.",
		file: "internal/eventlog/reshard.go", old: "r.seal, r.adopt, r.open,", new: "r.adopt, r.seal, r.open,",
		tests: []string{logTests},
	},
	{
		name: "moved-ids-are-forgotten", tag: "o5", breaks: "What the segments of ids remember is lost when a log is divided anew.",
		file: "internal/eventlog/reshard.go", old: "max(merged.Forgotten, list.Forgotten)", new: "min(merged.Forgotten, list.Forgotten)",
		tests: []string{logTests},
	},
	{
		name: "dividing-changes-its-mind", tag: "o7", breaks: "An interrupted division can be completed with another number of shards.",
		file: "internal/eventlog/reshard.go", old: "case l.pending != 0:", new: "case l.pending < 0:",
		tests: []string{logTests},
	},
	{
		name: "servers-keep-the-old-shards", tag: "p13", breaks: "Freshness does not notice the new shards of a log.",
		file: "internal/eventlog/shards.go", old: "end > 0 && int(end) == known.records {", new: "end > 0 && known.records > 0 {",
		tests: []string{logTests},
	},
	{
		name: "versions-share-leases", tag: "o7", breaks: "Servers with different versions of views share the shards, so each version misses events.",
		file: "materializer/online/applier.go", old: "hex.EncodeToString(sum[:8])", new: "hex.EncodeToString(sum[:0])",
		tests: []string{leaseTests},
	},
	{
		name: "unable-servers-keep-leases", tag: "o7", breaks: "A server whose clock is wrong keeps the shards that it does not apply.",
		file: "materializer/online/applier.go", old: "s.share.Load().Leave(notReadyPause)", new: "s.share.Load().Has(0)",
		tests: []string{leaseTests},
	},
	{
		name: "leases-end-by-one-clock", tag: "p13", breaks: "A lease lasts while the machine sleeps.",
		file: "internal/lease/member.go", old: "!now.Before(d.steady) || !now.Round(0).Before(d.wall)", new: "!now.Before(d.steady)",
		tests: []string{"internal/lease"},
	},
	{
		name: "leases-of-a-later-clock", tag: "p13", breaks: "A lease that ends long after now counts, although the clock of Redis was set back.",
		file: "internal/lease/lease.go", old: "expires <= s.now+longest.Microseconds()", new: "expires <= s.now+longest.Microseconds()*1000000",
		tests: []string{"internal/lease"},
	},
	{
		name: "unknown-paths-need-no-caller", tag: "p17", breaks: "A path that no rule names is answered without credentials.",
		file: "server/access.go", old: "\treturn known\n", new: "\treturn anyone\n",
		tests: []string{serverTests},
	},
	{
		name: "roles-do-not-matter", tag: "p17", breaks: "Every known caller may do everything.",
		file: "server/access.go", old: "role != known && !caller.May(role)", new: "role == known && !caller.May(role)",
		tests: []string{serverTests},
	},
	{
		name: "passwords-for-everything", tag: "p17", breaks: "A token that a browser keeps as password is taken for every path.",
		file: "server/access.go", old: "if isPage(r.URL.Path) {", new: "if r.URL.Path != \"\" {",
		tests: []string{"server"},
	},
	{
		name: "hosts-do-not-matter", tag: "p17", breaks: "A server of one machine answers requests for any host.",
		file: "server/access.go", old: "return loopbackHost(r.Host) ||", new: "return r.Host != \"\" ||",
		tests: []string{serverTests},
	},
	{
		name: "waiting-events-are-fresh", tag: "p13", breaks: "A view that has not applied the end of its log counts as complete.",
		file: "internal/freshness/tracker.go", old: "m.Complete = min(m.Complete, until)", new: "m.Complete = max(m.Complete, min(until, m.Complete))",
		tests: []string{freshTests},
	},
	{
		name: "another-log-is-fresh", tag: "p13", breaks: "A view that has applied more than the log has counts as complete.",
		file: "internal/freshness/tracker.go", old: "if at > uint64(later) {", new: "if at > uint64(later)+100 {",
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
		file: "internal/freshness/tracker.go", old: "return last != nil && uint64(last.Mark()) == m.Mark, err", new: "return last != nil && last.Mark() != 0, err",
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
	{
		name: "kept-beyond-a-tile", tag: "b2", breaks: "Kept values are used for a moment after a tile has left their window.",
		file: "internal/kernel/window/series.go", old: "until = leaves(first)", new: "until = leaves(first) + 1",
		tests: []string{"internal/kernel"},
	},
	{
		name: "kept-before-a-tile-left", tag: "b2", breaks: "Kept values are used for times at which an older tile was still in their window.",
		file: "internal/kernel/window/series.go", old: "from = leaves(first - 1)", new: "from = plan.Always",
		tests: []string{"internal/kernel"},
	},
	{
		name: "kept-beyond-a-pending-row", tag: "w3", breaks: "Kept values are used although a row has become visible.",
		file: "internal/kernel/prepared.go", old: "until = min(until, s.pending[i].visible+1)", new: "until = min(until, s.pending[i].visible+2)",
		tests: []string{"internal/kernel"},
	},
	{
		name: "watched-without-messages", tag: "p16", breaks: "A connection over which the server cannot tell of writes counts as one that hears of all.",
		file: "internal/onlinestore/redis/watched.go", old: "checkPushes(ctx, client); err != nil {", new: "checkPushes(ctx, client); err != nil && w.number > 9 {",
		tests: []string{"internal/onlinestore/redis"},
	},
	{
		name: "kept-over-a-lost-connection", tag: "p16", breaks: "What was read over a connection that is lost counts as unchanged over the next one.",
		file: "internal/onlinestore/redis/watched.go", old: "t.number<<countBits | t.counts", new: "1<<countBits | t.counts",
		tests: []string{"internal/onlinestore/redis"},
	},
	{
		name: "kept-of-another-generation", tag: "p16", breaks: "Values are used without asking whether their generation is still live.",
		file: "internal/registry/kept.go", old: "return r.kept.store.Unchanged(epochKey, mark)", new: "return mark != 0",
		tests: []string{serverTests},
	},
	{
		name: "now-is-kept", tag: "p16", breaks: "Encoded features that depend on the time of the read are used at another time.",
		file: "server/kept.go", old: "reads = reads || e.Kind == plan.Now", new: "reads = reads || e.Kind == plan.Now && e.Kind == plan.Literal",
		tests: []string{serverTests},
	},
	{
		name: "marks-before-messages", tag: "p16", breaks: "A view counts as complete before the messages about writes to its states have arrived.",
		file: "internal/freshness/tracker.go", old: "if err := t.cfg.CaughtUp(ctx); err != nil {", new: "if err := ctx.Err(); err != nil {",
		tests: []string{freshTests},
	},
	{
		name: "no-shares", tag: "p19", breaks: "One caller may take all of a resource.",
		file: "server/share.go", old: "return has == 0 || has+n <= limits.CallerShare*(s.total-s.used-n)", new: "return has+n >= 0",
		tests: []string{serverTests},
	},
	{
		name: "first-come-first-served", tag: "p19", breaks: "Those that wait do so behind all requests of a caller that has many.",
		file: "server/share.go", old: "			s.turns = append(s.turns, caller)\n		} else {", new: "			s.turns = append([]string{caller}, s.turns...)\n		} else {",
		tests: []string{serverTests},
	},
	{
		name: "announced-bodies", tag: "p19", breaks: "The memory of a body is not given back when it is read.",
		file: "server/budget.go", old: "	b.data = nil\n	b.visit.hasArrived()", new: "	b.data = nil",
		tests: []string{serverTests},
	},
	{
		name: "host-for-everybody", tag: "p22", breaks: "Other users can connect to the host of a data folder.",
		file: "internal/storehost/storehost.go", old: "os.Chmod(filepath.Dir(path), 0o700)", new: "os.Chmod(filepath.Dir(path), 0o755)",
		tests: []string{"internal/storehost"},
	},
	{
		name: "host-outcome-unknown", tag: "p22", breaks: "A write without an answer is said to have failed.",
		file: "internal/storehost/client.go", old: "	if changes {", new: "	if changes && s == nil {",
		tests: []string{"internal/storehost"},
	},
	{
		name: "host-two-servers", tag: "p22", breaks: "A second server serves through the first.",
		file: "internal/backend/share.go", old: "	if err == nil && b.host != nil {", new: "	if err == nil && b.host != nil && b.host.PID == 0 {",
		tests: []string{"internal/backend"},
	},
	{
		name: "build-without-the-log", tag: "p4", breaks: "Reads lack what was pushed during a build when it becomes live.",
		file: "materializer/offline/backfill.go", old: "	if b.CatchUp == nil || !b.View.Source.Stream {", new: "	if !b.View.Source.Stream || b.View != nil {",
		tests: []string{"materializer/offline"},
	},
}
