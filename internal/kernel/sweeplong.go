package kernel

import (
	"iter"
	"slices"
	"sort"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
)

// longSweep computes the aggregates of one entity whose events do not fit into memory. It visits the
// spine rows in order of T, as a Sweeper does, while events come in blocks from a store.
//
// Events enter in the order in which they become visible. Slots that can remove rows have a
// running partial for each window, and events leave windows in order of time, from blocks that are read
// again for each window. All other slots have a tree over the slices of the entity's events, and for each
// window another one over the events of the only slice of which a part is inside the window.
type longSweep struct {
	*Sweeper
	part   *StoredPart
	pieces *pieces
	piece  int // size of a block

	entering []*stream // by class
	running  []*longRunning
	trees    []*longTree
	leaving  []*stream   // by window; nil unless a running partial has the window
	tails    []*tailPart // the same for trees
}

// newLongSweep begins with the next entity of a stored part.
func (r *rangeSweep) newLongSweep(p *StoredPart) (*longSweep, error) {
	l := &longSweep{Sweeper: r.Sweeper, part: p}
	windows := 0
	for _, w := range r.windows {
		if !w.Unbounded() {
			windows++
		}
	}
	l.piece = p.limit / pieceShare / (len(r.replay.classes) + 2*windows)
	l.pieces = newPieces(&r.replay.layout, p.events.late, p.events.store, l.piece)
	return l, nil
}

// sweep computes the aggregates as of the entity's spine rows.
func (l *longSweep) sweep(ranks []int32) error {
	if err := l.pieces.writer.flush(); err != nil {
		return err
	}
	if err := l.begin(); err != nil {
		return err
	}
	last := plan.Always
	for _, rank := range ranks {
		at := l.at[rank]
		if at != last {
			if err := l.move(at, last); err != nil {
				return err
			}
			last = at
		}
		l.read(int(rank))
	}
	l.markKnown(l.pieces.first, ranks)
	return nil
}

// begin makes the readers of slots and opens the streams.
func (l *longSweep) begin() error {
	r := l.replay
	l.leaving, l.tails = make([]*stream, len(l.windows)), make([]*tailPart, len(l.windows))
	for class := range r.classes {
		next, err := l.inVisibleOrder(class)
		if err != nil {
			return err
		}
		l.entering = append(l.entering, &stream{history: newHistory(r), next: next})
	}
	for _, slot := range r.keepers {
		if err := l.addSlot(slot); err != nil {
			return err
		}
	}
	return nil
}

// inVisibleOrder yields the entity's blocks with events in the order in which they are visible in a
// class.
func (l *longSweep) inVisibleOrder(class int) (func() (*Block, error), error) {
	if l.pieces.inOrder[class] {
		return l.inTimeOrder(), nil
	}
	blocks := func(yield func(*Block, error) bool) {
		next := l.inTimeOrder()
		for {
			b, err := next()
			if b == nil && err == nil || !yield(b, err) {
				return
			}
		}
	}
	bytes := int64(len(l.pieces.numbers)) * int64(l.piece)
	runs, err := (order{&l.replay.layout, class}).sortBlocks(iter.Seq2[*Block, error](blocks), l.pieces.store, l.part.limit/runShare, min(l.piece, l.part.piece(bytes)))
	if err != nil {
		return nil, err
	}
	m, err := runs.merge()
	if err != nil {
		return nil, err
	}
	return m.blocks(l.piece), nil
}

// inTimeOrder yields the entity's blocks in order of event time; nil at the end.
func (l *longSweep) inTimeOrder() func() (*Block, error) {
	i := 0
	return func() (*Block, error) {
		if i == len(l.pieces.numbers) {
			return nil, nil
		}
		i++
		return l.pieces.store.Get(l.pieces.numbers[i-1])
	}
}

func (l *longSweep) addSlot(slot int) error {
	r := l.replay
	p := &r.merged.Slots[slot]
	c, err := agg.New(p)
	if err != nil {
		return err
	}
	var reads []slotRead
	for _, a := range r.view.slots[slot].readers {
		of := r.merged.Aggregates[a]
		reads = append(reads, slotRead{a, slices.Index(l.windows, of.Window), r.merged.Slots[of.Slot].Func})
	}
	if agg.Removable(p) {
		run := &longRunning{slot: slot, class: r.classOf[slot], column: c, reads: reads}
		for _, read := range reads {
			run.partials = append(run.partials, indexOrAppend(&run.windows, read.window))
			if l.leaving[read.window] == nil && !l.windows[read.window].Unbounded() {
				l.leaving[read.window] = &stream{history: newHistory(r), next: l.inTimeOrder()}
			}
		}
		c.Grow(len(run.windows))
		l.running = append(l.running, run)
		return nil
	}
	t := &longTree{slot: slot, class: r.classOf[slot], column: c, n: len(l.pieces.slices), reads: reads}
	c.Grow(t.n + 1)
	if t.fresh, err = agg.New(p); err != nil {
		return err
	}
	t.fresh.Grow(t.n)
	t.isDirty = make([]bool, t.n)
	for _, read := range reads {
		if l.windows[read.window].Unbounded() {
			t.tails = append(t.tails, nil)
			continue
		}
		tail := l.tails[read.window]
		if tail == nil {
			tail = &tailPart{history: newHistory(r), slice: -1}
			l.tails[read.window] = tail
		}
		x, err := tail.tree(p, slot, t.class)
		if err != nil {
			return err
		}
		t.tails = append(t.tails, x)
	}
	l.trees = append(l.trees, t)
	return nil
}

