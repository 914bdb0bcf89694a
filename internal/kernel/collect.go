package kernel

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// LimitOpen limits the memory of each collector for events that it has not handed over to n bytes if that is
// less than usual. The texts in its open blocks may take as much as these again.
func (r *Replay) LimitOpen(n int64) {
	r.openBytes = int(min(int64(r.openBytes), max(n, minOpenBytes)))
	r.bufferBytes = int(min(int64(r.bufferBytes), max(n-2*maxOpenBytes, 0)))
}

// minOpenBytes is the least limit of open blocks.
const minOpenBytes = 64 << 10

// OpenBytes is the most that a collector takes for events that it has not handed over, with their text.
func (r *Replay) OpenBytes() int {
	n := r.openBytes
	if r.layout.ids || r.ResultTexts() > 0 {
		n *= 2
	}
	if r.merges() {
		n += r.bufferBytes
	}
	return n
}

// OrderBytes is what the order of spine rows takes that collectors share, while it is made.
func (r *Replay) OrderBytes(rows int) int64 {
	if !r.merges() {
		return 0
	}
	return 16 * int64(min(rows, mostRadix))
}

// EntityBytes is what a collector of the replay keeps for each entity of the spine.
func (r *Replay) EntityBytes() int {
	if !r.onlyLatest() {
		return 0
	}
	n := int(unsafe.Sizeof([FewEvents]plan.EventTime{}))
	if r.merges() {
		n += int(unsafe.Sizeof(mergeEntity{})) + 8
	}
	return n
}

// Collector collects events for a replay: it evaluates the row expressions of the slots, finds
// the entities and writes the events to blocks, with one open block per part. A collector is
// for one goroutine; a replay may have several.
type Collector struct {
	replay *Replay
	view   *View
	keep   func(part int, b *Block) error
	tally  *Tally
	open   []openBlock
	next   Place // right after the last event
	jumps  int   // how often a batch did not begin at next

	maxWords, maxText int // of a block

	keyCols []*vector.Vector // scratch for the current batch
	known   []int32          // rows that have an entity
	byPart  []int32          // rows to keep, by part
	first   []int32          // where each part begins in byPart
	lanes   []*rowExpr
	batch   eventRows
	pruner  *pruner      // nil: every event may be read
	merger  *mergePruner // nil: batches are written to blocks as they come
	merged  bool         // what is being written to blocks has been merged
}

// eventRows is events as columns: those of a batch, or of the buffer of a mergePruner.
type eventRows struct {
	of    []int32  // entity of each
	heads []uint64 // first word of each, without its entity
	time  []plan.EventTime
	id    []string    // nil: there are none, or
	ids   *textColumn // they are here
	lanes []eventLane
}

func (e *eventRows) n() int { return len(e.of) }

// eventLane is the values of a row expression.
type eventLane struct {
	values *vector.Vector
	need   vector.Bitmap // rows that a slot needs; nil: all
	texts  *textColumn   // not nil: the texts, instead of values
}

// openBlock is the block of a part to which events are appended; nil if there is none.
type openBlock struct {
	block  *Block
	made   int  // number of blocks of the part so far
	text   int  // bytes of text in the previous one
	jumps  int  // jumps of the collector at the last event
	merged bool // its events have been merged
}

// NewCollector makes a collector that passes every full block to keep, which owns it then. It
// drops events of entities that are not in the spine.
func (r *Replay) NewCollector(keep func(part int, b *Block) error) (*Collector, error) {
	view, err := NewView(r.merged)
	if err != nil {
		return nil, err
	}
	c := &Collector{replay: r, view: view, keep: keep, tally: newTally(len(r.merged.Slots))}
	parts := r.division.parts()
	c.maxWords, c.maxText = min(maxBlockWords, r.openBytes/8/parts), min(maxBlockText, r.openBytes/parts)
	c.open = make([]openBlock, parts)
	c.first = make([]int32, r.division.parts()+1)
	c.lanes = view.lanes()
	if c.pruner = r.newPruner(); c.pruner != nil {
		c.maxWords = min(maxPrunedWords, maxOpenBytes/8/parts)
		c.merger = r.newMergePruner(c.pruner)
	}
	return c, nil
}

