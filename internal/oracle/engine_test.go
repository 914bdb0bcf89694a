package oracle_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
	"github.com/unskew/unskew/internal/vector"
)

// cell is the value of one feature from the engine.
type cell struct {
	value  plan.Value
	status string
	reason string // of DEFAULTED
}

// cellsOf copies row i of the engine's results.
func cellsOf(f *kernel.Features, i int) []cell {
	out := make([]cell, len(f.Cols))
	for c, col := range f.Cols {
		if v := col.Vec; vector.Lane(v.Type) == plan.Double && v.Valid(i) && math.Float64bits(v.Double[i]) != plan.DoubleBits(v.Double[i]) {
			panic(fmt.Sprintf("feature %d is the NaN %x, which is not canonical", c, math.Float64bits(v.Double[i])))
		}
		out[c] = cell{value: col.Vec.Value(i), status: col.Status[i].String(), reason: col.Reason[i].String()}
	}
	return out
}

// agree compares the engine's results with the oracle's, values bit by bit. It skips features
// that depend on an inexact aggregate, which near compares.
func agree(want []oracle.Result, got []cell) error {
	for i, w := range want {
		g := got[i]
		reason := w.Reason
		if w.Status != oracle.Defaulted {
			reason = ""
		}
		if !w.Exact {
			continue
		}
		if g.status != string(w.Status) || g.reason != reason || !g.value.Equal(w.Value) {
			return fmt.Errorf("%s: the oracle has %v %s %s, the engine %v %s %s", w.Name, w.Value, w.Status, w.Reason, g.value, g.status, g.reason)
		}
	}
	return nil
}

// near compares the features that consist only of an inexact aggregate.
func near(v *plan.View, want []oracle.Result, got []cell) error {
	for i, f := range v.Features {
		if f.Expr.Kind != plan.Aggregate {
			continue
		}
		slot := v.Slots[v.Aggregates[f.Expr.Index].Slot]
		if w, g := want[i], got[i]; g.status != string(w.Status) || !oracle.Within(slot.Func, w.Value, g.value) {
			return fmt.Errorf("%s: %s is %v %s for the oracle and %v %s for the engine", w.Name, slot.Func, w.Value, w.Status, g.value, g.status)
		}
	}
	return nil
}

// load compiles generated definitions.
func load(t *rapid.T, dir, text string) *plan.View {
	project, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		t.Fatalf("%v\nin\n%s", found, text)
	}
	v, ok := project.Plan.View(gen.ViewName)
	if !ok {
		t.Fatalf("no view in\n%s", text)
	}
	return v
}

// batchOf converts events to a batch for the kernel.
func batchOf(v *plan.View, events []oracle.Event) *kernel.Events {
	src := v.Source
	fields := make([]plan.Field, len(src.Columns))
	for i, c := range src.Columns {
		fields[i] = c.Field
	}
	ev := &kernel.Events{Batch: vector.NewBatch(fields, len(events)), ColumnKnown: map[string][]plan.EventTime{}}
	if src.EventID != "" {
		ev.ID = make([]string, 0, len(events))
	}
	for i, e := range events {
		ev.Time, ev.Known = append(ev.Time, e.Time), append(ev.Known, e.Known)
		if src.EventID != "" {
			ev.ID = append(ev.ID, e.ID)
		}
		for c, f := range fields {
			ev.Batch.Cols[c].Set(i, e.Columns[f.Name])
		}
		for _, c := range src.Columns {
			k, known := e.ColumnKnown[c.Name]
			if !known {
				k = plan.Never
			}
			if c.Known != nil {
				ev.ColumnKnown[c.Name] = append(ev.ColumnKnown[c.Name], k)
			}
		}
	}
	return ev
}

// hashOf is a hash of everything in a batch.
func hashOf(ev *kernel.Events) [32]byte {
	h := sha256.New()
	for i := range ev.Batch.N {
		for _, c := range ev.Batch.Cols {
			h.Write(plan.AppendCanonical(nil, c.Value(i)))
			fmt.Fprint(h, c.IsErr(i))
		}
	}
	fmt.Fprintf(h, "%v %v %q %v", ev.Time, ev.Known, ev.ID, ev.ColumnKnown)
	return [32]byte(h.Sum(nil))
}

