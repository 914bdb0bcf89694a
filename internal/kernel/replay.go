package kernel

import (
	"fmt"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Replay computes the features of views as of every row of a spine. The views are over one
// source and use the same key columns of it and of the spine.
//
// A replay has three steps. Collectors take events in any order and batching and produce
// blocks, each with events of one part of the entities. Sweepers take the blocks of a part and
// compute its aggregates as of its spine rows. A Reader computes the features of any spine rows
// from these. Collectors, sweepers and readers are for one goroutine each; any number of them
// may run concurrently. The caller stores the blocks and the results.
type Replay struct {
	views        []*plan.View
	merged       *plan.View // the slots and aggregates of all views
	firstSlot    []int      // by view: its first slot in merged
	firstAgg     []int      // by view: its first aggregate in merged
	view         *View      // compiled from merged, for its structure only; never evaluated
	division     *division
	layout       layout
	openBytes    int           // see LimitOpen
	asOf         []asOfTimes   // by part; nil if superseded events are not dropped
	earliest     earliestTimes // of all closed collectors, if superseded events are dropped
	earliestLock sync.Mutex
	keepers      []int // slots that keep partials, each with a bit in the layout, in order
	bitOf        []int // by slot: the bit of a keeper
	classes      []int // by class of visible times: one of its slots; unused for class 0
	classOf      []int // by slot
}

// NewReplay compiles a replay of views.
func NewReplay(views ...*plan.View) (*Replay, error) {
	r := &Replay{views: views, openBytes: maxOpenBytes}
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
	r.makeLayout()
	if r.onlyLatest() {
		r.openBytes = maxPrunedBytes
	}
	return r, nil
}

// Begin sets the spine, which must be complete, and the tuple of its key columns, and divides
// the entities into parts. The number of parts must be a power of two.
func (r *Replay) Begin(spine *Spine, tuple, parts int) {
	if parts <= 0 || parts&(parts-1) != 0 {
		panic("kernel: the number of parts is not a power of two")
	}
	r.division = spine.divide(tuple, parts)
	if r.onlyLatest() {
		r.asOf = make([]asOfTimes, parts)
	}
}

// makeLayout determines the layout of rows and the classes of visible times: slots that read
// the same late columns see events at the same times.
func (r *Replay) makeLayout() {
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
			r.bitOf[i] = len(r.keepers)
			r.keepers = append(r.keepers, i)
		}
	}
	r.layout = layout{bits: len(r.keepers), classes: len(classes), ids: r.view.ordered && r.merged.Source.EventID != ""}
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

// EventBytes is the size of an event in a block, without its text.
func (r *Replay) EventBytes() int { return 8 * r.layout.stride(r.layout.classes > 1) }

// SweptEvents is about how many of a number of events are left when a part is swept, if they come in
// order of time.
func (r *Replay) SweptEvents(events int64) int64 {
	if r.onlyLatest() {
		return events / 4
	}
	return events
}

// FewEvents is the number of visible events from which an entity no longer counts as new.
const FewEvents = 5

// PartResults are the aggregates of a part as of its spine rows, in the order of the spine.
type PartResults struct {
	N     int
	Known vector.Bitmap // rows whose entity has a visible event
	Few   vector.Bitmap // of these, those whose entity has fewer than FewEvents
	Aggs  []*vector.Vector

	packed []*packedValues // of a chunk, by aggregate: lists and maps, which Aggs do not have then
}

// newResults makes room for the results of n spine rows.
func (r *Replay) newResults(n int) *PartResults {
	out := &PartResults{N: n, Known: vector.NewBitmap(n), Few: vector.NewBitmap(n)}
	for _, a := range r.view.aggs {
		out.Aggs = append(out.Aggs, vector.New(a.Type, n))
	}
	return out
}
