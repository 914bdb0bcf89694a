package online

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/vector"
)

// Ingester validates pushed rows and appends them to the event log. It is safe for concurrent
// use.
type Ingester struct {
	log     *eventlog.Layouts
	clock   eventlog.Clock
	sources map[string]*pushedSource
	names   []string
}

type pushedSource struct {
	plan   *plan.Source
	mu     sync.Mutex // guards the scratch memory of ingest
	ingest *ingest.Source
	late   string // the names of its late columns, for messages
}

func lateNames(s *plan.Source) string {
	var names []string
	for i := range s.Columns {
		if c := &s.Columns[i]; s.Late(c) && s.EventID != "" {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

// NewIngester returns an ingester for every stream source of p.
func NewIngester(p *plan.Plan, log eventlog.Log, clock eventlog.Clock) (*Ingester, error) {
	in := &Ingester{log: eventlog.NewLayouts(log), clock: clock, sources: map[string]*pushedSource{}}
	for _, s := range p.Sources {
		src, err := ingest.NewSource(s)
		if err != nil {
			return nil, err
		}
		in.sources[s.Name] = &pushedSource{plan: s, ingest: src, late: lateNames(s)}
		if s.Stream {
			in.names = append(in.names, s.Name)
		}
	}
	return in, nil
}

// UnknownSource is the error for a source that does not exist or accepts no events.
type UnknownSource struct{ Message string }

func (e *UnknownSource) Error() string { return e.Message }

func (in *Ingester) source(name string) (*pushedSource, error) {
	s, ok := in.sources[name]
	if !ok {
		return nil, &UnknownSource{fmt.Sprintf("there is no source %q%s", name, nearest.Hint(name, in.names))}
	}
	if !s.plan.Stream {
		return nil, &UnknownSource{fmt.Sprintf("source %q accepts no pushed events; declare it with stream: true", name)}
	}
	return s, nil
}

// Push validates and appends the rows of a batch, which has all columns of the source, in
// their order. It returns a result for each row; appended rows are durable. Invalid rows, and
// rows that would become visible further in the future than the source allows, are rejected
// and do not affect the others. After an error some rows may be stored if the log has several shards;
// pushing the same rows again is safe if the source has ids.
func (in *Ingester) Push(ctx context.Context, source string, b *vector.Batch) ([]ingest.Pushed, error) {
	s, err := in.source(source)
	if err != nil {
		return nil, err
	}
	out := make([]ingest.Pushed, b.N)
	entries, rows, err := s.entries(b, in.clock(), out)
	if err != nil || len(entries) == 0 {
		return out, err
	}
	results, err := in.log.Append(ctx, s.plan, entries)
	if err != nil {
		return nil, fmt.Errorf("append to the log of source %s: %w", source, err)
	}
	for i, r := range results {
		out[rows[i]] = s.pushed(r, &entries[i])
	}
	return out, nil
}

func (s *pushedSource) pushed(r eventlog.Placed, e *eventlog.Entry) ingest.Pushed {
	p := ingest.Pushed{Outcome: ingest.Appended, Shard: r.Shard, Position: uint64(r.Position)}
	switch r.Outcome {
	case eventlog.Filled:
		p.Outcome = ingest.Filled
	case eventlog.Duplicate:
		p.Outcome = ingest.Duplicate
	case eventlog.Conflict:
		p.Outcome = ingest.Conflict
		p.Message = fmt.Sprintf("an event with id %q and other values is already stored; the stored event is kept", e.ID)
		if s.late != "" {
			p.Message += "; a later delivery can only fill late columns that are null in it: " + s.late
		}
	case eventlog.Expired:
		p.Outcome = ingest.Rejected
		p.Message = fmt.Sprintf("the event time %v lies before %v, and the ids of events before that are no longer remembered, so the event might count twice; "+
			"source %s remembers ids for %v (dedup_window): put older events into its files and materialize, or declare a longer dedup_window", e.Time, r.Forgotten, s.plan.Name, s.plan.DedupWindow)
	}
	return p
}

// entries converts the valid rows to log entries, and puts the results of the others in out.
func (s *pushedSource) entries(b *vector.Batch, now plan.EventTime, out []ingest.Pushed) ([]eventlog.Entry, []int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bad := range s.ingest.CheckPushed(b) {
		out[bad.Row] = ingest.Pushed{Outcome: ingest.Rejected, Message: bad.Why()}
	}
	var rows []int
	for i := range out {
		if out[i].Outcome == 0 {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, nil, nil
	}
	good := b
	if len(rows) < b.N {
		good = ingest.Take(vector.NewBatch(b.Fields, 0), b, rows)
	}
	ev, _, err := s.ingest.Events(good, nil)
	if err != nil {
		return nil, nil, err
	}
	if ev.Batch.N != len(rows) {
		return nil, nil, fmt.Errorf("source %s: only %d of %d pushed rows were converted to events, although all passed validation", s.plan.Name, ev.Batch.N, len(rows))
	}
	var entries []eventlog.Entry
	var kept []int
	for i, row := range rows {
		if ahead := ev.Visible(i) - now; ahead > plan.EventTime(s.plan.MaxAhead) {
			out[row] = ingest.Pushed{Outcome: ingest.Rejected, Message: fmt.Sprintf(
				"the event would become visible at %v, and the time is %v; source %s accepts events at most %v ahead (max_ahead)",
				ev.Visible(i), now, s.plan.Name, s.plan.MaxAhead)}
			continue
		}
		e := s.ingest.Entry(ev, i)
		e.Keep = s.plan.DedupWindow
		entries, kept = append(entries, e), append(kept, row)
	}
	return entries, kept, nil
}
