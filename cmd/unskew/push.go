package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel/vector"
	"github.com/unskew/unskew/internal/wire"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/sdk"
)

func newPush(o *options) *cobra.Command {
	var url, format string
	c := &cobra.Command{
		Use:   "push SOURCE [FILE|-]",
		Short: "Append events to a stream source",
		Long: `Appends events to the log of a stream source and applies them to the online store:
JSON lines, CSV with a header, Parquet or an Arrow IPC stream, from a file or standard
input. With --server the events go to a running server, which applies them.

Every row is answered for: appended, duplicate (its id was seen), conflict (its id was
seen with other values; the first stands) or rejected. Pushing the same file again after
an interruption is safe for a source with an event_id.

Exit code 1 when rows were rejected or in conflict.`,
		Example: `  unskew push transactions new.jsonl
  tail -f events.jsonl | unskew push transactions --server http://localhost:7171`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			file := "-"
			if len(args) == 2 {
				file = args[1]
			}
			return o.push(c, args[0], file, format, url)
		},
	}
	c.Flags().StringVar(&url, "server", "", "push to this server instead of the project's log")
	c.Flags().StringVar(&format, "format", "", "json, csv, parquet or arrow; by default from the file's name, json for standard input")
	return c
}

// pusher sends one batch and says what became of its rows.
type pusher func(ctx context.Context, b *vector.Batch) ([]ingest.Pushed, error)

