package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxRow is the most bytes that a row of text may have.
const MaxRow = 16 << 20

// readAhead is how much text is read at a time, if it is there.
const readAhead = 256 << 10

// buffer is text that was read and not used yet.
type buffer struct {
	src      io.Reader
	b        []byte
	from, to int   // what is unused: b[from:to]
	line     int64 // the number of the line that b[from] lies in
	marked   bool  // the place of a byte order mark is passed
	final    bool  // there is nothing after b[:to]
}

func newBuffer(src io.Reader) *buffer { return &buffer{src: src, line: 1} }

// unused is the text from the next row on; it is overwritten by fill.
func (b *buffer) unused() ([]byte, error) {
	if !b.marked {
		if err := b.skipMark(); err != nil || !b.marked {
			return nil, err
		}
	}
	return b.b[b.from:b.to], nil
}

// use takes n bytes with the given number of line ends.
func (b *buffer) use(n, lines int) {
	b.from += n
	b.line += int64(lines)
}

// fill reads on, once; what was handed out before is overwritten.
func (b *buffer) fill() error {
	if b.to-b.from >= MaxRow {
		return fmt.Errorf("line %d: a row of more than %d MiB, which is the most; is a quote or a bracket closed?", b.line, MaxRow>>20)
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

// read is one read that gives something. What comes with an error other than the end
// is left out, since it may be half a row.
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

// skipMark goes past a byte order mark, once there is enough to see one.
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
