package main

const keyFile = "internal/entitykey/entitykey.go"

// edgeMutants break keys, sources, and the two ends of a training set.
var edgeMutants = []mutant{
	{
		name: "key-without-separator", tag: "k1", breaks: "Strings of a key are joined: (a, bc) is (ab, c).",
		file: keyFile, old: "plan.AppendEscaped(append(dst, byte(c.Type.Kind)), c.Str[i])", new: "append(append(dst, byte(c.Type.Kind)), c.Str[i]...)",
		tests: []string{"internal/entitykey"},
	},
	{
		name: "key-without-type", tag: "k2", breaks: "Int 1 and the string of its bytes are one key.",
		file: keyFile, old: "append(dst, byte(c.Type.Kind)), uint64(c.Int[i])^1<<63)", new: "append(dst, byte(plan.String)), uint64(c.Int[i])^1<<63)",
		tests: []string{"internal/entitykey"},
	},
	{
		name: "null-key-matches", tag: "k3", breaks: "A null key is a key.",
		file: keyFile, old: "if !c.Valid(i) {", new: "if c.IsErr(i) {",
		tests: []string{"internal/entitykey"},
	},
	{
		name: "append-time-ignored", tag: "w1", breaks: "A pushed event counts as known before it was pushed.",
		file: "internal/ingest/events.go", old: "k = max(k, from.Row[i])", new: "k = max(k, min(k, from.Row[i]))",
		tests: []string{ingestTests},
	},
	{
		name: "outcome-known-at-once", tag: "w3", breaks: "A column that is known later is known with its row.",
		file: "internal/ingest/late.go", old: "k := c.at(t, declared, i)", new: "k := min(t, c.at(t, declared, i))",
		tests: []string{ingestTests},
	},
	{
		name: "null-is-an-answer", tag: "w7", breaks: "A null in a late column is known at the column's time.",
		file: "internal/ingest/late.go", old: "if !col.Valid(i) || !t.Valid() {", new: "if !col.Valid(i) && c.column != \"\" || !t.Valid() {",
		tests: []string{ingestTests},
	},
	{
		name: "value-before-its-time", tag: "w7", breaks: "A value whose known time is missing is there all the same.",
		file: "internal/ingest/late.go", old: "return !declared.Valid(i)", new: "return !declared.Valid(i) && i < 0",
		tests: []string{ingestTests},
	},
	{
		name: "delay-ignored", tag: "w2", breaks: "A source that comes late is taken to come at once.",
		file: "internal/ingest/known.go", old: "return t + plan.EventTime(r.delay)", new: "return t + plan.EventTime(r.delay)*0",
		tests: []string{ingestTests},
	},
	{
		name: "run-after-not-at", tag: "w2", breaks: "A batch job does not take what happened in the minute it runs.",
		file: "internal/cron/cron.go", old: "plan.FloorDiv(-int64(t), microsPerMinute)", new: "plan.FloorDiv(-int64(t)-1, microsPerMinute)",
		tests: []string{cronTests},
	},
	{
		name: "either-day-field", tag: "w2", breaks: "A day field with a star and a step counts as one that was given, so either of the two is enough.",
		file: "internal/cron/cron.go", old: "both: starred(parts[2]) || starred(parts[4])", new: "both: parts[2] == `*` || parts[4] == `*`",
		tests: []string{cronTests},
	},
	{
		name: "queries-truncate-nanoseconds", tag: "b4", breaks: "A query reads nanoseconds before 1970 as DuckDB truncates them.",
		file: "internal/relation/ducklook.go", old: "if t < 0 && t%1000 != 0", new: "if t < 0 && t%1000 == 1",
		tests: []string{"internal/relation"},
	},
	{
		name: "spark-legacy-dates-read", tag: "n12", breaks: "A date that Spark wrote in the Julian calendar is read as another day.",
		file: "internal/relation/calendar.go", old: "			if t < s.validFrom {", new: "			if t < s.validFrom && t == 0 {",
		tests: []string{"internal/relation"},
	},
	{
		name: "spark-version-ignored", tag: "n12", breaks: "Only a LEGACY key, and not a version before 3.0, means the Julian calendar.",
		file: "internal/relation/calendar.go", old: "if sparkBefore(keys[sparkVersion], 3, 0) ||", new: "if",
		tests: []string{"internal/relation"},
	},
	{
		name: "short-delta-page", tag: "n13", breaks: "Integers that a page lacks are what the memory held before.",
		file: "internal/relation/parquetvalues.go", old: "if header[2] != uint64(n) {", new: "if header[2] > uint64(n) {",
		tests: []string{"internal/relation"},
	},
	{
		name: "short-nested-page", tag: "n13", breaks: "A nested column that passes through has values that its page lacks.",
		file: "internal/relation/parquetrecords.go", old: "return t.wholeNested(ctx, pf)", new: "return nil",
		tests: []string{"internal/relation"},
	},
	{
		name: "short-page-passes", tag: "n13", breaks: "A column that only passes through has values that its page lacks.",
		file: "internal/relation/parquetrecords.go", old: "return t.wholePages(ctx, pf)", new: "return nil",
		tests: []string{"internal/relation"},
	},
	{
		name: "parquet-nanos-truncated", tag: "b4", breaks: "A nanosecond before 1970 in a file is 1970.",
		file: "internal/relation/converttime.go", old: "return plan.FloorDiv(t, perMicro)", new: "return t / perMicro",
		tests: []string{"internal/relation"},
	},
	{
		name: "parquet-ints-cut-off", tag: "n11", breaks: "1.5 in a column of doubles is the int 1.",
		file: "internal/relation/convert.go", old: "case x != math.Trunc(x) || math.IsInf(x, 0):", new: "case math.IsInf(x, 0):",
		tests: []string{"internal/relation"},
	},
	{
		name: "parquet-long-decimals-undeclared", tag: "n11", breaks: "A decimal of any length is rounded though nobody said so.",
		file: "internal/relation/stored.go", old: "s.precision > maxExactDecimal", new: "s.precision > 100*maxExactDecimal",
		tests: []string{"internal/relation"},
	},
	{
		name: "folder-over-column", tag: "p12", breaks: "A folder k=v takes the place of a column that the file has.",
		file: "internal/relation/textfiles.go", old: "			if !has {\n", new: "			if !has || err == nil {\n",
		tests: []string{"internal/relation"},
	},
	{
		name: "outcome-as-feature", tag: "w3", breaks: "A column known only after the fact may be a feature.",
		file: "featuredefs/view.go", old: "if col.Outcome {", new: "if col.Outcome && l == nil {",
		tests: []string{"featuredefs"},
	},
	{
		name: "resolver-last-wins", tag: "o5", breaks: "Of two rows with one id, the one that became visible last stands.",
		file: "materializer/offline/resolve.go", old: "cmp.Compare(d.visible, e.visible)", new: "cmp.Compare(e.visible, d.visible)",
		tests: []string{"materializer/offline"},
	},
	{
		name: "resolver-by-order-of-files", tag: "p7", breaks: "Of two rows with one id and time, the one that is read first stands.",
		file: "materializer/offline/resolve.go", old: "bytes.Compare(d.row, e.row), cmp", new: "bytes.Compare(nil, nil), cmp",
		tests: []string{"materializer/offline"},
	},
	{
		name: "split-shares-a-moment", tag: "w5", breaks: "The last rows of a part lie at the first moment of the next.",
		file: "materializer/offline/split.go", old: "t >= p.boundaries[part] {", new: "t > p.boundaries[part] {",
		tests: []string{"materializer/offline"},
	},
	{
		name: "unknown-feature-left-out", tag: "n5", breaks: "A misspelt feature is left out of the answer.",
		file:  "server/bind.go",
		old:   "\t\tif !ok {\n\t\t\treturn invalid(\"service %s has no feature",
		new:   "\t\tif !ok {\n\t\t\tcontinue\n\t\t}\n\t\tif !ok {\n\t\t\treturn invalid(\"service %s has no feature",
		tests: []string{"server"},
	},
	{
		name: "far-future-accepted", tag: "p6", breaks: "An event dated years ahead is accepted and waits.",
		file: "materializer/online/ingester.go", old: "ahead > plan.EventTime(s.plan.MaxAhead) {", new: "ahead > plan.EventTime(s.plan.MaxAhead) && now < 0 {",
		tests: []string{onlineTests},
	},
}
