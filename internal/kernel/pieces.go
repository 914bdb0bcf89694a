package kernel

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// pieces divides the events of one entity, which are added in order of time, among blocks in a
// store. Events of one time are in one slice: of a time with few events, its slice has one
// block and other times too; a time with many events has a slice, of several blocks, for itself.
// So as of any tail of a window, each slice but one is wholly inside the window or wholly outside.
type pieces struct {
	writer  rowWriter
	store   Store
	numbers []int // of the blocks, in order of time
	slices  []slice
	valueAt int  // row of the open block from which on rows have the time of its last row
	alone   bool // the open block continues a slice with a single time

	inOrder []bool           // by class: events are visible in the order of event time
	visible []plan.EventTime // by class: of the last event
	first   [FewEvents]plan.EventTime
}

// slice is a range of event times, and the blocks [from, to) of pieces.
type slice struct {
	first, last plan.EventTime
	from, to    int
}

func newPieces(l *layout, late bool, store Store, bytes int) *pieces {
	p := &pieces{store: store, inOrder: slices.Repeat([]bool{true}, l.classes), visible: slices.Repeat([]plan.EventTime{plan.Always}, l.classes), first: earliest(nil)}
	p.writer = rowWriter{layout: l, late: late, bytes: bytes, keep: p.keep}
	return p
}

// add appends an event.
func (p *pieces) add(b *Block, row int) error {
	l := p.writer.layout
	at := l.timeOf(b, row)
	for c := range p.visible {
		v := l.visibleOf(b, row, c)
		p.inOrder[c] = p.inOrder[c] && v >= p.visible[c]
		p.visible[c] = v
	}
	if v := l.visibleOf(b, row, 0); v < p.first[FewEvents-1] {
		insertTime(&p.first, v)
	}
	if open := p.writer.block; open != nil {
		if last := l.timeOf(open, open.n-1); at != last {
			if p.alone {
				if err := p.writer.flush(); err != nil {
					return err
				}
			}
			p.valueAt = 0
			if p.writer.block != nil {
				p.valueAt = open.n
			}
		}
	}
	if p.writer.full() {
		if err := p.cut(at); err != nil {
			return err
		}
	}
	return p.writer.add(b, row)
}

// cut ends the open block, which is full, before an event with the given time.
func (p *pieces) cut(at plan.EventTime) error {
	l, open := p.writer.layout, p.writer.block
	if at != l.timeOf(open, open.n-1) {
		p.valueAt = 0
		return p.writer.flush()
	}
	if p.valueAt > 0 {
		n := p.valueAt
		p.valueAt = 0
		if err := p.writer.split(n); err != nil {
			return err
		}
		if !p.writer.full() {
			return nil
		}
	}
	if err := p.writer.flush(); err != nil {
		return err
	}
	p.alone = true
	return nil
}

// keep stores a block.
func (p *pieces) keep(b *Block) error {
	l := p.writer.layout
	first, last := l.timeOf(b, 0), l.timeOf(b, b.n-1)
	number, err := p.store.Put(b)
	p.numbers = append(p.numbers, number)
	if p.alone {
		p.slices[len(p.slices)-1].to++
	} else {
		p.slices = append(p.slices, slice{first, last, len(p.numbers) - 1, len(p.numbers)})
	}
	p.alone = false
	return err
}

// sliceAt is the first slice with events at or after t; the number of slices if there is none.
func (p *pieces) sliceAt(t plan.EventTime) int {
	i, _ := slices.BinarySearchFunc(p.slices, t, func(s slice, t plan.EventTime) int { return cmp.Compare(s.last, t) })
	return i
}
