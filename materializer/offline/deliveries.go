package offline

import (
	"maps"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Deliveries are rows of one source in memory, as authors' tests have them.
type Deliveries struct {
	in   *ingest.Source
	rows *resolver
}

// NewDeliveries makes an empty list.
func NewDeliveries(s *plan.Source) (*Deliveries, error) {
	in, err := ingest.NewSource(s)
	if err != nil {
		return nil, err
	}
	d := &Deliveries{in: in, rows: newResolver(s)}
	d.rows.all = true
	return d, nil
}

// AddFile adds rows of a file, whose known times are in their columns. ev has all columns.
func (d *Deliveries) AddFile(ev *kernel.Events) error {
	for i := range ev.Batch.N {
		add := d.rows.addFile
		if ev.ID == nil {
			add = d.rows.addAlone
		}
		if err := add(ev, i); err != nil {
			return err
		}
	}
	return nil
}

// AddPushed adds rows as if they came from the log, in its order. Known holds their
// arrival times.
func (d *Deliveries) AddPushed(ev *kernel.Events) error {
	for i := range ev.Batch.N {
		if err := d.rows.addAlone(ev, i); err != nil {
			return err
		}
	}
	return nil
}

// Events calls f with the resulting events, at most n at a time.
func (d *Deliveries) Events(n int, f func(*kernel.Events) error) error {
	return d.rows.each(n, &HistoryCounts{}, func(b *vector.Batch, from *ingest.Arrivals) error {
		ev, _, err := d.in.Events(b, from)
		if err != nil {
			return err
		}
		return f(ev)
	})
}

// Arrivals calls f with every delivery of each event, redeliveries and conflicts too, in order.
func (d *Deliveries) Arrivals(f func(ingest.Delivery) error) error {
	for _, id := range slices.Sorted(maps.Keys(d.rows.byID)) {
		for _, a := range d.rows.arrivals(d.rows.byID[id].rows) {
			b := vector.NewBatch(d.in.Fields(), 1)
			if err := setRow(b, 0, a.columns); err != nil {
				return err
			}
			ev, _, err := d.in.Events(b, &ingest.Arrivals{Row: []plan.EventTime{a.at}})
			if err != nil {
				return err
			}
			if err := f(ingest.Delivery{At: a.at, Entry: d.in.Entry(ev, 0)}); err != nil {
				return err
			}
		}
	}
	return nil
}
