package kernel

import "github.com/unskew/unskew/featuredefs/plan"

// rowWriter copies rows of blocks to new blocks, in the order in which they are added. It is for
// one goroutine.
type rowWriter struct {
	layout *layout
	late   bool // of the new blocks: they have visible times
	bytes  int  // of a new block, about; a block has at least one row
	keep   func(*Block) error

	block *Block
	place Place // of the next row: loading keeps rows in the order in which they were added
}

// add appends a row. It flushes full blocks before it adds.
func (w *rowWriter) add(from *Block, row int) error {
	if w.full() {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.block == nil {
		stride := w.layout.stride(w.late)
		w.block = &Block{late: w.late, words: make([]uint64, 0, min(max(w.bytes/8/stride, 1), maxBlockWords)*stride)}
		w.block.runs = []run{{w.place, 0}}
	}
	b, begin := w.block, len(w.block.words)
	b.words = w.layout.appendRow(b.words, w.late, from, row)
	w.layout.moveText(b, b.words[begin:], from)
	b.n++
	w.place.Row++
	return nil
}

// full reports whether the open block has no room for another row.
func (w *rowWriter) full() bool {
	return w.block != nil && (8*len(w.block.words)+len(w.block.text) >= w.bytes || len(w.block.text) >= maxBlockText)
}

// flush passes the open block to keep, if there is one.
func (w *rowWriter) flush() error {
	b := w.block
	if b == nil {
		return nil
	}
	w.block = nil
	return w.keep(b)
}

// split keeps the rows of the open block before the given one, and moves the others to a new one.
func (w *rowWriter) split(row int) error {
	b := w.block
	stride := w.layout.stride(w.late)
	rest := &Block{late: b.late, n: b.n - row, runs: []run{{Place{Row: b.runs[0].place.Row + int64(row)}, 0}}}
	for i := row; i < b.n; i++ {
		begin := len(rest.words)
		rest.words = append(rest.words, b.words[i*stride:][:stride]...)
		w.layout.moveText(rest, rest.words[begin:], b)
	}
	b.n, b.words = row, b.words[:row*stride]
	w.block = rest
	return w.keep(b)
}

// appendRow appends the words of a row; late says whether they have visible times, which those of a block without
// late events are given.
func (l *layout) appendRow(dst []uint64, late bool, from *Block, row int) []uint64 {
	stride := l.stride(from.late)
	words := from.words[row*stride:][:stride]
	if late == from.late {
		return append(dst, words...)
	}
	time := l.time()
	dst = append(dst, words[:time+1]...)
	for range l.classes {
		dst = append(dst, words[time])
	}
	return append(dst, words[time+1:]...)
}

// moveText copies the text of the last row of a block, whose words refer to that of from.
func (l *layout) moveText(b *Block, row []uint64, from *Block) {
	move := func(word *uint64) {
		if *word != 0 {
			*word = b.appendText(textAt(from.text, *word))
		}
	}
	if l.ids {
		move(&row[l.id(b.late)])
	}
	for _, lane := range l.lanes {
		if lane.kind != plan.Bool && lane.kind != plan.Int && lane.kind != plan.Double {
			move(&row[l.lane(b.late)+lane.at])
		}
	}
}

// entityOf is the local number of the entity of a row.
func (l *layout) entityOf(b *Block, row int) uint32 {
	return uint32(b.words[row*l.stride(b.late)])
}

// timeOf is the event time of a row.
func (l *layout) timeOf(b *Block, row int) plan.EventTime {
	return plan.EventTime(b.words[row*l.stride(b.late)+l.time()])
}

// visibleOf is the visible time of a row in a class.
func (l *layout) visibleOf(b *Block, row, class int) plan.EventTime {
	if !b.late {
		return l.timeOf(b, row)
	}
	return plan.EventTime(b.words[row*l.stride(true)+l.time()+1+class])
}

// textBytes is the size of the text of rows of a block without late events.
func (l *layout) textBytes(b *Block, rows []int32) (n int) {
	stride := l.stride(false)
	for _, row := range rows {
		n += l.rowText(b, b.words[int(row)*stride:][:stride])
	}
	return n
}

// rowBytes is what a row takes, with its text.
func (l *layout) rowBytes(b *Block, row int) int64 {
	stride := l.stride(b.late)
	words := b.words[row*stride:][:stride]
	return int64(8*stride + l.rowText(b, words))
}

// rowText is the size of the text of a row of a block.
func (l *layout) rowText(b *Block, row []uint64) (n int) {
	if l.ids {
		n += int(uint32(row[l.id(b.late)]))
	}
	for _, lane := range l.lanes {
		if lane.kind != plan.Bool && lane.kind != plan.Int && lane.kind != plan.Double {
			n += int(uint32(row[l.lane(b.late)+lane.at]))
		}
	}
	return n
}
