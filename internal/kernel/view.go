package kernel

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/kernel/vector"
	"github.com/unskew/unskew/internal/kernel/window"
)

// View is a compiled feature view. It owns scratch memory, so it serves one
// goroutine at a time; compile another for another.
type View struct {
	plan   *plan.View
	slots  []slot
	groups []group // slots by ladder
	outer  *outer
	rows   Rows             // scratch of Eval
	aggs   []*vector.Vector // scratch of Read, one a windowed aggregate
	accs   []agg.Column     // scratch of Read, one a slot, one partial each
}

// slot is the compiled row half of a plan.Slot.
type slot struct {
	plan           *plan.Slot
	filter         *rowExpr // nil: every row
	arg, by, group *rowExpr // nil where the slot has none
	members        []int    // aggregates that read the slot
}

// rowExpr is a row expression and the columns it reads.
type rowExpr struct {
	program *expr.Program
	columns []string
	inputs  []*vector.Vector // scratch
}

// group is the slots whose windows, and so whose tiles, are the same.
type group struct {
	ladder *window.Ladder
	slots  []int
	// readers are the aggregates of all slots ordered so that one pass over the
	// tiles from the newest back meets their tails in turn: by window, widest last.
	windows []windowReaders
}

type windowReaders struct {
	window plan.Window
	aggs   []int
}

// NewView compiles v.
func NewView(v *plan.View) (*View, error) {
	k := &View{plan: v, slots: make([]slot, len(v.Slots))}
	for i := range v.Slots {
		if err := k.compileSlot(i); err != nil {
			return nil, fmt.Errorf("view %s, slot %d (%s): %w", v.Name, i, v.Slots[i].Func, err)
		}
	}
	k.groupSlots()
	var err error
	if k.outer, err = newOuter(v); err != nil {
		return nil, fmt.Errorf("view %s: %w", v.Name, err)
	}
	for _, a := range v.Aggregates {
		k.aggs = append(k.aggs, vector.New(v.Slots[a.Slot].Type, 0))
	}
	for i := range v.Slots {
		c, err := agg.New(&v.Slots[i])
		if err != nil {
			return nil, fmt.Errorf("view %s, slot %d (%s): %w", v.Name, i, v.Slots[i].Func, err)
		}
		c.Grow(1)
		k.accs = append(k.accs, c)
	}
	return k, nil
}

// Plan is the plan the view was compiled from.
func (k *View) Plan() *plan.View { return k.plan }

func (k *View) compileSlot(i int) error {
	p := &k.plan.Slots[i]
	s := &k.slots[i]
	s.plan = p
	for a := range k.plan.Aggregates {
		if k.plan.Aggregates[a].Slot == i {
			s.members = append(s.members, a)
		}
	}
	for _, half := range []struct {
		src *plan.Expr
		dst **rowExpr
	}{{p.Filter, &s.filter}, {p.Arg, &s.arg}, {p.By, &s.by}, {p.Group, &s.group}} {
		if half.src == nil {
			continue
		}
		r, err := newRowExpr(half.src, k.plan.Source)
		if err != nil {
			return err
		}
		*half.dst = r
	}
	return nil
}

func newRowExpr(e *plan.Expr, src *plan.Source) (*rowExpr, error) {
	r := &rowExpr{columns: plan.Columns(e)}
	inputs := make([]expr.Input, len(r.columns))
	for i, name := range r.columns {
		c, ok := src.Column(name)
		if !ok {
			return nil, fmt.Errorf("source %s has no column %q", src.Name, name)
		}
		inputs[i] = expr.Input{Name: name, Type: c.Type}
	}
	r.inputs = make([]*vector.Vector, len(inputs))
	var err error
	r.program, err = expr.Compile(e, inputs)
	return r, err
}

// groupSlots collects the slots with equal ladders and, for each group, its windows.
func (k *View) groupSlots() {
	for i := range k.slots {
		var windows []plan.Window
		for _, a := range k.slots[i].members {
			windows = append(windows, k.plan.Aggregates[a].Window)
		}
		l := window.NewLadder(windows)
		g := slices.IndexFunc(k.groups, func(g group) bool { return g.ladder.Equal(l) })
		if g < 0 {
			g = len(k.groups)
			k.groups = append(k.groups, group{ladder: l})
		}
		k.groups[g].slots = append(k.groups[g].slots, i)
	}
	for g := range k.groups {
		k.groups[g].windows = k.readers(k.groups[g].slots)
	}
}

