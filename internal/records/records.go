package records

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Format is how rows are written.
type Format uint8

// The formats.
const (
	CSV Format = iota + 1
	JSON
)

// Options say what to read.
type Options struct {
	Format  Format
	Dialect plan.CSV // of CSV
	Fields  []plan.Field
	// Paths has the fields that the text has elsewhere than under their name; see plan.Source.
	// CSV has no other than those of one name.
	Paths map[string][]string
	// Pushed rows may lack fields, which are then null, and must not have other names.
	// Otherwise a header must have all fields, and other names are ignored.
	Pushed bool
	// Complete makes a field that a JSON object lacks a bad cell. Otherwise it is null.
	Complete bool
	// QuotedInts accepts JSON ints as strings too: many programs, including browsers, cannot
	// write ints beyond 2^53 as numbers.
	QuotedInts bool
	// Raw names the string fields that accept any JSON value as its text; nil: none.
	Raw map[string]bool
}

// batchRows is the maximum number of rows in a Reader's batch.
const batchRows = 2048

// Rows are consecutive rows of a text. They, their lanes and their strings are valid only
// until the next call of Next.
type Rows struct {
	*vector.Batch
	Lines []int64 // the line that each row begins in, counted from 1
	Bad   []Bad   // ascending by row; a row may have several
}

// Bad is a cell that its column cannot hold. In the batch the cell has its error bit set,
// or all of the row have if Column is -1.
type Bad struct {
	Row    int    // in the batch
	Column int    // in Options.Fields; -1: the row as a whole
	Line   int64  // where the cell begins, counted from 1
	Text   string // what stands there, perhaps cut off
	Reason string // quotes the text
}

// Reader reads rows, each as soon as it has arrived completely.
type Reader struct {
	o       Options
	buf     *buffer
	scan    scanner
	names   *names
	columns []*column
	rows    Rows
	// The maximum number of rows in a batch.
	capacity int
	n        int   // rows in the batch so far
	err      error // returned after the batch
}

// scanner finds rows in text.
type scanner interface {
	// next finds one row at the beginning of p; if final is set, no text follows p.
	next(p []byte, final bool) (found, error)
	// missing is the error for a text that ends without something required.
	missing() error
}

// found is the result of a scanner.
type found struct {
	kind  foundKind
	size  int // bytes to go on after
	lines int // line ends among them
	at    int // where the row begins
	skip  int // line ends before that
	cells []cell
	why   string // of a bad row
}

type foundKind uint8

const (
	foundNothing foundKind = iota // no whole row; size may be blank lines
	foundRow
	foundBadRow
	foundHeader
	foundEnd // of all rows, before the end of the text
)

// cell is a value of a row, in a column of the batch.
type cell struct {
	column   int // -1: left out
	form     form
	escaped  bool // its text has doubled quotes or escapes in it
	quote    byte // that is doubled
	from, to int  // in the text of next
}

// NewReader reads rows from src.
func NewReader(src io.Reader, o Options) *Reader {
	r := &Reader{o: o, buf: newBuffer(src), capacity: batchRows}
	r.rows.Batch = vector.NewBatch(o.Fields, 0)
	for i, f := range o.Fields {
		r.columns = append(r.columns, &column{kind: f.Type.Kind, vec: r.rows.Cols[i], null: o.Dialect.Null, raw: o.Raw[f.Name], quotedInts: o.QuotedInts})
	}
	r.names = newNames(o.Fields, o.Paths, o.Pushed)
	if o.Format == CSV {
		r.scan = newCSVScanner(o.Dialect, r.names)
	} else {
		r.scan = newJSONScanner(r.names)
	}
	return r
}

// Seen reports whether the text has had a name for a field so far.
func (r *Reader) Seen(f plan.Field) bool {
	path := r.o.Paths[f.Name]
	if path == nil {
		path = []string{f.Name}
	}
	return r.names.has(path)
}

