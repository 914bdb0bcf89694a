package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/arrowparquet"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/records"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// events is a file or standard input with events to push.
type events struct {
	name   string // shown in messages
	path   string
	format string
	io.ReadCloser
}

// eventFormats are the supported file formats.
var eventFormats = []string{"json", "csv", "parquet", "arrow"}

// openEvents opens a file, or stdin for "-". Without a format, the file name decides. Reads
// of stdin end with ctx.
func openEvents(ctx context.Context, file, format string, stdin io.Reader) (*events, error) {
	if format == "" {
		format = formatOf(file)
	}
	if !slices.Contains(eventFormats, format) {
		return nil, fmt.Errorf("there is no format %q; formats are %s", format, strings.Join(eventFormats, ", "))
	}
	if file != "-" {
		f, err := os.Open(file)
		return &events{file, file, format, f}, err
	}
	if format == "parquet" {
		return nil, errors.New("standard input cannot be Parquet, whose metadata is at the end; name a file")
	}
	return &events{"standard input", "", format, interruptible(ctx, stdin)}, nil
}

// interruptible reads from r until ctx ends. A read from a terminal cannot be interrupted, so
// it runs in a goroutine, which may outlive the reader and ends with the process.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return out
}

func formatOf(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".parquet":
		return "parquet"
	case ".arrow", ".arrows", ".ipc":
		return "arrow"
	}
	if f, _, ok := records.FormatOf(file, plan.CSV{}); ok && f == records.CSV {
		return "csv"
	}
	return "json"
}

// eventRows are rows with all columns of the source, valid until the next call.
type eventRows struct {
	*vector.Batch
	lines []int64 // the line where each row begins; nil if the format has no lines
	bad   []badEvent
}

// badEvent is a row that cannot be parsed. Lists are sorted by row and have one entry for
// each row.
type badEvent struct {
	row int
	why string
}

// read calls f with the rows of the file.
func (e *events) read(ctx context.Context, src *plan.Source, f func(*eventRows) error) error {
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	switch e.format {
	case "parquet":
		return readParquet(ctx, src, e.path, f)
	case "arrow":
		return e.readArrow(ctx, src, f)
	}
	return e.readText(src, in, f)
}

func (e *events) readText(src *plan.Source, in *ingest.Source, f func(*eventRows) error) (err error) {
	o := records.Options{Format: records.JSON, Fields: in.Fields(), Paths: src.Paths, Pushed: true}
	_, o.Dialect, _ = records.FormatOf(e.path, src.CSV)
	if e.format == "csv" {
		o.Format = records.CSV
	}
	text, err := records.Decompress(e.path, e)
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	defer closeWith(&err, text)
	r := records.NewReader(text, o)
	for {
		rows, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if err := f(textRows(rows)); err != nil {
			return err
		}
	}
}

func textRows(rows *records.Rows) *eventRows {
	out := &eventRows{Batch: rows.Batch, lines: rows.Lines}
	for _, bad := range rows.Bad {
		if n := len(out.bad); n > 0 && out.bad[n-1].row == bad.Row {
			continue
		}
		why := bad.Reason
		if bad.Column >= 0 {
			why = fmt.Sprintf("column %q: %s", rows.Fields[bad.Column].Name, bad.Reason)
		}
		out.bad = append(out.bad, badEvent{bad.Row, why})
	}
	return out
}

// readParquet reads a Parquet file. Missing columns are null, except those that every event
// needs. Columns that the source does not have are an error, as in JSON and CSV.
func readParquet(ctx context.Context, src *plan.Source, path string, f func(*eventRows) error) (err error) {
	r, err := relation.Open(relation.Options{})
	if err != nil {
		return err
	}
	defer closeWith(&err, r)
	rel := relation.Relation{Owner: "source " + src.Name, From: path, KeepBad: true, Paths: src.Paths, Pushed: true}
	found, err := r.Columns(ctx, rel)
	if err == nil {
		err = unknownColumn(src, path, found)
	}
	if err != nil {
		return err
	}
	out := &vector.Batch{}
	var read []plan.Field
	var index []int // index of a column in the file; -1: null
	for _, c := range src.Columns {
		has := slices.ContainsFunc(found, func(f relation.Column) bool { return f.Name == c.Name })
		index = append(index, -1)
		if has || c.Name == src.EventTime || c.Name == src.EventID {
			index[len(index)-1] = len(read)
			read = append(read, c.Field)
		}
		out.Fields = append(out.Fields, c.Field)
	}
	out.Cols = make([]*vector.Vector, len(index))
	return r.Scan(ctx, rel, read, func(b *relation.Batch) error {
		out.N = b.N
		for i, at := range index {
			if at >= 0 {
				out.Cols[i] = b.Cols[at]
				continue
			}
			out.Cols[i] = vector.New(out.Fields[i].Type, b.N)
			for row := range b.N {
				out.Cols[i].SetNull(row)
			}
		}
		return f(parquetRows(out, b))
	})
}

// unknownColumn returns an error for the first column of a file that its source does not have.
func unknownColumn(src *plan.Source, path string, found []relation.Column) error {
	var names []string
	for _, c := range src.Columns {
		names = append(names, c.Name)
	}
	for _, c := range found {
		if !slices.Contains(names, c.Name) {
			return fmt.Errorf("source %s: %s has the unknown column %q%s", src.Name, filepath.Base(path), c.Name, nearest.Hint(c.Name, names))
		}
	}
	return nil
}

func parquetRows(out *vector.Batch, b *relation.Batch) *eventRows {
	rows := &eventRows{Batch: out}
	for _, bad := range b.Bad {
		if n := len(rows.bad); n > 0 && rows.bad[n-1].row == bad.Row {
			continue
		}
		why := bad.Reason
		if bad.Column >= 0 {
			why = fmt.Sprintf("column %q: %s", b.Fields[bad.Column].Name, why)
		}
		rows.bad = append(rows.bad, badEvent{bad.Row, why})
	}
	return rows
}

// readArrow reads an Arrow stream by converting it to a temporary Parquet file.
func (e *events) readArrow(ctx context.Context, src *plan.Source, f func(*eventRows) error) error {
	dir, err := os.MkdirTemp("", "unskew-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, filepath.Base(e.name)+".parquet")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = arrowparquet.Write(e, file, math.MaxInt64)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return readParquet(ctx, src, path, f)
}
