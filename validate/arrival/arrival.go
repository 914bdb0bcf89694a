// Package arrival measures how long after they happened events and late columns arrived, as the log recorded it, or builds of live
// state did, and which known_at says so.
package arrival

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// Report is what was measured of a source.
type Report struct {
	Source  string   `json:"source"`
	Files   bool     `json:"files"` // the source has files too; only there known_at decides what training knows when
	First   string   `json:"first,omitempty"`
	Last    string   `json:"last,omitempty"` // arrival
	Events  Delays   `json:"events"`
	Columns []Delays `json:"columns,omitempty"` // late ones
}

// Delays are times from an event's time to the arrival of it, or of a column.
type Delays struct {
	Column   string `json:"column,omitempty"`
	Count    int64  `json:"count"`
	P50      string `json:"p50,omitempty"`
	P90      string `json:"p90,omitempty"`
	P99      string `json:"p99,omitempty"`
	Longest  string `json:"longest,omitempty"`
	Declared string `json:"declared"`
	// Later are those that came later than known_at says: training knows them sooner than serving could.
	Later int64 `json:"later_than_declared"`
	// Suggested is the known_at that 99 % of the arrivals keep; "" if the declared one is that good.
	Suggested string `json:"suggested,omitempty"`
}

func newMeasurement(src *plan.Source) (*measurement, error) {
	m := &measurement{columns: map[string]*delays{}, first: plan.Never, last: plan.Always, source: src}
	var err error
	if m.events, err = newDelays(&src.Known); err != nil {
		return nil, err
	}
	for i := range src.Columns {
		if c := &src.Columns[i]; src.Late(c) {
			if m.columns[c.Name], err = newDelays(c.Known); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// MeasureFiles reads the files of a source without a stream. Rows arrived with the first build of live state that had them, as its
// ledger says. Rows that were there before recording began, or are in no build yet, are left out.
func MeasureFiles(ctx context.Context, reader *relation.Reader, of *ledger.Source, src *plan.Source) (*Report, error) {
	m, err := newMeasurement(src)
	if err != nil {
		return nil, err
	}
	h := offline.History{Reader: reader, Source: src}
	for c := range m.columns {
		h.Columns = append(h.Columns, c)
	}
	if _, err := h.Read(ctx, func(ev *kernel.Events) error { m.seeFile(ev, of); return nil }); err != nil {
		return nil, err
	}
	return m.report(), nil
}

// seeFile counts rows of files that are in builds.
func (m *measurement) seeFile(ev *kernel.Events, of *ledger.Source) {
	for i := range ev.Batch.N {
		if at, recorded := of.Loaded(ev.Visible(i)); recorded && !ev.Fills(i) {
			m.first, m.last = min(m.first, at), max(m.last, at)
			m.events.add(at, ev, i)
		}
		for name, known := range ev.ColumnKnown {
			if m.columns[name] == nil || known[i] == plan.Never || ev.Fills(i) && ev.KnownBefore[name].Get(i) {
				continue
			}
			if at, recorded := of.Loaded(max(known[i], ev.Visible(i))); recorded {
				m.columns[name].add(at, ev, i)
			}
		}
	}
}

// Measure reads the log of a source, with its archive.
func Measure(ctx context.Context, log eventlog.Log, src *plan.Source) (*Report, error) {
	m, err := newMeasurement(src)
	if err != nil {
		return nil, err
	}
	shards, err := eventlog.NewLayouts(log).Find(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	ends, err := shards.Ends(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("source %s: event log: %w", src.Name, err)
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	for k := range ends {
		err := shards.EachPage(ctx, log, k, 0, eventlog.Position(ends.At(k)), func(records []eventlog.Record) error {
			ev, kept, err := in.EventsOf(records)
			if err == nil {
				m.see(ev, kept)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return m.report(), nil
}

// measurement is what was seen of a source so far.
type measurement struct {
	source      *plan.Source
	events      *delays
	columns     map[string]*delays
	first, last plan.EventTime
}

func (m *measurement) see(ev *kernel.Events, records []eventlog.Record) {
	for i := range ev.Batch.N {
		arrived := records[i].Appended
		m.first, m.last = min(m.first, arrived), max(m.last, arrived)
		if !ev.Fills(i) {
			m.events.add(arrived, ev, i)
		}
		for name, known := range ev.ColumnKnown {
			of := m.columns[name]
			if of == nil || known[i] == plan.Never || ev.Fills(i) && ev.KnownBefore[name].Get(i) {
				continue
			}
			of.add(arrived, ev, i)
		}
	}
}

func (m *measurement) report() *Report {
	r := &Report{Source: m.source.Name, Files: m.source.From != "" || m.source.SQL != "", Events: m.events.report("")}
	if m.events.n > 0 {
		r.First, r.Last = m.first.String(), m.last.String()
	}
	for _, name := range slices.Sorted(maps.Keys(m.columns)) {
		r.Columns = append(r.Columns, m.columns[name].report(name))
	}
	return r
}
