package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Sweeper computes the aggregates of parts, one part after another.
//
// For each entity it visits the spine rows in order of T. An event enters the windows
// once its visible time is before T, which need not be in order of event time, and
// leaves a window once its event time is before the tail. A track records which events have
// entered and left; a reader computes the values of a slot from that.
//
// Most tracks have events that are visible at their event times. Such a track is walked: it
// finds for all spine rows first which events have entered and left, and then each reader
// computes all its values. The other tracks go row by row.
type Sweeper struct {
	replay  *Replay
	history *history
	out     *PartResults

	part    int
	windows []plan.Window
	lower   []plan.EventTime // tail of each window
	tracks  []sweepTrack
	slots   [][]int // by track

	spineOrder
	everything []int32 // 0, 1, 2, …
	sorter     timeSorter
}

// entitySpan is the events [from, to) and the spine rows of an entity.
type entitySpan struct {
	from, to int32
	ranks    []int32
}

// track is the slots that add the same events at the same visible times.
type track struct {
	pass    vector.Bitmap // nil: every event
	slots   []int
	visible []plan.EventTime
	onTime  bool // visible times are the event times
}

// NewSweeper makes a sweeper.
func (r *Replay) NewSweeper() *Sweeper { return &Sweeper{replay: r, history: newHistory(r)} }

// Sweep computes the aggregates of a part from all its blocks.
func (s *Sweeper) Sweep(part int, blocks []*Block) (*PartResults, error) {
	if err := s.load(blocks); err != nil {
		return nil, err
	}
	rows := s.replay.PartRows(part)
	s.orderSpine(part, 0, rows)
	s.out = s.replay.newResults(rows)
	s.sweepEntities(0, len(s.first)-1)
	return s.out, nil
}

// load loads events.
func (s *Sweeper) load(blocks []*Block) error {
	if err := s.history.load(blocks); err != nil {
		return err
	}
	for n := len(s.everything); n < s.history.n; n++ {
		s.everything = append(s.everything, int32(n))
	}
	return s.track()
}

// sweepEntities sweeps the entities [from, to), whose events must be loaded.
func (s *Sweeper) sweepEntities(from, to int) {
	for e := from; e < to; e++ {
		if ranks := s.ranks[s.first[e]:s.first[e+1]]; len(ranks) > 0 {
			s.sweep(e, entitySpan{s.history.first[e], s.history.first[e+1], ranks})
		}
	}
}

// orderSpine orders the spine rows [from, to) of a part.
func (s *Sweeper) orderSpine(part, from, to int) {
	s.part = part
	if shared := s.replay.asOf != nil; shared && to-from == s.replay.PartRows(part) {
		s.spineOrder = s.replay.asOfTimes(part).spineOrder
	} else {
		if shared {
			s.spineOrder = spineOrder{} // its memory is the part's
		}
		s.spineOrder.make(s.replay.division, part, from, to, &s.sorter)
	}
}

// track groups the slots into tracks, which depends on the events of the part.
func (s *Sweeper) track() error {
	h := s.history
	var slots [][]int
	for _, i := range s.replay.keepers {
		t := slices.IndexFunc(slots, func(t []int) bool {
			return s.replay.classOf[t[0]] == s.replay.classOf[i] && (h.pass(t[0]) == nil) == (h.pass(i) == nil) && slices.Equal(h.pass(t[0]), h.pass(i))
		})
		if t < 0 {
			t = len(slots)
			slots = append(slots, nil)
		}
		slots[t] = append(slots[t], i)
	}
	if !slices.EqualFunc(slots, s.slots, func(a, b []int) bool { return slices.Equal(a, b) }) {
		if err := s.makeTracks(slots); err != nil {
			return err
		}
	}
	for i := range s.tracks {
		t := &s.tracks[i]
		class := s.replay.classOf[t.slots[0]]
		t.pass, t.visible, t.onTime = h.pass(t.slots[0]), h.visible[class], class == 0 && !h.late
	}
	return nil
}