// Names lists the names that the text has had so far, in byte order, those in objects whose
// members are read too: merchant.city.
func (r *Reader) Names() []string { return r.names.all() }

// Next reads a batch; at the end it returns io.EOF. It returns the available rows rather than
// waiting for more. After an error, further calls return it again.
func (r *Reader) Next() (*Rows, error) {
	r.begin()
	for r.err == nil && r.n < r.capacity {
		if r.err = r.step(); r.err == errWait {
			r.err = nil
			break
		}
	}
	if r.n == 0 {
		return nil, r.err
	}
	return r.finish(), nil
}

// errWait reports that the next row is not completely in memory.
var errWait = fmt.Errorf("records: no whole row is there")

// nextRow finds a row in the text in memory.
func nextRow(b *buffer, s scanner) (p []byte, f found, err error) {
	if p, err = b.unused(); err == nil {
		f, err = s.next(p, b.final)
	}
	if err != nil {
		err = fmt.Errorf("line %d: %w", b.line+int64(f.skip), err)
	}
	return p, f, err
}

// step reads a row, or more text while the batch is empty.
func (r *Reader) step() error {
	p, f, err := nextRow(r.buf, r.scan)
	if err != nil {
		return err
	}
	switch f.kind {
	case foundRow:
		r.add(p, &f)
	case foundBadRow:
		r.addBad(p, &f)
	}
	r.buf.use(f.size, f.lines)
	switch {
	case f.kind == foundEnd, f.kind == foundNothing && r.buf.final:
		if err := r.scan.missing(); err != nil {
			return err
		}
		return io.EOF
	case f.kind != foundNothing:
		return nil
	case r.n > 0:
		return errWait
	}
	return r.buf.fill()
}

// begin makes room for a batch.
func (r *Reader) begin() {
	r.n = 0
	r.rows.Lines, r.rows.Bad = r.rows.Lines[:0], r.rows.Bad[:0]
	for _, c := range r.columns {
		c.begin(r.capacity)
	}
}

func (r *Reader) finish() *Rows {
	r.rows.N = r.n
	for _, c := range r.columns {
		c.finish(r.n)
	}
	return &r.rows
}

// add stores a row; columns without a cell are null.
func (r *Reader) add(p []byte, f *found) {
	i, line := r.n, r.buf.line+int64(f.skip)
	r.rows.Lines = append(r.rows.Lines, line)
	r.n++
	for c := range f.cells {
		cell := &f.cells[c]
		if cell.column < 0 {
			continue
		}
		col := r.columns[cell.column]
		col.last = i
		at := p[f.at:cell.from]
		if err := col.set(i, p, cell); err != nil {
			col.vec.SetErr(i)
			r.rows.Bad = append(r.rows.Bad, Bad{i, cell.column, line + int64(bytes.Count(at, newline)), shorten(col.text), err.Error()})
		}
	}
	for c, col := range r.columns {
		if col.last == i {
			continue
		}
		col.last = i
		if !r.o.Complete {
			col.vec.SetNull(i)
			continue
		}
		col.vec.SetErr(i)
		r.rows.Bad = append(r.rows.Bad, Bad{i, c, line, "", "it is missing"})
	}
}

func (r *Reader) addBad(p []byte, f *found) {
	i, line := r.n, r.buf.line+int64(f.skip)
	r.rows.Lines = append(r.rows.Lines, line)
	r.n++
	for _, col := range r.columns {
		col.last = i
		col.vec.SetErr(i)
	}
	text := bytes.TrimRight(p[f.at:f.size], "\r\n")
	r.rows.Bad = append(r.rows.Bad, Bad{i, -1, line, shorten(string(text[:min(len(text), 2*shownText)])), f.why})
}

var newline = []byte{'\n'}

// shownText is how many bytes of a text a message shows.
const shownText = 64

// shorten copies a text for a message, truncated if it is long.
func shorten(s string) string {
	if len(s) <= shownText {
		return strings.Clone(s)
	}
	cut := shownText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
