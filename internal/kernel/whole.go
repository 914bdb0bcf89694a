package kernel

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Whole is a replay of one view in one goroutine and in memory.
type Whole struct {
	replay    *Replay
	collector *Collector
	blocks    [][]*Block
	tally     *Tally
	next      Place
}

// NewWhole makes a replay of a view as of the rows of a spine: the key columns, one for
// each key of the entity, and the as-of times. Nothing depends on the number of parts, a power of two.
func NewWhole(view *plan.View, keys []*vector.Vector, at []plan.EventTime, parts int) (*Whole, error) {
	spine := NewSpine(1)
	spine.Add([][]*vector.Vector{keys}, at)
	r, err := NewReplay(view)
	if err != nil {
		return nil, err
	}
	r.Begin(spine, 0, parts)
	w := &Whole{replay: r, blocks: make([][]*Block, parts)}
	w.collector, err = r.NewCollector(func(part int, b *Block) error {
		w.blocks[part] = append(w.blocks[part], b)
		return nil
	})
	return w, err
}

// Add adds events, in any order and batching. ev is not kept.
func (w *Whole) Add(ev *Events) error {
	if err := w.collector.Add(w.next, ev); err != nil {
		return err
	}
	w.next.Row += int64(ev.Batch.N)
	return nil
}

// Results calls f with the features of successive ranges of spine rows, in order,
// beginning with row `from`. No event comes afterwards.
func (w *Whole) Results(f func(from int, features *Features) error) error {
	if err := w.finish(); err != nil {
		return err
	}
	sweeper, parts := w.replay.NewSweeper(), make([]*PartResults, len(w.blocks))
	for p := range parts {
		var err error
		if parts[p], err = sweeper.Sweep(p, w.blocks[p]); err != nil {
			return err
		}
	}
	reader, err := w.replay.NewReader(0)
	if err != nil {
		return err
	}
	at := w.replay.division.spine.at
	rows, next := make([]At, len(at)), make([]int32, len(parts))
	for i := range rows {
		p := w.replay.Part(i)
		rows[i] = At{int32(p), next[p]}
		next[p]++
	}
	for from := 0; from < len(rows); from += resultBatch {
		to := min(from+resultBatch, len(rows))
		if err := f(from, reader.Read(parts, rows[from:to], at[from:to])); err != nil {
			return err
		}
	}
	return nil
}

// resultBatch is the number of spine rows evaluated at a time.
const resultBatch = 1024

func (w *Whole) finish() (err error) {
	if w.tally == nil {
		w.tally, err = w.collector.Close()
	}
	return err
}

// LeftOut is Replay.LeftOut, of the events so far if nobody has asked for results.
func (w *Whole) LeftOut(i int) (n int, first []Failure) {
	return w.replay.LeftOut(w.collector.tally, 0, i)
}
