package parity

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/materializer/online"
)

// drive is the online path under simulated time: events are appended to the log when they
// become visible, and the applier applies them.
type drive struct {
	clock      clock
	log        eventlog.Log
	layouts    *eventlog.Layouts // of log
	applier    *online.Applier
	timelines  []*timeline
	redelivers bool // there are redeliveries among the pushed events
	pushed     int64
	progress   func(events int64)
}

// newDrive makes a drive whose clock is before every event.
func newDrive(progress func(events int64)) *drive {
	d := &drive{progress: progress}
	d.clock.now.Store(int64(plan.MinTime))
	return d
}

// appendBatch is the largest number of events of one append.
const appendBatch = 4096

// advance pushes and applies everything that is visible before t, and moves the clock to t.
func (d *drive) advance(ctx context.Context, t plan.EventTime) error {
	for _, tl := range d.timelines {
		for {
			entries, last := tl.before(t, appendBatch)
			if len(entries) == 0 {
				break
			}
			d.clock.advance(last)
			if err := d.append(ctx, tl.source, entries); err != nil {
				return err
			}
		}
	}
	d.clock.advance(t)
	return d.applier.CatchUp(ctx)
}

// append pushes deliveries. Unless there are redeliveries among them, the log must take each as
// new, because it was empty at first.
func (d *drive) append(ctx context.Context, src *plan.Source, entries []eventlog.Entry) error {
	results, err := d.layouts.Append(ctx, src, entries)
	if err != nil {
		return fmt.Errorf("push to source %s: %w", src.Name, err)
	}
	for i, r := range results {
		if (r.Outcome == eventlog.Duplicate || r.Outcome == eventlog.Conflict) && !d.redelivers {
			return fmt.Errorf("push to source %s: event %q was taken for a redelivery", src.Name, entries[i].ID)
		}
	}
	d.pushed += int64(len(entries))
	d.progress(int64(len(entries)))
	return nil
}
