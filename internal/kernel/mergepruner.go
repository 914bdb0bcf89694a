package kernel

import (
	"math/bits"
	"slices"
	"strings"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// mergePruner drops superseded events before they are written to blocks, if events come in order of time. It
// buffers events of all parts and merges them with the spine rows, which are in order of time too. When
// the merge passes a spine row, it marks the last event of the row's entity and those before it that it does
// not supersede. Only marked events go to blocks.
//
// A pruner does this for events in any order, but must search the rows of the entity for each event. A
// merge looks at each spine row once.
type mergePruner struct {
	order  *mergeOrder
	pruner *pruner // whose earliest events it shares
	most   int     // events in a full buffer
	early  int     // how many times in a row the buffer was emptied long before it was full

	events    eventRows
	stretches []mergeStretch
	jumps     int // of the collector, at the last event
	text      int // bytes of texts that were copied

	latest   plan.EventTime // of the events that were merged last
	entities []mergeEntity
	before   []int32       // by event: the one before it that it does not supersede, plus 1; 0: none
	read     vector.Bitmap // events that a spine row reads
	kept     vector.Bitmap // these, and the earliest of each entity
	rows     []int32       // scratch
}

// mergeStretch is events in the buffer that are consecutive in the history.
type mergeStretch struct {
	first int   // event
	place Place // of its first event, or before
}

// mergeEntity is what a merge knows of an entity.
type mergeEntity struct {
	last   plan.EventTime // time of its last event
	event  int32          // its last event, plus 1; 0: none
	passes uint32         // the slots that this passes, notAlone and noneEarly
}

// Bits of mergeEntity.passes.
const (
	notAlone  = 1 << 31 // there are events before the last one that this does not supersede
	noneEarly = 1 << 30 // events from this time on are not among the FewEvents earliest of the entity
)

const (
	// The most memory of a buffer, of which a bufferTexts-th is for copies of texts.
	mostBuffer  = 80 << 20
	bufferTexts = 5
	// With fewer events than this for each entity, not enough are superseded to repay a merge.
	mergeEvents = 4
	// So many events in a buffer fit into a processor's cache while they are written to the blocks of all parts.
	mergeStep = 2048
	// If events are not in order of time, a buffer is emptied early. After so many times in a row, the
	// collector does without one.
	mostEarly = 4
)

// merges reports whether collectors may have a mergePruner: there must be the memory for it, and rows must have
// a form that its buffer knows.
func (r *Replay) merges() bool {
	for _, x := range r.view.lanes() {
		if vector.Lane(x.program.Type()) == plan.Dyn {
			return false
		}
	}
	return r.onlyLatest() && r.layout.bits <= firstBits-2 && r.layout.classes == 1 && r.bufferBytes > 0
}

// newMergePruner makes a mergePruner that shares the earliest events with p; nil if the spine is not suited.
func (r *Replay) newMergePruner(p *pruner) *mergePruner {
	if !r.merges() {
		return nil
	}
	entities := int(r.division.tuple.entities.n)
	most := (r.bufferBytes - r.bufferBytes/bufferTexts) / r.bufferedBytes()
	if most < mergeEvents*entities {
		return nil
	}
	r.mergeOnce.Do(func() { r.mergeOrder = newMergeOrder(r.division) })
	if r.mergeOrder == nil {
		return nil
	}
	m := &mergePruner{order: r.mergeOrder, pruner: p, most: most, latest: plan.Always, entities: make([]mergeEntity, entities+1)}
	if r.layout.ids {
		m.events.ids = new(textColumn)
	}
	for _, x := range r.view.lanes() {
		lane := eventLane{values: &vector.Vector{Type: x.program.Type()}}
		if vector.Lane(x.program.Type()) == plan.String {
			lane.texts = new(textColumn)
		}
		m.events.lanes = append(m.events.lanes, lane)
	}
	return m
}

// bufferedBytes is what an event in the buffer takes: more than in a block, since a text is a string, and by what a
// merge notes of it.
func (r *Replay) bufferedBytes() int { return 8 * (r.layout.stride(false) + r.layout.words + 3) }

// buffer buffers a batch, whose events begin at a place; it reports false if they cannot be merged, and
// then the buffer is empty.
func (c *Collector) buffer(at Place, late bool) (bool, error) {
	m, b := c.merger, &c.batch
	ordered := !late && slices.IsSorted(b.time) && (b.id != nil || !c.replay.layout.ids)
	if n := m.events.n(); n > 0 {
		if !ordered || b.time[0] < m.events.time[n-1] || n+len(b.of) > m.most || m.text > c.replay.bufferBytes/bufferTexts {
			if err := c.empty(); err != nil {
				return false, err
			}
		}
	}
	if !ordered || c.merger == nil || len(b.of) > m.most {
		return false, nil
	}
	if n := len(m.stretches); n == 0 || c.jumps != m.jumps {
		m.stretches = append(m.stretches, mergeStretch{m.events.n(), at})
		m.jumps = c.jumps
	}
	m.add(b, c.known)
	return true, nil
}

// add appends the listed rows of a batch to the buffer.
func (m *mergePruner) add(b *eventRows, rows []int32) {
	e, n := &m.events, b.n()
	e.of = appendRows(e.of, b.of, rows, m.most)
	e.heads = appendRows(e.heads, b.heads, rows, m.most)
	e.time = appendRows(e.time, b.time[:n], rows, m.most)
	if e.ids != nil {
		m.text += e.ids.add(b.id[:n], nil, false, rows)
	}
	for i, from := range b.lanes {
		switch to := e.lanes[i].values; vector.Lane(to.Type) {
		case plan.Int:
			to.Int = appendRows(to.Int, from.values.Int[:n], rows, m.most)
		case plan.Double:
			to.Double = appendRows(to.Double, from.values.Double[:n], rows, m.most)
		case plan.String:
			m.text += e.lanes[i].texts.add(from.values.Str[:n], from.need, from.values.Kept, rows)
		}
	}
}

// appendRows appends the listed rows of a column, of which src has no more. The result has room for all rows
// of a buffer once it has many.
func appendRows[E any](dst, src []E, rows []int32, most int) []E {
	n := len(dst)
	if need := n + len(rows); need > cap(dst) {
		grown := make([]E, n, min(most, max(2*cap(dst), need)))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:n+len(rows)]
	if len(rows) == len(src) {
		copy(dst[n:], src)
		return dst
	}
	for i, row := range rows {
		dst[n+i] = src[row]
	}
	return dst
}

// textColumn is texts, as numbers of different ones. The texts of a small dictionary, which can be kept, are recognized by
// where they are; the others are copied.
type textColumn struct {
	numbers []uint32
	texts   []string
	recent  [1 << recentBits]uint32 // numbers of texts, plus 1, by a hash of where they are
}

const recentBits = 12

// add appends the listed rows of a column, of which src has no more, and returns the size of what was copied. Texts of
// rows that are not needed, of which need is not nil, are empty.
func (t *textColumn) add(src []string, need vector.Bitmap, kept bool, rows []int32) (copied int) {
	if need != nil && need.All(len(src)) {
		need = nil
	}
	from := len(t.texts)
	for _, row := range rows {
		s := ""
		if need == nil || need.Get(int(row)) {
			s = src[row]
		}
		if !kept {
			t.numbers = append(t.numbers, uint32(len(t.texts)))
			t.texts = append(t.texts, s)
			copied += len(s)
			continue
		}
		data := unsafe.StringData(s)
		recent := &t.recent[uint64(uintptr(unsafe.Pointer(data)))*factor>>(64-recentBits)]
		if n := *recent; n == 0 || unsafe.StringData(t.texts[n-1]) != data || len(t.texts[n-1]) != len(s) {
			t.texts = append(t.texts, s)
			*recent = uint32(len(t.texts))
		}
		t.numbers = append(t.numbers, *recent-1)
	}
	if !kept {
		cloneAll(t.texts[from:], copied)
	}
	return copied
}

// cloneAll copies texts, of the given size, to new memory.
func cloneAll(texts []string, size int) {
	var all strings.Builder
	all.Grow(size)
	for i, s := range texts {
		at := all.Len()
		all.WriteString(s)
		texts[i] = all.String()[at:]
	}
}

// at is the text of an event.
func (t *textColumn) at(i int32) string { return t.texts[t.numbers[i]] }

// reset removes all texts.
func (t *textColumn) reset() {
	t.numbers, t.texts = t.numbers[:0], t.texts[:0]
	clear(t.recent[:])
}

// empty passes the events in the buffer that are not superseded on to blocks.
func (c *Collector) empty() error {
	m := c.merger
	n := len(m.events.of)
	if m.early++; n >= mergeEvents*len(m.entities) {
		m.early = 0
		m.merge()
		m.rows = m.rows[:0]
		for w, word := range m.kept[:vector.Words(n)] {
			for ; word != 0; word &= word - 1 {
				m.rows = append(m.rows, int32(64*w+bits.TrailingZeros64(word)))
			}
		}
		c.merged = true
	} else {
		m.rows = m.rows[:0]
		for i := range n {
			m.rows = append(m.rows, int32(i))
		}
	}
	err := c.appendStretches()
	c.merged = false
	m.reset()
	if m.early == mostEarly {
		c.merger = nil
	}
	return err
}

// appendStretches appends the listed events of the buffer to blocks.
func (c *Collector) appendStretches() error {
	m := c.merger
	from := 0
	for i, s := range m.stretches {
		end := m.events.n()
		if i+1 < len(m.stretches) {
			end = m.stretches[i+1].first
		}
		c.jumps++
		place := Place{s.place.File, s.place.Row - int64(s.first)}
		for at := s.first; at < end; {
			at = min(at+mergeStep, end)
			n, _ := slices.BinarySearch(m.rows[from:], int32(at))
			c.divide(m.events.of, m.rows[from:from+n])
			if err := c.appendParts(false, place, &m.events, nil); err != nil {
				return err
			}
			from += n
		}
	}
	c.jumps++
	return nil
}

// reset empties the buffer.
func (m *mergePruner) reset() {
	e := &m.events
	e.of, e.heads, e.time = e.of[:0], e.heads[:0], e.time[:0]
	if e.ids != nil {
		e.ids.reset()
	}
	for _, l := range e.lanes {
		l.values.Int, l.values.Double = l.values.Int[:0], l.values.Double[:0]
		if l.texts != nil {
			l.texts.reset()
		}
	}
	m.stretches, m.text = m.stretches[:0], 0
}

// merge marks the events that are kept.
func (m *mergePruner) merge() {
	e, o := &m.events, m.order
	n := e.n()
	m.before = grown(m.before, n)
	clear(m.before)
	m.read, m.kept = grownBits(m.read, n), grownBits(m.kept, n)
	if e.time[0] < m.latest {
		for entity := range m.entities {
			m.entities[entity].passes = 0
		}
	}
	m.latest = e.time[n-1]
	next := o.after(e.time[0])
	nextAt := o.at(next)
	for i, entity := range e.of {
		at := e.time[i]
		for nextAt <= at { // the row does not see the event
			m.mark(m.entities[o.entity(next)].event)
			next++
			nextAt = o.at(next)
		}
		s, passes := &m.entities[entity], m.passes(i)
		if s.event != 0 && (s.last == at || s.passes&^(passes|noneEarly) != 0) {
			before := m.remaining(s.event, at, passes)
			if m.before[i] = before; before != 0 {
				passes |= notAlone
			}
		}
		if s.passes&noneEarly == 0 {
			early, last := m.pruner.early(entity, at)
			if early {
				m.kept.Set(i)
			}
			if last <= at {
				passes |= noneEarly
			}
		} else {
			passes |= noneEarly
		}
		s.last, s.event, s.passes = at, int32(i+1), passes
	}
	for entity := range m.entities {
		s := &m.entities[entity]
		if s.last < o.latest[entity] {
			m.mark(s.event)
		}
		s.event = 0
	}
	for w, read := range m.read {
		m.kept[w] |= read
	}
}

// remaining goes from an event, given by its number plus 1, back to the first one that an event at the given time does not
// supersede; 0: it supersedes all.
func (m *mergePruner) remaining(event int32, at plan.EventTime, passes uint32) int32 {
	e := &m.events
	for event != 0 && e.time[event-1] < at && m.passes(int(event-1))&^passes == 0 {
		event = m.before[event-1]
	}
	return event
}

// passes is the slots that an event passes.
func (m *mergePruner) passes(event int) uint32 {
	return uint32((m.events.heads[event] & m.pruner.passes) >> (64 - firstBits))
}

// mark marks an event, given by its number plus 1, and those before it that it does not supersede.
func (m *mergePruner) mark(event int32) {
	for event != 0 && !m.read.Get(int(event-1)) {
		m.read.Set(int(event - 1))
		event = m.before[event-1]
	}
}

// mergeOrder is the spine rows with an entity in order of time.
type mergeOrder struct {
	rows   []uint64         // the time, from first on, and the entity in the lower bits
	width  uint             // bits of the entity
	first  plan.EventTime   // the earliest as-of time
	latest []plan.EventTime // by entity: its latest as-of time
}

// newMergeOrder orders the rows; nil if there are none, or times and entities do not fit into 64 bits.
func newMergeOrder(d *division) *mergeOrder {
	entities := int(d.tuple.entities.n)
	o := &mergeOrder{first: plan.Never, latest: make([]plan.EventTime, entities+1), width: uint(bits.Len(uint(entities)))}
	last := plan.Always
	for e := range o.latest {
		o.latest[e] = plan.Always
	}
	n := 0
	for row, e := range d.tuple.entity {
		if e == 0 {
			continue
		}
		at := d.spine.at[row]
		o.first, last, o.latest[e] = min(o.first, at), max(last, at), max(o.latest[e], at)
		n++
	}
	span := uint64(last) - uint64(o.first)
	if n == 0 || n > mostRadix || uint(bits.Len64(span))+o.width >= 64 {
		return nil
	}
	o.rows = make([]uint64, 0, n)
	for row, e := range d.tuple.entity {
		if e != 0 {
			o.rows = append(o.rows, (uint64(d.spine.at[row])-uint64(o.first))<<o.width|uint64(e))
		}
	}
	o.rows = sortWords(o.rows, o.width, o.width+uint(bits.Len64(span)))
	return o
}

// at is the as-of time of row i; Never behind the last one.
func (o *mergeOrder) at(i int) plan.EventTime {
	if i == len(o.rows) {
		return plan.Never
	}
	return o.first + plan.EventTime(o.rows[i]>>o.width)
}

func (o *mergeOrder) entity(i int) int32 { return int32(o.rows[i] & (1<<o.width - 1)) }

// after is the first row that is as of a later time than at.
func (o *mergeOrder) after(at plan.EventTime) int {
	i, _ := slices.BinarySearchFunc(o.rows, at, func(row uint64, at plan.EventTime) int {
		if o.first+plan.EventTime(row>>o.width) <= at {
			return -1
		}
		return 1
	})
	return i
}