func (o *options) push(c *cobra.Command, source, file, format, url string) (err error) {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	src, err := pick("source", source, p.Plan.Sources, func(s *plan.Source) string { return s.Name })
	if err != nil {
		return err
	}
	var send pusher
	var finish func(context.Context) error
	if url != "" {
		client, err := sdk.New(url)
		if err != nil {
			return err
		}
		send = remotePusher(client, source)
	} else {
		st, err := o.openStores(c.Context(), p, nil)
		if err != nil {
			return err
		}
		defer closeWith(&err, st)
		if send, finish, err = localPusher(p.Plan, st, source); err != nil {
			return err
		}
	}
	t := &pushTally{c: c, o: o, source: source, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	t.progress.begin("push", "events", 0)
	err = o.readEvents(c.Context(), src, file, format, c.InOrStdin(), func(b *vector.Batch) error {
		for from := 0; from < b.N; from += pushBatch {
			part := slice(b, from, min(from+pushBatch, b.N))
			rows, err := send(c.Context(), part)
			if err != nil {
				return err
			}
			t.add(rows)
		}
		return nil
	})
	if finish != nil && err == nil {
		err = finish(c.Context())
	}
	if err != nil {
		return fmt.Errorf("%w (%s)", err, t.summary())
	}
	return t.done()
}

// pushBatch is the number of rows sent at a time; servers take at least as many.
const pushBatch = 4096

func slice(b *vector.Batch, from, to int) *vector.Batch {
	if from == 0 && to == b.N {
		return b
	}
	rows := make([]int, to-from)
	for i := range rows {
		rows[i] = from + i
	}
	return ingest.Take(nil, b, rows)
}

func localPusher(p *plan.Plan, st *stores, source string) (pusher, func(context.Context) error, error) {
	in, err := online.NewIngester(p, st.log, wallClock)
	if err != nil {
		return nil, nil, err
	}
	applier, err := online.New(online.Config{Plan: p, Log: st.log, Store: st.store, Clock: wallClock})
	if err != nil {
		return nil, nil, err
	}
	send := func(ctx context.Context, b *vector.Batch) ([]ingest.Pushed, error) { return in.Push(ctx, source, b) }
	return send, applier.CatchUp, nil
}

func remotePusher(client *sdk.Client, source string) pusher {
	return func(ctx context.Context, b *vector.Batch) ([]ingest.Pushed, error) {
		cols, err := wire.Columns(b)
		if err != nil {
			return nil, err
		}
		out := make([]sdk.Column, len(cols))
		for i, col := range cols {
			out[i] = sdk.FromWire(col)
		}
		rows, err := client.Push(ctx, source, out...)
		if err != nil {
			return nil, err
		}
		pushed := make([]ingest.Pushed, len(rows))
		for i, r := range rows {
			pushed[i] = ingest.Pushed{Outcome: ingest.Outcome(r.Outcome), Position: r.Position, Message: r.Message}
		}
		return pushed, nil
	}
}

// readEvents reads a file of events in batches with all columns of the source.
func (o *options) readEvents(ctx context.Context, src *plan.Source, file, format string, stdin io.Reader, f func(*vector.Batch) error) (err error) {
	if format == "" {
		format = formatOf(file)
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	if format == "parquet" {
		return o.readParquet(ctx, in, file, f)
	}
	r := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return err
		}
		defer closeWith(&err, opened)
		r = opened
	}
	switch format {
	case "json":
		err = in.JSONLines(r, f)
	case "csv":
		err = in.CSV(r, f)
	case "arrow":
		err = o.readArrow(ctx, in, r, f)
	default:
		return fmt.Errorf("there is no format %q; formats are json, csv, parquet, arrow", format)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func formatOf(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".csv":
		return "csv"
	case ".parquet":
		return "parquet"
	case ".arrow", ".arrows", ".ipc":
		return "arrow"
	}
	return "json"
}

func (o *options) readParquet(ctx context.Context, in *ingest.Source, file string, f func(*vector.Batch) error) (err error) {
	if file == "-" {
		return fmt.Errorf("parquet cannot be read from standard input: it is read from its end; name a file")
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	db, err := o.openDuckDB("", 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, db)
	return db.Scan(ctx, duckdb.Relation{From: path}, in.Fields(), f)
}

// readArrow reads an Arrow stream by way of a temporary Parquet file.
func (o *options) readArrow(ctx context.Context, in *ingest.Source, r io.Reader, f func(*vector.Batch) error) error {
	dir, err := os.MkdirTemp("", "unskew-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "events.parquet")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(ingest.ArrowToParquet(r, file), file.Close()); err != nil {
		return err
	}
	return o.readParquet(ctx, in, path, f)
}

// pushTally counts outcomes and shows the rows that went wrong.
type pushTally struct {
	c        *cobra.Command
	o        *options
	source   string
	progress *progress
	rows     int64
	by       [5]int64
	shown    []string
}

// shownRows bounds the rows that are shown one by one.
const shownRows = 10

func (t *pushTally) add(rows []ingest.Pushed) {
	for i, r := range rows {
		t.by[r.Outcome]++
		if r.Message != "" && len(t.shown) < shownRows {
			t.shown = append(t.shown, fmt.Sprintf("event %d: %s: %s", t.rows+int64(i)+1, strings.ToLower(r.Outcome.String()), r.Message))
		}
	}
	t.rows += int64(len(rows))
	t.progress.add(int64(len(rows)))
}

func (t *pushTally) summary() string {
	return fmt.Sprintf("%s events: %s appended, %s duplicates, %s conflicts, %s rejected", count(t.rows),
		count(t.by[ingest.Appended]), count(t.by[ingest.Duplicate]), count(t.by[ingest.Conflict]), count(t.by[ingest.Rejected]))
}

func (t *pushTally) done() error {
	t.progress.end(t.summary())
	for _, line := range t.shown {
		fmt.Fprintln(t.c.ErrOrStderr(), line)
	}
	bad := t.by[ingest.Conflict] + t.by[ingest.Rejected]
	if more := bad - int64(len(t.shown)); more > 0 {
		fmt.Fprintf(t.c.ErrOrStderr(), "and %s more\n", count(more))
	}
	if t.o.json {
		err := printJSON(t.c, map[string]any{"source": t.source, "events": t.rows, "appended": t.by[ingest.Appended],
			"duplicates": t.by[ingest.Duplicate], "conflicts": t.by[ingest.Conflict], "rejected": t.by[ingest.Rejected]})
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return &findings{}
	}
	return nil
}
