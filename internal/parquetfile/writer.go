package parquetfile

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
)

// maxDictionaryBytes limits the dictionary of a column in a row group. If there are more
// distinct values than the sample suggested, the rest is written without a dictionary.
const maxDictionaryBytes = 1 << 20

// pageBytes is the approximate size of a page before compression.
const pageBytes = 256 << 10

// Writer writes one file.
type Writer struct {
	schema *Schema
	file   *parquet.GenericWriter[any]
}

// NewWriter starts a file. encodings has one entry for each leaf of the schema, see Sample.
// Nothing is written before the first row group is committed.
func NewWriter(to io.Writer, s *Schema, encodings Encodings, createdBy string) *Writer {
	columns := make([]encoding.Encoding, len(encodings))
	copy(columns, encodings)
	config := &parquet.WriterConfig{
		CreatedBy:          createdBy,
		Schema:             parquet.NewSchema("schema", newGroup(s.columns, columns)),
		Compression:        &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1},
		PageBufferSize:     pageBytes,
		DictionaryMaxBytes: maxDictionaryBytes,
	}
	w := &Writer{schema: s, file: parquet.NewGenericWriter[any](to, config)}
	for _, m := range s.metadata {
		w.SetMetadata(m[0], m[1])
	}
	return w
}

// SetMetadata sets a key of the file's metadata; it can be called until Close.
func (w *Writer) SetMetadata(key, value string) { w.file.SetKeyValueMetadata(key, value) }

// Close writes the footer.
func (w *Writer) Close() error { return w.file.Close() }

// RowGroup buffers rows, encoded and compressed, until they are committed. It is used by
// one goroutine at a time, but the row groups of a file may be filled concurrently. All
// columns must get the same number of rows.
type RowGroup struct {
	sink
	group *parquet.ConcurrentRowGroupWriter
}

// NewRowGroup returns an empty row group.
func (w *Writer) NewRowGroup() *RowGroup {
	g := &RowGroup{group: w.file.BeginRowGroup()}
	writers := g.group.ColumnWriters()
	g.sink = *newSink(w.schema, func(leaf int) func([]parquet.Value) error {
		return func(values []parquet.Value) error {
			_, err := writers[leaf].WriteRowValues(values)
			return err
		}
	})
	return g
}

// Finish encodes and compresses the remaining values.
func (g *RowGroup) Finish() error {
	if err := g.flushAll(); err != nil {
		return err
	}
	return g.group.Flush()
}

// Commit writes the finished row group as the next one of the file. Only one row group of a
// file may be committed at a time; afterwards it is empty and can be filled again.
func (g *RowGroup) Commit() error {
	if _, err := g.group.Commit(); err != nil {
		return fmt.Errorf("row group: %w", err)
	}
	return nil
}
