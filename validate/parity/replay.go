package parity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/online"
)

// Row is a row of a training set: its inputs and its values.
type Row struct {
	Number        int // in the training set, from 0
	At            plan.EventTime
	Keys, Request []plan.Value // in the order of the service's keys and request fields
	Want          []Cell       // values in the training set, in the order of the service's outputs
}

// Cell is one value with its status.
type Cell struct {
	Value  plan.Value
	Status kernel.Status
}

// Equal compares value and status bit by bit.
func (c Cell) Equal(d Cell) bool { return c.Status == d.Status && c.Value.Equal(d.Value) }

func (c Cell) String() string { return fmt.Sprintf("%v (%v)", c.Value, c.Status) }

// Config is the parameters of a replay.
type Config struct {
	Plan    *plan.Plan
	Service *plan.Service
	Rows    []Row // read in order of At
	History History
	Open    backend.Opener // opens the log and the store, both empty
	// Arrivals, if set, is pushed instead of History. It may have redeliveries, which the log
	// must find. From must be Always.
	Arrivals Arrivals
	// From is the time at which pushing begins: events visible before it are materialized from
	// history. With Always, everything is pushed.
	From plan.EventTime
	// Progress, if set, is called with numbers of events and rows as they are processed.
	Progress func(phase Phase, n int64)
	// Observe, if set, is called for every row that Replay reads.
	Observe func(row Row, got []Cell)
	// Served, if set, records what is answered, at the times of the reads.
	Served *servedlog.Log
	// Late, if set, says how much later than it should a delivery is pushed: a fault that is planted.
	Late func(src *plan.Source, id string) plan.Micros
	// Done, if set, is called when all rows were read, while log and store are there.
	Done func(ctx context.Context, on *backend.Backend) error
}

// Phase is the kind of progress.
type Phase string

// The phases of a replay.
const (
	Collecting    Phase = "collect"     // events read from history
	Materializing Phase = "materialize" // events applied by backfill
	Pushing       Phase = "push"        // events appended to the log
	Asking        Phase = "ask"         // spine rows read
)

// Report is the outcome of a replay.
type Report struct {
	Rows        int            `json:"rows"`
	Compared    int            `json:"compared"` // values, each with its status
	Different   int            `json:"different"`
	Differences []Difference   `json:"differences"` // the first few
	Statuses    map[string]int `json:"statuses"`
	Stats
}

// Stats counts the events on the online path.
type Stats struct {
	Materialized int64 `json:"materialized"` // events, counted once per view
	Pushed       int64 `json:"pushed"`       // events
	Applied      int64 `json:"applied"`      // additions of an event to a state
}

// Difference is a served value that differs from the training set.
type Difference struct {
	Row     int    `json:"row"`
	At      string `json:"at"`
	Feature string `json:"feature"`
	Trained string `json:"trained"`
	Served  string `json:"served"`
}

// shownDifferences is the largest length of Report.Differences.
const shownDifferences = 20

// Replay serves the rows through the online path and compares the values.
func Replay(ctx context.Context, cfg Config) (*Report, error) {
	report := &Report{Differences: []Difference{}, Statuses: map[string]int{}}
	stats, err := Serve(ctx, cfg, func(rows []Row, got [][]Cell) error {
		report.compare(cfg.Service, rows, got)
		if cfg.Observe != nil {
			for i := range rows {
				cfg.Observe(rows[i], got[i])
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	report.Stats = *stats
	return report, nil
}

// Serve drives history through the online path, reads the rows at their as-of times, in order
// of time, and calls f with the served values: for each row a cell per output of the service.
func Serve(ctx context.Context, cfg Config, f func(rows []Row, got [][]Cell) error) (stats *Stats, err error) {
	rows := slices.Clone(cfg.Rows)
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.At, b.At) })
	if len(rows) == 0 {
		return nil, errors.New("parity: there are no rows to read")
	}
	if cfg.Arrivals != nil && cfg.From != plan.Always {
		return nil, errors.New("parity: redeliveries cannot be materialized")
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Phase, int64) {}
	}
	d := newDrive(func(n int64) { cfg.Progress(Pushing, n) })
	d.redelivers = cfg.Arrivals != nil
	on, err := cfg.Open(ctx, d.clock.read)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, on.Close()) }()
	d.log, d.layouts = on.Log, eventlog.NewLayouts(on.Log)
	stats = &Stats{}
	if stats.Materialized, err = cfg.prepare(ctx, d, on.Store, rows[len(rows)-1].At); err != nil {
		return nil, err
	}
	asker, err := newAsker(&cfg, on.Store, &d.clock)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, asker.close()) }()
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < askBatch && rows[n].At == rows[0].At {
			n++
		}
		if err := d.advance(ctx, rows[0].At); err != nil {
			return nil, err
		}
		got, err := asker.ask(ctx, rows[:n])
		if err != nil {
			return nil, err
		}
		if err := f(rows[:n], got); err != nil {
			return nil, err
		}
		cfg.Progress(Asking, int64(n))
		rows = rows[n:]
	}
	stats.Pushed, stats.Applied = d.pushed, d.applier.Stats().Applied
	if cfg.Done != nil {
		return stats, cfg.Done(ctx, on)
	}
	return stats, nil
}

