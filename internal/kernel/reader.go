package kernel

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// reader computes the values of one slot while its track moves over an entity's events.
//
// There are three kinds. Slots that can remove rows have a running partial per window. Slots
// whose value is that of one row have a chain (see agg.Chained) of the rows that may still
// become it. All other slots have a tree; so do chains if the events of an entity do not become
// visible in order of time.
type reader interface {
	begin(t *sweepTrack)
	// move advances to the next spine row, read stores its values.
	move(t *sweepTrack, times, lower []plan.EventTime)
	read(out []*vector.Vector, row int)
	// walk does both for all spine rows of a track that is walked.
	walk(t *sweepTrack, out []*vector.Vector)
}

// walkRows is walk by move and read.
func walkRows(r reader, t *sweepTrack, out []*vector.Vector) {
	for i, row := range t.ranks {
		t.step(i)
		r.move(t, nil, nil)
		r.read(out, int(row))
	}
}

// slotRead is an aggregate of a slot: its index, its window, and the aggregate function.
type slotRead struct {
	agg, window int // window is an index in the windows of the track
	as          plan.AggFunc
}

func newReader(p *plan.Slot, in *agg.Input, reads []slotRead) (reader, error) {
	c, err := agg.New(p)
	if err != nil {
		return nil, err
	}
	if agg.Removable(p) {
		return newRunning(c, in, reads), nil
	}
	tree := &tree{column: c, input: in, reads: reads}
	if x, ok := c.(agg.Chained); ok {
		return &chain{tree: tree, column: x, input: in, reads: reads, at: make([]chainPosition, len(reads))}, nil
	}
	return tree, nil
}

// running keeps one partial for each window.
type running struct {
	column   agg.Column
	input    *agg.Input
	windows  []int // indexes in the windows of the track
	reads    []slotRead
	partials []int // by read: its partial in column
	spans    agg.Spans
	totals   agg.Totals
	exits    [][]int32 // scratch: of each window
	values   []agg.SpanValue
}

func newRunning(c agg.Column, in *agg.Input, reads []slotRead) *running {
	r := &running{column: c, input: in, reads: reads}
	for _, read := range reads {
		r.partials = append(r.partials, indexOrAppend(&r.windows, read.window))
	}
	return r
}

func (r *running) begin(*sweepTrack) {
	r.column.Truncate(0)
	r.column.Grow(len(r.windows))
}

func (r *running) move(t *sweepTrack, _, _ []plan.EventTime) {
	for p, window := range r.windows {
		w := &t.windows[window]
		if len(w.left) > 0 {
			agg.RemoveRows(r.column, p, r.input, w.left)
		}
		if len(w.entered) > 0 {
			agg.AddRows(r.column, p, r.input, w.entered)
		}
	}
}

func (r *running) read(out []*vector.Vector, row int) {
	for i, read := range r.reads {
		agg.ValueAs(read.as, r.column, r.partials[i], out[read.agg], row)
	}
}

func (r *running) walk(t *sweepTrack, out []*vector.Vector) {
	r.exits = r.exits[:0]
	for _, window := range r.windows {
		r.exits = append(r.exits, t.windows[window].exits)
	}
	r.spans.Totals = r.totals.Choose(r.exits, t.entries)
	for p, window := range r.windows {
		r.values = r.values[:0]
		for i, read := range r.reads {
			if r.partials[i] == p {
				r.values = append(r.values, agg.SpanValue{As: read.as, Out: out[read.agg]})
			}
		}
		s := &r.spans
		s.Rows, s.Dense, s.From, s.To, s.At = t.byTime, t.dense, t.windows[window].exits, t.entries, t.ranks
		if !agg.ReadSpans(r.column, r.input, s, r.values) {
			walkRows(r, t, out)
			return
		}
	}
}

// chain keeps, in order of event time, the rows that no later row beats. The value of a
// window that ends now is that of its first row in the chain. (For max this is the monotonic
// queue of sliding window maxima.)
type chain struct {
	tree    *tree // for entities whose events become visible out of order
	useTree bool
	column  agg.Chained
	input   *agg.Input
	reads   []slotRead
	rows    []int32
	at      []chainPosition // by read
}

// chainPosition is where in the chain a window begins, and the row that the aggregate's
// partial holds; -1 for none.
type chainPosition struct {
	first int
	row   int32
}

