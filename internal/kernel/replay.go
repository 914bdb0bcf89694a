package kernel

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Replay reads views over one source, by the same key columns of it and of a spine, as of
// every row of the spine.
//
// Its work is in three steps. Collectors take the events in, in any order and batching,
// and hand them over as blocks, each of one part of the entities. Sweepers take the blocks of
// a part and compute its aggregates as of its spine rows. A Reader makes features of these,
// for any rows. Collectors, sweepers and readers serve one goroutine each, and run
// beside others of their kind; who has them keeps the blocks and the results.
type Replay struct {
	views     []*plan.View
	merged    *plan.View // all slots and aggregates
	firstSlot []int      // of each view, in merged
	firstAgg  []int
	view      *View // compiled from merged; not to be evaluated
	division  *division
	layout    layout
	homes     []int // slots that have a bit in the layout, in order
	bitOf     []int // its bit, of each slot that keeps partials
	classes   []int // a slot of each class of visible times; of class 0 it does not count
	classOf   []int // of each slot
}

// NewReplay compiles a replay of views.
func NewReplay(views ...*plan.View) (*Replay, error) {
	r := &Replay{views: views}
	var err error
	if r.merged, err = mergedView(views); err != nil {
		return nil, err
	}
	if r.view, err = NewView(r.merged); err != nil {
		return nil, err
	}
	slot, agg := 0, 0
	for _, v := range views {
		r.firstSlot, r.firstAgg = append(r.firstSlot, slot), append(r.firstAgg, agg)
		slot, agg = slot+len(v.Slots), agg+len(v.Aggregates)
	}
	r.lay()
	return r, nil
}

// Begin gives the replay its spine, which is complete, by one of its tuples of key columns,
// and divides its entities into parts, whose number is a power of two.
func (r *Replay) Begin(spine *Spine, tuple, parts int) {
	if parts <= 0 || parts&(parts-1) != 0 {
		panic("kernel: the number of parts is not a power of two")
	}
	r.division = spine.divide(tuple, parts)
}

// lay decides the layout of rows.
func (r *Replay) lay() {
	classes := map[string]int{fmt.Sprint([]string(nil)): 0}
	r.classes = []int{0}
	r.bitOf = make([]int, len(r.view.slots))
	for i := range r.view.slots {
		s := &r.view.slots[i]
		name := fmt.Sprint(s.plan.KnownColumns)
		class, ok := classes[name]
		if !ok {
			class = len(classes)
			classes[name] = class
			r.classes = append(r.classes, i)
		}
		r.classOf = append(r.classOf, class)
		if s.keeper == i {
			r.bitOf[i] = len(r.homes)
			r.homes = append(r.homes, i)
		}
	}
	r.layout = layout{bits: len(r.homes), classes: len(classes), ids: r.view.ordered && r.merged.Source.EventID != ""}
	for _, x := range r.view.lanes() {
		r.layout.addLane(x.program.Type())
	}
}

// Parts is the number of parts.
func (r *Replay) Parts() int { return r.division.parts() }

// PartRows is the number of spine rows of a part.
func (r *Replay) PartRows(part int) int { return len(r.division.rowsOf(part)) }

// Part is the part of a spine row.
func (r *Replay) Part(row int) int { return r.division.part(r.division.tuple.entity[row]) }

// EventBytes is what an event takes in blocks, but for its text.
func (r *Replay) EventBytes() int { return 8 * r.layout.stride(r.layout.classes > 1) }

// FewEvents is how many visible events an entity has when it does not count as new any more.
const FewEvents = 5

// PartResults are the aggregates of a part as of its spine rows, which are in the order of
// the spine.
type PartResults struct {
	N     int
	Known vector.Bitmap // rows whose entity has a visible event
	Few   vector.Bitmap // of these, those whose entity has fewer than FewEvents
	Aggs  []*vector.Vector
}

// newResults are the results of a part, yet to be filled.
func (r *Replay) newResults(part int) *PartResults {
	n := r.PartRows(part)
	out := &PartResults{N: n, Known: vector.NewBitmap(n), Few: vector.NewBitmap(n)}
	for _, a := range r.view.aggs {
		out.Aggs = append(out.Aggs, vector.New(a.Type, n))
	}
	return out
}
