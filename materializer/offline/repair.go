package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Repair finds the entities whose states the store has lost in the live generation of a view, builds these anew from history and
// puts them back, while servers apply events and read. It changes no other state.
//
// An entity is lost if the index of the generation has it and its state is absent, damaged, or the record of a loss.
// The states are built in a store beside, up to the end of the log. A state is put back only in place of what was there before
// that end was read: whoever leaves out an event of a lost entity changes its record, so that no event is missed.
type Repair struct {
	// Backfill reads the history that the live generation was built from; its Full and Before are not used.
	Backfill
	Scratch onlinestore.Store // empty, for the states that are built
	// CatchUp applies the log to the states in Scratch of the entities that only accepts. It is not called for a source
	// that is not a stream.
	CatchUp func(ctx context.Context, only func(entity []byte) bool) error
	DryRun  bool // only find what is lost
	// Again, if not nil, makes it a replay: it looks for no losses, and builds the states of these entities anew, whatever they have.
	Again [][]byte
}

// RepairResult says what a repair found and did.
type RepairResult struct {
	Generation uint64
	Entities   int64 // with a state that is whole
	SetAside   int64 // of these, such as are set aside
	Lost       int64 // found lost
	Damaged    int64 // of these, such as have damaged bytes
	IndexLost  bool  // parts of the index are; how many entities are lost is not known without the history
	Repaired   int64
	Unknown    int64 // lost entities of which the history has no event; they stay lost
	Events     int64 // read of the history
}

// errUnindexed says why losses of a generation cannot be found.
var errUnindexed = errors.New("its state was built by a version that kept no index of entities, so nobody knows what is missing; build it anew: unskew materialize --full")

// repair is a running Repair.
type repair struct {
	*Repair
	kernel  *kernel.View
	live    registry.Generation
	beside  registry.Generation // in Scratch
	index   *registry.Index
	whole   []uint64 // hashes of entities whose state is whole, ascending
	lost    []uint64 // hashes of entities that are known to be lost, ascending; nil if parts of the index are lost
	aside   int64    // entities that are set aside
	damaged int64    // entities whose states are
	again   map[string]bool
	apart   map[string]bool // of again: were set aside before
	result  RepairResult
}

// Run performs the repair.
func (r *Repair) Run(ctx context.Context) (*RepairResult, error) {
	k, err := kernel.NewView(r.View)
	if err != nil {
		return nil, err
	}
	w := &repair{Repair: r, kernel: k}
	if w.live, err = registry.Live(ctx, r.Store, r.View); err != nil {
		return nil, err
	}
	w.result.Generation = w.live.Number
	if w.index = registry.OpenIndex(r.Store, w.live); w.index == nil {
		return nil, errUnindexed
	}
	if r.Again != nil {
		w.replayed()
	} else if err := w.find(ctx); err != nil {
		return nil, err
	}
	w.result.Entities, w.result.SetAside, w.result.Damaged = int64(len(w.whole)), w.aside, w.damaged
	w.result.Lost, w.result.IndexLost = int64(len(w.lost)), w.lost == nil
	if r.DryRun {
		return &w.result, nil
	}
	if err := w.rebuild(ctx); err != nil {
		return nil, err
	}
	now, err := registry.Live(ctx, r.Store, r.View)
	if err == nil && now != w.live {
		err = fmt.Errorf("generation %d became live during the repair of generation %d; run the command again", now.Number, w.live.Number)
	}
	if err == nil {
		// An applier may have recorded a loss after its repair, so these are looked for even if nothing was lost.
		err = registry.FoundAgain(ctx, r.Store, w.live, w.isWhole, r.Clock())
	}
	return &w.result, err
}

// replayed makes the entities of a replay those that are built.
func (w *repair) replayed() {
	w.again, w.apart, w.lost = map[string]bool{}, map[string]bool{}, []uint64{}
	for _, entity := range w.Again {
		w.again[string(entity)] = true
		w.lost = append(w.lost, registry.EntityHash(entity))
	}
	slices.Sort(w.lost)
	w.lost = slices.Compact(w.lost)
}

// Whole reports which of the entities have a state in the live generation that can be read and has all their events.
func (r *Repair) Whole(ctx context.Context, entities [][]byte) ([]bool, error) {
	k, err := kernel.NewView(r.View)
	if err != nil {
		return nil, err
	}
	live, err := registry.Live(ctx, r.Store, r.View)
	if err != nil {
		return nil, err
	}
	stored, err := r.Store.Get(ctx, keysOf(entities, live.StateKey))
	if err != nil {
		return nil, err
	}
	whole, state := make([]bool, len(entities)), k.NewState()
	for i, b := range stored {
		whole[i] = b != nil && state.Decode(b) == nil && state.Aside() == ""
	}
	return whole, nil
}

// repairRounds bounds how often the history is read because parts of the index are lost again.
const repairRounds = 5

