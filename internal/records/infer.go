package records

import (
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Column is a column with its inferred type.
type Column struct {
	Name string
	Kind plan.Kind // Invalid: there are none but nulls, or no type holds all values
	Why  string    // why no type does; "" otherwise
}

// Inference infers the types of undeclared columns from all of their texts:
//
//   - in CSV, true and false (also True, TRUE …) are bools; ints are written without plus sign
//     and leading zeros and fit in 64 bits; other numbers are doubles, without leading zeros
//     too; then timestamps, as plan.ParseTime reads them; anything else is a string;
//   - in JSON, bools, numbers and strings are what JSON says, and a column whose strings are
//     all timestamps is of timestamps;
//   - ints and doubles together are doubles if all the ints are doubles too.
//
// Any other mixture is a string in CSV and has no type in JSON. The order of rows and files
// does not matter.
type Inference struct {
	// Paths has the columns that lie elsewhere than under their name, as in Options. What they name
	// is not a column of its own.
	Paths map[string][]string

	columns []*inferred
	index   map[string]int
}

type inferred struct {
	name  string
	found bool // a text has the name
	seen  class
}

// class is a set of the forms that texts have.
type class uint16

const (
	looksBool class = 1 << iota
	looksInt
	looksLongInt // an int that is not a double
	looksDouble
	looksTime
	looksText
	isBool // of JSON, as all below
	isInt
	isLongInt
	isDouble
	isHuge // a whole number beyond 64 bits
	isTime
	isText
	isNested
)

// Nested is Column.Why of a column of objects or arrays only.
var Nested = isNested.names()

// Read reads one more text. It may have columns that others lack.
func (in *Inference) Read(src io.Reader, f Format, d plan.CSV) error {
	if in.index == nil {
		in.index = map[string]int{}
	}
	n := newNames(nil, nil, false)
	for _, name := range slices.Sorted(maps.Keys(in.Paths)) {
		n.place(in.Paths[name], in.column(name))
	}
	n.infer = func(text string) int {
		if _, ok := in.Paths[text]; ok {
			return -1
		}
		return in.column(text)
	}
	buf := newBuffer(src)
	var scan scanner = newJSONScanner(n)
	if f == CSV {
		scan = newCSVScanner(d, n)
	}
	err := each(buf, scan, func(p []byte, f *found) {
		for i := range f.cells {
			c := &f.cells[i]
			if c.column >= 0 {
				in.columns[c.column].seen |= classOf(p, c, d.Null)
			}
		}
	})
	for name, path := range in.Paths {
		at := in.index[name]
		in.columns[at].found = in.columns[at].found || n.has(path)
	}
	return err
}

// each calls f with the rows of a text, without bad rows.
func each(buf *buffer, scan scanner, f func(p []byte, row *found)) error {
	for {
		p, row, err := nextRow(buf, scan)
		if err != nil {
			return err
		}
		if row.kind == foundRow {
			f(p, &row)
		}
		buf.use(row.size, row.lines)
		if row.kind != foundNothing {
			continue
		}
		if buf.final {
			return scan.missing()
		}
		if err := buf.fill(); err != nil {
			return err
		}
	}
}

func (in *Inference) column(name string) int {
	i, ok := in.index[name]
	if !ok {
		i = len(in.columns)
		in.index[name] = i
		in.columns = append(in.columns, &inferred{name: name})
	}
	return i
}

// Columns lists the columns that a text has: first those of Paths, in the order of their names, then
// the others in the order in which their names were first found.
func (in *Inference) Columns() []Column {
	var out []Column
	for _, c := range in.columns {
		if _, placed := in.Paths[c.name]; placed && !c.found {
			continue
		}
		kind, why := c.seen.kind()
		out = append(out, Column{Name: c.name, Kind: kind, Why: why})
	}
	return out
}

// kind is the type that holds every form in the set.
func (s class) kind() (plan.Kind, string) {
	const looks = looksBool | looksInt | looksLongInt | looksDouble | looksTime | looksText
	switch s {
	case 0:
		return plan.Invalid, ""
	case looksBool, isBool:
		return plan.Bool, ""
	case looksInt, looksLongInt, looksInt | looksLongInt, isInt, isLongInt, isInt | isLongInt:
		return plan.Int, ""
	case looksDouble, looksDouble | looksInt, isDouble, isDouble | isInt:
		return plan.Double, ""
	case looksTime, isTime:
		return plan.Timestamp, ""
	case isText, isText | isTime:
		return plan.String, ""
	}
	if s&looks == s {
		return plan.String, ""
	}
	return plan.Invalid, s.names()
}

func (s class) names() string {
	var parts []string
	for _, part := range []struct {
		class class
		name  string
	}{
		{isBool, "bools"}, {isInt, "ints"}, {isLongInt, "ints beyond 2^53"}, {isDouble, "doubles"}, {isHuge, "numbers beyond 64 bits"},
		{isTime | isText, "strings"}, {isNested, "objects or arrays"},
	} {
		if s&part.class != 0 {
			parts = append(parts, part.name)
		}
	}
	return strings.Join(parts, ", ")
}

// classOf returns the form of a cell; 0 for null.
func classOf(p []byte, c *cell, null string) class {
	s := stringOf(p[c.from:c.to])
	switch c.form {
	case plainText, quotedText:
		if s == null {
			return 0
		}
		return classOfField(p, c)
	case jsonNull:
		return 0
	case jsonTrue, jsonFalse:
		return isBool
	case jsonNumber:
		return classOfNumber(s, isInt, isLongInt, isDouble, isHuge)
	case jsonString:
		if isTimeText(s) {
			return isTime
		}
		return isText
	}
	return isNested
}

// isTimeText reports whether s is a timestamp; a quick check avoids building errors for most
// other texts.
func isTimeText(s string) bool {
	if len(s) < len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return false
	}
	_, err := plan.ParseTime(s)
	return err == nil
}

// classOfField returns the form of a CSV field.
func classOfField(p []byte, c *cell) class {
	s := stringOf(p[c.from:c.to])
	switch s {
	case "":
		return looksText
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return looksBool
	}
	if s[0] == '-' || s[0]-'0' <= 9 {
		if end, ok := number(p[:c.to], c.from); ok && end == c.to {
			return classOfNumber(s, looksInt, looksLongInt, looksDouble, looksText)
		}
		if isTimeText(s) {
			return looksTime
		}
	}
	return looksText
}

// maxExactInt is the limit up to which every int is exactly a double.
const maxExactInt = 1 << 53

// classOfNumber returns the form of a JSON number.
func classOfNumber(s string, short, long, double, huge class) class {
	if strings.ContainsAny(s, ".eE") || s == "-0" {
		if f, err := strconv.ParseFloat(s, 64); err != nil || math.IsInf(f, 0) {
			return huge
		}
		return double
	}
	i, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return huge
	case i > maxExactInt || i < -maxExactInt:
		return long
	}
	return short
}
