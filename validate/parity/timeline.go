package parity

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
)

// History reads every event of a source and its fillings, without redeliveries.
type History func(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error

// Arrivals reads the deliveries of a source, including redeliveries. Those of the same time and
// id are in order.
type Arrivals func(ctx context.Context, src *plan.Source, f func(ingest.Delivery) error) error

// timeline is the deliveries of one source in the order in which serving would have received
// them: an event when it is visible, and its outcomes when they are known.
type timeline struct {
	source *plan.Source
	rest   []ingest.Delivery
}

// newTimeline collects the deliveries of a source that arrive in [from, to).
func newTimeline(ctx context.Context, src *plan.Source, from, to plan.EventTime, arrivals Arrivals) (*timeline, error) {
	tl := &timeline{source: src}
	err := arrivals(ctx, src, func(d ingest.Delivery) error {
		if d.At >= from && d.At < to {
			tl.rest = append(tl.rest, d)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("history of source %s: %w", src.Name, err)
	}
	slices.SortStableFunc(tl.rest, func(a, b ingest.Delivery) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Entry.ID, b.Entry.ID))
	})
	return tl, nil
}

// arrivals reads the deliveries of a history.
func (h History) arrivals(ctx context.Context, src *plan.Source, f func(ingest.Delivery) error) error {
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	return h(ctx, src, func(ev *kernel.Events) error {
		for i := range ev.Batch.N {
			for _, d := range in.Deliveries(ev, i) {
				if err := f(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// before removes and returns the next deliveries that arrive before t, at most limit, and the
// time of the last one.
func (tl *timeline) before(t plan.EventTime, limit int) (entries []eventlog.Entry, last plan.EventTime) {
	for len(tl.rest) > 0 && len(entries) < limit && tl.rest[0].At < t {
		entries = append(entries, tl.rest[0].Entry)
		last = tl.rest[0].At
		tl.rest = tl.rest[1:]
	}
	return entries, last
}
