package main

const (
	textTests     = "internal/text"
	recordsTests  = "internal/records"
	relationTests = "internal/relation"
)

// textMutants break the reading of text: what a text means, and where rows and cells
// begin and end.
var textMutants = []mutant{
	{
		name: "text-int-is-cut-off", tag: "n8", breaks: "What is not a whole number is an int without its fraction.",
		file: "internal/text/number.go", old: "case n.exp < 0:", new: "case n.exp < -maxExponent:",
		tests: []string{textTests},
	},
	{
		name: "text-int-overflows", tag: "n8", breaks: "An int of 19 digits too large for 64 bits wraps around.",
		file: "internal/text/number.go", old: "u > (math.MaxInt64+1-d)/10", new: "u > math.MaxUint64/10",
		tests: []string{textTests},
	},
	{
		name: "text-greatest-negative", tag: "n8", breaks: "2^63 is read as -2^63.",
		file: "internal/text/number.go", old: "case u > math.MaxInt64:", new: "case u > math.MaxInt64+1:",
		tests: []string{textTests},
	},
	{
		name: "text-double-rounds-twice", tag: "n8", breaks: "Digits that no double holds are rounded, and the quotient again.",
		file: "internal/text/number.go", old: "mantissa > 1<<53", new: "mantissa > 1<<60",
		tests: []string{textTests},
	},
	{
		name: "text-double-overflow-is-infinite", tag: "n7", breaks: "A number larger than every double is infinite.",
		file: "internal/text/number.go", old: "if errors.Is(err, strconv.ErrRange) {", new: "if errors.Is(err, strconv.ErrRange) && f == 0 {",
		tests: []string{textTests},
	},
	{
		name: "text-hexadecimal", tag: "n9", breaks: "Hexadecimal floats are doubles.",
		file: "internal/text/number.go", old: "case c-'0' <= 9, c == '.', c == '-'", new: "case c-'0' <= 9, c == 'x', c == 'p', c == '.', c == '-'",
		tests: []string{textTests},
	},
	{
		name: "time-offset-turned-round", tag: "n9", breaks: "An offset is added to a time rather than taken off.",
		file: "featuredefs/plan/timetext.go", old: "return t - EventTime(ahead*int64(Minute)), ok", new: "return t + EventTime(ahead*int64(Minute)), ok",
		tests: []string{planTests},
	},
	{
		name: "time-offset-without-minutes", tag: "n9", breaks: "The minutes of an offset do not count.",
		file: "featuredefs/plan/timetext.go", old: "ahead = hours*60 + minutes", new: "ahead = hours * 60",
		tests: []string{planTests},
	},
	{
		name: "time-of-no-day", tag: "n10", breaks: "30 February is a day in March.",
		file: "featuredefs/plan/timetext.go", old: "day > daysIn(year, month)", new: "day > 31",
		tests: []string{planTests},
	},
	{
		name: "time-leap-centuries", tag: "n10", breaks: "1900 is a leap year.",
		file: "featuredefs/plan/timetext.go", old: "(year%100 != 0 || year%400 == 0)", new: "(year%100 != 0 || year%100 == 0)",
		tests: []string{planTests},
	},
	{
		name: "csv-quoted-empty-is-null", tag: "n1", breaks: "An empty string in quotes is null.",
		file: "internal/records/column.go", old: "c.text == c.null && c.kind != plan.String && c.kind != plan.Bytes", new: "c.text == c.null",
		tests: []string{recordsTests},
	},
	{
		name: "csv-null-is-empty", tag: "n1", breaks: "An empty field is null though the source says another text is.",
		file: "internal/records/column.go", old: "case plainText:\n\t\tif c.text == c.null {", new: "case plainText:\n\t\tif c.text == c.null || c.text == \"\" {",
		tests: []string{recordsTests},
	},
	{
		name: "csv-any-width", tag: "n10", breaks: "A row may have more or fewer fields than the header.",
		file: "internal/records/csv.go", old: "case len(f.cells) != len(s.columns):", new: "case len(f.cells) > 1000+len(s.columns):",
		tests: []string{recordsTests},
	},
	{
		name: "csv-second-header", tag: "n10", breaks: "A header that comes again is a row.",
		file: "internal/records/csv.go", old: "case s.repeatsHeader(p, f.cells):", new: "case len(f.cells) == 0 && s.repeatsHeader(p, f.cells):",
		tests: []string{recordsTests},
	},
	{
		name: "csv-lines-of-quotes", tag: "n10", breaks: "The lines within quotes do not count.",
		file: "internal/records/csv.go", old: "f.lines = f.skip + bytes.Count(p[f.at:f.size], newline)\n\t\treturn f, nil", new: "f.lines = f.skip + 1\n\t\treturn f, nil",
		tests: []string{recordsTests},
	},
	{
		name: "csv-ends-early", tag: "n10", breaks: "What is read of a row before the rest has come is a row.",
		file: "internal/records/csv.go", old: "if !whole && !final || len(rest) == 0 {", new: "if len(rest) == 0 {",
		tests: []string{recordsTests},
	},
	{
		name: "json-last-wins", tag: "n10", breaks: "Of two members with one name the last counts.",
		file: "internal/records/json.go", old: "if n.row == s.rows {", new: "if n.row > s.rows {",
		tests: []string{recordsTests},
	},
	{
		name: "json-last-object-wins", tag: "n10", breaks: "A member of an object that a column is read from may occur twice.",
		file: "internal/records/json.go", old: "return s.members(p, at, depth+1, of.inner)", new: "end, _, err := s.members(p, at, depth+1, of.inner)\n\t\treturn end, nil, err",
		tests: []string{relationTests},
	},
	{
		name: "struct-null-is-a-value", tag: "n10", breaks: "A field of a struct that is there has a value, even if it is null.",
		file: "internal/relation/parquetpages.go", old: "case int(l) == most:", new: "case int(l) >= most-1:",
		tests: []string{relationTests},
	},
	{
		name: "struct-any-case", tag: "n5", breaks: "Of fields that differ only in case one is read.",
		file: "internal/relation/structs.go", old: "caseCollision(names); ok && a != b", new: "caseCollision(names); ok && a == \"\"",
		tests: []string{relationTests},
	},
	{
		name: "struct-unknown-field", tag: "n9", breaks: "A pushed struct may have a field that no column is.",
		file: "internal/relation/structs.go", old: "if rel.Pushed {", new: "if rel.Pushed && depth == 0 {",
		tests: []string{relationTests},
	},
	{
		name: "fingerprint-without-field", tag: "n9", breaks: "A column that is read from another field has the same fingerprint.",
		file: "featuredefs/plan/fingerprint.go", old: "len(path) > 0 {", new: "len(path) > 1<<20 {",
		tests: []string{defsTests},
	},
	{
		name: "json-numbers-in-strings", tag: "n8", breaks: "A string with digits in it is an int.",
		file: "internal/records/column.go", old: "\t\tif c.quotedInts {", new: "\t\tif c.quotedInts || c.kind == plan.Int {",
		tests: []string{recordsTests},
	},
	{
		name: "json-half-a-pair", tag: "n10", breaks: "Half of a surrogate pair is the character that stands for what is none.",
		file: "internal/records/grammar.go", old: "if len(s) < 12 || s[6] != '\\\\' || s[7] != 'u' {\n\t\treturn 0, 0", new: "if len(s) < 12 || s[6] != '\\\\' || s[7] != 'u' {\n\t\treturn utf8.RuneError, 6",
		tests: []string{recordsTests},
	},
	{
		name: "names-differ-in-case", tag: "n5", breaks: "Columns may differ only in case.",
		file: "internal/records/names.go", old: "if other, ok := n.byCase[folded]; ok {", new: "if other, ok := n.byCase[folded]; ok && other == \"\" {",
		tests: []string{recordsTests},
	},
	{
		name: "bad-row-forgotten", tag: "n10", breaks: "A cell that cannot be read is null.",
		file: "internal/records/records.go", old: "col.vec.SetErr(i)\n\t\t\tr.rows", new: "col.vec.SetNull(i)\n\t\t\tr.rows",
		tests: []string{recordsTests},
	},
	{
		name: "inference-of-rounded-ints", tag: "n8", breaks: "Ints that no double holds are doubles beside others.",
		file: "internal/records/infer.go", old: "case i > maxExactInt || i < -maxExactInt:", new: "case i == 0 && err != nil:",
		tests: []string{recordsTests},
	},
}
