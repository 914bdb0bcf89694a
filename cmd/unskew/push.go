package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
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
JSON lines or an array, CSV with a header, Parquet or an Arrow IPC stream, from a file or
standard input; JSON and CSV files may be compressed (.gz, .zst). With --server the events
go to a running server, which applies them. Lines from standard input are appended as they
arrive; without a server they are applied at the end.

Every row has an outcome: appended, filled (it added late columns to a stored event),
duplicate (the stored event already has all its values), conflict (the stored event has other
values and is kept) or rejected (it is invalid or cannot be parsed). A rejected row does not
stop the ones after it. Pushing the same file again after an interruption is safe for a
source with an event_id.

To push an outcome once it is known, push its event again with the late columns filled in.

Exit code 1 if rows were rejected or in conflict.`,
		Example: `  unskew push transactions new.jsonl
  tail -f events.jsonl | unskew push transactions --server http://localhost:7171`,
		Args:              takes(1, 2),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			file := "-"
			if len(args) == 2 {
				file = args[1]
			}
			return o.push(c, args[0], file, format, url)
		},
	}
	c.Flags().StringVar(&url, "server", "", "push to the server at `URL` instead of the project's log")
	c.Flags().StringVar(&format, "format", "", "`FORMAT` of the events: json, csv, parquet or arrow (default: by the file's name, json for standard input)")
	completeFlag(c, "format", cobra.FixedCompletions(eventFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// pusher sends one batch and returns the outcome of each row.
type pusher func(ctx context.Context, b *vector.Batch) ([]ingest.Pushed, error)

func (o *options) push(c *cobra.Command, source, file, format, url string) (err error) {
	p, err := o.load(c, nil, featuredefs.RuleStreamID)
	if err != nil {
		return err
	}
	src, err := pick("source", source, p.Plan.Sources, func(s *plan.Source) string { return s.Name })
	if err != nil {
		return err
	}
	if !src.Stream {
		return fmt.Errorf("source %s accepts no pushed events; declare it with stream: true", source)
	}
	events, err := openEvents(c.Context(), file, format, c.InOrStdin())
	if err != nil {
		return err
	}
	defer closeWith(&err, events)
	var send pusher
	finish := func(context.Context) error { return nil }
	if url != "" {
		client, err := newClient(url)
		if err != nil {
			return err
		}
		send = remotePusher(client, source)
	} else {
		st, err := openStores(c, p)
		if err != nil {
			return err
		}
		defer closeWith(&err, st)
		warn(c.ErrOrStderr(), st)
		if send, finish, err = localPusher(p.Plan, st, source, c.ErrOrStderr()); err != nil {
			return err
		}
	}
	return newPushTally(c, o, source).run(c.Context(), events, src, send, finish)
}

func (t *pushTally) run(ctx context.Context, events *events, src *plan.Source, send pusher, finish func(context.Context) error) error {
	err := events.read(ctx, src, func(rows *eventRows) error {
		for from := 0; from < rows.N; from += pushBatch {
			// A batch is sent completely, so that the counts match what was stored.
			if err := t.push(context.WithoutCancel(ctx), rows, from, min(from+pushBatch, rows.N), send); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	interrupted := errors.Is(err, context.Canceled) && ctx.Err() != nil
	if err != nil && !interrupted {
		return t.before(err)
	}
	// Apply what is in the log by now, however the loop ended.
	var none *registry.NotMaterialized
	if err := finish(context.WithoutCancel(ctx)); errors.As(err, &none) {
		t.note = fmt.Sprintf("the events wait in the log: %v", none)
	} else if err != nil {
		return t.before(err)
	}
	if done := t.done(); !interrupted {
		return done
	}
	return err
}

// pushBatch is the number of rows sent at a time; servers take at least as many.
const pushBatch = 4096

// push sends the rows [from, to) that could be parsed; the others are rejected.
func (t *pushTally) push(ctx context.Context, rows *eventRows, from, to int, send pusher) error {
	out := make([]ingest.Pushed, to-from)
	for _, bad := range rows.bad {
		if from <= bad.row && bad.row < to {
			out[bad.row-from] = ingest.Pushed{Outcome: ingest.Rejected, Message: bad.why}
		}
	}
	good := make([]int, 0, to-from)
	for i := range out {
		if out[i].Outcome == 0 {
			good = append(good, from+i)
		}
	}
	b := rows.Batch
	if len(good) < b.N {
		b = ingest.Take(nil, b, good)
	}
	if len(good) > 0 {
		pushed, err := send(ctx, b)
		if err != nil {
			return err
		}
		for i, p := range pushed {
			out[good[i]-from] = p
		}
	}
	t.add(out, rows.lines, from)
	return nil
}

// localPusher pushes to the project's own log; it reports to w what is set aside on applying.
func localPusher(p *plan.Plan, st *backend.Backend, source string, w io.Writer) (pusher, func(context.Context) error, error) {
	in, err := online.NewIngester(p, st.Log, clock.Now)
	if err != nil {
		return nil, nil, err
	}
	applier, err := online.New(online.Config{
		Plan: p, Log: st.Log, Store: st.Store, Clock: clock.Now,
		Aside: func(v *plan.View, l registry.DeadLetter) { fmt.Fprintln(w, "warning: set aside:", newDeadLetter(v, l)) },
	})
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
			return nil, orStart(err)
		}
		return answered(rows, b.N)
	}
}

// answered converts a server's outcomes of n rows. The server may be newer than this program.
func answered(rows []sdk.Pushed, n int) ([]ingest.Pushed, error) {
	if len(rows) != n {
		return nil, fmt.Errorf("the server answered for %d rows, but %d were sent", len(rows), n)
	}
	pushed := make([]ingest.Pushed, n)
	for i, r := range rows {
		outcome, known := ingest.OutcomeOf(int32(r.Outcome))
		if !known {
			return nil, fmt.Errorf("the server answered row %d of the batch with outcome %d, which this program does not know: is the server newer?", i+1, r.Outcome)
		}
		pushed[i] = ingest.Pushed{Outcome: outcome, Shard: r.Shard, Position: r.Position, Message: r.Message}
	}
	return pushed, nil
}

// pushTally counts outcomes and prints the rows that failed.
type pushTally struct {
	c        *cobra.Command
	o        *options
	source   string
	progress *progress
	rows     int64
	by       [6]int64
	shown    []pushProblem
	note     string
}

// pushProblem is an event that was rejected or is in conflict.
type pushProblem struct {
	Event   int64  `json:"event"`          // counted from 1
	Line    int64  `json:"line,omitempty"` // of text formats: where the event begins, counted from 1
	Outcome string `json:"outcome"`
	Message string `json:"message"`
}

// shownRows bounds the number of rows printed individually.
const shownRows = 10

func newPushTally(c *cobra.Command, o *options, source string) *pushTally {
	t := &pushTally{c: c, o: o, source: source, progress: newProgress(c.ErrOrStderr(), o.quiet), shown: []pushProblem{}}
	t.progress.begin("push", "events", 0)
	return t
}

// where locates the event for the user.
func (p *pushProblem) where() string {
	if p.Line > 0 {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("event %d", p.Event)
}

// add counts the outcomes of rows. lines are the line numbers of the whole batch, and rows
// begin at index from.
func (t *pushTally) add(rows []ingest.Pushed, lines []int64, from int) {
	for i, r := range rows {
		t.by[r.Outcome]++
		if r.Message == "" || len(t.shown) == shownRows {
			continue
		}
		p := pushProblem{Event: t.rows + int64(i) + 1, Outcome: strings.ToLower(r.Outcome.String()), Message: r.Message}
		if lines != nil {
			p.Line = lines[from+i]
		}
		t.shown = append(t.shown, p)
	}
	t.rows += int64(len(rows))
	t.progress.add(int64(len(rows)))
}

func (t *pushTally) summary() string {
	filled := ""
	if n := t.by[ingest.Filled]; n > 0 {
		filled = fmt.Sprintf("%s filled, ", count(n))
	}
	return fmt.Sprintf("%s: %s appended, %s%s, %s, %s rejected", quantity(t.rows, "event"),
		count(t.by[ingest.Appended]), filled, quantity(t.by[ingest.Duplicate], "duplicate"), quantity(t.by[ingest.Conflict], "conflict"), count(t.by[ingest.Rejected]))
}

// before adds to an error how much had been pushed.
func (t *pushTally) before(err error) error {
	if t.rows == 0 {
		return fmt.Errorf("%w; nothing was pushed", err)
	}
	return fmt.Errorf("%w; before that, %s", err, t.summary())
}

// done prints the outcomes of all events.
func (t *pushTally) done() error {
	t.progress.end(quantity(t.rows, "event"))
	if err := t.print(); err != nil {
		return err
	}
	if t.by[ingest.Conflict]+t.by[ingest.Rejected] > 0 {
		return &findings{}
	}
	return nil
}

func (t *pushTally) print() error {
	if t.o.json {
		return printJSON(t.c, struct {
			Source     string        `json:"source"`
			Events     int64         `json:"events"`
			Appended   int64         `json:"appended"`
			Filled     int64         `json:"filled"`
			Duplicates int64         `json:"duplicates"`
			Conflicts  int64         `json:"conflicts"`
			Rejected   int64         `json:"rejected"`
			Problems   []pushProblem `json:"problems"` // the first of them
			Note       string        `json:"note,omitempty"`
		}{t.source, t.rows, t.by[ingest.Appended], t.by[ingest.Filled], t.by[ingest.Duplicate], t.by[ingest.Conflict], t.by[ingest.Rejected], t.shown, t.note})
	}
	for _, p := range t.shown {
		fmt.Fprintf(t.c.ErrOrStderr(), "%s: %s: %s\n", p.where(), p.Outcome, p.Message)
	}
	if more := t.by[ingest.Conflict] + t.by[ingest.Rejected] - int64(len(t.shown)); more > 0 {
		fmt.Fprintf(t.c.ErrOrStderr(), "and %s more\n", count(more))
	}
	if t.note != "" {
		fmt.Fprintln(t.c.ErrOrStderr(), t.note)
	}
	_, err := fmt.Fprintf(t.c.OutOrStdout(), "source %s: %s\n", t.source, t.summary())
	return err
}