func (s *Sweeper) makeTracks(slots [][]int) error {
	s.slots, s.tracks, s.windows = slots, nil, nil
	for _, of := range slots {
		t := sweepTrack{track: track{slots: of}}
		for _, slot := range of {
			rd, err := newReader(&s.replay.merged.Slots[slot], &s.history.inputs[slot], s.reads(&t, slot))
			if err != nil {
				return err
			}
			t.readers = append(t.readers, rd)
		}
		s.tracks = append(s.tracks, t)
	}
	s.lower = make([]plan.EventTime, len(s.windows))
	return nil
}

// sweepTrack is a track and its progress over the events of the current entity.
type sweepTrack struct {
	track
	readers []reader
	windows []trackWindow

	byTime                  []int32 // the entity's events of the track, by event time
	byVisible               []int32 // the same, by visible time
	byTimeMem, byVisibleMem []int32
	alike                   bool    // byTime and byVisible are equal
	inOrder                 bool    // byVisible is in order of event time, too
	in                      int     // number of events of byVisible that have entered
	fresh                   []int32 // the events that entered in the last step

	dense   bool             // byTime is consecutive numbers
	timeMem []plan.EventTime // scratch of times

	// While the track is walked:
	ranks   []int32 // the entity's spine rows
	entries []int32 // by spine row: number of events of byTime that are visible
}

// trackWindow is a window that a slot of the track reads.
type trackWindow struct {
	window         int     // index in Sweeper.windows
	out            int     // number of events of byTime before the tail
	left, entered  []int32 // the events that left and entered in the last step
	leftMem, inMem []int32
	exits          []int32 // while walked, by spine row: number of events of byTime before the tail
}

