package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// Shard is a part of a replay: some entities, their events and spine rows.
//
// Per entity it walks the spine rows in order of T. An event enters the partials
// once its visible time is before T, which is not the order of event times, and
// leaves a window once its event time is before the tail. Slots that can remove
// keep one running partial a window. The others keep a Fenwick tree over the
// events in order of event time (P. M. Fenwick, A new data structure for
// cumulative frequency tables, 1994), from which any suffix is merged in
// logarithmic time.
type Shard struct {
	replay   *Replay
	entities []entitySpan
	rows     []int32 // spine rows, in the order of the results
	known    vector.Bitmap
	aggs     []*vector.Vector // results

	windows []sweepWindow
	slots   []sweepSlot
	classes []entry

	// of the entity at hand; local indexes count its events
	events []int32 // event numbers
	byTime []int32
	rank   []int32 // inverse of byTime
}

type entitySpan struct {
	events  []int32
	queries []int32 // spine rows
}

// sweepWindow is a distinct window and how far its tail has come.
type sweepWindow struct {
	window plan.Window
	lower  plan.EventTime
	out    int        // events in byTime before lower
	aggs   []sweepAgg // that keep a running partial
}

type sweepAgg struct{ slot, partial int }

type sweepSlot struct {
	column    agg.Column
	removable bool
	reads     []slotRead
}

// slotRead is an aggregate of the slot: its window and, when removable, its partial.
type slotRead struct{ agg, window, partial int }

// entry is how far a visibility class has come.
type entry struct {
	slots     []int
	byVisible []int32
	in        int // events in byVisible that are visible
}

func newShard(r *Replay, lo, hi int, queries, first []int32) (*Shard, error) {
	s := &Shard{replay: r, classes: make([]entry, len(r.events.visible))}
	for e := lo; e < hi; e++ {
		q := queries[first[e]:first[e+1]]
		if len(q) == 0 {
			continue
		}
		slices.SortStableFunc(q, func(a, b int32) int { return cmp.Compare(r.spine[a].at, r.spine[b].at) })
		s.entities = append(s.entities, entitySpan{r.events.byEntity[r.events.first[e]:r.events.first[e+1]], q})
		s.rows = append(s.rows, q...)
	}
	s.known = vector.NewBitmap(len(s.rows))
	for _, a := range r.view.aggs {
		s.aggs = append(s.aggs, vector.New(a.Type, len(s.rows)))
	}
	return s, s.layOut()
}

// layOut makes the columns and decides which partial each aggregate runs in.
func (s *Shard) layOut() error {
	p := s.replay.view.plan
	for i := range p.Slots {
		col, err := agg.New(&p.Slots[i])
		if err != nil {
			return err
		}
		slot := sweepSlot{column: col, removable: agg.Removable(&p.Slots[i])}
		for n, a := range s.replay.view.slots[i].members {
			w := s.windowIndex(p.Aggregates[a].Window)
			slot.reads = append(slot.reads, slotRead{a, w, n})
			if slot.removable {
				s.windows[w].aggs = append(s.windows[w].aggs, sweepAgg{i, n})
			}
		}
		s.slots = append(s.slots, slot)
		class := s.replay.events.slots[i].class
		s.classes[class].slots = append(s.classes[class].slots, i)
	}
	return nil
}

func (s *Shard) windowIndex(w plan.Window) int {
	i := slices.IndexFunc(s.windows, func(x sweepWindow) bool { return x.window == w })
	if i < 0 {
		i = len(s.windows)
		s.windows = append(s.windows, sweepWindow{window: w})
	}
	return i
}

// Sweep computes the shard's aggregates. Shards of one replay may be swept
// concurrently.
func (s *Shard) Sweep() {
	result := 0
	for _, e := range s.entities {
		s.begin(e.events)
		last := plan.Always
		for _, q := range e.queries {
			at := s.replay.spine[q].at
			if at != last {
				s.leave(at, last)
				s.enter(at)
				last = at
			}
			s.read(result)
			result++
		}
	}
}

