package offline

import (
	"context"
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
)

// RegisterIDs tells the log of a stream source which events are part of the history
// already, so that pushing one of them again is a redelivery. Events visible at
// or after `to` are left out. history reads all columns of the source.
func RegisterIDs(ctx context.Context, log eventlog.Log, src *plan.Source, to plan.EventTime,
	history func(ctx context.Context, f func(*kernel.Events) error) error) error {
	if !src.Stream || src.EventID == "" {
		return nil
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	err = history(ctx, func(ev *kernel.Events) error {
		var entries []eventlog.Entry
		for i := range ev.Batch.N {
			if ev.ID[i] != "" && ev.Visible(i) < to {
				entries = append(entries, eventlog.Entry{ID: strings.Clone(ev.ID[i]), Payload: in.AppendPayload(nil, ev.Batch, i)})
			}
		}
		if len(entries) == 0 {
			return nil
		}
		return log.Register(ctx, src.Name, entries)
	})
	if err != nil {
		return fmt.Errorf("register the event ids of source %s: %w", src.Name, err)
	}
	return nil
}