// move advances to as-of time at; last is the previous one.
func (l *longSweep) move(at, last plan.EventTime) error {
	for w, tail := range l.leaving {
		l.lower[w] = l.windows[w].Lower(at)
		if tail == nil {
			continue
		}
		err := tail.until(func(h *history, row int) bool { return h.time[row] < l.lower[w] }, func(h *history, rows []int32) {
			for _, r := range l.running {
				r.leave(w, h, rows, last)
			}
		})
		if err != nil {
			return err
		}
	}
	for class, s := range l.entering {
		err := s.until(func(h *history, row int) bool { return h.visible[class][row] < at }, func(h *history, rows []int32) {
			l.enter(class, h, rows)
		})
		if err != nil {
			return err
		}
	}
	for w, tail := range l.tails {
		if tail != nil {
			if err := l.moveTail(tail, l.lower[w], at); err != nil {
				return err
			}
		}
	}
	for _, t := range l.trees {
		t.merge()
	}
	return nil
}

// enter adds events that have become visible in a class.
func (l *longSweep) enter(class int, h *history, rows []int32) {
	for _, r := range l.running {
		if r.class == class {
			r.enter(h, rows, l.lower)
		}
	}
	for _, t := range l.trees {
		if t.class == class {
			t.enter(h, rows, l.pieces)
		}
	}
}

// read stores the aggregates in a row of the results.
func (l *longSweep) read(row int) {
	for _, r := range l.running {
		for i, read := range r.reads {
			agg.ValueAs(read.as, r.column, r.partials[i], l.out.Aggs[read.agg], row)
		}
	}
	for _, t := range l.trees {
		for i, read := range t.reads {
			t.column.Reset(t.n)
			from := 0
			if tail := l.tails[read.window]; t.tails[i] != nil {
				from = tail.whole
				if tail.slice >= 0 {
					t.tails[i].mergeInto(t.column, t.n, tail.inside(t.tails[i]))
				}
			}
			for j := t.n - from; j > 0; j -= j & -j {
				t.column.Merge(t.n, t.column, j-1)
			}
			agg.ValueAs(read.as, t.column, t.n, l.out.Aggs[read.agg], row)
		}
	}
}

// stream is an entity's events in some order, a block at a time.
type stream struct {
	history *history
	next    func() (*Block, error)
	row     int // next of history
	ended   bool
	rows    []int32
}

// until calls f with the rows from the next one on, as long as before is true.
func (s *stream) until(before func(h *history, row int) bool, f func(h *history, rows []int32)) error {
	for !s.ended {
		if s.row == s.history.n {
			b, err := s.next()
			if err != nil {
				return err
			}
			if s.ended = b == nil; s.ended {
				return nil
			}
			if err := s.history.load([]*Block{b}); err != nil {
				return err
			}
			s.row = 0
		}
		s.rows = s.rows[:0]
		for s.row < s.history.n && before(s.history, s.row) {
			s.rows = append(s.rows, int32(s.row))
			s.row++
		}
		if len(s.rows) > 0 {
			f(s.history, s.rows)
		}
		if s.row < s.history.n {
			return nil
		}
	}
	return nil
}

// longRunning has a partial for each window of a slot.
type longRunning struct {
	slot, class int
	column      agg.Column
	windows     []int // of the partials
	reads       []slotRead
	partials    []int // by read
	rows        []int32
}

func (r *longRunning) enter(h *history, rows []int32, lower []plan.EventTime) {
	pass := h.pass(r.slot)
	for p, w := range r.windows {
		r.rows = r.rows[:0]
		for _, row := range rows {
			if h.time[row] >= lower[w] && (pass == nil || pass.Get(int(row))) {
				r.rows = append(r.rows, row)
			}
		}
		if len(r.rows) > 0 {
			agg.AddRows(r.column, p, &h.inputs[r.slot], r.rows)
		}
	}
}

// leave removes events that the tail of a window has passed. An event that was not visible as of
// the previous time has not entered.
func (r *longRunning) leave(window int, h *history, rows []int32, last plan.EventTime) {
	p := slices.Index(r.windows, window)
	if p < 0 {
		return
	}
	pass := h.pass(r.slot)
	r.rows = r.rows[:0]
	for _, row := range rows {
		if h.visible[r.class][row] < last && (pass == nil || pass.Get(int(row))) {
			r.rows = append(r.rows, row)
		}
	}
	if len(r.rows) > 0 {
		agg.RemoveRows(r.column, p, &h.inputs[r.slot], r.rows)
	}
}

