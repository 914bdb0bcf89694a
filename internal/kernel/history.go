package kernel

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// history is the events of one part as columns, grouped by entity and in the order of the
// source. Its memory is reused for the next part.
type history struct {
	replay *Replay
	n      int
	first  []int32 // first event of each entity, and the end
	next   []int32 // scratch: where the next event of each entity goes
	to     []int32 // scratch: where each row of a stretch goes

	time    []plan.EventTime
	sorted  bool               // the events of each entity are in order of time
	late    bool               // an event may become visible after its time, so class 0 has times of its own
	visible [][]plan.EventTime // by class; that of class 0 is time unless late
	visMem  [][]plan.EventTime
	id      []string
	bits    []vector.Bitmap // by bit of the layout; nil: set in every event
	bitMem  []vector.Bitmap
	lanes   []*vector.Vector
	numbers []numberLane
	inputs  []agg.Input // by slot
}

// numberLane is a lane of numbers, as words like those of a block's rows.
type numberLane struct {
	lane  int
	words []uint64
}

func newHistory(r *Replay) *history {
	h := &history{replay: r, visible: make([][]plan.EventTime, r.layout.classes), visMem: make([][]plan.EventTime, r.layout.classes)}
	h.bits, h.bitMem = make([]vector.Bitmap, r.layout.bits), make([]vector.Bitmap, r.layout.bits)
	lanes := r.view.lanes()
	for _, x := range lanes {
		h.lanes = append(h.lanes, &vector.Vector{Type: x.program.Type()})
	}
	lane := func(x *rowExpr) *vector.Vector {
		if x == nil {
			return nil
		}
		return h.lanes[slices.Index(lanes, x)]
	}
	for i := range r.view.slots {
		s := &r.view.slots[i]
		h.inputs = append(h.inputs, agg.Input{Arg: lane(s.arg), By: lane(s.by), Group: lane(s.group)})
	}
	return h
}

// stretch is a run together with its block.
type stretch struct {
	block    *Block
	place    Place
	from, to int
}

// stretches lists the runs of blocks in the order of the source.
func stretches(blocks []*Block) []stretch {
	var out []stretch
	for _, b := range blocks {
		for i, r := range b.runs {
			to := b.n
			if i+1 < len(b.runs) {
				to = b.runs[i+1].row
			}
			out = append(out, stretch{b, r.place, r.row, to})
		}
	}
	slices.SortStableFunc(out, func(a, b stretch) int { return a.place.compare(b.place) })
	return out
}

// load loads the events of a part. Their strings alias the blocks.
func (h *history) load(blocks []*Block) error {
	h.n, h.late = 0, false
	for _, b := range blocks {
		h.n += b.n
		h.late = h.late || b.late
	}
	from := stretches(blocks)
	h.count(from)
	h.makeRoom()
	for _, s := range from {
		if err := h.scatter(s); err != nil {
			return err
		}
	}
	for i := range h.inputs {
		h.inputs[i].Time, h.inputs[i].ID = h.time, h.id
	}
	h.sorted = h.isSorted()
	return nil
}

// count finds where the events of each entity begin, and which bits of slots are not set in
// all events.
func (h *history) count(from []stretch) {
	entities := h.replay.division.entities()
	h.first = grown(h.first, entities+1)
	clear(h.first)
	every := slices.Repeat([]uint64{^uint64(0)}, h.replay.layout.time())
	for _, s := range from {
		stride := h.replay.layout.stride(s.block.late)
		for at := s.from * stride; at < s.to*stride; at += stride {
			row := s.block.words[at : at+stride]
			h.first[uint32(row[0])+1]++
			for i := range every {
				every[i] &= row[i]
			}
		}
	}
	for e := range entities {
		h.first[e+1] += h.first[e]
	}
	h.next = grown(h.next, entities)
	copy(h.next, h.first)
	for i := range h.bits {
		h.bits[i] = nil
		if word, shift := bit(i); i >= len(h.replay.keepers) || every[word]>>shift&1 == 0 {
			h.bitMem[i] = grownBits(h.bitMem[i], h.n)
			h.bits[i] = h.bitMem[i]
		}
	}
}

func grownBits(b vector.Bitmap, n int) vector.Bitmap {
	b = slices.Grow(b[:0], vector.Words(n))[:vector.Words(n)]
	b.Zero()
	return b
}

