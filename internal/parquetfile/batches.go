package parquetfile

import (
	"errors"
	"io"

	"github.com/unskew/unskew/internal/vector"
)

// BatchWriter writes a file batch by batch, each of which is a row group. The first decides how columns are encoded.
type BatchWriter struct {
	to        io.Writer
	schema    *Schema
	createdBy string
	file      *Writer // nil before the first batch
}

// NewBatchWriter starts a file. Nothing is written before the first batch.
func NewBatchWriter(to io.Writer, s *Schema, createdBy string) *BatchWriter {
	return &BatchWriter{to: to, schema: s, createdBy: createdBy}
}

// Write writes the columns of a batch, of n rows, as a row group.
func (w *BatchWriter) Write(cols []*vector.Vector, n int) error {
	if w.file == nil {
		if err := w.begin(cols, n); err != nil {
			return err
		}
	}
	g := w.file.NewRowGroup()
	for c, v := range cols {
		if err := g.Vector(c, v, 0, n); err != nil {
			return err
		}
	}
	return errors.Join(g.Finish(), g.Commit())
}

func (w *BatchWriter) begin(cols []*vector.Vector, n int) error {
	sample := NewSample(w.schema)
	for c, v := range cols {
		if err := sample.Vector(c, v, 0, n); err != nil {
			return err
		}
	}
	encodings, err := sample.Encodings()
	if err != nil {
		return err
	}
	w.file = NewWriter(w.to, w.schema, encodings, w.createdBy)
	return nil
}

// Close writes the footer with a key of metadata, unless the key is empty. Without a batch there is no file.
func (w *BatchWriter) Close(key, value string) error {
	if w.file == nil {
		return nil
	}
	if key != "" {
		w.file.SetMetadata(key, value)
	}
	return w.file.Close()
}