// askBatch is the largest number of rows of one request.
const askBatch = 1000

// prepare materializes what is visible before From and makes timelines of the rest, for the
// views of the service only.
func (cfg *Config) prepare(ctx context.Context, d *drive, store onlinestore.Store, last plan.EventTime) (materialized int64, err error) {
	part := servicePlan(cfg.Plan, cfg.Service)
	d.clock.advance(cfg.From)
	if cfg.From != plan.Always {
		for _, src := range part.Sources {
			if err := cfg.register(ctx, src, d.log); err != nil {
				return 0, err
			}
		}
		for _, v := range part.Views {
			r, err := cfg.materialize(ctx, v, d, store)
			if err != nil {
				return 0, fmt.Errorf("materialize view %s: %w", v.Name, err)
			}
			materialized += r.Applied
		}
	}
	for _, src := range part.Sources {
		arrivals := cfg.Arrivals
		if arrivals == nil {
			arrivals = History(func(ctx context.Context, s *plan.Source, f func(*kernel.Events) error) error {
				return cfg.History(ctx, s, func(ev *kernel.Events) error {
					cfg.Progress(Collecting, int64(ev.Batch.N))
					return f(ev)
				})
			}).arrivals
		}
		tl, err := newTimeline(ctx, src, cfg.From, last, cfg.delayed(arrivals))
		if err != nil {
			return 0, err
		}
		d.timelines = append(d.timelines, tl)
	}
	d.applier, err = online.New(online.Config{Plan: part, Log: d.log, Store: store, Clock: d.clock.read, EverySource: true})
	return materialized, err
}

// delayed are arrivals of which some come later.
func (cfg *Config) delayed(arrivals Arrivals) Arrivals {
	if cfg.Late == nil {
		return arrivals
	}
	return func(ctx context.Context, src *plan.Source, f func(ingest.Delivery) error) error {
		return arrivals(ctx, src, func(d ingest.Delivery) error {
			d.At += plan.EventTime(cfg.Late(src, d.Entry.ID))
			return f(d)
		})
	}
}

func (cfg *Config) materialize(ctx context.Context, v *plan.View, d *drive, store onlinestore.Store) (*offline.BackfillResult, error) {
	b := offline.Backfill{
		View: v, Store: store, Log: d.log, Clock: d.clock.read, To: cfg.From,
		History: func(ctx context.Context, _ logpos.Vector, _ int, f func(int, *kernel.Events) error) error {
			return cfg.before(ctx, v.Source, func(ev *kernel.Events) error { return f(0, ev) })
		},
		Progress: func(n int64) { cfg.Progress(Materializing, n) },
	}
	return b.Run(ctx)
}

// before reads the history as far as it was known before From. Late columns that are known later
// are pushed, except in a source without ids, where they are materialized with their event.
func (cfg *Config) before(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error {
	return cfg.History(ctx, src, func(ev *kernel.Events) error {
		ev = offline.VisibleBefore(ev, cfg.From)
		if src.EventID == "" || ev.ColumnKnown == nil {
			return f(ev)
		}
		masked := *ev
		masked.ColumnKnown = map[string][]plan.EventTime{}
		for name, times := range ev.ColumnKnown {
			times = slices.Clone(times)
			for i, k := range times {
				if k >= cfg.From {
					times[i] = plan.Never
				}
			}
			masked.ColumnKnown[name] = times
		}
		return f(&masked)
	})
}

// register records the materialized events in the log, so that deliveries pushed later can fill
// them.
func (cfg *Config) register(ctx context.Context, src *plan.Source, log eventlog.Log) error {
	if !slices.ContainsFunc(src.Columns, func(c plan.SourceColumn) bool { return src.Late(&c) }) {
		return nil
	}
	return offline.RegisterIDs(ctx, log, src, plan.Never, 0, func(ctx context.Context, f func(*kernel.Events) error) error {
		return cfg.before(ctx, src, f)
	})
}

// servicePlan is the part of a plan that a service reads.
func servicePlan(p *plan.Plan, s *plan.Service) *plan.Plan {
	part := &plan.Plan{Project: p.Project, Services: []*plan.Service{s}}
	for _, ref := range s.Views {
		if !slices.Contains(part.Views, ref.View) {
			part.Views = append(part.Views, ref.View)
		}
		if !slices.Contains(part.Sources, ref.View.Source) {
			part.Sources = append(part.Sources, ref.View.Source)
		}
		if !slices.Contains(part.Entities, ref.View.Entity) {
			part.Entities = append(part.Entities, ref.View.Entity)
		}
	}
	return part
}

func (r *Report) compare(s *plan.Service, rows []Row, got [][]Cell) {
	outputs := s.Outputs()
	for i, row := range rows {
		r.Rows++
		for c, want := range row.Want {
			r.Compared++
			r.Statuses[want.Status.String()]++
			if want.Equal(got[i][c]) {
				continue
			}
			r.Different++
			if len(r.Differences) < shownDifferences {
				r.Differences = append(r.Differences, Difference{row.Number, row.At.String(), outputs[c].Name, want.String(), got[i][c].String()})
			}
		}
	}
}
