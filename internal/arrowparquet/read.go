package arrowparquet

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// readBatch is the maximum number of rows in a record batch of a stream.
const readBatch = 8192

// Read writes the rows of a Parquet file, starting at row from, to w as an Arrow IPC stream. After
// each batch it calls written with the number of the next row.
func Read(ctx context.Context, path string, from int64, w io.Writer, written func(next int64) error) (err error) {
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	groups, first := groupsFrom(f, from)
	props := pqarrow.ArrowReadProperties{BatchSize: readBatch}
	arrowReader, err := pqarrow.NewFileReader(f, props, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	schema, err := arrowReader.Schema()
	if err != nil {
		return err
	}
	out := ipc.NewWriter(w, ipc.WithSchema(schema))
	defer func() { err = errors.Join(err, out.Close()) }()
	if len(groups) == 0 {
		return nil
	}
	records, err := arrowReader.GetRecordReader(ctx, nil, groups)
	if err != nil {
		return err
	}
	defer records.Release()
	return copyRecords(records, out, first, from, written)
}

// copyRecords writes the rows starting at row from; first is the number of the first row in
// records.
func copyRecords(records pqarrow.RecordReader, out *ipc.Writer, first, from int64, written func(int64) error) error {
	for records.Next() {
		rec := records.RecordBatch()
		n := rec.NumRows()
		if skip := from - first; skip > 0 {
			rec = rec.NewSlice(min(skip, n), n)
			defer rec.Release()
		}
		first += n
		if rec.NumRows() == 0 {
			continue
		}
		if err := out.Write(rec); err != nil {
			return err
		}
		if err := written(first); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// groupsFrom lists the row groups with rows at or after row from, and returns the number of
// their first row.
func groupsFrom(f *file.Reader, from int64) (groups []int, first int64) {
	var row int64
	for g := range f.NumRowGroups() {
		n := f.MetaData().RowGroups[g].NumRows
		if row+n > from {
			if groups == nil {
				first = row
			}
			groups = append(groups, g)
		}
		row += n
	}
	return groups, first
}