// rebuild builds what is lost and puts it back.
func (w *repair) rebuild(ctx context.Context) error {
	if w.lost != nil && len(w.lost) == 0 {
		return nil
	}
	if w.live.Inputs != [32]byte{} && w.live.Inputs != w.Inputs {
		return fmt.Errorf("the data of source %s are not those that generation %d was built from, so a state that is built from them would differ from the others; build all of them anew: unskew materialize --view %s",
			w.View.Source.Name, w.live.Number, w.View.Name)
	}
	// While a part of the index was lost, appliers took entities that were new for lost ones.
	known := false
	for round := 0; !known && (w.lost == nil || len(w.lost) > 0); round++ {
		if round == repairRounds {
			return fmt.Errorf("the store loses parts of the index as often as they are restored (%d times); see to it that it keeps what it has", round)
		}
		known = w.lost != nil
		if err := w.build(ctx); err != nil {
			return err
		}
		if err := w.putBack(ctx); err != nil {
			return err
		}
		if !known {
			if err := w.find(ctx); err != nil {
				return err
			}
		}
	}
	if w.result.IndexLost {
		w.result.Lost = w.result.Repaired
	}
	w.result.Unknown = w.result.Lost - min(w.result.Lost, w.result.Repaired)
	return nil
}

// find compares the states with the index, which is read first: whatever is in it has had a state by then.
func (w *repair) find(ctx context.Context) error {
	hashes, complete, err := w.index.All(ctx)
	for try := 0; try < 3 && err == nil && !complete; try++ {
		hashes, complete, err = w.index.All(ctx) // a part may have been divided meanwhile
	}
	if err != nil {
		return err
	}
	w.whole, w.lost, w.aside, w.damaged = nil, nil, 0, 0
	prefix, state := w.live.Prefix(), w.kernel.NewState()
	err = w.Store.Scan(ctx, prefix, func(key, value []byte) error {
		hash := registry.EntityHash(key[len(prefix):])
		switch err := state.Decode(value); {
		case errors.Is(err, kernel.ErrDamaged):
			w.damaged++
		case err != nil:
			return err
		case !state.Lost():
			if state.Aside() != "" {
				w.aside++
			}
			w.whole = append(w.whole, hash)
		}
		return ctx.Err()
	})
	slices.Sort(w.whole)
	w.whole = slices.Compact(w.whole) // a scan may return a key twice
	if err != nil || !complete {
		return err
	}
	slices.Sort(hashes)
	w.lost = []uint64{}
	for _, h := range hashes {
		if !has(w.whole, h) {
			w.lost = append(w.lost, h)
		}
	}
	return nil
}

// has reports whether an ascending list has a hash.
func has(list []uint64, hash uint64) bool {
	_, found := slices.BinarySearch(list, hash)
	return found
}

// isWhole reports whether a stored state, which is nil if there is none, can be read.
func (w *repair) isWhole(b []byte) bool {
	state := w.kernel.NewState()
	return b != nil && state.Decode(b) == nil && !state.Lost()
}

// wants reports whether the state of an entity is to be built.
func (w *repair) wants(hash uint64) bool {
	if w.lost != nil {
		return has(w.lost, hash)
	}
	return !has(w.whole, hash)
}

// build builds the states that are lost in the store beside.
func (w *repair) build(ctx context.Context) error {
	b := w.Backfill
	b.Store, b.only = w.Scratch, w.wants
	if w.lost == nil {
		b.seen = map[uint64]bool{}
	}
	w.beside = registry.Generation{View: w.View.Fingerprint, Number: w.beside.Number + 1, Materialized: w.live.Materialized}
	if w.View.Source.Stream {
		reached, err := b.endOfLog(ctx)
		if err != nil {
			return fmt.Errorf("log of source %s: %w", w.View.Source.Name, err)
		}
		w.beside.Positions = reached.Positions().Fix()
	}
	result := BackfillResult{Generation: w.beside}
	if err := b.load(ctx, &result); err != nil {
		return err
	}
	w.beside, w.result.Events = result.Generation, result.Events
	if err := registry.Promote(ctx, w.Scratch, w.beside); err != nil {
		return err
	}
	if w.lost != nil {
		return nil
	}
	for _, h := range w.whole {
		b.seen[h] = true
	}
	return w.index.Restore(ctx, slices.Collect(maps.Keys(b.seen)))
}

// How many states are put back at a time, and how often that is tried: again and again an event of one of the entities may
// come in between.
const (
	putBackAtOnce = 512
	putBackTries  = 1000
)

// putBack puts the states into the live generation.
func (w *repair) putBack(ctx context.Context) error {
	prefix := w.beside.Prefix()
	var entities [][]byte
	err := w.Scratch.Scan(ctx, prefix, func(key, _ []byte) error {
		entities = append(entities, bytes.Clone(key[len(prefix):]))
		return nil
	})
	if err != nil {
		return err
	}
	for try := 0; len(entities) > 0; try++ {
		if try == putBackTries {
			return fmt.Errorf("%d states were changed by others %d times in a row", len(entities), putBackTries)
		}
		some := entities[:min(len(entities), putBackAtOnce)]
		left, err := w.putSome(ctx, some)
		if err != nil {
			return err
		}
		if len(left) < len(some) {
			try = 0
		}
		entities = append(left, entities[len(some):]...)
	}
	return nil
}

