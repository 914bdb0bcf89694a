package kernel

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/kernel/window"
	"github.com/unskew/unskew/internal/vector"
)

// View is a compiled feature view. It owns scratch memory, so it is for one goroutine at a
// time; compile one for each.
type View struct {
	plan    *plan.View
	exprs   []*rowExpr // of all slots, without duplicates
	slots   []slot
	groups  []group // slots by the levels of their tiles
	outer   *outer
	rows    Rows             // scratch of Eval
	aggs    []*vector.Vector // scratch of Read, one per windowed aggregate
	wanted  []int            // the aggregates that are read
	missing map[int]missing  // by row of the last Read: why there is no state

	// scratch of ReadStored
	stored *State
	at     []plan.EventTime
	events vector.Bitmap

	ordered bool  // the value of some slot depends on event ids
	late    []int // slots that read late columns
}

// slot is the compiled row expressions of a plan.Slot.
type slot struct {
	plan           *plan.Slot
	filter         *rowExpr // nil: every row
	arg, by, group *rowExpr // nil if the slot has none
	// Slots with the same partials share those of the first of them, their keeper, which is
	// usually the slot itself. readers of a keeper are the aggregates of all these slots.
	keeper  int
	readers []int
}

// rowExpr is a row expression and the columns that it reads. Slots with equal expressions
// share one, which is evaluated once per batch.
type rowExpr struct {
	key     string
	program *expr.Program
	columns []string
	inputs  []*vector.Vector // scratch
	// of the current batch
	need   vector.Bitmap  // rows that some slot needs
	result *vector.Vector // nil: not evaluated yet
}

// group is the slots with the same windows and so the same tiles.
type group struct {
	levels  *window.Levels
	slots   []int
	layout  *agg.Layout     // of the partials of slots
	acc     agg.Block       // scratch of Read, one row
	windows []windowReaders // the aggregates of all slots by window
	need    []bool          // by slot: some aggregate of it is read

	// The tails of the windows as of the time of the last read.
	tailsAt plan.EventTime
	tails   []tail
}

type windowReaders struct {
	window plan.Window
	aggs   []groupRead
}

// groupRead is an aggregate: its index, the column of its partials in the group, and the
// aggregate function.
type groupRead struct {
	agg, column int
	as          plan.AggFunc
}

// NewView compiles v.
func NewView(v *plan.View) (*View, error) {
	k := &View{plan: v, slots: make([]slot, len(v.Slots))}
	for i := range v.Slots {
		if err := k.compileSlot(i); err != nil {
			return nil, fmt.Errorf("view %s, slot %d (%s): %w", v.Name, i, v.Slots[i].Func, err)
		}
	}
	err := k.groupSlots()
	if err != nil {
		return nil, err
	}
	if k.outer, err = newOuter(v, func(row int) (missing, bool) { m, ok := k.missing[row]; return m, ok }); err != nil {
		return nil, fmt.Errorf("view %s: %w", v.Name, err)
	}
	for _, a := range v.Aggregates {
		k.aggs = append(k.aggs, vector.New(v.Slots[a.Slot].Type, 0))
	}
	k.findWanted()
	return k, nil
}

// Plan is the plan the view was compiled from.
func (k *View) Plan() *plan.View { return k.plan }

func (k *View) compileSlot(i int) error {
	p := &k.plan.Slots[i]
	s := &k.slots[i]
	s.plan = p
	if row := p.Func.Row(); row != nil && row.Ordered {
		k.ordered = true
	}
	for _, half := range []struct {
		src *plan.Expr
		dst **rowExpr
	}{{p.Filter, &s.filter}, {p.Arg, &s.arg}, {p.By, &s.by}, {p.Group, &s.group}} {
		if half.src == nil {
			continue
		}
		r, err := k.rowExpr(half.src)
		if err != nil {
			return err
		}
		*half.dst = r
	}
	k.findKeeper(i)
	return nil
}