// begin sets everything up for the next entity.
func (s *Shard) begin(events []int32) {
	h := &s.replay.events
	s.events = events
	s.byTime = sorted(s.byTime, events, h.time)
	s.rank = slices.Grow(s.rank[:0], len(events))[:len(events)]
	for r, local := range s.byTime {
		s.rank[local] = int32(r)
	}
	for c := range s.classes {
		s.classes[c].in = 0
		s.classes[c].byVisible = sorted(s.classes[c].byVisible, events, h.visible[c])
	}
	for w := range s.windows {
		s.windows[w].out = 0
	}
	for i := range s.slots {
		slot := &s.slots[i]
		slot.column.Truncate(0)
		if slot.removable {
			slot.column.Grow(len(slot.reads))
		} else {
			slot.column.Grow(len(events) + 1)
		}
	}
}

// sorted lists local indexes in order of the given times.
func sorted(dst, events []int32, times []plan.EventTime) []int32 {
	dst = dst[:0]
	inOrder := true
	for i := range events {
		dst = append(dst, int32(i))
		inOrder = inOrder && (i == 0 || times[events[i-1]] <= times[events[i]])
	}
	if !inOrder {
		slices.SortStableFunc(dst, func(a, b int32) int { return cmp.Compare(times[events[a]], times[events[b]]) })
	}
	return dst
}

// leave moves every tail to where it is as of t and removes what it passes. What
// became visible only at or after the last reading has not entered yet, and never will.
func (s *Shard) leave(t, last plan.EventTime) {
	h := &s.replay.events
	for w := range s.windows {
		win := &s.windows[w]
		win.lower = win.window.Lower(t)
		for ; win.out < len(s.byTime); win.out++ {
			event := s.events[s.byTime[win.out]]
			if h.time[event] >= win.lower {
				break
			}
			for _, a := range win.aggs {
				hs := &h.slots[a.slot]
				if hs.pass.Get(int(event)) && h.visible[hs.class][event] < last {
					s.slots[a.slot].column.Remove(a.partial, &hs.input, int(event))
				}
			}
		}
	}
}

// enter adds what has become visible before t.
func (s *Shard) enter(t plan.EventTime) {
	for c := range s.classes {
		class := &s.classes[c]
		visible := s.replay.events.visible[c]
		for ; class.in < len(class.byVisible); class.in++ {
			local := class.byVisible[class.in]
			event := s.events[local]
			if visible[event] >= t {
				break
			}
			for _, slot := range class.slots {
				s.add(slot, local, event)
			}
		}
	}
}

func (s *Shard) add(slot int, local, event int32) {
	hs := &s.replay.events.slots[slot]
	if !hs.pass.Get(int(event)) {
		return
	}
	sl := &s.slots[slot]
	if sl.removable {
		for _, r := range sl.reads {
			if hs.input.Time[event] >= s.windows[r.window].lower {
				sl.column.Add(r.partial, &hs.input, int(event))
			}
		}
		return
	}
	n := len(s.events)
	for i := n - int(s.rank[local]); i <= n; i += i & -i {
		sl.column.Add(i-1, &hs.input, int(event))
	}
}

// read puts every aggregate into the given row of the results.
func (s *Shard) read(row int) {
	if s.classes[0].in > 0 {
		s.known.Set(row)
	}
	for i := range s.slots {
		slot := &s.slots[i]
		for _, r := range slot.reads {
			p := r.partial
			if !slot.removable {
				p = s.suffix(slot.column, s.windows[r.window].out)
			}
			slot.column.Value(p, s.aggs[r.agg], row)
		}
	}
}

// suffix merges the tree's partials of the events in byTime from rank out on.
func (s *Shard) suffix(c agg.Column, out int) (partial int) {
	n := len(s.events)
	c.Reset(n)
	for i := n - out; i > 0; i -= i & -i {
		c.Merge(n, c, i-1)
	}
	return n
}
