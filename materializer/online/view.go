package online

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

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

// viewApplier applies events to the states of one view.
type viewApplier struct {
	kernel     *kernel.View
	applier    *sourceApplier
	generation registry.Generation
	base       logpos.Vector         // what the live generation had of the log when it was built
	offset     logpos.Vector         // what it has consumed of the log
	reached    registry.Reached      // what of the log its states may contain
	batch      logpos.Vector         // end of the batch that is being applied
	index      *registry.Index       // of the generation; nil if it has none
	indexed    [][]byte              // entities of the batch to be added to the index
	states     chan *kernel.State    // free scratch states of concurrent updates
	letters    []registry.DeadLetter // of the current batch, not yet recorded
	keys       []*vector.Vector      // scratch
	// openLetters is the count of the live generation's; nil while it is unknown.
	openLetters atomic.Pointer[registry.OpenLetters]
}

// entityRows are the rows of one entity in a batch, those of each shard in log order.
type entityRows struct {
	key  []byte
	rows []int32
}

// start looks up the live generation and how far it has got in the log. It does so every time,
// because a store that failed over to an older copy has lost the effect of events that this
// applier applied. A view whose events all come through the log needs no materialization: its first
// generation starts empty.
func (v *viewApplier) start(ctx context.Context) error {
	p, store := v.kernel.Plan(), v.applier.cfg.Store
	g, err := registry.Live(ctx, store, p)
	var none *registry.NotMaterialized
	if errors.As(err, &none) && v.generation.Number > 0 {
		return fmt.Errorf("the online store has lost the state of the view (generation %d): restore the store, or build it from what there still is: unskew materialize --full --view %s", v.generation.Number, p.Name)
	}
	if errors.As(err, &none) && (v.applier.cfg.EverySource || p.Source.From == "" && p.Source.SQL == "") {
		g, err = v.begin(ctx)
	}
	if err != nil {
		return err
	}
	offset, reached, err := registry.Progress(ctx, store, g)
	if err != nil {
		return err
	}
	if v.generation != g {
		v.index = registry.OpenIndex(store, g)
	}
	v.generation, v.base, v.offset, v.reached = g, g.Positions.Vector(), offset, reached
	return nil
}

// checkEnd makes sure that no shard of the log ends earlier than what the states may contain.
func (v *viewApplier) checkEnd(end logpos.Vector) error {
	for k, to := range logpos.Max(v.offset, v.reached.Positions()) {
		if to > end.At(k) {
			return v.anotherLog(fmt.Sprintf("its state has applied the log of source %s up to position %d, but the log ends at %d", v.applier.shards.Name(k), to, end.At(k)))
		}
	}
	return nil
}

