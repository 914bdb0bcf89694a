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

// History reads every event of a source, redeliveries removed unless Config.Redelivers
// says otherwise.
type History func(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error

// timeline is the events of one source in the order in which serving would have
// come to know them.
type timeline struct {
	source *plan.Source
	events []timedEvent
	next   int
}

type timedEvent struct {
	visible plan.EventTime
	entry   eventlog.Entry
}

// newTimeline collects the events of a source that are visible in [from, to).
func newTimeline(ctx context.Context, src *plan.Source, from, to plan.EventTime, history History) (*timeline, error) {
	tl := &timeline{source: src}
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	err = history(ctx, src, func(ev *kernel.Events) error {
		for i := range ev.Batch.N {
			if v := ev.Visible(i); v >= from && v < to {
				tl.events = append(tl.events, timedEvent{v, entryOf(in, ev, i)})
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("history of source %s: %w", src.Name, err)
	}
	slices.SortStableFunc(tl.events, func(a, b timedEvent) int {
		return cmp.Or(cmp.Compare(a.visible, b.visible), cmp.Compare(a.entry.ID, b.entry.ID))
	})
	return tl, nil
}

func entryOf(in *ingest.Source, ev *kernel.Events, i int) eventlog.Entry {
	e := eventlog.Entry{Payload: in.AppendPayload(nil, ev.Batch, i)}
	if ev.ID != nil {
		e.ID = string(append([]byte(nil), ev.ID[i]...))
	}
	return e
}

// before takes the next events visible before t, at most limit of them, and the
// visible time of the last.
func (tl *timeline) before(t plan.EventTime, limit int) (entries []eventlog.Entry, last plan.EventTime) {
	for tl.next < len(tl.events) && len(entries) < limit && tl.events[tl.next].visible < t {
		entries = append(entries, tl.events[tl.next].entry)
		last = tl.events[tl.next].visible
		tl.next++
	}
	return entries, last
}
