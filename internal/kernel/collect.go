package kernel

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// LimitOpen limits the memory of the open blocks of each collector, without their text, to n bytes if that is
// less than usual.
func (r *Replay) LimitOpen(n int64) { r.openBytes = int(min(int64(r.openBytes), max(n, minOpenBytes))) }

// minOpenBytes is the least limit of open blocks.
const minOpenBytes = 64 << 10

// OpenBytes is the most that the open blocks of a collector take, with their text.
func (r *Replay) OpenBytes() int {
	if r.layout.ids || r.ResultTexts() > 0 {
		return 2 * r.openBytes
	}
	return r.openBytes
}

// addEarliest adds the earliest times that a collector has seen, which it gives up.
func (r *Replay) addEarliest(seen earliestTimes) {
	r.earliestLock.Lock()
	defer r.earliestLock.Unlock()
	if r.earliest == nil {
		r.earliest = seen
		return
	}
	r.earliest.add(seen)
}

// EntityBytes is what a collector of the replay keeps for each entity of the spine.
func (r *Replay) EntityBytes() int {
	if !r.onlyLatest() {
		return 0
	}
	return int(unsafe.Sizeof([FewEvents]plan.EventTime{}))
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
	of      []int32          // entity of each row
	heads   []uint64         // first word of each row, without its entity
	byPart  []int32          // rows to keep, by part
	first   []int32          // where each part begins in byPart
	lanes   []*rowExpr
	pruner  *pruner // nil: every event may be read
}

// openBlock is the block of a part to which events are appended; nil if there is none.
type openBlock struct {
	block *Block
	made  int // number of blocks of the part so far
	words int // of the previous one
	text  int // bytes of its text
	old   int // the first rows of block that pruning has left there
	jumps int // jumps of the collector at the last event
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
	words := maxBlockWords
	if c.pruner = r.newPruner(); c.pruner != nil {
		words = maxPrunedWords
	}
	c.maxWords, c.maxText = min(words, r.openBytes/8/parts), min(maxBlockText, r.openBytes/parts)
	c.open = make([]openBlock, parts)
	c.first = make([]int32, r.division.parts()+1)
	c.lanes = view.lanes()
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
	c.of = c.replay.division.tuple.entities.lookup(c.of[:0], c.keyCols, rows.n)
	c.divide(ev)
	c.head(rows)
	if at != c.next {
		c.jumps++
	}
	c.next = Place{at.File, at.Row + int64(rows.n)}
	late := c.replay.layout.classes > 1 || rows.late()
	for p := range c.open {
		for sel := c.byPart[c.first[p]:c.first[p+1]]; len(sel) > 0; {
			n, err := c.append(p, late, at, rows, sel)
			if err != nil {
				return err
			}
			sel = sel[n:]
		}
	}
	return nil
}

// divide groups the rows that have an entity by part.
func (c *Collector) divide(ev *Events) {
	d := c.replay.division
	clear(c.first)
	for i, e := range c.of {
		if e > 0 {
			c.first[d.part(e)+1]++
		} else if e == noKey && !ev.Fills(i) {
			c.tally.NullKeys++
		}
	}
	for p := range c.open {
		c.first[p+1] += c.first[p]
	}
	c.byPart = grown(c.byPart, int(c.first[len(c.open)]))
	for i, e := range c.of {
		if e > 0 {
			p := d.part(e)
			c.byPart[c.first[p]] = int32(i)
			c.first[p]++
		}
	}
	// The loop moved each part's beginning to its end, which is the beginning of the next.
	copy(c.first[1:], c.first)
	c.first[0] = 0
}

