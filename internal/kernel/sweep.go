package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Shard is a part of a replay: some entities, their events and spine rows.
//
// Per entity it walks the spine rows in order of T. An event enters the partials
// once its visible time is before T, which is not the order of event times, and
// leaves a window once its event time is before the tail. How far events have come
// and gone is kept by track; how a slot makes values of that is said in reader.
type Shard struct {
	replay   *Replay
	entities []entitySpan
	rows     []int32 // spine rows, in the order of the results
	known    vector.Bitmap
	aggs     []*vector.Vector // results

	windows []plan.Window
	lower   []plan.EventTime // tail of each window
	tracks  []sweepTrack
}

// entitySpan is the events from and to, and the spine rows, of an entity.
type entitySpan struct {
	from, to int32
	queries  []int32
}

// track is the slots that add the same events: they differ in nothing but what they
// make of them.
type track struct {
	pass    vector.Bitmap // nil: every event
	class   int
	slots   []int
	visible []plan.EventTime
	onTime  bool // visible is the event time
}

// tracks divides the slots of a view into tracks.
func (h *history) tracks(view *View) []track {
	var out []track
	for i := range h.slots {
		if view.slots[i].home != i {
			continue
		}
		s := &h.slots[i]
		pass := s.pass
		if pass.Count() == len(h.time) {
			pass = nil
		}
		t := slices.IndexFunc(out, func(t track) bool {
			return t.class == s.class && (t.pass == nil) == (pass == nil) && slices.Equal(t.pass, pass)
		})
		if t < 0 {
			t = len(out)
			out = append(out, track{pass: pass, class: s.class, visible: h.visible[s.class], onTime: s.class == 0 && !h.late})
		}
		out[t].slots = append(out[t].slots, i)
	}
	return out
}

// sweepTrack is a track and how far it has come with the entity at hand.
type sweepTrack struct {
	track
	readers []reader
	windows []trackWindow

	byTime    []int32 // the entity's events of the track
	byVisible []int32
	alike     bool // these two are equal
	inOrder   bool // byVisible is in order of time, too
	in        int  // events of byVisible that have entered
	fresh     []int32
}

// trackWindow is a window that a slot of the track reads.
type trackWindow struct {
	window         int // of the shard
	out            int // events of byTime before the tail
	left, entered  []int32
	leftMem, inMem []int32
}

func newShard(r *Replay, tracks []track, lo, hi int, queries, first []int32) (*Shard, error) {
	s := &Shard{replay: r}
	for e := lo; e < hi; e++ {
		if q := queries[first[e]:first[e+1]]; len(q) > 0 {
			s.entities = append(s.entities, entitySpan{r.events.first[e], r.events.first[e+1], q})
		}
	}
	s.rows = queries[first[lo]:first[hi]]
	s.known = vector.NewBitmap(len(s.rows))
	for _, a := range r.view.aggs {
		s.aggs = append(s.aggs, vector.New(a.Type, len(s.rows)))
	}
	for _, t := range tracks {
		st := sweepTrack{track: t}
		for _, slot := range t.slots {
			rd, err := newReader(&r.view.plan.Slots[slot], &r.events.slots[slot].input, s.reads(&st, slot))
			if err != nil {
				return nil, err
			}
			st.readers = append(st.readers, rd)
		}
		s.tracks = append(s.tracks, st)
	}
	s.lower = make([]plan.EventTime, len(s.windows))
	return s, nil
}

// reads are the aggregates of a slot, with the windows of the track that they read.
func (s *Shard) reads(t *sweepTrack, slot int) []slotRead {
	var reads []slotRead
	p := s.replay.view.plan
	for _, a := range s.replay.view.slots[slot].members {
		w := indexOrAppend(&s.windows, p.Aggregates[a].Window)
		i := slices.IndexFunc(t.windows, func(x trackWindow) bool { return x.window == w })
		if i < 0 {
			i = len(t.windows)
			t.windows = append(t.windows, trackWindow{window: w})
		}
		reads = append(reads, slotRead{a, i, p.Slots[p.Aggregates[a].Slot].Func})
	}
	return reads
}

