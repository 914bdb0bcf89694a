package parquetfile

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
)

// mostDictionary bounds the dictionary of a column in a row group; where there are more
// values than a sample has shown, the rest goes without it.
const mostDictionary = 1 << 20

// pageBytes is about the size of a page before it is compressed.
const pageBytes = 256 << 10

// Writer writes one file.
type Writer struct {
	schema *Schema
	file   *parquet.GenericWriter[any]
}

// NewWriter begins a file. encodings has one for each leaf of the schema, see Sample.
// Nothing is written before the first row group is committed.
func NewWriter(to io.Writer, s *Schema, encodings Encodings, createdBy string) (*Writer, error) {
	columns := make([]encoding.Encoding, len(encodings))
	copy(columns, encodings)
	config := &parquet.WriterConfig{
		CreatedBy:          createdBy,
		Schema:             parquet.NewSchema("schema", newGroup(s.columns, columns)),
		Compression:        &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1},
		PageBufferSize:     pageBytes,
		DictionaryMaxBytes: mostDictionary,
	}
	types, err := serialized(s.arrow)
	if err != nil {
		return nil, err
	}
	w := &Writer{schema: s, file: parquet.NewGenericWriter[any](to, config)}
	w.file.SetKeyValueMetadata(arrowSchemaKey, types)
	return w, nil
}

// SetMetadata sets a key of the file's metadata, at any time before Close.
func (w *Writer) SetMetadata(key, value string) { w.file.SetKeyValueMetadata(key, value) }

// Close writes the footer.
func (w *Writer) Close() error { return w.file.Close() }

// RowGroup is rows that are encoded and compressed, to be committed. It serves one
// goroutine at a time; those of one file may be filled at the same time. Every column
// gets as many rows as the others.
type RowGroup struct {
	sink
	group *parquet.ConcurrentRowGroupWriter
}

// NewRowGroup makes an empty row group.
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

// Finish encodes and compresses what is left.
func (g *RowGroup) Finish() error {
	if err := g.rest(); err != nil {
		return err
	}
	return g.group.Flush()
}

// Commit writes the finished row group as the next one of the file. The row groups of a
// file are committed one at a time; a committed one is empty and can be filled again.
func (g *RowGroup) Commit() error {
	if _, err := g.group.Commit(); err != nil {
		return fmt.Errorf("row group: %w", err)
	}
	return nil
}