// keyVectors are the keys of the reads as columns of a spine.
func keyVectors(v *plan.View, reads []gen.Read) []*vector.Vector {
	cols := make([]*vector.Vector, len(v.Entity.Keys))
	for k, field := range v.Entity.Keys {
		cols[k] = vector.New(field.Type, len(reads))
		for i, r := range reads {
			cols[k].Set(i, r.Key[k])
		}
	}
	return cols
}

// swept is a replay to which batches of events were added in the given order.
func swept(v *plan.View, batches []*kernel.Events, reads []gen.Read, parts int) (*kernel.Whole, error) {
	at := make([]plan.EventTime, len(reads))
	for i := range reads {
		at[i] = reads[i].At
	}
	r, err := kernel.NewWhole(v, keyVectors(v, reads), at, parts)
	if err != nil {
		return nil, err
	}
	for _, b := range batches {
		if err := r.Add(b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// replay computes all reads in one replay.
func replay(v *plan.View, batches []*kernel.Events, reads []gen.Read, parts int) ([][]cell, error) {
	r, err := swept(v, batches, reads, parts)
	if err != nil {
		return nil, err
	}
	var out [][]cell
	err = r.Results(func(_ int, f *kernel.Features) error {
		for i := range f.N {
			out = append(out, cellsOf(f, i))
		}
		return nil
	})
	return out, err
}

// online is the states of a view's entities, as in an applier.
type online struct {
	t       fataler
	view    *kernel.View
	states  map[string]*kernel.State
	horizon plan.EventTime
}

// fataler is what testing.T and rapid.T have in common here.
type fataler interface{ Fatalf(string, ...any) }

func newOnline(t fataler, v *kernel.View) *online {
	return &online{t: t, view: v, states: map[string]*kernel.State{}, horizon: plan.Always}
}

// apply adds a batch to the states of its entities.
func (o *online) apply(events []oracle.Event) {
	batch := batchOf(o.view.Plan(), events)
	before := hashOf(batch)
	rows := o.view.Eval(batch)
	keys := o.view.KeyColumns(batch, nil)
	of := map[string][]int32{}
	for i := range events {
		if k, ok := entitykey.AppendRow(nil, keys, i); ok {
			of[string(k)] = append(of[string(k)], int32(i))
		}
	}
	for k, sel := range of {
		if o.states[k] == nil {
			o.states[k] = o.view.NewState()
		}
		o.states[k].Apply(rows, sel, o.horizon)
	}
	if hashOf(batch) != before {
		o.t.Fatalf("Apply changed its input")
	}
}

// restore encodes every state and decodes it again.
func (o *online) restore() {
	for k, state := range o.states {
		encoded := state.Append(nil)
		kept := slices.Clone(encoded)
		decoded := o.view.NewState()
		if err := decoded.Decode(encoded); err != nil {
			o.t.Fatalf("decode: %v", err)
		}
		clear(encoded) // a state must not refer to its encoding
		if again := decoded.Append(nil); !slices.Equal(again, kept) {
			o.t.Fatalf("a decoded state encodes differently:\n%x\n%x", kept, again)
		}
		o.states[k] = decoded
	}
}

// read computes one read; an entity without a state has no events.
func (o *online) read(r gen.Read) []cell {
	var state *kernel.State
	if k, ok := entitykey.AppendRow(nil, keyVectors(o.view.Plan(), []gen.Read{r}), 0); ok {
		state = o.states[string(k)]
	}
	if state == nil {
		return cellsOf(o.view.Read([]*kernel.State{nil}, []plan.EventTime{r.At}), 0)
	}
	loaded := o.view.NewState()
	if err := loaded.Load(state.Append(nil)); err != nil {
		o.t.Fatalf("load: %v", err)
	}
	fromBytes := cellsOf(o.view.Read([]*kernel.State{loaded}, []plan.EventTime{r.At}), 0)
	cells := cellsOf(o.view.Read([]*kernel.State{state}, []plan.EventTime{r.At}), 0)
	if !slices.EqualFunc(cells, fromBytes, func(a, b cell) bool {
		return a.status == b.status && a.reason == b.reason && slices.Equal(plan.AppendCanonical(nil, a.value), plan.AppendCanonical(nil, b.value))
	}) {
		o.t.Fatalf("as of %v a state has\n%v\nand its encoding, loaded,\n%v", r.At, cells, fromBytes)
	}
	return cells
}
