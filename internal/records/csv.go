package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// form is how a cell is written.
type form uint8

const (
	plainText  form = iota // CSV without quotes
	quotedText             // CSV in quotes, which are not part of the cell's text
	jsonNull
	jsonTrue
	jsonFalse
	jsonNumber
	jsonString // without its quotes
	jsonObject
	jsonArray
)

// csvScanner splits CSV into rows and cells.
type csvScanner struct {
	delimiter, quote byte
	quotes           bool // there is a quote at all
	names            *names
	columns          []int // of each name of the header; nil before it
	header           []string
	cells            []cell
}

func newCSVScanner(d plan.CSV, n *names) *csvScanner {
	s := &csvScanner{delimiter: ',', quote: '"', quotes: !d.Unquoted, names: n}
	if d.Delimiter != 0 {
		s.delimiter = d.Delimiter
	}
	if d.Quote != 0 {
		s.quote = d.Quote
	}
	return s
}

func (s *csvScanner) next(p []byte, final bool) (found, error) {
	f := blankLines(p, final)
	f, err := s.record(p, f, final)
	if err != nil || f.kind == foundNothing {
		return f, err
	}
	if s.columns == nil {
		err := s.takeHeader(p, f)
		f.kind = foundHeader
		return f, err
	}
	if f.kind == foundBadRow {
		return f, nil
	}
	switch {
	case len(f.cells) != len(s.columns):
		f.kind, f.why = foundBadRow, fmt.Sprintf("the row has %s and the header %d", fields(len(f.cells)), len(s.columns))
	case s.repeatsHeader(p, f.cells):
		f.kind, f.why = foundBadRow, "the row repeats the header"
	}
	for i := range f.cells[:min(len(f.cells), len(s.columns))] {
		f.cells[i].column = s.columns[i]
	}
	return f, nil
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

// blankLines finds the line ends at the beginning of p.
func blankLines(p []byte, final bool) found {
	var f found
	for {
		rest := p[f.size:]
		switch {
		case len(rest) > 0 && rest[0] == '\n':
			f.size++
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			f.size += 2
		case final && len(rest) == 1 && rest[0] == '\r':
			f.size++
		default:
			f.at, f.skip = f.size, f.lines
			return f
		}
		f.lines++
	}
}

// record finds the first row, skipping blank lines.
func (s *csvScanner) record(p []byte, f found, final bool) (found, error) {
	rest := p[f.at:]
	end := bytes.IndexByte(rest, '\n')
	whole := end >= 0
	if !whole {
		end = len(rest)
	}
	if !whole && !final || len(rest) == 0 {
		return f, nil
	}
	line := rest[:end]
	if s.quotes && bytes.IndexByte(line, s.quote) >= 0 {
		return s.quotedRecord(p, f, final)
	}
	f.size = f.at + end
	if whole {
		f.size++
		f.lines++
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	f.kind = foundRow
	if bytes.IndexByte(line, '\r') >= 0 {
		f.kind, f.why = foundBadRow, errCarriageReturn.Error()
		return f, nil
	}
	s.cells = s.cells[:0]
	from := f.at
	for i, c := range line {
		if c == s.delimiter {
			s.cells = append(s.cells, cell{from: from, to: f.at + i})
			from = f.at + i + 1
		}
	}
	s.cells = append(s.cells, cell{from: from, to: f.at + len(line)})
	f.cells = s.cells
	return f, nil
}

var (
	errCarriageReturn = errors.New("a carriage return within a line; put the field in quotes")
	errOpenQuote      = errors.New("a quote that is never closed")
)

// quotedRecord finds a row that has quotes and may span several lines.
func (s *csvScanner) quotedRecord(p []byte, f found, final bool) (found, error) {
	s.cells = s.cells[:0]
	at := f.at
	for {
		c, end, why := s.field(p, at)
		if end == len(p) && !final {
			return found{size: f.size, lines: f.lines, at: f.at, skip: f.skip}, nil
		}
		if why == errOpenQuote {
			f.skip += bytes.Count(p[f.at:at], newline)
			return f, why
		}
		if why != nil {
			return s.badRecord(p, f, end, why, final), nil
		}
		s.cells = append(s.cells, c)
		at = end + 1
		if end < len(p) && p[end] == s.delimiter {
			continue
		}
		f.kind, f.cells, f.size = foundRow, s.cells, min(at, len(p))
		if end < len(p) && p[end] == '\r' {
			f.size++
		}
		f.lines = f.skip + bytes.Count(p[f.at:f.size], newline)
		return f, nil
	}
}

// field reads one field and finds the delimiter or line end after it: "\n", the
// "\r" of "\r\n" or the end of p. With an error, end is where it was found.
func (s *csvScanner) field(p []byte, at int) (c cell, end int, err error) {
	if at < len(p) && p[at] == s.quote {
		return s.quotedField(p, at)
	}
	for i := at; i < len(p); i++ {
		switch b := p[i]; {
		case b == s.delimiter, b == '\n':
			return cell{from: at, to: i}, i, nil
		case b == s.quote:
			return c, i, fmt.Errorf("a quote within a field that does not begin with one; put the field in quotes and double the quotes in it")
		case b == '\r' && i+1 == len(p):
			return cell{from: at, to: i}, len(p), nil // perhaps of a line end
		case b == '\r' && p[i+1] == '\n':
			return cell{from: at, to: i}, i, nil
		case b == '\r':
			return c, i, errCarriageReturn
		}
	}
	return cell{from: at, to: len(p)}, len(p), nil
}

func (s *csvScanner) quotedField(p []byte, at int) (c cell, end int, err error) {
	c = cell{form: quotedText, quote: s.quote, from: at + 1}
	for i := at + 1; ; {
		n := bytes.IndexByte(p[i:], s.quote)
		if n < 0 {
			return c, len(p), errOpenQuote
		}
		c.to, i = i+n, i+n+1
		if i < len(p) && p[i] == s.quote {
			c.escaped = true
			i++
			continue
		}
		switch {
		case i == len(p), p[i] == s.delimiter, p[i] == '\n':
			return c, i, nil
		case p[i] == '\r' && i+1 == len(p):
			return c, len(p), nil
		case p[i] == '\r' && p[i+1] == '\n':
			return c, i, nil
		}
		return c, i, fmt.Errorf("text after the quote that ends a field; double the quotes within a field")
	}
}

// badRecord consumes a malformed row up to the next line end.
func (s *csvScanner) badRecord(p []byte, f found, at int, why error, final bool) found {
	end := bytes.IndexByte(p[at:], '\n')
	if end < 0 && !final {
		return found{size: f.size, lines: f.lines, at: f.at, skip: f.skip}
	}
	f.kind, f.why, f.size = foundBadRow, why.Error(), len(p)
	if end >= 0 {
		f.size = at + end + 1
	}
	f.lines = f.skip + bytes.Count(p[f.at:f.size], newline)
	return f
}

func (s *csvScanner) takeHeader(p []byte, f found) error {
	if f.kind == foundBadRow {
		return errors.New(f.why)
	}
	for _, c := range f.cells {
		t := p[c.from:c.to]
		if c.escaped {
			t = undouble(t, s.quote)
		}
		s.header = append(s.header, string(t))
	}
	var err error
	s.columns, err = s.names.header(s.header)
	return err
}

// repeatsHeader reports whether a row equals the header. With a single column it reports
// false, since the name may be a value.
func (s *csvScanner) repeatsHeader(p []byte, cells []cell) bool {
	if len(cells) < 2 {
		return false
	}
	for i := range cells {
		c := &cells[i]
		if c.escaped || string(p[c.from:c.to]) != s.header[i] {
			return false
		}
	}
	return true
}

func (s *csvScanner) missing() error {
	if s.columns == nil {
		return errNoHeader
	}
	return nil
}

// undouble replaces doubled quotes by single ones, in place.
func undouble(t []byte, quote byte) []byte {
	n := 0
	for i := 0; i < len(t); i++ {
		if t[i] == quote {
			i++
		}
		t[n] = t[i]
		n++
	}
	return t[:n]
}
