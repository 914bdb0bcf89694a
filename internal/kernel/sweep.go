package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Sweeper computes the aggregates of parts, one after the other.
//
// Per entity it walks the spine rows in order of T. An event enters the partials
// once its visible time is before T, which is not the order of event times, and
// leaves a window once its event time is before the tail. How far events have come
// and gone is kept by track; how a slot makes values of that is said in reader.
//
// A track whose events are visible at their times, as most are, is walked reader by
// reader: how far events have come and gone is found for all rows first. The others go
// row by row.
type Sweeper struct {
	replay  *Replay
	history *history
	out     *PartResults

	windows []plan.Window
	lower   []plan.EventTime // tail of each window
	tracks  []sweepTrack
	slots   [][]int // of the tracks

	at         []plan.EventTime // of the part's spine rows
	ranks      []int32          // their numbers in the part, by entity and then by time
	first      []int32          // where the ranks of each entity begin; one more than entities
	everything []int32          // 0, 1, 2, …
}

// entitySpan is the events from and to, and the spine rows, of an entity.
type entitySpan struct {
	from, to int32
	ranks    []int32
}

// track is the slots that add the same events: they differ in nothing but what they
// make of them.
type track struct {
	pass    vector.Bitmap // nil: every event
	slots   []int
	visible []plan.EventTime
	onTime  bool // visible is the event time
}

// NewSweeper makes a sweeper.
func (r *Replay) NewSweeper() *Sweeper { return &Sweeper{replay: r, history: newHistory(r)} }

// Sweep computes the aggregates of a part from all its blocks.
func (s *Sweeper) Sweep(part int, blocks []*Block) (*PartResults, error) {
	if err := s.history.load(blocks); err != nil {
		return nil, err
	}
	if err := s.track(); err != nil {
		return nil, err
	}
	s.query(part)
	for n := len(s.everything); n < s.history.n; n++ {
		s.everything = append(s.everything, int32(n))
	}
	s.out = s.replay.newResults(part)
	for e := range s.first[:len(s.first)-1] {
		if ranks := s.ranks[s.first[e]:s.first[e+1]]; len(ranks) > 0 {
			s.sweep(entitySpan{s.history.first[e], s.history.first[e+1], ranks})
		}
	}
	return s.out, nil
}

// query lists the spine rows of a part by entity, and within one by time.
func (s *Sweeper) query(part int) {
	d := s.replay.division
	rows, entities := d.rowsOf(part), d.entities()
	s.at, s.ranks, s.first = grown(s.at, len(rows)), grown(s.ranks, len(rows)), grown(s.first, entities+1)
	clear(s.first)
	for i, row := range rows {
		s.at[i] = d.spine.at[row]
		s.first[d.local(d.tuple.entity[row])+1]++
	}
	for e := range entities {
		s.first[e+1] += s.first[e]
	}
	for i, row := range rows {
		e := d.local(d.tuple.entity[row])
		s.ranks[s.first[e]] = int32(i)
		s.first[e]++
	}
	copy(s.first[1:], s.first)
	s.first[0] = 0
	for e := range entities {
		sortByTime(s.ranks[s.first[e]:s.first[e+1]], s.at)
	}
}

// sortByTime sorts rows by their times, equal ones by their numbers.
func sortByTime(rows []int32, times []plan.EventTime) {
	for i := 1; i < len(rows); i++ {
		if times[rows[i-1]] <= times[rows[i]] {
			continue
		}
		if len(rows) > fewRows {
			slices.SortFunc(rows, func(a, b int32) int { return cmp.Or(cmp.Compare(times[a], times[b]), cmp.Compare(a, b)) })
			return
		}
		insertRow(rows[:i+1], times)
	}
}

// fewRows are sorted faster by putting one after the other where it belongs.
const fewRows = 40

// insertRow puts the last of rows, of which the others are sorted, where it belongs.
func insertRow(rows []int32, times []plan.EventTime) {
	row := rows[len(rows)-1]
	at, i := times[row], len(rows)-1
	for ; i > 0; i-- {
		before := rows[i-1]
		if t := times[before]; t < at || t == at && before < row {
			break
		}
		rows[i] = before
	}
	rows[i] = row
}