// putSome puts the states of some entities back. It returns those whose record was changed meanwhile.
func (w *repair) putSome(ctx context.Context, entities [][]byte) (left [][]byte, err error) {
	expect, missing, err := w.records(ctx, entities)
	if err != nil {
		return nil, err
	}
	// The end of the log is read after the records.
	if w.View.Source.Stream {
		if err := w.CatchUp(ctx, func(entity []byte) bool { return w.wants(registry.EntityHash(entity)) }); err != nil {
			return nil, err
		}
	}
	states, err := w.Scratch.Get(ctx, keysOf(missing, w.beside.StateKey))
	if err != nil {
		return nil, err
	}
	writes, letters := make([]onlinestore.Write, len(missing)), make([]registry.DeadLetter, 0)
	for i, entity := range missing {
		value, aside, err := w.moved(states[i])
		if err != nil {
			return nil, fmt.Errorf("entity %x: %w", entity, err)
		}
		if aside != "" && !w.apart[string(entity)] {
			letters = append(letters, registry.DeadLetter{At: w.Clock(), Entity: entity, Reason: aside})
		}
		writes[i] = onlinestore.Write{Key: w.live.StateKey(entity), Expect: expect[i], Value: value}
	}
	done, err := w.Store.Swap(ctx, writes)
	if err != nil {
		return nil, err
	}
	var added [][]byte // that had no state, so that they may not be in the index
	for i := range missing {
		switch {
		case !done[i]:
			left = append(left, missing[i])
			continue
		case w.again != nil && expect[i] == onlinestore.Absent:
			added = append(added, missing[i])
		}
		w.result.Repaired++
	}
	if len(added) > 0 {
		if err := w.index.Add(ctx, added); err != nil {
			return nil, err
		}
	}
	return left, registry.SetAside(ctx, w.Store, w.live, letters)
}

// records makes what is stored of lost entities records of that, unless it is absent, and returns the revisions. An entity that is whole, since
// somebody else repaired it, is left out.
func (w *repair) records(ctx context.Context, entities [][]byte) (expect []uint64, missing [][]byte, err error) {
	stored, err := w.Store.Get(ctx, keysOf(entities, w.live.StateKey))
	if err != nil {
		return nil, nil, err
	}
	var writes []onlinestore.Write
	var of []int // the place in missing of each write
	state := w.kernel.NewState()
	for i, b := range stored {
		again := w.again[string(entities[i])]
		if w.again != nil && !again {
			continue // it has the hash of one that is to be built
		}
		if b == nil {
			expect, missing = append(expect, onlinestore.Absent), append(missing, entities[i])
			continue
		}
		err := state.Decode(b)
		reason := ""
		switch {
		case errors.Is(err, kernel.ErrDamaged):
			reason = err.Error()
		case err != nil:
			return nil, nil, err
		case state.Lost():
		case !again:
			continue
		case state.Aside() != "":
			// An event of an entity that is set aside changes nothing; one of a lost entity changes its record.
			w.apart[string(entities[i])], reason = true, state.Aside()
		default:
			// The state that replaces it may have applied the same positions, and so have its revision. An applier that has read it wants to apply a
			// record that the log had before this write; the state that is built has that, too, and then another revision.
			reason = "it is being replayed; if that was interrupted, run it again, or: unskew repair"
		}
		revision := onlinestore.Revision(b)
		if reason != "" {
			lost := registry.LostRevision()
			writes = append(writes, onlinestore.Write{Key: w.live.StateKey(entities[i]), Expect: revision, Value: kernel.AppendLost(nil, w.live.View, lost, reason)})
			of, revision = append(of, len(missing)), lost
		}
		expect, missing = append(expect, revision), append(missing, entities[i])
	}
	done, err := w.Store.Swap(ctx, writes)
	for n, ok := range done {
		if !ok { // the record of an applier; the next try finds it
			expect[of[n]] = 0
		}
	}
	return expect, missing, err
}

// moved is a state of the store beside as the live generation has it: with the positions that it has applied beyond those
// that the generation was built with.
func (w *repair) moved(value []byte) (moved []byte, aside string, err error) {
	state := w.kernel.NewState()
	if err := state.Decode(value); err != nil {
		return nil, "", err
	}
	built := w.live.Positions.Vector()
	var applied logpos.Vector
	for k, p := range logpos.Max(w.beside.Positions.Vector(), state.Applied()) {
		if p > built.At(k) {
			applied.Raise(k, p)
		}
	}
	state.SetApplied(applied)
	if aside := state.Aside(); aside != "" {
		return state.Append(nil), aside, nil
	}
	moved, aside = state.Encode(nil, w.stateBytes())
	return moved, aside, nil
}

func keysOf(entities [][]byte, key func([]byte) []byte) [][]byte {
	keys := make([][]byte, len(entities))
	for i, e := range entities {
		keys[i] = key(e)
	}
	return keys
}