// head computes the first word of every row without the entity: its first bits.
func (c *Collector) head(rows *Rows) {
	c.heads = slices.Grow(c.heads[:0], rows.n)[:rows.n]
	clear(c.heads)
	every := uint64(0) // bits that are set in all rows
	c.eachBit(rows, func(i int, of vector.Bitmap) {
		if word, shift := bit(i); word == 0 {
			if of.All(rows.n) {
				every |= 1 << shift
				return
			}
			for row := range c.heads {
				c.heads[row] |= of[row>>6] >> (uint(row) & 63) & 1 << shift
			}
		}
	})
	if every != 0 {
		for row := range c.heads {
			c.heads[row] |= every
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
func (c *Collector) append(part int, late bool, at Place, rows *Rows, sel []int32) (int, error) {
	o, l := &c.open[part], &c.replay.layout
	stride := l.stride(late)
	if b := o.block; b != nil && (b.late != late || len(b.words)+stride > cap(b.words) || len(b.text) >= c.maxText) {
		if err := c.flush(part, b.late != late); err != nil {
			return 0, err
		}
	}
	if o.block == nil || o.block.late != late {
		words := min(minBlockWords<<min(o.made, 20), c.maxWords)
		if c.pruner != nil && !late && o.made > 0 {
			words = c.maxWords // the block is used again
		}
		o.block = &Block{late: late, words: make([]uint64, 0, max(words/stride, 1)*stride)}
		if o.text > 0 {
			text := o.text * cap(o.block.words) / o.words // or it would be moved each time that it grows
			o.block.text = make([]byte, 0, min(text+text/8, c.maxText))
		}
		o.made++
	}
	b := o.block
	sel = sel[:min(len(sel), (cap(b.words)-len(b.words))/stride)]
	if b.n == 0 || o.jumps != c.jumps {
		b.runs = append(b.runs, run{Place{at.File, at.Row + int64(sel[0])}, b.n})
		o.jumps = c.jumps
	}
	begin := len(b.words)
	b.words = b.words[:begin+len(sel)*stride]
	c.write(b, b.words[begin:], stride, rows, sel)
	b.n += len(sel)
	return len(sel), nil
}

// write writes rows to words.
func (c *Collector) write(b *Block, words []uint64, stride int, rows *Rows, sel []int32) {
	l, d := &c.replay.layout, c.replay.division
	for j, i := range sel {
		words[j*stride] = c.heads[i] | uint64(uint32(d.localOf(c.of[i])))
	}
	if l.bits > firstBits {
		c.writeBits(words, stride, rows, sel)
	}
	column := words[l.time():]
	for j, i := range sel {
		column[j*stride] = uint64(rows.Time[i])
	}
	if b.late {
		if c.pruner != nil {
			c.pruner.addLate(int(c.replay.division.part(c.of[sel[0]])), c.of, rows.Visible, sel)
		}
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
		column := words[l.id(b.late):]
		for j, i := range sel {
			column[j*stride] = 0
			if rows.ID != nil {
				column[j*stride] = b.appendText(rows.ID[i])
			}
		}
	}
	for i, x := range c.lanes {
		if lane := l.lanes[i]; lane.kind != plan.Bool {
			b.writeLane(words[l.lane(b.late)+lane.at:], stride, lane.kind, x, sel)
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
func (b *Block) writeLane(column []uint64, stride int, kind plan.Kind, x *rowExpr, sel []int32) {
	src, need := x.result, x.need
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
		for j, i := range sel {
			column[j*stride] = 0
			if need.Get(int(i)) {
				column[j*stride] = b.appendText(src.Str[i])
			}
		}
	default:
		for j, i := range sel {
			column[j*stride] = 0
			if need.Get(int(i)) {
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

// flush passes the open block of a part to keep; all says whether that includes events which may yet be superseded.
func (c *Collector) flush(part int, all bool) error {
	b := c.open[part].block
	if c.pruner != nil && !b.late {
		return c.flushPruned(part, all)
	}
	c.open[part].ended(b)
	return c.keep(part, b)
}

// ended closes the open block.
func (o *openBlock) ended(b *Block) { o.block, o.words, o.text = nil, len(b.words), len(b.text) }

// flushPruned passes the events of an open block that are not superseded to keep. The block stays
// open.
func (c *Collector) flushPruned(part int, all bool) error {
	o := &c.open[part]
	before, first := *o.block, o.made == 1 // the first one is small
	pruned := c.pruner.prune(part, o.block, o.old, all || first, c.maxText/2)
	if o.old = o.block.n; first {
		o.ended(&before)
	}
	if pruned == nil {
		return nil
	}
	return c.keep(part, pruned)
}

// Close flushes all open blocks. The collector must not be used afterwards.
func (c *Collector) Close() (*Tally, error) {
	for part := range c.open {
		if c.open[part].block != nil {
			if err := c.flush(part, true); err != nil {
				return nil, err
			}
		}
	}
	if c.pruner != nil {
		c.replay.addEarliest(c.pruner.earliest)
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
