package servedset

import (
	"errors"
	"os"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/vector"
)

// groupRows is how many rows a row group has, but the last.
const groupRows = 4096

// rowFile is a Parquet file that is written row by row.
type rowFile struct {
	file    *os.File
	parquet *parquetfile.BatchWriter
	rows    *vector.Batch // of the next row group
}

func newRowFile(path string, fields []plan.Field) (*rowFile, error) {
	schema, err := parquetfile.SourceSchema(fields)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &rowFile{file: file, parquet: parquetfile.NewBatchWriter(file, schema, "unskew")}
	f.begin(fields)
	return f, nil
}

func (f *rowFile) begin(fields []plan.Field) {
	f.rows = vector.NewBatch(fields, groupRows)
	f.rows.N = 0
}

// add adds a row; at most groupRows before flush.
func (f *rowFile) add(row []plan.Value) {
	for c, v := range row {
		f.rows.Cols[c].Set(f.rows.N, v)
	}
	f.rows.N++
}

// flush writes the rows as a row group.
func (f *rowFile) flush() error {
	err := f.parquet.Write(f.rows.Cols, f.rows.N)
	f.begin(f.rows.Fields)
	return err
}

// close completes the file.
func (f *rowFile) close() error { return errors.Join(f.parquet.Close("", ""), f.file.Close()) }
