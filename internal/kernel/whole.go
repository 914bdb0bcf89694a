package kernel

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Whole is a replay of one view in one goroutine that keeps everything in memory.
type Whole struct {
	replay    *Replay
	collector *Collector
	blocks    [][]*Block
	tally     *Tally
	next      Place
}

// NewWhole makes a replay of a view as of the rows of a spine, given by a column for each key
// of the entity and the as-of times. parts must be a power of two; results do not depend on it.
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

// Add adds events, in any order and batching. It keeps no reference to ev.
func (w *Whole) Add(ev *Events) error {
	if err := w.collector.Add(w.next, ev); err != nil {
		return err
	}
	w.next.Row += int64(ev.Batch.N)
	return nil
}

// Results calls f with the features of consecutive ranges of spine rows, each of which begins
// with row from. No event may be added afterwards.
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

// LeftOut is Replay.LeftOut for the events added so far.
func (w *Whole) LeftOut(i int) (n int, first []Failure) {
	return w.replay.LeftOut(w.collector.tally, 0, i)
}