// longTree is a Fenwick tree over slices, see tree, and the partials of events that are not in
// it yet.
type longTree struct {
	slot, class int
	column      agg.Column // the nodes, and a partial for reading
	n           int
	fresh       agg.Column // by slice
	dirty       []int      // slices that have some
	isDirty     []bool
	reads       []slotRead
	tails       []*tailTree // by read; nil if the window is unbounded
}

func (t *longTree) enter(h *history, rows []int32, p *pieces) {
	pass := h.pass(t.slot)
	for _, row := range rows {
		if pass != nil && !pass.Get(int(row)) {
			continue
		}
		s := p.sliceAt(h.time[row])
		t.fresh.Add(s, &h.inputs[t.slot], int(row))
		if !t.isDirty[s] {
			t.isDirty[s], t.dirty = true, append(t.dirty, s)
		}
	}
}

// merge moves what has entered to the nodes.
func (t *longTree) merge() {
	for _, s := range t.dirty {
		for i := t.n - s; i <= t.n; i += i & -i {
			t.column.Merge(i-1, t.fresh, s)
		}
		t.fresh.Reset(s)
		t.isDirty[s] = false
	}
	t.dirty = t.dirty[:0]
}

// tailPart is the slice of which a part is inside a window.
type tailPart struct {
	slice   int // -1 if there is none
	whole   int // the first slice that is wholly inside
	lower   plan.EventTime
	history *history // the events of slice
	trees   []*tailTree
	sorter  timeSorter
}

// tree is the tree of a slot.
func (t *tailPart) tree(p *plan.Slot, slot, class int) (*tailTree, error) {
	c, err := agg.New(p)
	x := &tailTree{slot: slot, class: class, column: c}
	t.trees = append(t.trees, x)
	return x, err
}

// moveTail advances the tail of a window.
func (l *longSweep) moveTail(t *tailPart, lower, at plan.EventTime) error {
	t.lower, t.whole = lower, l.pieces.sliceAt(lower)
	now := -1
	if t.whole < len(l.pieces.slices) && l.pieces.slices[t.whole].first < lower {
		now = t.whole
		t.whole++
	}
	if now != t.slice {
		t.slice = now
		if now >= 0 {
			if err := l.loadTail(t); err != nil {
				return err
			}
		}
	}
	if t.slice >= 0 {
		for _, x := range t.trees {
			x.enter(t.history, at)
		}
	}
	return nil
}

// loadTail loads the events of a slice, which has one block.
func (l *longSweep) loadTail(t *tailPart) error {
	b, err := l.pieces.store.Get(l.pieces.numbers[l.pieces.slices[t.slice].from])
	if err != nil {
		return err
	}
	if err := t.history.load([]*Block{b}); err != nil {
		return err
	}
	for _, x := range t.trees {
		x.begin(t.history, &t.sorter)
	}
	return nil
}

// inside is the first event of a tree that is inside the window.
func (t *tailPart) inside(x *tailTree) int {
	return sort.Search(len(x.rows), func(i int) bool { return t.history.time[x.rows[i]] >= t.lower })
}

// tailTree is a tree, see tree, over the events of a slice.
type tailTree struct {
	slot, class int
	column      agg.Column
	rows        []int32 // that the slot adds, in order of time
	byVisible   []int32 // the same, in the order in which they are visible
	position    []int32 // by row: its index in rows
	in          int     // number of byVisible that have entered
}

func (x *tailTree) begin(h *history, sorter *timeSorter) {
	pass := h.pass(x.slot)
	x.rows, x.position, x.in = x.rows[:0], grown(x.position, h.n), 0
	for row := range h.n {
		if pass == nil || pass.Get(row) {
			x.position[row] = int32(len(x.rows))
			x.rows = append(x.rows, int32(row))
		}
	}
	x.byVisible = append(x.byVisible[:0], x.rows...)
	sorter.sort(x.byVisible, h.visible[x.class])
	x.column.Truncate(0)
	x.column.Grow(len(x.rows))
}

func (x *tailTree) enter(h *history, at plan.EventTime) {
	n := len(x.rows)
	for ; x.in < n && h.visible[x.class][x.byVisible[x.in]] < at; x.in++ {
		row := x.byVisible[x.in]
		for i := n - int(x.position[row]); i <= n; i += i & -i {
			x.column.Add(i-1, &h.inputs[x.slot], int(row))
		}
	}
}

// mergeInto merges the events from the given one on into a partial of another column.
func (x *tailTree) mergeInto(c agg.Column, p, from int) {
	for i := len(x.rows) - from; i > 0; i -= i & -i {
		c.Merge(p, x.column, i-1)
	}
}
