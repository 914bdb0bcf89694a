package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxRow is the maximum size of a row of text in bytes.
const MaxRow = 16 << 20

// readAhead is how many bytes are read at a time, if available.
const readAhead = 256 << 10

// buffer holds text that was read but not yet consumed.
type buffer struct {
	src      io.Reader
	b        []byte
	from, to int   // what is unused: b[from:to]
	line     int64 // the number of the line that b[from] lies in
	marked   bool  // a byte order mark would have been skipped
	final    bool  // there is nothing after b[:to]
}

func newBuffer(src io.Reader) *buffer { return &buffer{src: src, line: 1} }

// unused is the text from the next row on; fill overwrites it.
func (b *buffer) unused() ([]byte, error) {
	if !b.marked {
		if err := b.skipMark(); err != nil || !b.marked {
			return nil, err
		}
	}
	return b.b[b.from:b.to], nil
}

// use consumes n bytes that have the given number of line ends.
func (b *buffer) use(n, lines int) {
	b.from += n
	b.line += int64(lines)
}

// fill reads more text, once; it overwrites what unused returned before.
func (b *buffer) fill() error {
	if b.to-b.from >= MaxRow {
		return fmt.Errorf("line %d: a row is longer than %d MiB, the limit; is a quote or a bracket not closed?", b.line, MaxRow>>20)
	}
	if b.from > 0 {
		copy(b.b, b.b[b.from:b.to])
		b.from, b.to = 0, b.to-b.from
	}
	if b.to == len(b.b) {
		larger := make([]byte, min(max(readAhead, 2*len(b.b)), MaxRow+readAhead))
		copy(larger, b.b)
		b.b = larger
	}
	n, err := b.read()
	b.to += n
	if errors.Is(err, io.EOF) {
		b.final, err = true, nil
	}
	return err
}

// read reads until it gets at least one byte. Bytes that come with an error other than
// io.EOF are dropped, since they may end within a row.
func (b *buffer) read() (int, error) {
	for range 100 {
		n, err := b.src.Read(b.b[b.to:])
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

var (
	utf8Mark   = []byte{0xef, 0xbb, 0xbf}
	otherMarks = [][]byte{{0xff, 0xfe}, {0xfe, 0xff}}
	errNotUTF8 = errors.New("the text is UTF-16; write it as UTF-8")
)

// skipMark skips a byte order mark once enough bytes were read to recognize it.
func (b *buffer) skipMark() error {
	p := b.b[b.from:b.to]
	for _, mark := range otherMarks {
		if bytes.HasPrefix(p, mark) {
			return errNotUTF8
		}
	}
	b.marked = len(p) >= len(utf8Mark) || b.final
	if bytes.HasPrefix(p, utf8Mark) {
		b.from += len(utf8Mark)
	}
	return nil
}
