package main

// aggMutants break aggregates: exactness, ties, what merging shares.
var aggMutants = []mutant{
	{
		name: "int-sum-wraps", tag: "c7", breaks: "A sum of ints that overflows is wrapped around.",
		file: "internal/kernel/agg/sum.go", old: "case hi != uint64(int64(lo)>>63):", new: "case hi != uint64(int64(lo)>>63) && lo == 0:",
		tests: []string{aggTests},
	},
	{
		name: "int-sum-loses-carry", tag: "o1", breaks: "Adding numbers of two words drops the carry between them.",
		file: "internal/kernel/agg/limbs.go", old: "bits.Add64(hi, y, carry)", new: "bits.Add64(hi, y, carry&0)",
		tests: []string{aggTests},
	},
	{
		name: "sum-rounds-ties-up", tag: "o1", breaks: "A sum halfway between two doubles is rounded away from zero.",
		file: "internal/kernel/agg/limbs.go", old: "rest == 1<<63 && (sticky || mant&1 == 1)", new: "rest == 1<<63",
		tests: []string{aggTests},
	},
	{
		name: "sum-forgets-small-parts", tag: "o1", breaks: "What lies far below the last place of a sum does not count in rounding.",
		file: "internal/kernel/agg/limbs.go", old: "sticky = a[i] != 0", new: "sticky = a[i] == 1",
		tests: []string{aggTests},
	},
	{
		name: "sum-overflows-its-window", tag: "o1", breaks: "A sum does not make room before its highest word overflows.",
		file:  "internal/kernel/agg/exact.go",
		old:   "s.win[3], _ = bits.Add64(s.win[3], o[3], c)\n\tif (s.win[3]+maxTop)>>63 != 0 {",
		new:   "s.win[3], _ = bits.Add64(s.win[3], o[3], c)\n\tif c > 1 {",
		tests: []string{aggTests},
	},
	{
		name: "short-sum-overflows", tag: "o1", breaks: "Merged short sums wrap around instead of becoming a long one.",
		file: "internal/kernel/agg/doublesum.go", old: "= lo, hi; (hi+maxTop)>>63 != 0 {", new: "= lo, hi; (hi+maxTop)>>63 > 1 {",
		tests: []string{aggTests},
	},
	{
		name: "stored-sum-overflows", tag: "o1", breaks: "A window read from sums as they are stored wraps around instead of becoming a long one.",
		file: "internal/kernel/agg/doublesum.go", old: "int(shift) <= 126", new: "int(shift) <= 999",
		tests: []string{aggTests},
	},
	{
		name: "stored-cells-of-other-tiles", tag: "b1", breaks: "A window read from cells as they are stored begins a tile too late where some tiles have none.",
		file: "internal/kernel/agg/packed.go", old: "x.first & (1<<p - 1)", new: "x.first & (1<<p)",
		tests: []string{aggTests},
	},
	{
		name: "short-sum-cut-off", tag: "o1", breaks: "A sum too fine for a short one is cut off to fit.",
		file: "internal/kernel/agg/exact.go", old: "bits.TrailingZeros64(mag[0]) < shortBit ||", new: "bits.TrailingZeros64(mag[0]) < 0 ||",
		tests: []string{aggTests},
	},
	{
		name: "packed-without-sign", tag: "o6", breaks: "A sum is stored in a byte too few for its sign.",
		file: "internal/kernel/agg/pack.go", old: "+ 8) / 8 // one", new: "+ 7) / 8 // one",
		tests: []string{aggTests},
	},
	{
		name: "infinities-cancel", tag: "o1", breaks: "The sum of both infinities is the one that is looked at first.",
		file: "internal/kernel/agg/exact.go", old: "x.posInf != 0 && x.negInf != 0", new: "x.posInf < 0 && x.negInf != 0",
		tests: []string{aggTests},
	},
	{
		name: "nan-never-leaves", tag: "c1", breaks: "A NaN stays in a sum after it has left the window.",
		file: "internal/kernel/agg/exact.go", old: "s.ext.nan += n\n", new: "s.ext.nan += n * n\n",
		tests: []string{aggTests},
	},
	{
		name: "nan-is-the-smallest", tag: "c1", breaks: "A minimum over NaN is the least of the other values.",
		file: "internal/kernel/agg/extreme.go", old: "k.lane.kind == plan.Double && key == nanKey", new: "k.dir == 0 && key == nanKey",
		tests: []string{aggTests},
	},
	{
		name: "estimate-fused", tag: "o2", breaks: "A product of the estimator is fused with the sum it goes into, where the processor can.",
		file: "internal/kernel/agg/hyperloglog.go", old: "z += float64(x * y)", new: "z += x * y",
		compiled: "internal/kernel/agg",
	},
	{
		name: "bucket-fused", tag: "o2", breaks: "A gap of the estimator is fused with what it is taken from, where the processor can.",
		file: "internal/kernel/agg/hyperloglog.go", old: "z -= float64(float64(gap*gap) * y)", new: "z -= gap * gap * y",
		compiled: "internal/kernel/agg",
	},
	{
		name: "merge-shares-id", tag: "o6", breaks: "Two partials share the bytes of an id after a merge.",
		file: "internal/kernel/agg/event.go", old: "e.id = append(e.id[:0], f.id...)\n\te.str", new: "e.id = f.id\n\te.str",
		tests: []string{aggTests},
	},
	{
		name: "merge-shares-specials", tag: "o6", breaks: "Two sums share their wide part after a merge.",
		file:  "internal/kernel/agg/exact.go",
		old:   "\tif o.ext == nil && s.ext == nil {\n\t\tif s.base == o.base {",
		new:   "\tif s.ext == nil {\n\t\tif o.ext == nil && s.base == o.base {",
		tests: []string{aggTests},
	},
	{
		name: "ties-by-arrival", tag: "o3", breaks: "Of two events with equal time and id, the later to arrive wins.",
		file: "internal/kernel/agg/event.go", old: "return o.arg.key(in.Arg, row)^o.dir > e.arg", new: "return o.arg.key(in.Arg, row)^o.dir != e.arg",
		tests: []string{aggTests},
	},
	{
		name: "ties-ignore-id", tag: "o3", breaks: "Partials merge by time and value, not by id.",
		file: "internal/kernel/agg/event.go", old: "if c := bytes.Compare(e.id, f.id); c != 0 {", new: "if c := bytes.Compare(e.id, f.id); c > 1 {",
		tests: []string{aggTests},
	},
	{
		name: "extreme-tie-first-wins", tag: "o3", breaks: "Of two rows with the extreme, the first to arrive wins.",
		file: "internal/kernel/agg/extremeby.go", old: "cmp == 0 && !c.beats(&e.event, at, in, row)", new: "cmp == 0",
		tests: []string{aggTests},
	},
	{
		name: "chain-tie-last-wins", tag: "o3", breaks: "In training only, of two rows with the extreme the one that comes last wins.",
		file: "internal/kernel/agg/chain.go", old: "return cmp < 0 || cmp == 0 && c.compareRows(in, old, r) <= 0", new: "return cmp <= 0",
		tests: []string{oracleTests},
	},
	{
		name: "top-k-tie-by-storage", tag: "o3", breaks: "Values of equal count are listed as they lie in memory.",
		file: "internal/kernel/agg/tally.go", old: "return cmp.Compare(a.key, b.key)\n", new: "return 0\n",
		tests: []string{aggTests},
	},
	{
		name: "values-are-seen-first", tag: "o5", breaks: "A value that is seen again in a later tile stays where it was seen before.",
		file: "internal/kernel/agg/lastseen.go", old: "if last >= int32(p) {", new: "if last != gone {",
		tests: []string{aggTests},
	},
	{
		name: "values-are-seen-as-they-arrive", tag: "o1", breaks: "A value counts where the event that arrived last is, not the latest one.",
		file: "internal/kernel/agg/lastseen.go", old: "if last >= int32(p) {", new: "if last == int32(p) {",
		tests: []string{aggTests},
	},
	{
		name: "expired-values-are-counted", tag: "n3", breaks: "A value that is seen again after its tile has expired is not counted.",
		file: "internal/kernel/agg/lastseen.go", old: "d.nodes[p], d.rows[n] = none, gone", new: "d.nodes[p] = none",
		tests: []string{aggTests, oracleTests},
	},
	{
		name: "absorbed-values-stay", tag: "o6", breaks: "The values of a tile that is merged into a wider one are lost to it.",
		file: "internal/kernel/agg/lastseen.go", old: "d.parents[n] = d.nodes[p]", new: "d.rows[n] = gone",
		tests: []string{aggTests},
	},
	{
		name: "equal-events-are-one", tag: "o5", breaks: "A second event equal to one in the list is left out.",
		file:  "internal/kernel/agg/events.go",
		old:   "\tif len(list) == c.n {\n\t\tswitch {",
		new:   "\tif i > 0 && list[i-1].compare(&e) == 0 {\n\t\treturn\n\t}\n\tif len(list) == c.n {\n\t\tswitch {",
		tests: []string{aggTests},
	},
	{
		name: "negative-zero-is-larger", tag: "o3", breaks: "The two zeros are ordered by who came first.",
		file: "featuredefs/plan/value.go", old: "b := DoubleBits(f)\n", new: "b := DoubleBits(f + 0)\n",
		tests: []string{planTests, aggTests},
	},
	{
		name: "table-without-a-seed", tag: "p10", breaks: "Keys that anybody can compute lead to one slot of a table.",
		file: "internal/kernel/agg/table.go", old: "mix(k ^ seedOfInt)", new: "mix(k)",
		tests: []string{aggTests},
	},
}