// track divides the slots into tracks, by the events at hand, and finds what these read.
func (s *Sweeper) track() error {
	h := s.history
	var slots [][]int
	for _, i := range s.replay.homes {
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

// sweepTrack is a track and how far it has come with the entity at hand.
type sweepTrack struct {
	track
	readers []reader
	windows []trackWindow

	byTime                  []int32 // the entity's events of the track
	byVisible               []int32
	byTimeMem, byVisibleMem []int32
	alike                   bool // these two are equal
	inOrder                 bool // byVisible is in order of time, too
	in                      int  // events of byVisible that have entered
	fresh                   []int32

	dense   bool             // byTime is numbers that follow one another
	timeMem []plan.EventTime // scratch of times

	ranks   []int32 // of the entity's rows, when the track is walked
	entries []int32 // events of byTime that are visible, by row
}

// trackWindow is a window that a slot of the track reads.
type trackWindow struct {
	window         int // of the shard
	out            int // events of byTime before the tail
	left, entered  []int32
	leftMem, inMem []int32
	exits          []int32 // events of byTime before the tail, by row, when the track is walked
}

// reads are the aggregates of a slot, with the windows of the track that they read.
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
func (s *Sweeper) sweep(e entitySpan) {
	s.know(e)
	late := false
	for i := range s.tracks {
		t := &s.tracks[i]
		t.begin(s.history, e, s.everything)
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

// know marks the rows as of which an event of the entity is visible, and those as of which only a few are.
func (s *Sweeper) know(e entitySpan) {
	times := s.history.visible[0][e.from:e.to]
	if s.history.sorted && !s.history.late {
		times = times[:min(len(times), FewEvents)]
	}
	visible := earliest(times)
	for _, rank := range e.ranks {
		at := s.at[rank]
		if visible[0] < at {
			s.out.Known.Set(int(rank))
			s.out.Few.Put(int(rank), visible[FewEvents-1] >= at)
		}
	}
}

// walk computes the aggregates of a track whose events are visible at their times.
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

// earliest is the first few times in order, Never where there are not as many.
func earliest(times []plan.EventTime) (first [FewEvents]plan.EventTime) {
	for i := range first {
		first[i] = plan.Never
	}
	for _, t := range times {
		if t >= first[FewEvents-1] {
			continue
		}
		i := FewEvents - 1
		for ; i > 0 && first[i-1] > t; i-- {
			first[i] = first[i-1]
		}
		first[i] = t
	}
	return first
}

// move lets the tracks that go row by row go on from one as-of time to a later one.
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

// read puts the aggregates of these tracks into the given row of the results.
func (s *Sweeper) read(row int) {
	for i := range s.tracks {
		if t := &s.tracks[i]; !t.onTime {
			for _, r := range t.readers {
				r.read(s.out.Aggs, row)
			}
		}
	}
}

// begin goes to an entity.
func (t *sweepTrack) begin(h *history, e entitySpan, everything []int32) {
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
	t.order(h.time)
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

// restart takes all events out.
func (t *sweepTrack) restart() {
	t.in = 0
	for w := range t.windows {
		t.windows[w].out = 0
	}
}

// order puts the entity's events in order of event time and of visible time.
func (t *sweepTrack) order(times []plan.EventTime) {
	if t.onTime {
		sortByTime(t.byTime, times)
		t.byVisible, t.alike, t.inOrder = t.byTime, true, true
		return
	}
	t.byVisibleMem = append(t.byVisibleMem[:0], t.byTime...)
	t.byVisible = t.byVisibleMem
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

// pass finds the events that leave and enter the window of a track in which they become
// visible in the order of their times, when it goes on from the given places.
func (w *trackWindow) pass(t *sweepTrack, out, in int) {
	w.left = t.byTime[out:max(out, min(w.out, in))]
	w.entered = t.byTime[min(max(in, w.out), t.in):t.in]
}

// step goes on to row i of a track that is walked.
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
