package online

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// viewApplier adds events to the states of one view.
type viewApplier struct {
	kernel     *kernel.View
	applier    *sourceApplier
	generation registry.Generation
	offset     eventlog.Position // consumed for the generation
	state      *kernel.State     // scratch
	keys       []*vector.Vector  // scratch
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
func (v *viewApplier) consume(ctx context.Context, events *kernel.Events, records []eventlog.Record) error {
	to := records[len(records)-1].Position
	if v.offset >= to {
		return nil
	}
	if err := v.apply(ctx, events, records, v.applier.cfg.Clock()); err != nil {
		return err
	}
	return v.commit(ctx, to)
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
	todo := v.byEntity(ev)
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

// byEntity groups the rows that belong to an entity.
func (v *viewApplier) byEntity(ev *kernel.Events) []entityRows {
	v.keys = v.kernel.KeyColumns(ev, v.keys)
	var out []entityRows
	index := map[string]int{}
	for i := range ev.Batch.N {
		key, ok := entitykey.AppendRow(nil, v.keys, i)
		if !ok {
			v.applier.stats.skipped.Add(1)
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

// update reads, changes and writes the states, and returns what is to be done again
// because somebody else wrote the state meanwhile.
func (v *viewApplier) update(ctx context.Context, rows *kernel.Rows, records []eventlog.Record, todo []entityRows, now plan.EventTime) ([]entityRows, error) {
	store := v.applier.cfg.Store
	keys := make([][]byte, len(todo))
	for i := range todo {
		keys[i] = v.generation.StateKey(todo[i].key)
	}
	old, err := store.Get(ctx, keys)
	if err != nil {
		return nil, err
	}
	var writes []onlinestore.Write
	var written []entityRows
	for i := range todo {
		w, sel, err := v.change(keys[i], old[i], rows, records, todo[i].rows, now)
		if err != nil {
			return nil, fmt.Errorf("entity %x: %w", todo[i].key, err)
		}
		if len(sel) > 0 {
			writes, written = append(writes, w), append(written, entityRows{todo[i].key, sel})
		}
	}
	done, err := store.Swap(ctx, writes)
	if err != nil {
		return nil, err
	}
	var again []entityRows
	for i, ok := range done {
		if ok {
			v.applier.stats.applied.Add(int64(len(written[i].rows)))
		} else {
			again = append(again, written[i])
		}
	}
	return again, nil
}

// change makes the write that adds the rows of one entity that its state has not
// applied yet, and returns these rows.
func (v *viewApplier) change(key, old []byte, rows *kernel.Rows, records []eventlog.Record, sel []int32, now plan.EventTime) (onlinestore.Write, []int32, error) {
	if v.state == nil {
		v.state = v.kernel.NewState()
	}
	s := v.state
	s.Reset()
	expect := onlinestore.Absent
	applied := v.generation.Position
	if old != nil {
		if err := s.Decode(old); err != nil {
			return onlinestore.Write{}, nil, err
		}
		expect = s.Position() + 1
		applied = max(applied, s.Position())
	}
	for len(sel) > 0 && uint64(records[sel[0]].Position) <= applied {
		sel = sel[1:]
	}
	if len(sel) == 0 {
		return onlinestore.Write{}, nil, nil
	}
	s.Apply(rows, sel, now)
	if err := s.Check(); err != nil {
		return onlinestore.Write{}, nil, err
	}
	s.SetPosition(uint64(records[sel[len(sel)-1]].Position))
	return onlinestore.Write{Key: key, Expect: expect, Value: s.Append(nil)}, sel, nil
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
