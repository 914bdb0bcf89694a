package ingest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/internal/vector"
)

// textBatch is how many rows of text make a batch.
const textBatch = 1024

// maxLine bounds a line of JSON.
const maxLine = 16 << 20

// readAhead is how much text is read at a time, if it is there.
const readAhead = 256 << 10

// rowBuffer collects rows for batches.
type rowBuffer struct {
	fields []plan.Field
	index  map[string]int
	rows   [][]plan.Value
	flush  func(*vector.Batch) error
}

func (s *Source) buffer(flush func(*vector.Batch) error) *rowBuffer {
	b := &rowBuffer{fields: s.fields, index: map[string]int{}, flush: flush}
	for i, f := range s.fields {
		b.index[f.Name] = i
	}
	return b
}

func (b *rowBuffer) add(row []plan.Value) error {
	b.rows = append(b.rows, row)
	if len(b.rows) < textBatch {
		return nil
	}
	return b.emit()
}

// emitting is a reader that hands over the rows so far before it reads on, since that
// may take as long as it likes.
type emitting struct {
	r      io.Reader
	b      *rowBuffer
	failed error // of emit
	broken error // of r, but for its end; what came last may be half a line
}

func (e *emitting) Read(p []byte) (int, error) {
	if e.failed = e.b.emit(); e.failed != nil {
		return 0, e.failed
	}
	n, err := e.r.Read(p)
	if !errors.Is(err, io.EOF) {
		e.broken = err
	}
	return n, err
}

func (b *rowBuffer) emit() error {
	if len(b.rows) == 0 {
		return nil
	}
	batch := vector.NewBatch(b.fields, len(b.rows))
	for i, row := range b.rows {
		for c, v := range row {
			batch.Cols[c].Set(i, v)
		}
	}
	b.rows = b.rows[:0]
	return b.flush(batch)
}

// column finds a column by the name a person wrote.
func (b *rowBuffer) column(name string) (int, error) {
	if i, ok := b.index[name]; ok {
		return i, nil
	}
	names := make([]string, len(b.fields))
	for i, f := range b.fields {
		names[i] = f.Name
	}
	return 0, fmt.Errorf("unknown column %q%s", name, nearest.Hint(name, names))
}

// JSONLines reads one JSON object a line into batches with all columns of the source
// and calls f with each; a batch belongs to f. While r has nothing new, no row
// that it gave is held back. A column that a line does not have is
// null; a name that is no column is an error. Values are typed strictly: an int is
// written without point and exponent (and is exact to 64 bits), a timestamp as a
// string as plan.ParseTime reads it, bytes in base64, a duration as in Go ("1h30m"); a double is a number or
// one of "NaN", "Infinity", "-Infinity". Errors name the line.
func (s *Source) JSONLines(r io.Reader, f func(*vector.Batch) error) error {
	buf := s.buffer(f)
	in := &emitting{r: r, b: buf}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, readAhead), maxLine)
	n := 1
	for ; lines.Scan() && in.failed == nil && in.broken == nil; n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		row, err := buf.jsonRow(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := buf.add(row); err != nil {
			return err
		}
	}
	if in.failed != nil {
		return in.failed
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return buf.emit()
}

func (b *rowBuffer) jsonRow(line []byte) ([]plan.Value, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object; each line is one, like {\"user_id\": 1, \"ts\": \"2025-01-31T10:00:00Z\"}")
	}
	row := make([]plan.Value, len(b.fields))
	seen := make([]bool, len(b.fields))
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, malformed(err)
		}
		i, err := b.column(name.(string))
		if err != nil {
			return nil, err
		}
		if seen[i] {
			return nil, fmt.Errorf("column %q is there twice", b.fields[i].Name)
		}
		seen[i] = true
		var x any
		if err := dec.Decode(&x); err != nil {
			return nil, fmt.Errorf("column %q: %w", b.fields[i].Name, malformed(err))
		}
		if row[i], err = jsonValue(x, b.fields[i].Type.Kind); err != nil {
			return nil, fmt.Errorf("column %q: %w", b.fields[i].Name, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, malformed(err)
	}
	if dec.More() {
		return nil, errors.New("more than one JSON value; each event has a line of its own")
	}
	return row, nil
}

// malformed is an error of the JSON decoder in the words of somebody who looks at one line.
func malformed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("malformed JSON: the line ends before the object does")
	}
	return fmt.Errorf("malformed JSON: %w", err)
}

func jsonValue(x any, k plan.Kind) (plan.Value, error) {
	switch x := x.(type) {
	case nil:
		return plan.NullValue(), nil
	case bool:
		if k == plan.Bool {
			return plan.BoolValue(x), nil
		}
	case json.Number:
		if k == plan.Int || k == plan.Double {
			return text.Parse(x.String(), k)
		}
	case string:
		if f, ok := jsonDoubles[x]; ok && k == plan.Double {
			return plan.DoubleValue(f), nil
		}
		if k == plan.String || k == plan.Bytes || k == plan.Timestamp || k == plan.Duration {
			return text.Parse(x, k)
		}
	}
	shown, err := json.Marshal(x)
	if err != nil {
		return plan.Value{}, err
	}
	return plan.Value{}, fmt.Errorf("%s is no %v", shown, k)
}

// jsonDoubles are the doubles that JSON has no number for, as Protocol Buffers write them.
var jsonDoubles = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// CSV reads rows under a header line, like JSONLines. An empty field is null; a bool is
// true or false.
func (s *Source) CSV(r io.Reader, f func(*vector.Batch) error) error {
	buf := s.buffer(f)
	rows := &emitting{r: r, b: buf}
	in := csv.NewReader(bufio.NewReaderSize(rows, readAhead))
	in.ReuseRecord = true
	header, err := in.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("line 1: no header; the first line names the columns")
	}
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	columns, err := buf.header(header)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return buf.emit()
		}
		if rows.failed != nil {
			return rows.failed
		}
		if err != nil {
			return err // names its line
		}
		row := make([]plan.Value, len(buf.fields))
		for i, cell := range record {
			f := buf.fields[columns[i]]
			if cell == "" {
				continue
			}
			if row[columns[i]], err = text.Parse(cell, f.Type.Kind); err != nil {
				line, _ := in.FieldPos(i)
				return fmt.Errorf("line %d: column %q: %w", line, f.Name, err)
			}
		}
		if err := buf.add(row); err != nil {
			return err
		}
	}
}

func (b *rowBuffer) header(names []string) ([]int, error) {
	columns := make([]int, len(names))
	seen := map[int]bool{}
	for i, name := range names {
		if i == 0 {
			name = string(bytes.TrimPrefix([]byte(name), []byte("\ufeff")))
		}
		c, err := b.column(name)
		if err != nil {
			return nil, err
		}
		if seen[c] {
			return nil, fmt.Errorf("column %q is there twice", name)
		}
		columns[i], seen[c] = c, true
	}
	return columns, nil
}
