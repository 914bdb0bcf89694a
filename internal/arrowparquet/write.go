// Package arrowparquet copies Parquet files to Arrow IPC streams and back, with Arrow's own reader and
// writer. They are large, so a server that builds no training sets does without this package.
package arrowparquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Write copies an Arrow IPC stream into a Parquet file, so that it is read
// with the conversions and errors of every other file, and returns the number of rows. A batch that takes more than mostBatch bytes of
// memory, decompressed, is an error.
func Write(r io.Reader, w io.Writer, mostBatch int64) (rows int64, err error) {
	in, err := ipc.NewReader(r, ipc.WithAllocator(&boundedMemory{Allocator: memory.DefaultAllocator, limit: mostBatch}))
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

// boundedMemory allocates up to a limit; beyond it it panics, and the Arrow stream reader
// returns the panic as an error.
type boundedMemory struct {
	memory.Allocator
	used, limit int64
}

func (b *boundedMemory) Allocate(size int) []byte {
	b.take(size)
	return b.Allocator.Allocate(size)
}

func (b *boundedMemory) Reallocate(size int, old []byte) []byte {
	b.take(size - len(old))
	return b.Allocator.Reallocate(size, old)
}

func (b *boundedMemory) Free(mem []byte) {
	b.take(-len(mem))
	b.Allocator.Free(mem)
}

func (b *boundedMemory) take(size int) {
	if size > 0 && b.used+int64(size) > b.limit {
		panic(fmt.Errorf("a batch takes more than %d bytes of memory, which is the limit; send smaller batches", b.limit))
	}
	b.used += int64(size)
}
