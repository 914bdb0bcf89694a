package offline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/tracing"
)

// Backfill builds the online state of one view from history and makes it live.
// The state is written beside the live one, under keys of its own. Nothing that is
// served changes until the last step, and what an interrupted build leaves behind is
// never read. If several builds run at once, the first to finish wins.
type Backfill struct {
	View  *plan.View
	Store onlinestore.Store
	Log   eventlog.Log
	Clock eventlog.Clock
	// History reads the events of the view's source without redeliveries: those from
	// files that are visible before To, and the log up to the given positions. It is
	// called once per pass, and calls f by so many workers, numbered from 0, concurrently.
	History func(ctx context.Context, until logpos.Vector, workers int, f func(worker int, ev *kernel.Events) error) error
	// To is the time at which History ends; Never: it does not end. Events that are not
	// visible yet are stored in the state as pending.
	To plan.EventTime
	// Inputs identifies the history. If the live state was built from the same history, it
	// is kept unless Full is set.
	Inputs [32]byte
	Full   bool
	// Before, when set, is called before building starts, and not if there is nothing to build.
	Before func(ctx context.Context) error
	// CatchUp, when set, applies the log to the view's live generation in a store, of which it is told that the build is live already. It
	// is called before the build is, so that reads do not miss events that were pushed meanwhile.
	CatchUp func(ctx context.Context, store onlinestore.Store) error
	// Entities bounds how many states are in memory at a time (0: 50 000); more
	// entities take several passes over the history.
	Entities int
	Threads  int // 0: one for each core
	// StateBytes bounds one state (0: limits.StateBytes, the most a store takes). An entity
	// whose state would be larger is set aside.
	StateBytes int
	// Progress, when set, is called after every batch with the number of events that are done, of which the sum is those of the
	// history; it is negative where more events are left to later passes. Calls do not overlap.
	Progress func(events int64)

	only func(entity uint64) bool // by hash of its key, whether its state is built; nil: all are
	seen map[uint64]bool          // if not nil, gets the hashes of all entities
}

// stateBytes bounds one state.
func (b *Backfill) stateBytes() int { return cmp.Or(b.StateBytes, limits.StateBytes) }

// BackfillResult says what a backfill did.
type BackfillResult struct {
	Generation registry.Generation
	UpToDate   bool  // the live generation was built from the same history; nothing was done
	Events     int64 // of the history, once each
	Applied    int64 // events that belong to an entity
	NullKeys   int64
	Entities   int64
	Bytes      int64 // of all states
	SetAside   int64 // entities whose state cannot be stored
	Passes     int
	RowErrors  []int // by slot: events whose filter or argument failed
}

// Run performs the backfill.
func (b *Backfill) Run(ctx context.Context) (_ *BackfillResult, err error) {
	ctx, span := tracing.Start(ctx, "materialize")
	defer span.Text("unskew.view", b.View.Name).EndWith(&err)
	number, live, err := registry.Next(ctx, b.Store, b.View)
	if err != nil {
		return nil, err
	}
	if live != nil && live.Inputs == b.Inputs && !b.Full {
		return &BackfillResult{Generation: *live, UpToDate: true}, nil
	}
	if b.Before != nil {
		if err := b.Before(ctx); err != nil {
			return nil, err
		}
	}
	g := registry.Generation{View: b.View.Fingerprint, Number: number, Build: rand.Uint64(), Materialized: b.To, Inputs: b.Inputs}
	var reached registry.Reached
	if b.View.Source.Stream {
		if reached, err = b.endOfLog(ctx); err != nil {
			return nil, fmt.Errorf("log of source %s: %w", b.View.Source.Name, err)
		}
		g.Positions = reached.Positions().Fix()
	}
	// The generation before the live one, and interrupted builds that had its number.
	if number > 2 {
		if err := registry.DropNumber(ctx, b.Store, b.View.Fingerprint, number-2); err != nil {
			return nil, fmt.Errorf("drop generation %d: %w", number-2, err)
		}
	}
	r := &BackfillResult{Generation: g}
	err = tracing.In(ctx, "build states", func(ctx context.Context) error { return b.load(ctx, r) })
	if g = r.Generation; err == nil {
		err = registry.Advance(ctx, b.Store, []registry.Generation{g}, make([]registry.Reached, 1), reached)
	}
	if err == nil {
		err = tracing.In(ctx, "catch up with the log", func(ctx context.Context) error { return b.catchUp(ctx, g) })
	}
	if err == nil {
		err = registry.Promote(ctx, b.Store, g)
		if err != nil && !errors.Is(err, registry.ErrSuperseded) {
			// It may be live. If it is not, a later build drops it.
			return nil, err
		}
	}
	if err != nil {
		// Should this fail too, a later build drops it.
		return nil, errors.Join(err, registry.Drop(context.WithoutCancel(ctx), b.Store, g))
	}
	return r, nil
}

// catchUp applies what the log has got during the build, and then once more what it has got during that.
func (b *Backfill) catchUp(ctx context.Context, g registry.Generation) error {
	if b.CatchUp == nil || !b.View.Source.Stream {
		return nil
	}
	ahead := registry.AsLive(b.Store, g)
	for range 2 {
		if err := b.CatchUp(ctx, ahead); err != nil {
			return fmt.Errorf("apply what was pushed during the build: %w", err)
		}
	}
	return nil
}

// endOfLog is the last record that each shard of the log has now.
func (b *Backfill) endOfLog(ctx context.Context) (registry.Reached, error) {
	shards, err := eventlog.NewLayouts(b.Log).Find(ctx, b.View.Source.Name)
	if err != nil {
		return nil, err
	}
	var reached registry.Reached
	for k := range shards.N {
		end, err := b.Log.End(ctx, shards.Name(k))
		if err != nil || end == 0 {
			if err != nil {
				return nil, err
			}
			continue
		}
		last, err := eventlog.At(ctx, b.Log, shards.Name(k), end)
		if err != nil {
			return nil, err
		}
		if last == nil {
			return nil, fmt.Errorf("%s ended at position %d a moment ago and has lost that record; run the command again", shards.Name(k), end)
		}
		reached.Raise(k, registry.Mark{Position: uint64(end), Mark: uint64(last.Mark())})
	}
	return reached, nil
}