func (c *chain) begin(t *sweepTrack) {
	if c.useTree = !t.inOrder; c.useTree {
		c.tree.begin(t)
		return
	}
	c.rows = c.rows[:0]
	c.column.Truncate(0)
	c.column.Grow(len(c.reads))
	for i := range c.at {
		c.at[i] = chainPosition{0, -1}
	}
}

func (c *chain) move(t *sweepTrack, times, lower []plan.EventTime) {
	if c.useTree {
		c.tree.move(t, times, lower)
		return
	}
	if len(t.fresh) > 0 {
		c.rows = c.column.Extend(c.rows, c.input, t.fresh)
	}
	for p, read := range c.reads {
		at := &c.at[p]
		at.first = c.seek(min(at.first, len(c.rows)), times, lower[t.windows[read.window].window])
		row := int32(-1)
		if at.first < len(c.rows) {
			row = c.rows[at.first]
		}
		if row == at.row {
			continue
		}
		at.row = row
		c.column.Reset(p)
		if row >= 0 {
			c.column.Add(p, c.input, int(row))
		}
	}
}

// seek is the index in the chain of the first row at or after tail; it searches from i.
func (c *chain) seek(i int, times []plan.EventTime, tail plan.EventTime) int {
	for i > 0 && times[c.rows[i-1]] >= tail {
		i--
	}
	for i < len(c.rows) && times[c.rows[i]] < tail {
		i++
	}
	return i
}

func (c *chain) walk(t *sweepTrack, out []*vector.Vector) {
	in := int32(0)
	for i, row := range t.ranks {
		if entered := t.entries[i]; entered > in {
			c.rows = c.column.Extend(c.rows, c.input, t.byTime[in:entered])
			in = entered
		}
		for p, read := range c.reads {
			at := &c.at[p]
			exit, tail := t.windows[read.window].exits[i], plan.Never
			if int(exit) < len(t.byTime) {
				tail = c.input.Time[t.byTime[exit]]
			}
			at.first = c.seek(min(at.first, len(c.rows)), c.input.Time, tail)
			if at.first < len(c.rows) {
				c.column.RowValue(c.input, int(c.rows[at.first]), out[read.agg], int(row))
			} else {
				out[read.agg].SetNull(int(row))
			}
		}
	}
}

func (c *chain) read(out []*vector.Vector, row int) {
	if c.useTree {
		c.tree.read(out, row)
		return
	}
	for p, read := range c.reads {
		c.column.Value(p, out[read.agg], row)
	}
}

// tree is a Fenwick tree over the events in order of event time (P. M. Fenwick, A
// new data structure for cumulative frequency tables, 1994), from which any suffix
// is merged in logarithmic time.
type tree struct {
	column agg.Column
	input  *agg.Input
	reads  []slotRead
	n      int
	from   int32   // the least event number in byTime
	rank   []int32 // by event number less from: its position in order of event time
	track  *sweepTrack
}

func (f *tree) begin(t *sweepTrack) {
	f.n, f.track = len(t.byTime), t
	f.column.Truncate(0)
	f.column.Grow(f.n + 1)
	if f.n == 0 {
		return
	}
	first, last := t.byTime[0], t.byTime[0]
	for _, e := range t.byTime {
		first, last = min(first, e), max(last, e)
	}
	f.from = first
	f.rank = grown(f.rank, int(last-first)+1)
	for i, e := range t.byTime {
		f.rank[e-first] = int32(i)
	}
}

// grown is s with length n, reallocated if its capacity is less; the contents are unspecified.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func (f *tree) move(t *sweepTrack, _, _ []plan.EventTime) {
	for _, e := range t.fresh {
		for i := f.n - int(f.rank[e-f.from]); i <= f.n; i += i & -i {
			f.column.Add(i-1, f.input, int(e))
		}
	}
}

func (f *tree) walk(t *sweepTrack, out []*vector.Vector) { walkRows(f, t, out) }

func (f *tree) read(out []*vector.Vector, row int) {
	for _, read := range f.reads {
		f.column.Reset(f.n)
		for i := f.n - f.track.windows[read.window].out; i > 0; i -= i & -i {
			f.column.Merge(f.n, f.column, i-1)
		}
		f.column.Value(f.n, out[read.agg], row)
	}
}
