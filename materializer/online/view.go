package online

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// viewApplier adds events to the states of one view.
type viewApplier struct {
	kernel     *kernel.View
	applier    *sourceApplier
	generation registry.Generation
	offset     eventlog.Position     // consumed for the generation
	states     chan *kernel.State    // scratch of those who change states at the same time
	letters    []registry.DeadLetter // of the batch at hand, to be recorded
	keys       []*vector.Vector      // scratch
}

// entityRows is the rows of one entity in a batch, in log order.
type entityRows struct {
	key  []byte
	rows []int32
}

// start finds the live generation and the position to go on from: the stored one,
// every time, for a store that fell back to an older copy has forgotten events that
// this applier applied. A view whose events all come through the log needs no
// materialization: its first generation is empty.
func (v *viewApplier) start(ctx context.Context) error {
	p, store := v.kernel.Plan(), v.applier.cfg.Store
	g, err := registry.Live(ctx, store, p)
	var none *registry.NotMaterialized
	if errors.As(err, &none) && (v.applier.cfg.EverySource || p.Source.From == "" && p.Source.SQL == "") {
		g, err = v.begin(ctx)
	}
	if err != nil {
		return err
	}
	offset, err := registry.Offset(ctx, store, g)
	if err != nil {
		return err
	}
	v.generation, v.offset = g, eventlog.Position(offset)
	return nil
}

// behind makes sure that the log has all that the state has seen of it: another log
// would have its events taken for applied ones.
func (v *viewApplier) behind(end eventlog.Position) error {
	if v.offset <= end {
		return nil
	}
	return fmt.Errorf("its state has applied the log of source %s up to position %d, but that ends at %d: it is another log or has lost records; restore it, or run: unskew materialize --full --view %s",
		v.applier.source.Name, v.offset, end, v.kernel.Plan().Name)
}

// failed names the view in its errors; that it was never materialized says so itself.
func (v *viewApplier) failed(err error) error {
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("view %s: %w", v.kernel.Plan().Name, err)
}

// consume applies a batch of records that begins at or before the view's offset.
func (v *viewApplier) consume(ctx context.Context, b *logBatch) error {
	if v.offset >= b.end {
		return nil
	}
	v.letters = v.letters[:0]
	for _, l := range b.left {
		if l.Position > uint64(v.offset) {
			v.setAside(l, 1)
		}
	}
	if err := v.apply(ctx, b.events, b.records, v.applier.cfg.Clock()); err != nil {
		return err
	}
	if err := v.record(ctx); err != nil {
		return err
	}
	return v.commit(ctx, b.end)
}

// setAside notes that so many events are in no state, from the one that l is about on.
func (v *viewApplier) setAside(l registry.DeadLetter, events int) {
	v.applier.stats.aside.Add(int64(events))
	l.At = v.applier.cfg.Clock()
	v.letters = append(v.letters, l)
}

// record stores the letters of the batch at hand, before its offset: after a crash in between
// they come again, and those that are there stay as they are.
func (v *viewApplier) record(ctx context.Context) error {
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
	err := registry.Promote(ctx, store, registry.Generation{View: p.Fingerprint, Number: 1, Materialized: plan.Always})
	if err != nil && !errors.Is(err, registry.ErrSuperseded) {
		return registry.Generation{}, err
	}
	return registry.Live(ctx, store, p)
}

// retries bounds how often states are read again because another applier wrote
// them between reading and writing.
const retries = 100

// apply adds the records to the states of their entities. Records a state has
// applied already are left out, so applying a batch again changes nothing.
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

// byEntity groups the rows that belong to an entity. Which keys are too long the source
// knows of the views in its plan; a log may be older.
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
		if reason := limits.Key(len(key)); reason != "" {
			v.setAside(registry.DeadLetter{Position: uint64(records[i].Position), Entity: key, Reason: reason}, 1)
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
	return out
}

// Entities are changed in portions, some at the same time: while one portion waits for the
// store, another is computed.
const (
	portionEntities = 512
	portionsAtOnce  = 4
)

// update reads, changes and writes the states, and returns what is to be done again
// because somebody else wrote the state meanwhile.
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
			case c.aside != nil:
				v.setAside(*c.aside, len(c.rows))
			default:
				v.applier.stats.applied.Add(int64(len(c.rows)))
			}
		}
	}
	return again, nil
}

// portion is what became of some entities: their changes, those that were written and
// those that need not be, and for each whether it was written.
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
	old, err := store.Get(ctx, keys)
	if err != nil {
		return p, err
	}
	state := v.takeState()
	defer func() { v.states <- state }()
	var writes []onlinestore.Write
	var unwritten []change
	for i := range todo {
		c, err := v.change(state, old[i], rows, records, todo[i], now)
		switch {
		case err != nil:
			return p, fmt.Errorf("entity %x: %w", todo[i].key, err)
		case c.value != nil:
			writes = append(writes, onlinestore.Write{Key: keys[i], Expect: c.expect, Value: c.value})
			p.changes = append(p.changes, c)
		case c.aside != nil:
			unwritten = append(unwritten, c)
		}
	}
	p.done, err = store.Swap(ctx, writes)
	p.changes = append(p.changes, unwritten...)
	return p, err
}

// takeState is a state to change entities in, to be given back through v.states.
func (v *viewApplier) takeState() *kernel.State {
	select {
	case s := <-v.states:
		return s
	default:
		return v.kernel.NewState()
	}
}

// change is what becomes of one entity: its rows that its state has not applied yet, and what
// to write, nil for nothing.
type change struct {
	entityRows
	expect uint64
	value  []byte
	aside  *registry.DeadLetter // when the rows are in no state
}

// change adds rows to a state. A state that cannot be stored is replaced by one that says
// so, and to such a one nothing is added.
func (v *viewApplier) change(s *kernel.State, old []byte, rows *kernel.Rows, records []eventlog.Record, of entityRows, now plan.EventTime) (change, error) {
	s.Reset()
	c := change{entityRows: of, expect: onlinestore.Absent}
	applied := v.generation.Position
	if old != nil {
		if err := s.Decode(old); err != nil {
			return change{}, err
		}
		c.expect = s.Position() + 1
		applied = max(applied, s.Position())
	}
	for len(c.rows) > 0 && uint64(records[c.rows[0]].Position) <= applied {
		c.rows = c.rows[1:]
	}
	if len(c.rows) == 0 {
		return c, nil
	}
	reason := s.Aside()
	if reason == "" {
		s.Apply(rows, c.rows, now)
		s.SetPosition(uint64(records[c.rows[len(c.rows)-1]].Position))
		c.value, reason = s.Encode(nil, v.applier.cfg.StateBytes)
	}
	if reason != "" {
		c.aside = &registry.DeadLetter{Position: s.Position(), Entity: of.key, Reason: reason}
	}
	return c, nil
}

// commit remembers how far the log is consumed. Losing it costs reading the
// records again, nothing else.
func (v *viewApplier) commit(ctx context.Context, to eventlog.Position) error {
	err := registry.SetOffset(ctx, v.applier.cfg.Store, v.generation, uint64(to))
	if err == nil {
		v.offset = to
	}
	return err
}
