package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// Manifest returns the manifest of a successful job.
func (q *Queue) Manifest(id string) (string, error) { return q.result(id, "manifest.json") }

// Report returns the report of a successful job; "" if the job was built by a version without
// reports.
func (q *Queue) Report(id string) (string, error) {
	text, err := q.result(id, "report.json")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return text, err
}

// result reads a small file of a successful job.
func (q *Queue) result(id, name string) (string, error) {
	j, err := q.Get(id)
	if err != nil {
		return "", err
	}
	if j.State != Succeeded {
		return "", notReady(&j)
	}
	text, err := os.ReadFile(filepath.Join(q.out(id), name))
	return string(text), err
}

func notReady(j *Job) error {
	if j.State == Failed {
		return fmt.Errorf("%w: %s failed: %s", ErrNotReady, j.ID, j.Error)
	}
	return fmt.Errorf("%w: %s is %s", ErrNotReady, j.ID, j.State)
}

// readBatch is the maximum number of rows in a record batch of a stream.
const readBatch = 8192

// Read writes a part of a finished training set to w as an Arrow IPC stream, starting at row
// from. After each batch it calls written with the number of the next row of the part.
func (q *Queue) Read(ctx context.Context, id, part string, from int64, w io.Writer, written func(next int64) error) (err error) {
	path, err := q.partFile(id, part)
	if err != nil {
		return err
	}
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return fmt.Errorf("training set %s: %w", id, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if from > f.NumRows() {
		return invalid("the part has only %d rows; it cannot be read from row %d on", f.NumRows(), from)
	}
	groups, first := groupsFrom(f, from)
	props := pqarrow.ArrowReadProperties{BatchSize: readBatch}
	arrowReader, err := pqarrow.NewFileReader(f, props, memory.DefaultAllocator)
	if err != nil {
		return fmt.Errorf("training set %s: %w", id, err)
	}
	schema, err := arrowReader.Schema()
	if err != nil {
		return fmt.Errorf("training set %s: %w", id, err)
	}
	out := ipc.NewWriter(w, ipc.WithSchema(schema))
	defer func() { err = errors.Join(err, out.Close()) }()
	if len(groups) == 0 {
		return nil
	}
	records, err := arrowReader.GetRecordReader(ctx, nil, groups)
	if err != nil {
		return fmt.Errorf("training set %s: %w", id, err)
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

// partFile returns the path of a part of a finished training set.
func (q *Queue) partFile(id, part string) (string, error) {
	text, err := q.Manifest(id)
	if err != nil {
		return "", err
	}
	var m struct {
		Files []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", fmt.Errorf("training set %s: manifest: %w", id, err)
	}
	var parts []string
	for _, f := range m.Files {
		parts = append(parts, strings.TrimSuffix(f.Name, ".parquet"))
	}
	if part == "" && len(parts) == 1 {
		part = parts[0]
	}
	if !slices.Contains(parts, part) {
		return "", invalid("training set %s has no part %q; it has %s", id, part, strings.Join(parts, ", "))
	}
	return filepath.Join(q.out(id), part+".parquet"), nil
}