// checkMarks makes sure that the shards on a page have, at the positions that the states may reach, the records
// that they were made of. In another log the positions are of other events, some of
// which would be skipped as already applied.
func (v *viewApplier) checkMarks(ctx context.Context, p *page) error {
	for i := range p.shards {
		if err := v.checkMark(ctx, &p.shards[i]); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewApplier) checkMark(ctx context.Context, p *shardPage) error {
	m := v.reached.At(p.shard())
	at := eventlog.Position(m.Position)
	if at == 0 || v.offset.At(p.shard()) > uint64(p.last().Position) {
		return nil
	}
	name := v.applier.shards.Name(p.shard())
	r := p.at(at)
	if r == nil {
		var err error
		if r, err = eventlog.At(ctx, v.applier.cfg.Log, name, at); err != nil {
			return fmt.Errorf("log of source %s at position %d: %w", name, at, err)
		}
	}
	if r == nil || uint64(r.Mark()) != m.Mark {
		return v.anotherLog(fmt.Sprintf("position %d of the log of source %s holds another record than the one that its state has applied", at, name))
	}
	return nil
}

func (v *viewApplier) anotherLog(what string) error {
	return fmt.Errorf("%s: the log was replaced, lost records or was set back; restore it, or run: unskew materialize --full --view %s", what, v.kernel.Plan().Name)
}

// failed adds the view's name to an error; NotMaterialized already has it.
func (v *viewApplier) failed(err error) error {
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("view %s: %w", v.kernel.Plan().Name, err)
}

// consume applies a batch of records that begins at or before the view's offset in every shard.
func (v *viewApplier) consume(ctx context.Context, b *logBatch) error {
	if v.offset.Covers(b.end) {
		return nil
	}
	v.letters, v.batch, v.indexed = v.letters[:0], b.end, v.indexed[:0]
	for _, l := range b.left {
		if l.Position > v.offset.At(l.Shard) {
			v.setAside(l, 1)
		}
	}
	if err := v.apply(ctx, b.events, b.records, v.applier.cfg.Clock()); err != nil {
		return err
	}
	if err := v.applier.checkHeld(b.end); err != nil {
		return err
	}
	if err := v.recordLetters(ctx); err != nil {
		return err
	}
	// The states are there by now. After a crash before the offset is stored, these are found again.
	if v.index != nil && len(v.indexed) > 0 {
		if err := v.index.Add(ctx, v.indexed); err != nil {
			return err
		}
	}
	return v.commit(ctx, b.end)
}

// setAside adds a dead letter and counts its events.
func (v *viewApplier) setAside(l registry.DeadLetter, events int) {
	v.applier.stats.aside.Add(int64(events))
	l.At = v.applier.cfg.Clock()
	v.letters = append(v.letters, l)
}

// recordLetters stores the batch's dead letters before the offset is committed: after a crash
// in between they are recorded again, which changes nothing.
func (v *viewApplier) recordLetters(ctx context.Context) error {
	if len(v.letters) == 0 {
		return nil
	}
	if err := registry.SetAside(ctx, v.applier.cfg.Store, v.generation, v.letters); err != nil {
		return err
	}
	if tell := v.applier.cfg.Aside; tell != nil {
		for _, l := range v.letters {
			tell(v.kernel.Plan(), l)
		}
	}
	return nil
}

func (v *viewApplier) begin(ctx context.Context) (registry.Generation, error) {
	p, store := v.kernel.Plan(), v.applier.cfg.Store
	// Whoever was stopped while the store was emptied must not write among the new states.
	g := registry.Generation{View: p.Fingerprint, Number: 1, Build: rand.Uint64(), Materialized: plan.Always, Indexed: true}
	if err := registry.BeginIndex(ctx, store, g); err != nil {
		return registry.Generation{}, err
	}
	err := registry.Promote(ctx, store, g)
	if err != nil && !errors.Is(err, registry.ErrSuperseded) {
		return registry.Generation{}, err
	}
	return registry.Live(ctx, store, p)
}

// retries bounds how often states are read again because another applier wrote them between
// read and write.
const retries = 100

// apply applies the records to the states of their entities. It skips records that a state
// has already applied, so applying a batch twice is idempotent.
func (v *viewApplier) apply(ctx context.Context, ev *kernel.Events, records []eventlog.Record, now plan.EventTime) error {
	rows := v.kernel.Eval(ev)
	todo := v.byEntity(ev, records)
	for try := 0; len(todo) > 0; try++ {
		if try == retries {
			return fmt.Errorf("%d states were written by another applier %d times in a row", len(todo), retries)
		}
		var err error
		if todo, err = v.update(ctx, rows, records, todo, now); err != nil {
			return err
		}
		v.applier.stats.conflicts.Add(int64(len(todo)))
	}
	return nil
}

// byEntity groups rows by entity. The source checks key lengths for the views in its plan,
// but a log may be older than a view.
func (v *viewApplier) byEntity(ev *kernel.Events, records []eventlog.Record) []entityRows {
	v.keys = v.kernel.KeyColumns(ev, v.keys)
	var out []entityRows
	index := map[string]int{}
	for i := range ev.Batch.N {
		key, ok := entitykey.AppendRow(nil, v.keys, i)
		if !ok {
			if !ev.Fills(i) {
				v.applier.stats.skipped.Add(1)
			}
			continue
		}
		if only := v.applier.cfg.Only; only != nil && !only(key) {
			continue
		}
		if reason := limits.Key(len(key)); reason != "" {
			v.setAside(registry.DeadLetter{Shard: records[i].Shard, Position: uint64(records[i].Position), Entity: key, Reason: reason}, 1)
			continue
		}
		e, seen := index[string(key)]
		if !seen {
			e = len(out)
			index[string(key)] = e
			out = append(out, entityRows{key: key})
		}
		out[e].rows = append(out[e].rows, int32(i))
	}
	// Neighbours in the store are read together.
	slices.SortFunc(out, func(a, b entityRows) int { return bytes.Compare(a.key, b.key) })
	return out
}

// Entities are updated in portions, several concurrently: while one portion waits for the
// store, another is computed.
const (
	portionEntities = 512
	portionsAtOnce  = 4
)

// update reads, changes and writes the states. It returns the entities to retry because
// another applier wrote their state meanwhile.
func (v *viewApplier) update(ctx context.Context, rows *kernel.Rows, records []eventlog.Record, todo []entityRows, now plan.EventTime) ([]entityRows, error) {
	portions := slices.Collect(slices.Chunk(todo, portionEntities))
	results := make([]portion, len(portions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(portionsAtOnce)
	for i, entities := range portions {
		g.Go(func() (err error) {
			results[i], err = v.updatePortion(ctx, rows, records, entities, now)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var again []entityRows
	for _, p := range results {
		for i, c := range p.changes {
			switch {
			case c.value != nil && !p.done[i]:
				again = append(again, c.entityRows)
				continue
			case c.aside != nil:
				v.setAside(*c.aside, len(c.rows))
			case c.lost:
				v.applier.stats.aside.Add(int64(len(c.rows)))
			default:
				v.applier.stats.applied.Add(int64(len(c.rows)))
			}
			if c.index {
				v.indexed = append(v.indexed, c.key)
			}
		}
	}
	return again, nil
}

// portion is the result of updating some entities: changes to write come first, then those
// that write nothing; done tells for each write whether it succeeded.
type portion struct {
	changes []change
	done    []bool
}

func (v *viewApplier) updatePortion(ctx context.Context, rows *kernel.Rows, records []eventlog.Record, todo []entityRows, now plan.EventTime) (p portion, err error) {
	store := v.applier.cfg.Store
	keys := make([][]byte, len(todo))
	for i := range todo {
		keys[i] = v.generation.StateKey(todo[i].key)
	}
	old, seen, err := onlinestore.GetForSwap(ctx, store, keys)
	if err != nil {
		return p, err
	}
	lost, err := v.lookForLost(ctx, todo, old)
	if err != nil {
		return p, err
	}
	state := v.takeState()
	defer func() { v.states <- state }()
	var writes []onlinestore.Write
	var unwritten []change
	for i := range todo {
		c, err := v.change(state, old[i], lost[i], rows, records, todo[i], now)
		switch {
		case err != nil:
			return p, fmt.Errorf("entity %x: %w", todo[i].key, err)
		case c.value != nil:
			writes = append(writes, onlinestore.Write{Key: keys[i], Expect: c.expect, Value: c.value, Seen: seen[i]})
			p.changes = append(p.changes, c)
		case c.aside != nil || c.index:
			unwritten = append(unwritten, c)
		}
	}
	// A server that was stopped for long should not write what it read before.
	if err := v.applier.checkHeld(v.batch); err != nil {
		return p, err
	}
	p.done, err = store.Swap(ctx, writes)
	p.changes = append(p.changes, unwritten...)
	return p, err
}

// takeState returns a scratch state, to be given back through v.states.
func (v *viewApplier) takeState() *kernel.State {
	select {
	case s := <-v.states:
		return s
	default:
		return v.kernel.NewState()
	}
}

// change is the update of one entity: the rows that its state had not applied, and the new
// value; nil if nothing is to be written.
type change struct {
	entityRows
	expect uint64
	value  []byte
	aside  *registry.DeadLetter // set if the rows are in no state
	lost   bool                 // the state is lost, and was before
	index  bool                 // the entity may not be in the index
}

// change applies rows to a state. A state that cannot be stored is replaced by a marker that
// the entity is set aside, one that is lost by a record of that; no rows are added to these. lost is the reason why
// a state that is absent is lost, "" if there was none.
func (v *viewApplier) change(s *kernel.State, old []byte, lost string, rows *kernel.Rows, records []eventlog.Record, of entityRows, now plan.EventTime) (change, error) {
	s.Reset()
	c := change{entityRows: of, expect: onlinestore.Revision(old)}
	if old != nil {
		switch err := s.Decode(old); {
		case errors.Is(err, kernel.ErrDamaged):
			lost = err.Error()
		case err != nil:
			return change{}, err
		}
	}
	applied := s.Applied()
	again := 0
	c.rows = slices.DeleteFunc(c.rows, func(row int32) bool {
		r := &records[row]
		if uint64(r.Position) <= v.base.At(r.Shard) {
			return true
		}
		if uint64(r.Position) > applied.At(r.Shard) {
			return false
		}
		again++
		return true
	})
	// Whoever applied rows before may have been stopped before it added the entity to the index.
	if c.index = again > 0; len(c.rows) == 0 {
		return c, nil
	}
	if s.Lost() {
		c.lost, lost = true, s.Aside()
	}
	if lost != "" {
		c.loseState(v.kernel.Plan(), &records[c.rows[0]], lost)
		return c, nil
	}
	c.index = c.index || old == nil
	reason := s.Aside()
	if reason == "" {
		s.Apply(rows, c.rows, now)
		for _, row := range c.rows {
			applied.Raise(records[row].Shard, uint64(records[row].Position))
		}
		s.SetApplied(applied)
		c.value, reason = s.Encode(nil, v.applier.cfg.StateBytes)
	}
	if reason != "" {
		c.aside = &registry.DeadLetter{Entity: of.key, Reason: reason}
		c.aside.Shard, c.aside.Position = place(s.Applied())
	}
	return c, nil
}

// loseState makes the record of a lost state, with another revision than any before. So whoever has read the one before, to put the state
// back that it has rebuilt, notices that events were left out since.
func (c *change) loseState(of *plan.View, first *eventlog.Record, reason string) {
	c.value = kernel.AppendLost(nil, of.Fingerprint, registry.LostRevision(), reason)
	if !c.lost {
		l := registry.LostLetter(first.Shard, uint64(first.Position), c.key, reason)
		c.aside = &l
	}
}

// lookForLost returns why the state of each entity that has none is lost, "" for others.
func (v *viewApplier) lookForLost(ctx context.Context, todo []entityRows, states [][]byte) ([]string, error) {
	lost := make([]string, len(todo))
	if v.index == nil {
		return lost, nil
	}
	var absent [][]byte
	var of []int
	for i := range todo {
		if states[i] == nil {
			absent, of = append(absent, todo[i].key), append(of, i)
		}
	}
	if len(absent) == 0 {
		return lost, nil
	}
	has, err := v.index.LookToAdd(ctx, absent)
	for n, p := range has {
		lost[of[n]] = p.LostReason()
	}
	return lost, err
}

// place is the last shard of which a state that was set aside has records, and the position there. It does not change
// any more, so the entity has one dead letter.
func place(applied logpos.Vector) (shard int, position uint64) {
	for k, p := range applied {
		if p > 0 {
			shard, position = k, p
		}
	}
	return shard, position
}

// commit stores the consumed offset. If it is lost, the records are only read again.
func (v *viewApplier) commit(ctx context.Context, to logpos.Vector) error {
	err := registry.SetOffset(ctx, v.applier.cfg.Store, v.generation, to)
	if err == nil {
		v.offset.RaiseTo(to)
	}
	return err
}
