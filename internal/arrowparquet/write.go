// Package arrowparquet copies Parquet files to Arrow IPC streams and back, with Arrow's own reader and
// writer. They are large, so a server that builds no training sets does without this package.
package arrowparquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Write copies an Arrow IPC stream into a Parquet file, so that it is read
// with the conversions and errors of every other file, and returns the number of rows.
func Write(r io.Reader, w io.Writer, opts ...ipc.Option) (rows int64, err error) {
	in, err := ipc.NewReader(r, opts...)
	if err != nil {
		return 0, fmt.Errorf("not an Arrow IPC stream: %w", err)
	}
	defer in.Release()
	out, err := pqarrow.NewFileWriter(in.Schema(), struct{ io.Writer }{w}, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return 0, fmt.Errorf("arrow stream: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for in.Next() {
		if err := out.Write(in.RecordBatch()); err != nil {
			return rows, fmt.Errorf("arrow stream: %w", err)
		}
		rows += in.RecordBatch().NumRows()
	}
	if err := in.Err(); err != nil && !errors.Is(err, io.EOF) {
		return rows, fmt.Errorf("arrow stream: %w", err)
	}
	return rows, nil
}