// makeRoom resizes the columns.
func (h *history) makeRoom() {
	h.time = grown(h.time, h.n)
	for c := range h.visible {
		if c > 0 || h.late {
			h.visMem[c] = grown(h.visMem[c], h.n)
			h.visible[c] = h.visMem[c]
		} else {
			h.visible[c] = h.time
		}
	}
	if h.replay.layout.ids {
		h.id = grown(h.id, h.n)
	}
	h.numbers = h.numbers[:0]
	for i, v := range h.lanes {
		v.Resize(h.n)
		switch h.replay.layout.lanes[i].kind {
		case plan.Int:
			h.numbers = append(h.numbers, numberLane{i, wordsOf(v.Int)})
		case plan.Double:
			h.numbers = append(h.numbers, numberLane{i, wordsOf(v.Double)})
		}
	}
}

// wordsOf returns the bits of numbers, as an alias.
func wordsOf[T int64 | float64](numbers []T) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(numbers))), len(numbers))
}

// scatter copies the rows of a stretch to the events of their entities.
func (h *history) scatter(s stretch) error {
	l := &h.replay.layout
	b, n, stride := s.block, s.to-s.from, l.stride(s.block.late)
	words := b.words[s.from*stride : s.to*stride]
	h.to = grown(h.to, n)
	time, lanes := l.time(), l.lane(b.late)
	for i := range h.to {
		row := words[i*stride:][:stride]
		e := uint32(row[0])
		p := h.next[e]
		h.next[e]++
		h.to[i] = p
		h.time[p] = plan.EventTime(row[time])
		for _, x := range h.numbers {
			x.words[p] = row[lanes+l.lanes[x.lane].at]
		}
	}
	h.scatterVisible(b, words, stride)
	for i, bits := range h.bits {
		if bits == nil {
			continue
		}
		word, shift := bit(i)
		column := words[word:]
		for i, p := range h.to {
			bits[p>>6] |= column[i*stride] >> shift & 1 << (uint(p) & 63)
		}
	}
	if l.ids {
		column := words[l.id(b.late):]
		for i, p := range h.to {
			h.id[p] = textAt(b.text, column[i*stride])
		}
	}
	for i, v := range h.lanes {
		switch lane := l.lanes[i]; lane.kind {
		case plan.Int, plan.Double:
		case plan.Bool:
			v.Bits = h.bits[lane.at]
		default:
			if err := h.scatterLane(v, lane.kind, b, words[lanes+lane.at:], stride); err != nil {
				return err
			}
		}
	}
	return nil
}

// scatterVisible is scatter for visible times.
func (h *history) scatterVisible(b *Block, words []uint64, stride int) {
	if !b.late {
		if h.late {
			for _, p := range h.to {
				h.visible[0][p] = h.time[p]
			}
		}
		return
	}
	for c, visible := range h.visible {
		column := words[h.replay.layout.time()+1+c:]
		for i, p := range h.to {
			visible[p] = plan.EventTime(column[i*stride])
		}
	}
}

// scatterLane is scatter for a lane of strings or composite values.
func (h *history) scatterLane(v *vector.Vector, kind plan.Kind, b *Block, column []uint64, stride int) error {
	if kind == plan.String {
		for i, p := range h.to {
			v.Str[p] = textAt(b.text, column[i*stride])
		}
		return nil
	}
	for i, p := range h.to {
		v.Any[p] = plan.NullValue()
		if ref := column[i*stride]; ref != 0 {
			x, _, err := plan.DecodeCanonical([]byte(textAt(b.text, ref)))
			if err != nil {
				return fmt.Errorf("%w: %w", errBlock, err)
			}
			v.Any[p] = x
		}
	}
	return nil
}

// pass is the events that a keeper adds; nil: every event.
func (h *history) pass(keeper int) vector.Bitmap { return h.bits[h.replay.bitOf[keeper]] }

// isSorted reports whether the events of each entity are in order of time.
func (h *history) isSorted() bool {
	for e := range h.first[:len(h.first)-1] {
		for i := h.first[e] + 1; i < h.first[e+1]; i++ {
			if h.time[i-1] > h.time[i] {
				return false
			}
		}
	}
	return true
}