// findKeeper finds the keeper of slot i and adds the aggregates of slot i to its readers.
func (k *View) findKeeper(i int) {
	s := &k.slots[i]
	s.keeper = slices.IndexFunc(k.slots[:i+1], func(o slot) bool { return o.keepsAs(s) })
	if s.keeper == i && len(s.plan.KnownColumns) > 0 {
		k.late = append(k.late, i)
	}
	keeper := &k.slots[s.keeper]
	for a := range k.plan.Aggregates {
		if k.plan.Aggregates[a].Slot == i {
			keeper.readers = append(keeper.readers, a)
		}
	}
}

// keepsAs reports whether two slots have the same partials of the same rows.
func (s *slot) keepsAs(o *slot) bool {
	return s.plan == o.plan || s.group == nil && o.group == nil &&
		s.plan.Func.Keeps() == o.plan.Func.Keeps() && s.filter == o.filter && s.arg == o.arg && s.by == o.by &&
		s.plan.N == o.plan.N && s.plan.Quantile == o.plan.Quantile
}

// rowExpr compiles e, or returns the program of an equal expression.
func (k *View) rowExpr(e *plan.Expr) (*rowExpr, error) {
	key := plan.ExprKey(k.plan.Source, e)
	if i := slices.IndexFunc(k.exprs, func(r *rowExpr) bool { return r.key == key }); i >= 0 {
		return k.exprs[i], nil
	}
	r, err := newRowExpr(e, k.plan.Source)
	if err != nil {
		return nil, err
	}
	r.key = key
	k.exprs = append(k.exprs, r)
	return r, nil
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

// groupSlots groups the keepers by levels and lays out the partials of each group.
func (k *View) groupSlots() error {
	for i := range k.slots {
		if k.slots[i].keeper != i {
			continue
		}
		var windows []plan.Window
		for _, a := range k.slots[i].readers {
			windows = append(windows, k.plan.Aggregates[a].Window)
		}
		l := window.NewLevels(windows)
		g := slices.IndexFunc(k.groups, func(g group) bool { return g.levels.Equal(l) })
		if g < 0 {
			g = len(k.groups)
			k.groups = append(k.groups, group{levels: l})
		}
		k.groups[g].slots = append(k.groups[g].slots, i)
	}
	for i := range k.groups {
		g := &k.groups[i]
		g.windows = k.readers(g.slots)
		slots := make([]*plan.Slot, len(g.slots))
		for c, slot := range g.slots {
			slots[c] = &k.plan.Slots[slot]
		}
		var err error
		if g.layout, err = agg.NewLayout(slots); err != nil {
			return fmt.Errorf("view %s: %w", k.plan.Name, err)
		}
		g.acc = g.layout.NewBlock()
		g.acc.Grow(1)
		for range g.slots {
			g.need = append(g.need, true)
		}
	}
	return nil
}

func (k *View) readers(slots []int) []windowReaders {
	var out []windowReaders
	for column, s := range slots {
		for _, a := range k.slots[s].readers {
			of := k.plan.Aggregates[a]
			i := slices.IndexFunc(out, func(r windowReaders) bool { return r.window == of.Window })
			if i < 0 {
				i = len(out)
				out = append(out, windowReaders{window: of.Window})
			}
			out[i].aggs = append(out[i].aggs, groupRead{a, column, k.plan.Slots[of.Slot].Func})
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
	events  *Events
}

// slotRows is one slot's part of Rows.
type slotRows struct {
	input   agg.Input
	takes   vector.Bitmap    // rows in which the late columns of the slot are first known together
	pass    vector.Bitmap    // rows to add: the filter is true and the arguments have values
	visible []plan.EventTime // visible times for the slot; aliases Rows.Visible if it reads no late column
	late    []plan.EventTime // memory of visible
	errors  int              // rows left out because the filter or the argument failed
}

// Len is the number of rows.
func (r *Rows) Len() int { return r.n }

// late reports whether a row may be visible after its time.
func (r *Rows) late() bool { return r.n > 0 && &r.Visible[0] != &r.Time[0] }

// Errors is the number of rows that slot i leaves out because its filter or its
// argument failed on them.
func (r *Rows) Errors(i int) int { return r.slots[i].errors }

// Eval evaluates the filters and arguments of every slot for a batch of events.
func (k *View) Eval(ev *Events) *Rows {
	r := &k.rows
	r.n, r.Time, r.ID, r.events = ev.Batch.N, ev.Time, ev.ID, ev
	r.Visible = ev.Time
	if ev.Known != nil {
		r.visible = r.visible[:0]
		for i := range ev.Time {
			r.visible = append(r.visible, ev.Visible(i))
		}
		r.Visible = r.visible
	}
	if r.slots == nil {
		r.slots = make([]slotRows, len(k.slots))
	}
	for i := range k.slots {
		k.slots[i].findVisible(ev, r, &r.slots[i])
	}
	k.filter(ev.Batch, r)
	for i := range k.slots {
		k.slots[i].eval(ev, &r.slots[i])
	}
	return r
}

// filter evaluates the filters and finds for which rows the other expressions are needed.
func (k *View) filter(b *vector.Batch, r *Rows) {
	for _, x := range k.exprs {
		x.begin(b.N)
	}
	for i := range k.slots {
		k.slots[i].filterRows(b, &r.slots[i])
	}
	for i := range k.slots {
		s := &k.slots[i]
		for _, x := range []*rowExpr{s.arg, s.by, s.group} {
			if x != nil {
				x.require(r.slots[i].pass)
			}
		}
	}
}

// findVisible finds the visible time of each row for the slot, and the rows that it takes. It
// does not take a row in which a late column that it reads is not known yet: a filling may
// bring it later, and until then nothing fails on it. It takes a filling only if that brings
// the last of these columns.
func (s *slot) findVisible(ev *Events, r *Rows, out *slotRows) {
	out.visible = r.Visible
	out.takes = slices.Grow(out.takes[:0], vector.Words(r.n))[:vector.Words(r.n)]
	out.takes.Fill(r.n)
	if len(s.plan.KnownColumns) == 0 {
		for w := range ev.Filling {
			out.takes[w] &^= ev.Filling[w]
		}
		return
	}
	out.late = append(out.late[:0], r.Visible...)
	for _, c := range s.plan.KnownColumns {
		for i, k := range ev.ColumnKnown[c] {
			out.late[i] = max(out.late[i], k)
		}
	}
	out.visible = out.late
	for i, v := range out.visible {
		if v == plan.Never || ev.Fills(i) && !ev.completes(i, s.plan.KnownColumns) {
			out.takes.Put(i, false)
		}
	}
}

// filterRows sets pass to the taken rows for which the filter is true.
func (s *slot) filterRows(b *vector.Batch, out *slotRows) {
	if words := vector.Words(b.N); cap(out.pass) < words {
		out.pass = vector.NewBitmap(b.N)
	} else {
		out.pass = out.pass[:words]
	}
	copy(out.pass, out.takes)
	out.errors = 0
	if s.filter != nil {
		s.filter.need.Fill(b.N)
		f := s.filter.eval(b)
		out.errors = countBoth(f.Err, out.pass)
		keep(out.pass, f, f.Bits)
	}
}

// eval evaluates the arguments and clears the rows of pass in which one has no value.
func (s *slot) eval(ev *Events, out *slotRows) {
	out.input = agg.Input{Time: ev.Time, ID: ev.ID}
	for _, half := range [3]struct {
		src *rowExpr
		dst **vector.Vector
	}{{s.arg, &out.input.Arg}, {s.by, &out.input.By}, {s.group, &out.input.Group}} {
		if half.src == nil {
			continue
		}
		v := half.src.eval(ev.Batch)
		*half.dst = v
		out.errors += countBoth(v.Err, out.pass)
		keep(out.pass, v, nil)
	}
}

// keep clears the rows of pass in which v has no value or, if truth is given, is not true.
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

// begin starts a batch of n rows, none of them needed so far.
func (r *rowExpr) begin(n int) {
	r.result = nil
	r.need = slices.Grow(r.need[:0], vector.Words(n))[:vector.Words(n)]
	r.need.Zero()
}

func (r *rowExpr) require(rows vector.Bitmap) {
	for w, bits := range rows {
		r.need[w] |= bits
	}
}

// eval evaluates the needed rows, at most once per batch. need must be complete.
func (r *rowExpr) eval(b *vector.Batch) *vector.Vector {
	if r.result == nil {
		for i, name := range r.columns {
			r.inputs[i] = b.Col(name)
		}
		r.result = r.program.Eval(r.inputs, b.N, r.need)
	}
	return r.result
}
