package kernel

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Store keeps blocks outside of memory. The caller of a Sweeper provides it; it is used by one
// goroutine at a time.
type Store interface {
	// Put stores a block and returns its number. It keeps no reference to the block.
	Put(*Block) (int, error)
	// Get returns the block with a number; the caller owns it.
	Get(number int) (*Block, error)
}

// order is the order of events in sorted blocks: by entity and then by event time, or by the
// visible time of a class.
type order struct {
	layout  *layout
	visible int // class; -1: by entity and event time
}

// byTime is the order by entity and event time.
func (l *layout) byTime() order { return order{l, -1} }

// orderKey is a row's position in an order.
type orderKey struct {
	entity uint32
	at     plan.EventTime
}

func (k orderKey) compare(o orderKey) int {
	return cmp.Or(cmp.Compare(k.entity, o.entity), cmp.Compare(k.at, o.at))
}

func (o order) key(b *Block, row int) orderKey {
	if o.visible >= 0 {
		return orderKey{0, o.layout.visibleOf(b, row, o.visible)}
	}
	return orderKey{o.layout.entityOf(b, row), o.layout.timeOf(b, row)}
}

// sortedRuns are blocks in a store. The blocks of each run are in order; runs are not.
type sortedRuns struct {
	order order
	late  bool // whether some blocks have visible times
	store Store
	runs  [][]int // numbers of blocks
}

// sortBlocks sorts blocks into runs of about runBytes, in blocks of about blockBytes.
func (o order) sortBlocks(blocks iter.Seq2[*Block, error], store Store, runBytes, blockBytes int) (*sortedRuns, error) {
	out := &sortedRuns{order: o, store: store}
	var held []*Block
	bytes := 0
	for b, err := range blocks {
		if err != nil {
			return nil, err
		}
		held, bytes = append(held, b), bytes+b.Bytes()
		if bytes >= runBytes {
			if err := out.addRun(held, blockBytes); err != nil {
				return nil, err
			}
			held, bytes = held[:0], 0
		}
	}
	return out, out.addRun(held, blockBytes)
}

// orderedRow is a row of a block, with its key.
type orderedRow struct {
	orderKey
	block, row int32
}

// addRun sorts blocks and stores them as a run.
func (r *sortedRuns) addRun(blocks []*Block, blockBytes int) error {
	n, late := 0, false
	for _, b := range blocks {
		n, late = n+b.n, late || b.late
	}
	if n == 0 {
		return nil
	}
	r.late = r.late || late
	rows := make([]orderedRow, 0, n)
	for i, b := range blocks {
		for row := range b.n {
			rows = append(rows, orderedRow{r.order.key(b, row), int32(i), int32(row)})
		}
	}
	slices.SortFunc(rows, func(a, b orderedRow) int { return a.compare(b.orderKey) })
	var run []int
	w := rowWriter{layout: r.order.layout, late: late, bytes: blockBytes, keep: func(b *Block) error {
		number, err := r.store.Put(b)
		run = append(run, number)
		return err
	}}
	for _, row := range rows {
		if err := w.add(blocks[row.block], int(row.row)); err != nil {
			return err
		}
	}
	err := w.flush()
	r.runs = append(r.runs, run)
	return err
}

// merger yields the rows of sorted runs in their order.
type merger struct {
	of   *sortedRuns
	rest cursors
}

// cursor is the next row of a run.
type cursor struct {
	key   orderKey
	block *Block
	row   int
	more  []int // further blocks
}

type cursors []*cursor

func (c cursors) Len() int           { return len(c) }
func (c cursors) Less(i, j int) bool { return c[i].key.compare(c[j].key) < 0 }
func (c cursors) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *cursors) Push(any)          { panic("kernel: no run is added while runs are merged") }

func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

func (r *sortedRuns) merge() (*merger, error) {
	m := &merger{of: r}
	for _, run := range r.runs {
		c := &cursor{more: run}
		if _, err := c.load(r); err != nil {
			return nil, err
		}
		m.rest = append(m.rest, c)
	}
	heap.Init(&m.rest)
	return m, nil
}

// load gets the next block; ok is false if there is none.
func (c *cursor) load(r *sortedRuns) (ok bool, err error) {
	if len(c.more) == 0 {
		return false, nil
	}
	if c.block, err = r.store.Get(c.more[0]); err != nil {
		return false, err
	}
	c.more, c.row = c.more[1:], 0
	c.key = r.order.key(c.block, 0)
	return true, nil
}

// first is the next row; ok is false at the end. The block is valid until next.
func (m *merger) first() (b *Block, row int, ok bool) {
	if len(m.rest) == 0 {
		return nil, 0, false
	}
	return m.rest[0].block, m.rest[0].row, true
}

// next goes to the row after the first one.
func (m *merger) next() error {
	c := m.rest[0]
	if c.row++; c.row < c.block.n {
		c.key = m.of.order.key(c.block, c.row)
	} else {
		ok, err := c.load(m.of)
		if err != nil {
			return err
		}
		if !ok {
			heap.Pop(&m.rest)
			return nil
		}
	}
	heap.Fix(&m.rest, 0)
	return nil
}

// blocks yields the rows in blocks of about the given number of bytes.
func (m *merger) blocks(bytes int) func() (*Block, error) {
	var full *Block
	w := rowWriter{layout: m.of.order.layout, late: m.of.late, bytes: bytes, keep: func(b *Block) error { full = b; return nil }}
	return func() (*Block, error) {
		full = nil
		for !w.full() {
			b, row, ok := m.first()
			if !ok {
				break
			}
			if err := w.add(b, row); err != nil {
				return nil, err
			}
			if err := m.next(); err != nil {
				return nil, err
			}
		}
		err := w.flush()
		return full, err
	}
}