func (k *View) readers(slots []int) []windowReaders {
	var out []windowReaders
	for _, s := range slots {
		for _, a := range k.slots[s].members {
			w := k.plan.Aggregates[a].Window
			i := slices.IndexFunc(out, func(r windowReaders) bool { return r.window == w })
			if i < 0 {
				i = len(out)
				out = append(out, windowReaders{window: w})
			}
			out[i].aggs = append(out[i].aggs, a)
		}
	}
	return out
}

// Rows is what a batch of events adds to each slot. It is valid until the next Eval.
type Rows struct {
	n       int
	Time    []plan.EventTime
	Visible []plan.EventTime // of the row
	ID      []string
	slots   []slotRows
	visible []plan.EventTime
}

// slotRows is one slot's part of Rows.
type slotRows struct {
	input   agg.Input
	pass    vector.Bitmap    // rows to add
	visible []plan.EventTime // as the slot sees them; aliases Rows.Visible unless a column it reads is known later
	late    []plan.EventTime
	errors  int // rows left out because the filter or the argument failed
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// Errors is the number of rows that slot i leaves out because its filter or its
// argument failed on them.
func (r *Rows) Errors(i int) int { return r.slots[i].errors }

// Eval evaluates the filters and arguments of every slot for a batch of events.
func (k *View) Eval(ev *Events) *Rows {
	r := &k.rows
	r.n, r.Time, r.ID = ev.Batch.N, ev.Time, ev.ID
	r.Visible = ev.Time
	if ev.Known != nil {
		r.visible = r.visible[:0]
		for i := range ev.Time {
			r.visible = append(r.visible, max(ev.Time[i], ev.Known[i]))
		}
		r.Visible = r.visible
	}
	if r.slots == nil {
		r.slots = make([]slotRows, len(k.slots))
	}
	for i := range k.slots {
		k.slots[i].eval(ev, r, &r.slots[i])
	}
	return r
}

func (s *slot) eval(ev *Events, r *Rows, out *slotRows) {
	n := r.n
	if len(out.pass) < vector.Words(n) {
		out.pass = vector.NewBitmap(n)
	}
	out.pass = out.pass[:vector.Words(n)]
	out.pass.Fill(n)
	out.errors = 0
	if s.filter != nil {
		f := s.filter.eval(ev.Batch, nil)
		keep(out.pass, f, f.Bits)
		out.errors += f.Err.Count()
	}
	out.input = agg.Input{Time: ev.Time, ID: ev.ID}
	for _, half := range []struct {
		src *rowExpr
		dst **vector.Vector
	}{{s.arg, &out.input.Arg}, {s.by, &out.input.By}, {s.group, &out.input.Group}} {
		if half.src == nil {
			continue
		}
		v := half.src.eval(ev.Batch, out.pass)
		*half.dst = v
		out.errors += countBoth(v.Err, out.pass)
		keep(out.pass, v, nil)
	}
	out.visible = r.Visible
	if len(s.plan.KnownColumns) > 0 {
		out.late = append(out.late[:0], r.Visible...)
		for _, c := range s.plan.KnownColumns {
			for i, k := range ev.ColumnKnown[c] {
				out.late[i] = max(out.late[i], k)
			}
		}
		out.visible = out.late
	}
}

// keep clears the rows of pass where v has no value or, with truth given, is not true.
func keep(pass vector.Bitmap, v *vector.Vector, truth vector.Bitmap) {
	for w := range pass {
		if truth != nil {
			pass[w] &= truth[w]
		}
		if v.Null != nil {
			pass[w] &^= v.Null[w]
		}
		if v.Err != nil {
			pass[w] &^= v.Err[w]
		}
	}
}

func countBoth(a, b vector.Bitmap) int {
	if a == nil {
		return 0
	}
	n := 0
	for i := range a {
		n += vector.Bitmap{a[i] & b[i]}.Count()
	}
	return n
}

func (r *rowExpr) eval(b *vector.Batch, need vector.Bitmap) *vector.Vector {
	for i, name := range r.columns {
		r.inputs[i] = b.Col(name)
	}
	return r.program.Eval(r.inputs, b.N, need)
}