func indexOrAppend[T comparable](list *[]T, x T) int {
	i := slices.Index(*list, x)
	if i < 0 {
		i = len(*list)
		*list = append(*list, x)
	}
	return i
}

// Sweep computes the shard's aggregates. Shards of one replay may be swept
// concurrently.
func (s *Shard) Sweep() {
	result := 0
	for i := range s.entities {
		e := &s.entities[i]
		for t := range s.tracks {
			s.tracks[t].begin(&s.replay.events, e)
		}
		firstVisible := least(s.replay.events.visible[0][e.from:e.to])
		last := plan.Always
		for _, q := range e.queries {
			at := s.replay.spine.at[q]
			if at != last {
				s.move(at, last)
				last = at
			}
			if firstVisible < at {
				s.known.Set(result)
			}
			s.read(result)
			result++
		}
	}
}

func least(times []plan.EventTime) plan.EventTime {
	first := plan.Never
	for _, t := range times {
		first = min(first, t)
	}
	return first
}

// move goes on from one as-of time to a later one.
func (s *Shard) move(at, last plan.EventTime) {
	for w := range s.windows {
		s.lower[w] = s.windows[w].Lower(at)
	}
	for t := range s.tracks {
		s.tracks[t].move(s.replay.events.time, s.lower, at, last)
	}
}

// read puts every aggregate into the given row of the results.
func (s *Shard) read(row int) {
	for t := range s.tracks {
		for _, r := range s.tracks[t].readers {
			r.read(s.aggs, row)
		}
	}
}

// begin goes to an entity.
func (t *sweepTrack) begin(h *history, e *entitySpan) {
	t.byTime = t.byTime[:0]
	for i := e.from; i < e.to; i++ {
		if t.pass == nil || t.pass.Get(int(i)) {
			t.byTime = append(t.byTime, i)
		}
	}
	t.order(h.time)
	t.in = 0
	for w := range t.windows {
		t.windows[w].out = 0
	}
	for _, r := range t.readers {
		r.begin(t)
	}
}

// order puts the entity's events in order of event time and of visible time.
func (t *sweepTrack) order(times []plan.EventTime) {
	if t.onTime {
		sortByTime(t.byTime, times)
		t.byVisible, t.alike, t.inOrder = t.byTime, true, true
		return
	}
	t.byVisible = append(t.byVisible[:0], t.byTime...)
	sortByTime(t.byTime, times)
	sortByTime(t.byVisible, t.visible)
	t.alike = slices.Equal(t.byTime, t.byVisible)
	t.inOrder = slices.IsSortedFunc(t.byVisible, func(a, b int32) int { return cmp.Compare(times[a], times[b]) })
}

// move lets events enter that have become visible before at, and leave that lie
// before a tail. What is visible only at or after the last reading has not entered
// yet when a tail passes it, and never will.
func (t *sweepTrack) move(times, lower []plan.EventTime, at, last plan.EventTime) {
	in := t.in
	for t.in < len(t.byVisible) && t.visible[t.byVisible[t.in]] < at {
		t.in++
	}
	t.fresh = t.byVisible[in:t.in]
	for i := range t.windows {
		w := &t.windows[i]
		out, tail := w.out, lower[w.window]
		for w.out < len(t.byTime) && times[t.byTime[w.out]] < tail {
			w.out++
		}
		if t.alike {
			w.left = t.byTime[out:max(out, min(w.out, in))]
			w.entered = t.byTime[min(max(in, w.out), t.in):t.in]
			continue
		}
		w.leftMem, w.inMem = w.leftMem[:0], w.inMem[:0]
		for _, e := range t.byTime[out:w.out] {
			if t.visible[e] < last {
				w.leftMem = append(w.leftMem, e)
			}
		}
		for _, e := range t.fresh {
			if times[e] >= tail {
				w.inMem = append(w.inMem, e)
			}
		}
		w.left, w.entered = w.leftMem, w.inMem
	}
	for _, r := range t.readers {
		r.move(t, times, lower)
	}
}
