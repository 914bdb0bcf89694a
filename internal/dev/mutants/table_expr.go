package main

// exprMutants break the evaluation of expressions.
var exprMutants = []mutant{
	{
		name: "nan-compares", tag: "c1", breaks: "NaN is less than everything.",
		file: "internal/kernel/expr/compare.go", old: "if x < b[i] {", new: "if !(x >= b[i]) {",
		tests: []string{exprTests},
	},
	{
		name: "nan-against-null", tag: "c2", breaks: "NaN < null is an error like null < NaN.",
		file: "internal/kernel/expr/compare.go", old: "if x.kind == plan.Double && r.Null != nil {", new: "if x.kind == plan.Double && n < 0 {",
		tests: []string{exprTests},
	},
	{
		name: "nulls-differ", tag: "n1", breaks: "Two nulls are not equal.",
		file: "internal/kernel/expr/compare.go", old: "dst[w]&^(ln|rn) | ln&rn", new: "dst[w] &^ (ln | rn)",
		tests: []string{exprTests},
	},
	{
		name: "null-lost-in-a-choice", tag: "n4", breaks: "The null of one arm of a choice becomes the value beneath it.",
		file: "internal/kernel/expr/logic.go", old: "if a.Null != nil || b.Null != nil {", new: "if a.Null != nil && b.Null != nil {",
		tests: []string{exprTests},
	},
	{
		name: "error-not-absorbed", tag: "c7", breaks: "true || error is an error.",
		file: "internal/kernel/expr/logic.go", old: "o.Err[w] &= open", new: "o.Err[w] &= ^uint64(0)",
		tests: []string{exprTests},
	},
	{
		name: "addition-wraps", tag: "c7", breaks: "An addition of ints that overflows wraps around.",
		file: "internal/kernel/expr/arith.go", old: "bad |= uint64((a[i]^s)&(b[i]^s)) >> 63 << i", new: "bad |= uint64((a[i]^s)&(b[i]^s)) >> 63 >> 1 << i",
		tests: []string{exprTests},
	},
	{
		name: "least-int-divided", tag: "c7", breaks: "The least int divided by -1 is itself.",
		file:  "internal/kernel/expr/arith.go",
		old:   "func divInt(dst, a, b []int64) (bad uint64) {\n\ta, b = a[:len(dst)], b[:len(dst)]\n\tfor i := range dst {\n\t\tif b[i] == 0 || b[i] == -1 && a[i] == math.MinInt64 {",
		new:   "func divInt(dst, a, b []int64) (bad uint64) {\n\ta, b = a[:len(dst)], b[:len(dst)]\n\tfor i := range dst {\n\t\tif b[i] == 0 {",
		tests: []string{exprTests},
	},
	{
		name: "weeks-begin-on-monday", tag: "b8", breaks: "Weekday 0 is Monday.",
		file: "internal/kernel/expr/timefields.go", old: "plan.FloorDiv(local, microsPerDay)+4, 7)", new: "plan.FloorDiv(local, microsPerDay)+3, 7)",
		tests: []string{exprTests},
	},
	{
		name: "zones-ignored", tag: "c4", breaks: "Hours of a zone are those of UTC.",
		file: "internal/kernel/expr/timefields.go", old: "celenv.Location(k.val.Str())", new: "celenv.Location(\"UTC\" + k.val.Str()[:0])",
		tests: []string{exprTests},
	},
	{
		name: "nan-of-the-machine", tag: "n7", breaks: "The bits of a NaN are those that the processor makes.",
		file: "internal/kernel/features.go", old: "math.Float64frombits(plan.DoubleBits(f))", new: "math.Float64frombits(math.Float64bits(f))",
		tests: []string{oracleTests},
	},
	{
		name: "double-negation-is-none", tag: "c3", breaks: "The fingerprint of -(-x) is that of x negated once.",
		file:  "featuredefs/plan/fingerprint.go",
		old:   "func (e *encoder) expr(x *Expr) {\n",
		new:   "func (e *encoder) expr(x *Expr) {\n\tfor x.Kind == Call && x.Name == \"-_\" && x.Args[0].Kind == Call && x.Args[0].Name == \"-_\" {\n\t\tx = x.Args[0].Args[0]\n\t}\n",
		tests: []string{defsTests},
	},
	{
		name: "doubles-in-full", tag: "c6", breaks: "string(1000000.0) is 1000000.",
		file: "internal/kernel/expr/convert.go", old: "a.Double[i], 'g', -1, 64)", new: "a.Double[i], 'f', -1, 64)",
		tests: []string{exprTests},
	},
	{
		name: "days-truncate", tag: "b4", breaks: "The weekday before 1970 is that of the next day.",
		file: "internal/kernel/expr/timefields.go", old: "floorMod(plan.FloorDiv(local, microsPerDay)+4, 7)", new: "floorMod(local/microsPerDay+4, 7)",
		tests: []string{exprTests},
	},
	{
		name: "memo-in-place-of-its-column", tag: "o6", breaks: "The nodes after a memo read the strings of its entries in the place of their column.",
		file: "internal/kernel/expr/memo.go", old: "in.Vector, in.marked = column, marked", new: "in.marked = column != nil && marked",
		tests: []string{exprTests},
	},
	{
		name: "memo-of-forgotten-strings", tag: "o6", breaks: "A memo gives a string the result of one that the dictionary has forgotten.",
		file: "internal/kernel/expr/memo.go", old: "if x.generation != d.generation {", new: "if x.generation == 0 {",
		tests: []string{exprTests},
	},
	{
		name: "memo-shares-its-results", tag: "o6", breaks: "The strings that a memo keeps are parts of memory that others use.",
		file: "internal/kernel/expr/memo.go", old: "own, ok := x.dict.store(a.Str[i])", new: "own, ok := a.Str[i], true",
		tests: []string{exprTests},
	},
	{
		name: "memo-forgets-nulls", tag: "n1", breaks: "A memo reports nulls and failures only if the result stored last is one.",
		file: "internal/kernel/expr/memo.go", old: "x.marked = x.marked || f != memoKnown", new: "x.marked = f != memoKnown",
		tests: []string{exprTests},
	},
	{
		name: "dictionary-borrows", tag: "o6", breaks: "A dictionary keeps strings in memory that is written again after the batch.",
		file: "internal/kernel/expr/dictionary.go", old: "return d.text.clone(s), true", new: "return s, true",
		tests: []string{exprTests},
	},
	{
		name: "dictionary-unbounded", tag: "p8", breaks: "A dictionary keeps all strings that are not too long one by one.",
		file: "internal/kernel/expr/dictionary.go", old: "if d.bytes+len(s) > maxBytes {", new: "if len(s) > maxBytes {",
		tests: []string{exprTests},
	},
	{
		name: "codes-of-the-last-batch", tag: "o6", breaks: "A row has the code of the row of the batch before.",
		file: "internal/kernel/expr/dictionary.go", old: "zeroed(&d.coded, n)", new: "sized(&d.coded, n)",
		tests: []string{exprTests},
	},
	{
		name: "failed-rows-are-null", tag: "n1", breaks: "A failed row has the code of null.",
		file: "internal/kernel/expr/dictionary.go", old: "if errs>>i&1 != 0 {", new: "if errs>>i&1 > 1 {",
		tests: []string{exprTests},
	},
	{
		name: "keys-of-first-bytes", tag: "k1", breaks: "Two strings of one length with equal first bytes are one.",
		file: "internal/kernel/expr/dictionary.go", old: "key{le64(s), le64(s[n-8:])}", new: "key{le64(s), le64(s)}",
		tests: []string{exprTests},
	},
	{
		name: "lengths-lost", tag: "k1", breaks: "A short string is equal to one that goes on with zero bytes.",
		file: "internal/kernel/expr/short.go", old: "p := uint64(n) << 56", new: "p := uint64(n&1) << 56",
		tests: []string{exprTests},
	},
	{
		name: "null-against-a-literal", tag: "n1", breaks: "Null is not unequal to a literal.",
		file: "internal/kernel/expr/literal.go", old: "case x.test == unequalTo:", new: "case x.test == unequalTo && a.N < 0:",
		tests: []string{exprTests},
	},
	{
		name: "nan-literal-against-null", tag: "c2", breaks: "NaN < null is an error when NaN is a constant.",
		file: "internal/kernel/expr/literal.go", old: "val.Double() != val.Double() {", new: "val.Double() != val.Double() && val.Double() > 0 {",
		tests: []string{exprTests},
	},
	{
		name: "constants-of-single-rows", tag: "p7", breaks: "A constant null is a value in a batch of one row.",
		file: "internal/kernel/expr/leaf.go", old: "if x.null {", new: "if x.null && n > 1 {",
		tests: []string{exprTests},
	},
}