// lanes lists the row expressions whose values blocks contain.
func (k *View) lanes() []*rowExpr {
	var out []*rowExpr
	for i := range k.slots {
		for _, x := range []*rowExpr{k.slots[i].arg, k.slots[i].by, k.slots[i].group} {
			if x != nil && !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}

// Add adds events; at is the place of the first one. Add keeps no reference to ev.
func (c *Collector) Add(at Place, ev *Events) error {
	rows := c.view.Eval(ev)
	c.tally.record(c.view, ev, rows)
	c.keyCols = c.view.KeyColumns(ev, c.keyCols)
	b := &c.batch
	b.of, b.time, b.id = c.replay.division.tuple.entities.lookup(b.of[:0], c.keyCols, rows.n), rows.Time, rows.ID
	c.head(rows)
	b.lanes = b.lanes[:0]
	for _, x := range c.lanes {
		b.lanes = append(b.lanes, eventLane{values: x.result, need: x.need})
	}
	c.list(ev)
	if at != c.next {
		c.jumps++
	}
	c.next = Place{at.File, at.Row + int64(rows.n)}
	late := c.replay.layout.classes > 1 || rows.late()
	if c.merger != nil {
		if buffered, err := c.buffer(at, late); buffered || err != nil {
			return err
		}
	}
	c.divide(b.of, c.known)
	return c.appendParts(late, at, b, rows)
}

// appendParts appends rows that have been divided to the open blocks of their parts. at is the place of row 0,
// and rows has what only batches have, unless it is nil.
func (c *Collector) appendParts(late bool, at Place, b *eventRows, rows *Rows) error {
	for p := range c.open {
		for sel := c.byPart[c.first[p]:c.first[p+1]]; len(sel) > 0; {
			n, err := c.append(p, late, at, b, rows, sel)
			if err != nil {
				return err
			}
			sel = sel[n:]
		}
	}
	return nil
}

// list lists the rows that have an entity of the spine, and counts those without a key.
func (c *Collector) list(ev *Events) {
	c.known = c.known[:0]
	for i, e := range c.batch.of {
		if e > 0 {
			c.known = append(c.known, int32(i))
		} else if e == noKey && !ev.Fills(i) {
			c.tally.NullKeys++
		}
	}
}

// divide groups rows, all of which have an entity, by part.
func (c *Collector) divide(of, rows []int32) {
	d := c.replay.division
	clear(c.first)
	for _, i := range rows {
		c.first[d.part(of[i])+1]++
	}
	for p := range c.open {
		c.first[p+1] += c.first[p]
	}
	c.byPart = grown(c.byPart, len(rows))
	for _, i := range rows {
		p := d.part(of[i])
		c.byPart[c.first[p]] = i
		c.first[p]++
	}
	// The loop moved each part's beginning to its end, which is the beginning of the next.
	copy(c.first[1:], c.first)
	c.first[0] = 0
}

// head computes the first word of every row without the entity: its first bits.
func (c *Collector) head(rows *Rows) {
	heads := slices.Grow(c.batch.heads[:0], rows.n)[:rows.n]
	c.batch.heads = heads
	clear(heads)
	every := uint64(0) // bits that are set in all rows
	c.eachBit(rows, func(i int, of vector.Bitmap) {
		if word, shift := bit(i); word == 0 {
			if of.All(rows.n) {
				every |= 1 << shift
				return
			}
			for row := range heads {
				heads[row] |= of[row>>6] >> (uint(row) & 63) & 1 << shift
			}
		}
	})
	if every != 0 {
		for row := range heads {
			heads[row] |= every
		}
	}
}

// eachBit calls f with each bit of the layout, in order, and its value in every row; it is 0
// in rows that no slot needs.
func (c *Collector) eachBit(rows *Rows, f func(i int, of vector.Bitmap)) {
	for b, slot := range c.replay.keepers {
		f(b, rows.slots[slot].pass)
	}
	for i, x := range c.lanes {
		if l := c.replay.layout.lanes[i]; l.kind == plan.Bool {
			f(l.at, x.result.Bits)
		}
	}
}

// append appends rows to the open block of a part, as many as fit, and returns their number.
func (c *Collector) append(part int, late bool, at Place, b *eventRows, rows *Rows, sel []int32) (int, error) {
	o, l := &c.open[part], &c.replay.layout
	stride := l.stride(late)
	if open := o.block; open != nil && (open.late != late || open.n > 0 && o.merged != c.merged || len(open.words)+stride > cap(open.words) || len(open.text) >= c.maxText) {
		if err := c.flush(part); err != nil {
			return 0, err
		}
	}
	if o.block == nil || o.block.late != late {
		words := min(minBlockWords<<min(o.made, 20), c.maxWords)
		switch {
		case c.merged:
			words = min(words, maxBlockWords)
		case c.pruner != nil && !late && o.made > 0:
			words = c.maxWords // the block is used again
		}
		o.block = &Block{late: late, words: make([]uint64, 0, max(words/stride, 1)*stride)}
		if o.text > 0 {
			o.block.text = make([]byte, 0, o.text+o.text/8)
		}
		o.made++
	}
	to := o.block
	o.merged = c.merged
	sel = sel[:min(len(sel), (cap(to.words)-len(to.words))/stride)]
	if to.n == 0 || o.jumps != c.jumps {
		to.runs = append(to.runs, run{Place{at.File, at.Row + int64(sel[0])}, to.n})
		o.jumps = c.jumps
	}
	begin := len(to.words)
	to.words = to.words[:begin+len(sel)*stride]
	c.write(to, to.words[begin:], stride, b, rows, sel)
	to.n += len(sel)
	return len(sel), nil
}

// write writes rows to words.
func (c *Collector) write(to *Block, words []uint64, stride int, b *eventRows, rows *Rows, sel []int32) {
	l, d := &c.replay.layout, c.replay.division
	for j, i := range sel {
		words[j*stride] = b.heads[i] | uint64(uint32(d.localOf(b.of[i])))
	}
	if l.bits > firstBits {
		c.writeBits(words, stride, rows, sel)
	}
	column := words[l.time():]
	for j, i := range sel {
		column[j*stride] = uint64(b.time[i])
	}
	if to.late {
		for class := range l.classes {
			visible := rows.Visible
			if class > 0 {
				visible = rows.slots[c.replay.classes[class]].visible
			}
			column := words[l.time()+1+class:]
			for j, i := range sel {
				column[j*stride] = uint64(visible[i])
			}
		}
	}
	if l.ids {
		column := words[l.id(to.late):]
		for j, i := range sel {
			column[j*stride] = 0
			if b.ids != nil {
				column[j*stride] = to.appendText(b.ids.at(i))
			} else if b.id != nil {
				column[j*stride] = to.appendText(b.id[i])
			}
		}
	}
	for i, x := range b.lanes {
		if lane := l.lanes[i]; lane.kind != plan.Bool {
			to.writeLane(words[l.lane(to.late)+lane.at:], stride, lane.kind, x, sel)
		}
	}
}

// writeBits writes the bits after those in the first word.
func (c *Collector) writeBits(words []uint64, stride int, rows *Rows, sel []int32) {
	for j := range sel {
		clear(words[j*stride+1 : j*stride+c.replay.layout.time()])
	}
	c.eachBit(rows, func(i int, of vector.Bitmap) {
		if word, shift := bit(i); word > 0 {
			for j, row := range sel {
				words[j*stride+word] |= of[row>>6] >> (uint(row) & 63) & 1 << shift
			}
		}
	})
}

// writeLane writes the values of a row expression. Strings and composite values of rows that
// no slot needs are zeros.
func (b *Block) writeLane(column []uint64, stride int, kind plan.Kind, x eventLane, sel []int32) {
	src, need := x.values, x.need
	switch kind {
	case plan.Int:
		for j, i := range sel {
			column[j*stride] = uint64(src.Int[i])
		}
	case plan.Double:
		for j, i := range sel {
			column[j*stride] = math.Float64bits(src.Double[i])
		}
	case plan.String:
		if x.texts != nil {
			for j, i := range sel {
				column[j*stride] = b.appendText(x.texts.at(i))
			}
			return
		}
		for j, i := range sel {
			column[j*stride] = 0
			if need == nil || need.Get(int(i)) {
				column[j*stride] = b.appendText(src.Str[i])
			}
		}
	default:
		for j, i := range sel {
			column[j*stride] = 0
			if need == nil || need.Get(int(i)) {
				from := len(b.text)
				b.text = plan.AppendCanonical(b.text, src.Value(int(i)))
				column[j*stride] = textRef(from, len(b.text)-from)
			}
		}
	}
}

// appendText appends a string to the text and returns its textRef.
func (b *Block) appendText(s string) uint64 {
	from := len(b.text)
	b.text = append(b.text, s...)
	return textRef(from, len(s))
}

// flush passes the open block of a part to keep.
func (c *Collector) flush(part int) error {
	b := c.open[part].block
	if c.pruner != nil && !b.late && !c.open[part].merged {
		return c.flushPruned(part, b)
	}
	c.open[part].block, c.open[part].text = nil, len(b.text)
	return c.keep(part, b)
}

// flushPruned passes the events of an open block that are not superseded to keep. The block stays
// open, empty.
func (c *Collector) flushPruned(part int, b *Block) error {
	pruned := c.pruner.prune(part, b)
	b.n, b.words, b.text, b.runs = 0, b.words[:0], b.text[:0], b.runs[:0]
	if c.open[part].made == 1 {
		c.open[part].block = nil // the first one is small
	}
	if pruned == nil {
		return nil
	}
	return c.keep(part, pruned)
}

// Close flushes all open blocks. The collector must not be used afterwards.
func (c *Collector) Close() (*Tally, error) {
	if c.merger != nil {
		if err := c.empty(); err != nil {
			return nil, err
		}
	}
	for part := range c.open {
		if c.open[part].block != nil {
			if err := c.flush(part); err != nil {
				return nil, err
			}
		}
	}
	return c.tally, nil
}

// Tally counts what collectors left out, and why.
type Tally struct {
	NullKeys int   // events without an entity
	errors   []int // rows left out because of an error, by slot
	failures failures
}

func newTally(slots int) *Tally {
	return &Tally{errors: make([]int, slots), failures: make(failures, slots)}
}

func (t *Tally) record(k *View, ev *Events, rows *Rows) {
	for i := range rows.slots {
		t.errors[i] += rows.slots[i].errors
	}
	t.failures.record(k, ev, rows)
}

// Add adds the tally of another collector of the same replay. The result does not depend on
// the order.
func (t *Tally) Add(o *Tally) {
	t.NullKeys += o.NullKeys
	for i := range t.errors {
		t.errors[i] += o.errors[i]
		t.failures[i] = mergeFailures(t.failures[i], o.failures[i])
	}
}

// KeyColumns lists the key columns of the view in a batch of events; it overwrites dst.
func (k *View) KeyColumns(ev *Events, dst []*vector.Vector) []*vector.Vector {
	dst = dst[:0]
	for _, name := range k.plan.KeyColumns {
		dst = append(dst, ev.Batch.Col(name))
	}
	return dst
}

// mergedView has the slots and aggregates of several views over one source and the same key
// columns, but not their features.
func mergedView(views []*plan.View) (*plan.View, error) {
	first := views[0]
	m := &plan.View{Name: first.Name, Entity: first.Entity, Source: first.Source, KeyColumns: first.KeyColumns}
	for _, v := range views {
		if v.Source != first.Source || !slices.Equal(v.KeyColumns, first.KeyColumns) {
			return nil, fmt.Errorf("views %s and %s have different sources or keys", first.Name, v.Name)
		}
		for _, a := range v.Aggregates {
			m.Aggregates = append(m.Aggregates, plan.WindowedAggregate{Slot: a.Slot + len(m.Slots), Window: a.Window})
		}
		m.Slots = append(m.Slots, v.Slots...)
	}
	return m, nil
}
