package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// Read writes a part of a finished training set to w as an Arrow IPC stream, starting at row
// from. After each batch it calls written with the number of the next row of the part.
func (q *Queue) Read(ctx context.Context, id, part string, from int64, w io.Writer, written func(next int64) error) error {
	defer q.hold(id)()
	path, rows, err := q.partFile(id, part)
	if err != nil {
		return err
	}
	if from > rows {
		return invalid("the part has only %d rows; it cannot be read from row %d on", rows, from)
	}
	if err := q.cfg.Arrow.Read(ctx, path, from, w, written); err != nil {
		return fmt.Errorf("training set %s: %w", id, err)
	}
	return nil
}

// partFile returns the path of a part of a finished training set, and its number of rows.
func (q *Queue) partFile(id, part string) (path string, rows int64, err error) {
	text, err := q.Manifest(id)
	if err != nil {
		return "", 0, err
	}
	var m struct {
		Files []struct {
			Name string
			Rows int64
		}
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", 0, fmt.Errorf("training set %s: manifest: %w", id, err)
	}
	var parts []string
	for _, f := range m.Files {
		name := strings.TrimSuffix(f.Name, ".parquet")
		if name == part || part == "" && len(m.Files) == 1 {
			return filepath.Join(q.out(id), name+".parquet"), f.Rows, nil
		}
		parts = append(parts, name)
	}
	return "", 0, invalid("training set %s has no part %q; it has %s", id, part, strings.Join(parts, ", "))
}
