package arrowfile

import (
	"errors"
	"os"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/vector"
)

// RowFileGroup is how many rows a row group of a RowFile has, but the last.
const RowFileGroup = 4096

// RowFile is a new file that is written row by row, to be read as a source or a spine.
type RowFile struct {
	file    *os.File
	parquet *parquetfile.BatchWriter
	rows    *vector.Batch // of the next row group
	n       int64
}

// CreateRowFile creates a file with the given columns. There must be none of that name. It has no content before a row is added.
func CreateRowFile(path string, fields []plan.Field) (*RowFile, error) {
	schema, err := SourceSchema(fields)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &RowFile{file: file, parquet: parquetfile.NewBatchWriter(file, schema, "unskew")}
	f.begin(fields)
	return f, nil
}

func (f *RowFile) begin(fields []plan.Field) {
	f.rows = vector.NewBatch(fields, RowFileGroup)
	f.rows.N = 0
}

// Add adds a row, of which nothing is kept but the memory of texts, lists and maps.
func (f *RowFile) Add(row []plan.Value) error {
	for c, v := range row {
		f.rows.Cols[c].Set(f.rows.N, v)
	}
	f.rows.N++
	f.n++
	if f.rows.N == RowFileGroup {
		return f.flush()
	}
	return nil
}

// Rows is how many rows were added.
func (f *RowFile) Rows() int64 { return f.n }

func (f *RowFile) flush() error {
	if f.rows.N == 0 {
		return nil
	}
	err := f.parquet.Write(f.rows.Cols, f.rows.N)
	f.begin(f.rows.Fields)
	return err
}

// Close completes the file.
func (f *RowFile) Close() error {
	return errors.Join(f.flush(), f.parquet.Close("", ""), f.file.Close())
}
