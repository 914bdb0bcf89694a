package main

const (
	planTests   = "featuredefs/plan"
	windowTests = "internal/kernel/window"
	oracleTests = "internal/oracle"
	aggTests    = "internal/kernel/agg"
	defsTests   = "featuredefs"
	exprTests   = "internal/kernel/expr"
)

// timeMutants break times, windows and the layout of tiles.
var timeMutants = []mutant{
	{
		name: "tail-truncates", tag: "b4", breaks: "The tail of a window before 1970 is rounded toward zero.",
		file:  "featuredefs/plan/window.go",
		old:   "FloorDiv(int64(t)-int64(w.Width), int64(w.Hop)) * int64(w.Hop)",
		new:   "(int64(t) - int64(w.Width)) / int64(w.Hop) * int64(w.Hop)",
		tests: []string{planTests},
	},
	{
		name: "floor-truncates", tag: "b4", breaks: "Every floor of a negative number is one too high.",
		file: "featuredefs/plan/time.go", old: "if n%d < 0 {", new: "if n%d > 0 && n < 0 {",
		tests: []string{planTests},
	},
	{
		name: "nanoseconds-truncate", tag: "b4", breaks: "Times finer than a microsecond are rounded toward 1970.",
		file: "featuredefs/plan/time.go",
		old:  "t.Unix()*1_000_000 + int64(t.Nanosecond()/1000)", new: "t.UnixNano() / 1000",
		tests: []string{planTests},
	},
	{
		name: "seconds-are-milliseconds", tag: "b5", breaks: "A window of a second is as long as a millisecond.",
		file: "featuredefs/plan/time.go", old: "= 1000000 * Microsecond", new: "= 1000 * Microsecond",
		tests: []string{planTests},
	},
	{
		name: "hop-need-not-divide", tag: "b3", breaks: "A window that is not a multiple of its hop is accepted.",
		file: "featuredefs/plan/window.go", old: "if w%h != 0 {", new: "if w < h {",
		tests: []string{planTests},
	},
	{
		name: "window-moves-by-a-hop", tag: "b2", breaks: "The tail on an edge of a hop lies a hop too early.",
		file:  "featuredefs/plan/window.go",
		old:   "FloorDiv(int64(t)-int64(w.Width), int64(w.Hop))",
		new:   "FloorDiv(int64(t)-1-int64(w.Width), int64(w.Hop))",
		tests: []string{planTests},
	},
	{
		name: "cutoff-one-late", tag: "b2", breaks: "Tiles are merged a microsecond before the shorter windows have left them.",
		file: "internal/kernel/window/levels.go", old: "w.Lower(newest + 1)", new: "w.Lower(newest + 2)",
		tests: []string{windowTests},
	},
	{
		name: "cutoff-of-the-wrong-level", tag: "b2", breaks: "A tile becomes coarse while a shorter window still needs it fine.",
		file: "internal/kernel/window/levels.go", old: "cutoffs[level-1]", new: "cutoffs[level-1]+plan.EventTime(l.widths[level])",
		tests: []string{windowTests},
	},
	{
		name: "cutoffs-stay-too-long", tag: "b2", breaks: "Tiles do not move when the first window leaves them.",
		file: "internal/kernel/window/levels.go", old: "plan.EventTime(w.Hop+w.Width)-1)", new: "plan.EventTime(w.Hop+w.Width)+1)",
		tests: []string{windowTests},
	},
	{
		name: "tile-dropped-early", tag: "b2", breaks: "An event exactly at the tail of the longest window is dropped.",
		file: "internal/kernel/window/levels.go", old: "if t < cutoffs[last] {", new: "if t <= cutoffs[last] {",
		tests: []string{windowTests},
	},
	{
		name: "hops-without-common-divisor", tag: "b3", breaks: "The tiles of two hops are as wide as one of them.",
		file: "internal/kernel/window/levels.go", old: "g = gcd(g, l.windows[i].Hop)", new: "g = max(g%1, l.windows[i].Hop)",
		tests: []string{windowTests},
	},
	{
		name: "tile-of-the-newest", tag: "b2", breaks: "An event goes to the newest tile when it is older.",
		file: "internal/kernel/window/series.go", old: "s.starts[n-1] == start {", new: "s.starts[n-1] >= start {",
		tests: []string{oracleTests},
	},
	{
		name: "released-tile-not-cleared", tag: "o6", breaks: "A new tile begins with what an expired one held.",
		file: "internal/kernel/agg/cell.go", old: "clear(g.words[from:])\n\t\treturn", new: "return",
		tests: []string{aggTests},
	},
}
