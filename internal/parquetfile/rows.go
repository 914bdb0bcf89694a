package parquetfile

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// WriteRows writes a small file of rows, which are structs with parquet tags, and its metadata.
func WriteRows[T any](to io.Writer, rows []T, metadata map[string]string, createdBy string) error {
	w := parquet.NewGenericWriter[T](to, &parquet.WriterConfig{
		CreatedBy: createdBy, Schema: parquet.SchemaOf(new(T)), Compression: &zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1}, PageBufferSize: pageBytes,
	})
	for key, value := range metadata {
		w.SetKeyValueMetadata(key, value)
	}
	_, err := w.Write(rows)
	return errors.Join(err, w.Close())
}

// Metadata returns the value of a key of a file's metadata, "" if it has none.
func Metadata(from io.ReaderAt, size int64, key string) (value string, err error) {
	defer recovered(&err)
	f, err := parquet.OpenFile(from, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return "", err
	}
	value, _ = f.Lookup(key)
	return value, nil
}

// ReadRows reads a file that WriteRows has written, of at most so many rows.
func ReadRows[T any](from io.ReaderAt, size int64, most int) (rows []T, err error) {
	defer recovered(&err)
	f, err := parquet.OpenFile(from, size)
	if err != nil {
		return nil, err
	}
	if n := f.NumRows(); n > int64(most) {
		return nil, fmt.Errorf("it has %d rows, at most %d are expected", n, most)
	}
	r := parquet.NewGenericReader[T](f)
	defer func() { err = errors.Join(err, r.Close()) }()
	rows = make([]T, f.NumRows())
	for n := 0; n < len(rows); {
		read, err := r.Read(rows[n:])
		if n += read; n < len(rows) && err != nil {
			return nil, fmt.Errorf("after %d of %d rows: %w", n, len(rows), err)
		}
	}
	return rows, nil
}

// recovered turns a panic of the library, which some damaged files cause, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the file is damaged: %v", p)
	}
}
