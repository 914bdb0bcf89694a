package perturb

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
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
	schema, err := parquetfile.NewSchema(s)
	if err != nil {
		return err
	}
	encodings, err := parquetfile.NewSample(schema).Encodings()
	if err != nil {
		return err
	}
	if w.file, err = os.Create(w.path); err != nil {
		return err
	}
	w.buf = bufio.NewWriter(w.file)
	if w.to, err = parquetfile.NewWriter(w.buf, schema, encodings, "unskew"); err != nil {
		return err
	}
	w.group = w.to.NewRowGroup()
	return nil
}

// beginFields begins a file with columns for the given fields. Parquet has no durations; the
// Arrow schema in the metadata says which integers are durations in nanoseconds.
func (w *writer) beginFields(fields []plan.Field) error {
	var stored, meant []arrow.Field
	for _, f := range fields {
		t, err := parquetfile.ArrowType(f.Type)
		if err != nil {
			return err
		}
		stored = append(stored, arrow.Field{Name: f.Name, Type: t, Nullable: true})
		if f.Type.Kind == plan.Duration {
			t = arrow.FixedWidthTypes.Duration_ns
		}
		meant = append(meant, arrow.Field{Name: f.Name, Type: t, Nullable: true})
	}
	if err := w.begin(arrow.NewSchema(stored, nil)); err != nil {
		return err
	}
	var schema bytes.Buffer
	if err := ipc.NewWriter(&schema, ipc.WithSchema(arrow.NewSchema(meant, nil))).Close(); err != nil {
		return err
	}
	w.to.SetMetadata("ARROW:schema", base64.StdEncoding.EncodeToString(schema.Bytes()))
	return nil
}

// array adds a value of the next row.
func (w *writer) array(col int, a arrow.Array, from, to int) error {
	return w.group.Array(col, a, from, to)
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
