package perturb

import (
	"bufio"
	"errors"
	"os"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/vector"
)

// writer writes a Parquet file row by row.
type writer struct {
	path  string
	file  *os.File
	buf   *bufio.Writer
	to    *parquetfile.Writer
	group *parquetfile.RowGroup
	rows  int // of the group
}

// groupRows is the number of rows of a row group, which is held in memory.
const groupRows = 64 << 10

// begin begins the file.
func (w *writer) begin(s *arrow.Schema) error {
	schema, err := arrowfile.NewSchema(s)
	if err != nil {
		return err
	}
	return w.create(schema)
}

func (w *writer) create(schema *parquetfile.Schema) error {
	encodings, err := parquetfile.NewSample(schema).Encodings()
	if err != nil {
		return err
	}
	if w.file, err = os.Create(w.path); err != nil {
		return err
	}
	w.buf = bufio.NewWriter(w.file)
	w.to = parquetfile.NewWriter(w.buf, schema, encodings, "unskew")
	w.group = w.to.NewRowGroup()
	return nil
}

// beginFields begins a file with columns for the given fields. Parquet has no durations; the
// Arrow schema in the metadata says which integers are durations in nanoseconds.
func (w *writer) beginFields(fields []plan.Field) error {
	schema, err := arrowfile.SourceSchema(fields)
	if err != nil {
		return err
	}
	return w.create(schema)
}

// array adds a value of the next row.
func (w *writer) array(col int, a arrow.Array, from, to int) error {
	return w.group.Array(col, arrowfile.Array(a), from, to)
}

// row adds a row.
func (w *writer) row(values []*vector.Vector) error {
	for c, v := range values {
		if err := w.group.Vector(c, v, 0, 1); err != nil {
			return err
		}
	}
	return w.rowDone()
}

// rowDone ends a row.
func (w *writer) rowDone() error {
	if w.rows++; w.rows < groupRows {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	if w.rows == 0 {
		return nil
	}
	w.rows = 0
	return errors.Join(w.group.Finish(), w.group.Commit())
}

// end ends the file.
func (w *writer) end() error {
	if w.file == nil {
		return nil
	}
	if w.to == nil {
		return w.file.Close()
	}
	return errors.Join(w.flush(), w.to.Close(), w.buf.Flush(), w.file.Close())
}
