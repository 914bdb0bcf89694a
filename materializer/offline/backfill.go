package offline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
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
	// called once per pass.
	History func(ctx context.Context, until logpos.Vector, f func(*kernel.Events) error) error
	// To is the time at which History ends; Never: it does not end. Events that are not
	// visible yet are stored in the state as pending.
	To plan.EventTime
	// Inputs identifies the history. If the live state was built from the same history, it
	// is kept unless Full is set.
	Inputs [32]byte
	Full   bool
	// Before, when set, is called before building starts, and not if there is nothing to build.
	Before func(ctx context.Context) error
	// Entities bounds how many states are in memory at a time (0: 50 000); more
	// entities take several passes over the history.
	Entities int
	// StateBytes bounds one state (0: limits.StateBytes, the most a store takes). An entity
	// whose state would be larger is set aside.
	StateBytes int
	// Progress, when set, is called after every batch with the number of events read.
	Progress func(events int64)
}

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
func (b *Backfill) Run(ctx context.Context) (*BackfillResult, error) {
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
	if err = b.load(ctx, r); err == nil {
		err = registry.Advance(ctx, b.Store, []registry.Generation{g}, make([]registry.Reached, 1), reached)
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

func (b *Backfill) load(ctx context.Context, r *BackfillResult) error {
	k, err := kernel.NewView(b.View)
	if err != nil {
		return err
	}
	loader, err := b.Store.Load(ctx)
	if err != nil {
		return err
	}
	w := &build{Backfill: b, result: r, kernel: k, loader: loader, parts: 1, seed: maphash.MakeSeed(), now: b.Clock()}
	for part := uint64(0); part < w.parts && err == nil; part++ {
		err = w.pass(ctx, part)
	}
	if closeErr := loader.Close(); err == nil {
		err = closeErr
	}
	r.Passes = int(w.parts)
	return err
}

// build is a running backfill: pass p of parts builds the states of the entities
// whose hash is p modulo parts. Whenever too many states are in memory, the first pass
// doubles parts and drops the states that belong to later passes.
type build struct {
	*Backfill
	result *BackfillResult
	kernel *kernel.View
	loader onlinestore.Loader
	seed   maphash.Seed
	parts  uint64
	states map[string]*buildState
	now    plan.EventTime
	keys   []*vector.Vector
	key    []byte
}

// buildState is a state being built and the rows of its entity in the batch at hand.
type buildState struct {
	*kernel.State
	rows    []int32
	applied int64
}

func (w *build) pass(ctx context.Context, part uint64) error {
	w.states = map[string]*buildState{}
	err := w.History(ctx, w.result.Generation.Positions.Vector(), func(ev *kernel.Events) error {
		w.add(ev, part)
		if w.Progress != nil {
			w.Progress(int64(ev.Batch.N))
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return w.write()
}

// add applies one batch of events to the states of the pass.
func (w *build) add(ev *kernel.Events, part uint64) {
	first := part == 0
	rows := w.kernel.Eval(ev)
	if first {
		w.count(ev, rows)
	}
	w.keys = w.kernel.KeyColumns(ev, w.keys)
	var touched []*buildState
	for i := range ev.Batch.N {
		var ok bool
		if w.key, ok = entitykey.AppendRow(w.key[:0], w.keys, i); !ok {
			if first && !ev.Fills(i) {
				w.result.NullKeys++
			}
			continue
		}
		if maphash.Bytes(w.seed, w.key)%w.parts != part {
			continue
		}
		s := w.states[string(w.key)]
		if s == nil {
			s = &buildState{State: w.kernel.NewState()}
			w.states[string(w.key)] = s
		}
		if len(s.rows) == 0 {
			touched = append(touched, s)
		}
		s.rows = append(s.rows, int32(i))
		if !ev.Fills(i) {
			s.applied++
		}
	}
	for _, s := range touched {
		s.Apply(rows, s.rows, w.now)
		s.rows = s.rows[:0]
	}
	if first {
		w.divide()
	}
}

func (w *build) count(ev *kernel.Events, rows *kernel.Rows) {
	w.result.Events += int64(ev.Batch.N - ev.Filling.Count())
	if w.result.RowErrors == nil {
		w.result.RowErrors = make([]int, len(w.View.Slots))
	}
	for i := range w.result.RowErrors {
		w.result.RowErrors[i] += rows.Errors(i)
	}
}

// divide leaves half of the entities to later passes until few enough are in memory.
func (w *build) divide() {
	limit := w.Entities
	if limit == 0 {
		limit = 50_000
	}
	for len(w.states) > limit {
		w.parts *= 2
		for key := range w.states {
			if maphash.String(w.seed, key)%w.parts != 0 {
				delete(w.states, key)
			}
		}
	}
}

// write puts the states of the pass into the store.
func (w *build) write() error {
	var value []byte
	for key, s := range w.states {
		var reason string
		if value, reason = s.Encode(value[:0], cmp.Or(w.StateBytes, limits.StateBytes)); reason != "" {
			if err := w.setAside([]byte(key), reason); err != nil {
				return err
			}
		}
		if err := w.loader.Put(w.result.Generation.StateKey([]byte(key)), value); err != nil {
			return err
		}
		w.result.Entities++
		w.result.Applied += s.applied
		w.result.Bytes += int64(len(value))
	}
	return nil
}

// setAside records that the state of an entity could not be stored.
func (w *build) setAside(key []byte, reason string) error {
	w.result.SetAside++
	l := registry.DeadLetter{At: w.now, Entity: key, Reason: reason}
	return w.loader.Put(w.result.Generation.LetterKey(l), l.Value())
}
