package offline

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
)

// RegisterIDs registers the events of the history, with the late columns that they have, in the
// log of a source. Pushing one of them again is then a redelivery, and filling one takes effect
// once. Events visible at or after `to` are left out. The ids are remembered for keep, 0 for ever.
// history reads all columns of the source.
func RegisterIDs(ctx context.Context, log eventlog.Log, src *plan.Source, to plan.EventTime, keep plan.Micros,
	history func(ctx context.Context, f func(*kernel.Events) error) error) error {
	if src.EventID == "" {
		return nil
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	layouts := eventlog.NewLayouts(log)
	err = history(ctx, func(ev *kernel.Events) error {
		var entries []eventlog.Entry
		for i := range ev.Batch.N {
			if ev.Visible(i) >= to {
				continue
			}
			for _, d := range in.Deliveries(ev, i) {
				d.Entry.Keep = keep
				entries = append(entries, d.Entry)
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return layouts.Register(ctx, src, entries)
	})
	if err != nil {
		return fmt.Errorf("register the event ids of source %s: %w", src.Name, err)
	}
	return nil
}
