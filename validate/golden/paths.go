package golden

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/validate/parity"
)

// Oracle computes with the oracle. For estimates it uses the replay's value if that is within
// the bound of docs/semantics.md.
func Oracle() Path {
	var e estimates
	o := oracle.NewAccepting(func(v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (plan.Value, error) {
		return e.of(v, aggregate, key, at)
	})
	return Path{"oracle", func(ctx context.Context, c *Case) ([][]Cell, error) {
		events, err := oracleEvents(c.Test)
		if err != nil {
			return nil, err
		}
		if e, err = newEstimates(ctx, c); err != nil {
			return nil, err
		}
		var out [][]Cell
		for _, row := range c.Rows {
			results, err := o.Service(c.Service, events, byName(c.Service.Keys, row.Keys), byName(c.Service.Request, row.Request), row.At)
			if err != nil {
				return nil, err
			}
			cells, err := oracleCells(results)
			if err != nil {
				return nil, err
			}
			out = append(out, cells)
		}
		return out, nil
	}}
}

func oracleCells(results []oracle.Result) ([]Cell, error) {
	cells := make([]Cell, len(results))
	for i, r := range results {
		status, err := kernel.ParseStatus(string(r.Status))
		if err != nil {
			return nil, err
		}
		cells[i].Cell = parity.Cell{Value: r.Value, Status: status}
		if status == kernel.Failed {
			cells[i].Reason = kernel.ShownError(r.Reason)
		}
	}
	return cells, nil
}

func byName(fields []plan.Field, values []plan.Value) map[string]plan.Value {
	m := map[string]plan.Value{}
	for i, f := range fields {
		m[f.Name] = values[i]
	}
	return m
}

func oracleEvents(t *featuredefs.Test) ([]oracle.Event, error) {
	var out []oracle.Event
	for _, rows := range t.Events {
		files := slices.DeleteFunc(slices.Clone(rows.Rows), func(r featuredefs.Row) bool { return r.Arrived != nil })
		for position, row := range append(files, pushed(rows.Rows)...) {
			columns := map[string]plan.Value{}
			for i, c := range rows.Source.Columns {
				columns[c.Name] = row.Values[i]
			}
			e, err := oracle.NewEvent(rows.Source, columns, false)
			if err != nil && rows.Source.SkipBadRows {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("event at line %d: %w", row.Pos.Line, err)
			}
			if row.Arrived != nil {
				e.Known, e.Position = max(e.Known, *row.Arrived), position+1
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// replayRows is the largest number of rows of a replay. It is less than 1024, so that the
// results are one batch.
const replayRows = 1000

// Replay computes features like the build of a training set.
func Replay() Path {
	return Path{"replay", func(ctx context.Context, c *Case) ([][]Cell, error) {
		var out [][]Cell
		for rows := range slices.Chunk(c.Rows, replayRows) {
			part := *c
			part.Rows = rows
			cells, err := replayCase(ctx, &part)
			if err != nil {
				return nil, err
			}
			out = append(out, cells...)
		}
		return out, nil
	}}
}

func replayCase(ctx context.Context, c *Case) ([][]Cell, error) {
	request, at := spine(c)
	views := make([]*kernel.Features, len(c.Service.Views))
	leftOut := make([][]string, len(views))
	for i := range views {
		var err error
		if views[i], leftOut[i], err = replayView(ctx, c, &c.Service.Views[i], at); err != nil {
			return nil, err
		}
	}
	s, err := kernel.NewService(c.Service)
	if err != nil {
		return nil, err
	}
	derived := s.Derive(views, request, at)
	cols := s.Assemble(views, derived)
	out := make([][]Cell, len(at))
	for i := range out {
		for o, col := range cols {
			cell := Cell{Cell: parity.Cell{Value: col.Vec.Value(i), Status: col.Status[i]}}
			switch {
			case cell.Status == kernel.Failed:
				cell.Reason = s.ErrorText(views, derived, o, i)
			case o < len(c.Service.Features):
				f := c.Service.Features[o]
				cell.Reason = leftOut[f.Ref][f.Feature]
			}
			out[i] = append(out[i], cell)
		}
	}
	return out, nil
}

// spine is the request fields and as-of times of all rows.
func spine(c *Case) (*vector.Batch, []plan.EventTime) {
	request := vector.NewBatch(c.Service.Request, len(c.Rows))
	at := make([]plan.EventTime, len(c.Rows))
	for i, r := range c.Rows {
		at[i] = r.At
		for f := range c.Service.Request {
			request.Cols[f].Set(i, r.Request[f])
		}
	}
	return request, at
}

// replayView replays one view for at most replayRows rows. It also returns, for each feature,
// a description of the events that were left out.
func replayView(ctx context.Context, c *Case, ref *plan.ViewRef, at []plan.EventTime) (*kernel.Features, []string, error) {
	r, err := kernel.NewWhole(ref.View, keyColumns(c, ref), at, 2)
	if err != nil {
		return nil, nil, err
	}
	if err := history(c.Test)(ctx, ref.View.Source, r.Add); err != nil {
		return nil, nil, err
	}
	leftOut := make([]string, len(ref.View.Features))
	for i := range leftOut {
		leftOut[i] = shownLeftOut(r.LeftOut(i))
	}
	var out *kernel.Features
	err = r.Results(func(_ int, f *kernel.Features) error {
		out = f
		return nil
	})
	return out, leftOut, err
}

// shownLeftOut describes the events that were left out, "" if there are none.
func shownLeftOut(n int, first []kernel.Failure) string {
	if n == 0 {
		return ""
	}
	parts := []string{"1 event left out"}
	if n > 1 {
		parts[0] = fmt.Sprintf("%d events left out", n)
	}
	for _, f := range first {
		event := "event"
		if f.ID != "" {
			event = fmt.Sprintf("event %q", f.ID)
		}
		parts = append(parts, fmt.Sprintf("%s at %v: %s", event, f.Time, f.Text))
	}
	return strings.Join(parts, "; ")
}

func keyColumns(c *Case, ref *plan.ViewRef) []*vector.Vector {
	cols := make([]*vector.Vector, len(ref.Keys))
	for k, name := range ref.Keys {
		for i, f := range c.Service.Keys {
			if f.Name != name {
				continue
			}
			cols[k] = vector.New(f.Type, len(c.Rows))
			for row := range c.Rows {
				cols[k].Set(row, c.Rows[row].Keys[i])
			}
		}
	}
	return cols
}

// Online computes features like the server, over new stores. Redeliveries are pushed too; the
// log finds them.
func Online(name string, open backend.Opener) Path {
	return Path{name, func(ctx context.Context, c *Case) ([][]Cell, error) {
		out := make([][]Cell, len(c.Rows))
		cfg := parity.Config{
			Plan: c.Plan, Service: c.Service, Rows: c.Rows,
			Arrivals: arrivals(c.Test), Open: open, From: plan.Always,
		}
		_, err := parity.Serve(ctx, cfg, func(rows []parity.Row, got [][]parity.Cell) error {
			for i, r := range rows {
				for _, cell := range got[i] {
					out[r.Number] = append(out[r.Number], Cell{Cell: cell})
				}
			}
			return nil
		})
		return out, err
	}}
}

// history is the events of a test's rows, deduplicated as everywhere.
func history(t *featuredefs.Test) parity.History {
	return func(_ context.Context, src *plan.Source, f func(*kernel.Events) error) error {
		d, err := deliveries(t, src)
		if err != nil {
			return err
		}
		return d.Events(replayRows, f)
	}
}

// arrivals is the deliveries of a test's rows with their arrival times, including redeliveries
// and conflicts. Deliveries that arrive at the same time are in order of their values, not in
// the order of the test.
func arrivals(t *featuredefs.Test) parity.Arrivals {
	return func(_ context.Context, src *plan.Source, f func(ingest.Delivery) error) error {
		d, err := deliveries(t, src)
		if err != nil {
			return err
		}
		return d.Arrivals(f)
	}
}

// deliveries is the rows of a test for one source: events as rows of a file, deliveries as
// pushed rows.
func deliveries(t *featuredefs.Test, src *plan.Source) (*offline.Deliveries, error) {
	d, err := offline.NewDeliveries(src)
	if err != nil {
		return nil, err
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	for _, of := range t.Events {
		if of.Source != src {
			continue
		}
		ev, err := ingested(in, slices.DeleteFunc(slices.Clone(of.Rows), func(r featuredefs.Row) bool { return r.Arrived != nil }))
		if err != nil {
			return nil, err
		}
		if err := d.AddFile(ev); err != nil {
			return nil, err
		}
		if ev, err = ingested(in, pushed(of.Rows)); err != nil {
			return nil, err
		}
		if err := d.AddPushed(ev); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// pushed is the deliveries among rows, in order of arrival.
func pushed(rows []featuredefs.Row) []featuredefs.Row {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r featuredefs.Row) bool { return r.Arrived == nil })
	slices.SortStableFunc(rows, func(a, b featuredefs.Row) int {
		return cmp.Or(cmp.Compare(*a.Arrived, *b.Arrived), bytes.Compare(canonical(a.Values), canonical(b.Values)))
	})
	return rows
}

// canonical is the encoding of values by which rows are compared.
func canonical(values []plan.Value) []byte {
	var out []byte
	for _, v := range values {
		out = plan.AppendCanonical(out, v)
	}
	return out
}

// ingested makes events of rows, with their arrival times.
func ingested(in *ingest.Source, rows []featuredefs.Row) (*kernel.Events, error) {
	b := vector.NewBatch(in.Fields(), len(rows))
	from := &ingest.Arrivals{Row: make([]plan.EventTime, len(rows))}
	for i, row := range rows {
		for c, v := range row.Values {
			b.Cols[c].Set(i, v)
		}
		if from.Row[i] = plan.Always; row.Arrived != nil {
			from.Row[i] = *row.Arrived
		}
	}
	ev, _, err := in.Events(b, from)
	if bad := (*ingest.BadRow)(nil); errors.As(err, &bad) {
		return nil, fmt.Errorf("event at line %d: %s", rows[bad.Row].Pos.Line, bad.What())
	}
	return ev, err
}
