package kernel

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Replay reads a view as of many times at once: the rows of a spine, over a
// history held in memory. First every spine row is given (AddSpine), then every
// event (AddEvents, in any order and batching), then the shards are swept, each by
// one goroutine if the caller likes, then the results are read in spine order.
//
// Only events of entities that the spine names are kept.
type Replay struct {
	view     *View
	entities entities
	spine    struct {
		entity []int32 // 0 for a row without one
		at     []plan.EventTime
	}
	events   history
	nullKey  int
	failures failures
	shards   []*Shard

	keyCols []*vector.Vector // scratch
	of, sel []int32          // scratch: entity of each row of a batch, rows to keep
}

// NewReplay makes an empty replay of a view. The view is used by AddEvents and
// Results, not concurrently with the replay.
func NewReplay(view *View) *Replay {
	r := &Replay{view: view, entities: newEntities()}
	h := &r.events
	classes := map[string]int{fmt.Sprint([]string(nil)): 0}
	for i := range view.slots {
		s := &view.slots[i]
		name := fmt.Sprint(s.plan.KnownColumns)
		class, ok := classes[name]
		if !ok {
			class = len(classes)
			classes[name] = class
		}
		h.slots = append(h.slots, historySlot{class: class, arg: h.laneOf(s.arg), by: h.laneOf(s.by), group: h.laneOf(s.group)})
	}
	h.arrived.visible = make([]list[plan.EventTime], len(classes))
	h.arrived.pass = make([]vector.Bitmap, len(h.slots))
	return r
}

// AddSpine appends spine rows: the key columns, one for each key of the entity,
// and the as-of times. A row with a null key component has no entity.
func (r *Replay) AddSpine(keys []*vector.Vector, at []plan.EventTime) {
	begin := len(r.spine.entity)
	r.spine.entity = r.entities.number(r.spine.entity, keys, len(at))
	for i, e := range r.spine.entity[begin:] {
		r.spine.entity[begin+i] = max(e, 0)
	}
	r.spine.at = append(r.spine.at, at...)
}

// AddEvents appends events. ev is not kept.
func (r *Replay) AddEvents(ev *Events) {
	rows := r.view.Eval(ev)
	r.failures.note(r.view, ev, rows)
	r.keyCols = r.view.KeyColumns(ev, r.keyCols)
	r.of = r.entities.look(r.of[:0], r.keyCols, rows.n)
	r.sel = r.sel[:0]
	for i, entity := range r.of {
		switch {
		case entity > 0:
			r.sel = append(r.sel, int32(i))
		case entity == noKey:
			r.nullKey++
		}
	}
	r.events.append(rows, r.of, r.sel, r.view.ordered)
}

// KeyColumns lists the key columns of the view in a batch of events, reusing dst.
func (k *View) KeyColumns(ev *Events, dst []*vector.Vector) []*vector.Vector {
	dst = dst[:0]
	for _, name := range k.plan.KeyColumns {
		dst = append(dst, ev.Batch.Col(name))
	}
	return dst
}

// NullKeys is the number of events without an entity so far.
func (r *Replay) NullKeys() int { return r.nullKey }

// Rows is the number of spine rows.
func (r *Replay) Rows() int { return len(r.spine.at) }

// Shards groups events and spine by entity and divides the work into about n
// parts of equal size. It is called once, after the last AddEvents. Different
// shards may be swept concurrently.
func (r *Replay) Shards(n int) ([]*Shard, error) {
	entities := int(r.entities.n) + 1
	h := &r.events
	h.group(entities)
	tracks := h.tracks(r.view)
	queries, first := r.queries(entities)
	total := len(r.spine.at) + len(h.time)
	for lo := 0; lo < entities; {
		hi, work := lo, 0
		for hi < entities && (hi == lo || work < total/max(1, n)) {
			work += int(first[hi+1]-first[hi]) + int(h.first[hi+1]-h.first[hi])
			hi++
		}
		s, err := newShard(r, tracks, lo, hi, queries, first)
		if err != nil {
			return nil, err
		}
		r.shards = append(r.shards, s)
		lo = hi
	}
	return r.shards, nil
}

// queries lists the spine rows by entity, and within one by time; first is where
// each entity's begin.
func (r *Replay) queries(entities int) (rows, first []int32) {
	first, to := places([][]int32{r.spine.entity}, entities)
	rows = make([]int32, len(to))
	for row, p := range to {
		rows[p] = int32(row)
	}
	for e := range entities {
		sortByTime(rows[first[e]:first[e+1]], r.spine.at)
	}
	return rows, first
}

// sortByTime sorts rows by their times, equal ones by their numbers.
func sortByTime(rows []int32, times []plan.EventTime) {
	for i := 1; i < len(rows); i++ {
		if times[rows[i-1]] > times[rows[i]] {
			slices.SortFunc(rows, func(a, b int32) int {
				if times[a] != times[b] {
					return cmp.Compare(times[a], times[b])
				}
				return int(a) - int(b)
			})
			return
		}
	}
}
