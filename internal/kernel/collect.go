package kernel

import (
	"fmt"
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// OpenBytes is about the most that a collector's blocks take before they are handed over,
// but for text.
const OpenBytes = mostOpen

// Collector takes events for a replay: it evaluates what the slots read of them, finds
// their entities and lays them into blocks, one at a time for each part. It serves one
// goroutine; a replay may have one in each of several.
type Collector struct {
	replay *Replay
	view   *View
	keep   func(part int, b *Block) error
	tally  *Tally
	open   []openBlock
	next   Place // behind the last event
	jumps  int   // how often events did not come where the ones before them ended

	mostWords, mostText int // of a block

	keyCols []*vector.Vector // scratch, of the batch at hand
	of      []int32
	heads   []uint64 // first word of each row, before its entity
	byPart  []int32  // rows to keep, by part
	first   []int32
	lanes   []*rowExpr
}

// openBlock is the block of a part that events are added to; nil for none.
type openBlock struct {
	block *Block
	made  int // blocks of the part so far
	text  int // bytes of text in the last one
	jumps int // of the collector, at its last event
}

// NewCollector makes a collector that hands over every block that is full. Events of
// entities that the spine does not name are left out.
func (r *Replay) NewCollector(keep func(part int, b *Block) error) (*Collector, error) {
	view, err := NewView(r.merged)
	if err != nil {
		return nil, err
	}
	c := &Collector{replay: r, view: view, keep: keep, tally: newTally(len(r.merged.Slots))}
	parts := r.division.parts()
	c.mostWords, c.mostText = min(mostBlock, mostOpen/8/parts), min(mostText, mostOpen/parts)
	c.open = make([]openBlock, parts)
	c.first = make([]int32, r.division.parts()+1)
	c.lanes = view.lanes()
	return c, nil
}

// lanes lists the row expressions whose values a history keeps.
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

// Add adds events that come at the given place and after it. ev is not kept.
func (c *Collector) Add(at Place, ev *Events) error {
	rows := c.view.Eval(ev)
	c.tally.note(c.view, ev, rows)
	c.keyCols = c.view.KeyColumns(ev, c.keyCols)
	c.of = c.replay.division.tuple.entities.look(c.of[:0], c.keyCols, rows.n)
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

// divide lists the rows with an entity by part.
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
	// Each part's beginning has moved to its end, which is the beginning of the next.
	copy(c.first[1:], c.first)
	c.first[0] = 0
}

// head computes the first word of every row but for the entity: its first bits.
func (c *Collector) head(rows *Rows) {
	c.heads = slices.Grow(c.heads[:0], rows.n)[:rows.n]
	clear(c.heads)
	every := uint64(0) // the bits that all rows have
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

// eachBit calls f with the bits of the layout, in order. A row that no slot needs has 0.
func (c *Collector) eachBit(rows *Rows, f func(i int, of vector.Bitmap)) {
	for b, slot := range c.replay.homes {
		f(b, rows.slots[slot].pass)
	}
	for i, x := range c.lanes {
		if l := c.replay.layout.lanes[i]; l.kind == plan.Bool {
			f(l.at, x.result.Bits)
		}
	}
}

// append adds rows to the block of a part, as many as fit, and returns their number.
func (c *Collector) append(part int, late bool, at Place, rows *Rows, sel []int32) (int, error) {
	o, l := &c.open[part], &c.replay.layout
	stride := l.stride(late)
	if b := o.block; b != nil && (b.late != late || len(b.words)+stride > cap(b.words) || len(b.text) >= c.mostText) {
		if err := c.hand(part); err != nil {
			return 0, err
		}
	}
	if o.block == nil {
		words := min(leastBlock<<min(o.made, 20), c.mostWords)
		o.block = &Block{late: late, words: make([]uint64, 0, max(words/stride, 1)*stride)}
		if o.text > 0 {
			o.block.text = make([]byte, 0, o.text+o.text/8)
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

// write lays rows into words.
func (c *Collector) write(b *Block, words []uint64, stride int, rows *Rows, sel []int32) {
	l, d := &c.replay.layout, c.replay.division
	for j, i := range sel {
		words[j*stride] = c.heads[i] | uint64(uint32(d.local(c.of[i])))
	}
	if l.bits > firstBits {
		c.writeBits(words, stride, rows, sel)
	}
	column := words[l.time():]
	for j, i := range sel {
		column[j*stride] = uint64(rows.Time[i])
	}
	if b.late {
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
				column[j*stride] = b.keep(rows.ID[i])
			}
		}
	}
	for i, x := range c.lanes {
		if lane := l.lanes[i]; lane.kind != plan.Bool {
			b.writeLane(words[l.lane(b.late)+lane.at:], stride, lane.kind, x, sel)
		}
	}
}

// writeBits writes the bits behind those in the first word.
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

// writeLane writes the values of a row expression; of rows that no slot needs a zero.
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
				column[j*stride] = b.keep(src.Str[i])
			}
		}
	default:
		for j, i := range sel {
			column[j*stride] = 0
			if need.Get(int(i)) {
				from := len(b.text)
				b.text = plan.AppendCanonical(b.text, src.Value(int(i)))
				column[j*stride] = place(from, len(b.text)-from)
			}
		}
	}
}

// keep appends a string to the text and returns its place.
func (b *Block) keep(s string) uint64 {
	from := len(b.text)
	b.text = append(b.text, s...)
	return place(from, len(s))
}

// hand hands the block of a part over.
func (c *Collector) hand(part int) error {
	b := c.open[part].block
	c.open[part].block, c.open[part].text = nil, len(b.text)
	return c.keep(part, b)
}

// Close hands over what is left. The collector is good for nothing afterwards.
func (c *Collector) Close() (*Tally, error) {
	for part := range c.open {
		if c.open[part].block != nil {
			if err := c.hand(part); err != nil {
				return nil, err
			}
		}
	}
	return c.tally, nil
}

// Tally is what collectors learned of events besides their values.
type Tally struct {
	NullKeys int // events without an entity
	errors   []int
	failures failures
}

func newTally(slots int) *Tally {
	return &Tally{errors: make([]int, slots), failures: make(failures, slots)}
}

func (t *Tally) note(k *View, ev *Events, rows *Rows) {
	for i := range rows.slots {
		t.errors[i] += rows.slots[i].errors
	}
	t.failures.note(k, ev, rows)
}

// Add adds what another collector of the same replay learned. The sum is the same in
// any order.
func (t *Tally) Add(o *Tally) {
	t.NullKeys += o.NullKeys
	for i := range t.errors {
		t.errors[i] += o.errors[i]
		t.failures[i] = mergeFailures(t.failures[i], o.failures[i])
	}
}

// KeyColumns lists the key columns of the view in a batch of events, reusing dst.
func (k *View) KeyColumns(ev *Events, dst []*vector.Vector) []*vector.Vector {
	dst = dst[:0]
	for _, name := range k.plan.KeyColumns {
		dst = append(dst, ev.Batch.Col(name))
	}
	return dst
}

// mergedView is a view of the slots and aggregates of several views over one source and
// by the same columns of it, without their features.
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