// reads lists the aggregates of a slot, and adds their windows to the track.
func (s *Sweeper) reads(t *sweepTrack, slot int) []slotRead {
	var reads []slotRead
	p := s.replay.merged
	for _, a := range s.replay.view.slots[slot].readers {
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

// sweep computes the aggregates of an entity.
func (s *Sweeper) sweep(entity int, e entitySpan) {
	s.markKnown(s.earliest(entity, e), e.ranks)
	late := false
	for i := range s.tracks {
		t := &s.tracks[i]
		t.begin(s.history, e, s.everything, &s.sorter)
		if late = late || !t.onTime; t.onTime {
			s.walk(t, e.ranks)
		}
	}
	if !late {
		return
	}
	last := plan.Always
	for _, rank := range e.ranks {
		at := s.at[rank]
		if at != last {
			s.move(at, last)
			last = at
		}
		s.read(int(rank))
	}
}

// earliest is when the first events of an entity became visible.
func (s *Sweeper) earliest(entity int, e entitySpan) [FewEvents]plan.EventTime {
	if seen := s.replay.earliest; seen != nil {
		return seen[s.part*s.replay.division.entities()+entity]
	}
	times := s.history.visible[0][e.from:e.to]
	if s.history.sorted && !s.history.late {
		times = times[:min(len(times), FewEvents)]
	}
	return earliest(times)
}

// markKnown marks the rows as of which the entity has a visible event, and those as of which it
// has only a few.
func (s *Sweeper) markKnown(visible [FewEvents]plan.EventTime, ranks []int32) {
	for _, rank := range ranks {
		at := s.at[rank]
		if visible[0] < at {
			s.out.Known.Set(int(rank))
			s.out.Few.Put(int(rank), visible[FewEvents-1] >= at)
		}
	}
}

// walk computes the aggregates of a track whose events are visible at their event times.
func (s *Sweeper) walk(t *sweepTrack, ranks []int32) {
	times := t.times(s.history)
	t.ranks, t.entries = ranks, grown(t.entries, len(ranks))
	in := 0
	for i, rank := range ranks {
		for at := s.at[rank]; in < len(times) && times[in] < at; {
			in++
		}
		t.entries[i] = int32(in)
	}
	for i := range t.windows {
		w := &t.windows[i]
		w.exits = grown(w.exits, len(ranks))
		window, out := s.windows[w.window], 0
		for j, rank := range ranks {
			for tail := window.Lower(s.at[rank]); out < len(times) && times[out] < tail; {
				out++
			}
			w.exits[j] = int32(out)
		}
	}
	for _, r := range t.readers {
		r.walk(t, s.out.Aggs)
	}
}

// earliest is the first few times in order, padded with Never.
func earliest(times []plan.EventTime) (first [FewEvents]plan.EventTime) {
	for i := range first {
		first[i] = plan.Never
	}
	for _, t := range times {
		if t < first[FewEvents-1] {
			insertTime(&first, t)
		}
	}
	return first
}

// insertTime puts a time that is before the last of first, which is in order, in its place.
func insertTime(first *[FewEvents]plan.EventTime, t plan.EventTime) {
	i := FewEvents - 1
	for ; i > 0 && first[i-1] > t; i-- {
		first[i] = first[i-1]
	}
	first[i] = t
}

// move advances the tracks that go row by row from as-of time last to a later one.
func (s *Sweeper) move(at, last plan.EventTime) {
	for w := range s.windows {
		s.lower[w] = s.windows[w].Lower(at)
	}
	for i := range s.tracks {
		if t := &s.tracks[i]; !t.onTime {
			t.move(s.history.time, s.lower, at, last)
		}
	}
}

// read stores the aggregates of these tracks in a row of the results.
func (s *Sweeper) read(row int) {
	for i := range s.tracks {
		if t := &s.tracks[i]; !t.onTime {
			for _, r := range t.readers {
				r.read(s.out.Aggs, row)
			}
		}
	}
}

// begin starts with the events of an entity.
func (t *sweepTrack) begin(h *history, e entitySpan, everything []int32, sorter *timeSorter) {
	if t.dense = t.pass == nil && h.sorted; t.dense {
		t.byTime = everything[e.from:e.to]
	} else {
		t.byTimeMem = t.byTimeMem[:0]
		for i := e.from; i < e.to; i++ {
			if t.pass == nil || t.pass.Get(int(i)) {
				t.byTimeMem = append(t.byTimeMem, i)
			}
		}
		t.byTime = t.byTimeMem
	}
	t.order(h.time, sorter)
	t.restart()
	for _, r := range t.readers {
		r.begin(t)
	}
}

// times are the times of byTime.
func (t *sweepTrack) times(h *history) []plan.EventTime {
	if t.dense && len(t.byTime) > 0 {
		return h.time[t.byTime[0]:][:len(t.byTime)]
	}
	t.timeMem = t.timeMem[:0]
	for _, e := range t.byTime {
		t.timeMem = append(t.timeMem, h.time[e])
	}
	return t.timeMem
}

// restart goes back to the state before any event has entered.
func (t *sweepTrack) restart() {
	t.in = 0
	for w := range t.windows {
		t.windows[w].out = 0
	}
}

// order sorts the entity's events by event time and by visible time.
func (t *sweepTrack) order(times []plan.EventTime, sorter *timeSorter) {
	if t.onTime {
		sorter.sort(t.byTime, times)
		t.byVisible, t.alike, t.inOrder = t.byTime, true, true
		return
	}
	t.byVisibleMem = append(t.byVisibleMem[:0], t.byTime...)
	t.byVisible = t.byVisibleMem
	sorter.sort(t.byTime, times)
	sorter.sort(t.byVisible, t.visible)
	t.alike = slices.Equal(t.byTime, t.byVisible)
	t.inOrder = slices.IsSortedFunc(t.byVisible, func(a, b int32) int { return cmp.Compare(times[a], times[b]) })
}

// move advances to as-of time at: events that are visible before at enter, and events before
// the tail of a window leave it. An event that a tail passes before it was visible, as of the
// previous time last, has not entered the window and never will.
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
			w.pass(t, out, in)
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

// pass sets the events that left and entered since w.out and t.in were out and in, in a track
// whose events become visible in order of event time.
func (w *trackWindow) pass(t *sweepTrack, out, in int) {
	w.left = t.byTime[out:max(out, min(w.out, in))]
	w.entered = t.byTime[min(max(in, w.out), t.in):t.in]
}

// step advances a track that is walked to spine row i of the entity.
func (t *sweepTrack) step(i int) {
	if i == 0 {
		t.restart()
	}
	in := t.in
	t.in = int(t.entries[i])
	t.fresh = t.byTime[in:t.in]
	for j := range t.windows {
		w := &t.windows[j]
		out := w.out
		w.out = int(w.exits[i])
		w.pass(t, out, in)
	}
}
