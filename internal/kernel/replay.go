package kernel

import (
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// Replay reads a view as of many times at once: the rows of a spine, over a
// history held in memory. First every spine row is given (AddSpine), then every
// event (AddEvents, in any order and batching), then the shards are swept, each by
// one goroutine if the caller likes, then the results are read in spine order.
//
// Only events of entities that the spine names are kept.
type Replay struct {
	view    *View
	keyCols []*vector.Vector // scratch
	keyBuf  []byte
	ids     map[string]int32 // entity key → entity; entity 0 has no events
	spine   []query
	events  history
	nullKey int
	shards  []*Shard
}

// query is a spine row: an entity and an as-of time.
type query struct {
	entity int32
	at     plan.EventTime
}

// history is the events as columns, in order of arrival.
type history struct {
	entity   []int32
	time     []plan.EventTime
	id       []string
	visible  [][]plan.EventTime // by visibility class, see classes
	slots    []historySlot
	byEntity []int32 // event numbers grouped by entity, made by group
	first    []int32 // where each entity's begin in byEntity; one more than entities
}

// historySlot is one slot's filter and arguments for every event.
type historySlot struct {
	class  int // which visible times the slot sees
	pass   vector.Bitmap
	input  agg.Input
	errors int
}

// NewReplay makes an empty replay of a view. The view is used by AddEvents and
// Results, not concurrently with the replay.
func NewReplay(view *View) *Replay {
	r := &Replay{view: view, ids: map[string]int32{}}
	r.events.visible = make([][]plan.EventTime, 1)
	classes := map[string]int{"": 0}
	for i := range view.slots {
		p := view.slots[i].plan
		name := fmt.Sprint(p.KnownColumns)
		if len(p.KnownColumns) == 0 {
			name = ""
		}
		class, ok := classes[name]
		if !ok {
			class = len(classes)
			classes[name] = class
			r.events.visible = append(r.events.visible, nil)
		}
		r.events.slots = append(r.events.slots, historySlot{class: class, input: agg.Input{
			Arg: lanesFor(p.Arg), By: lanesFor(p.By), Group: lanesFor(p.Group),
		}})
	}
	return r
}

func lanesFor(e *plan.Expr) *vector.Vector {
	if e == nil {
		return nil
	}
	return vector.New(e.Type, 0)
}

// AddSpine appends spine rows: the key columns, one for each key of the entity,
// and the as-of times. A row with a null key component has no entity.
func (r *Replay) AddSpine(keys []*vector.Vector, at []plan.EventTime) {
	for i, t := range at {
		q := query{at: t}
		var ok bool
		if r.keyBuf, ok = entitykey.AppendRow(r.keyBuf[:0], keys, i); ok {
			id, seen := r.ids[string(r.keyBuf)]
			if !seen {
				id = int32(len(r.ids) + 1)
				r.ids[string(r.keyBuf)] = id
			}
			q.entity = id
		}
		r.spine = append(r.spine, q)
	}
}

// AddEvents appends events. ev is not kept.
func (r *Replay) AddEvents(ev *Events) {
	rows := r.view.Eval(ev)
	r.keyCols = r.view.KeyColumns(ev, r.keyCols)
	h := &r.events
	var sel []int32
	for i := range rows.n {
		var ok bool
		if r.keyBuf, ok = entitykey.AppendRow(r.keyBuf[:0], r.keyCols, i); !ok {
			r.nullKey++
			continue
		}
		if id := r.ids[string(r.keyBuf)]; id != 0 {
			sel = append(sel, int32(i))
			h.entity = append(h.entity, id)
		}
	}
	begin := len(h.time)
	for _, i := range sel {
		h.time = append(h.time, rows.Time[i])
		h.visible[0] = append(h.visible[0], rows.Visible[i])
	}
	if rows.ID != nil && r.view.ordered() {
		for _, i := range sel {
			h.id = append(h.id, string(append([]byte(nil), rows.ID[i]...)))
		}
	}
	classDone := 0 // classes 0 to classDone have this batch's times
	for s := range h.slots {
		hs := &h.slots[s]
		hs.errors += rows.slots[s].errors
		if hs.class > classDone {
			classDone = hs.class
			for _, i := range sel {
				h.visible[hs.class] = append(h.visible[hs.class], rows.slots[s].visible[i])
			}
		}
		hs.append(&rows.slots[s], sel, begin)
	}
}

// KeyColumns lists the key columns of the view in a batch of events, reusing dst.
func (k *View) KeyColumns(ev *Events, dst []*vector.Vector) []*vector.Vector {
	dst = dst[:0]
	for _, name := range k.plan.KeyColumns {
		dst = append(dst, ev.Batch.Col(name))
	}
	return dst
}

// ordered reports whether a slot's value depends on event ids.
func (k *View) ordered() bool {
	return slices.ContainsFunc(k.slots, func(s slot) bool {
		switch s.plan.Func {
		case plan.Latest, plan.Earliest, plan.LatestN, plan.EarliestN, plan.MaxBy, plan.MinBy:
			return true
		}
		return false
	})
}

func (hs *historySlot) append(rows *slotRows, sel []int32, begin int) {
	for len(hs.pass) < vector.Words(begin+len(sel)) {
		hs.pass = append(hs.pass, 0)
	}
	for j, i := range sel {
		if rows.pass.Get(int(i)) {
			hs.pass.Set(begin + j)
		}
	}
	appendLanes(hs.input.Arg, rows.input.Arg, rows.pass, sel)
	appendLanes(hs.input.By, rows.input.By, rows.pass, sel)
	appendLanes(hs.input.Group, rows.input.Group, rows.pass, sel)
}

// appendLanes copies the selected rows; rows that do not pass get a zero.
func appendLanes(dst, src *vector.Vector, pass vector.Bitmap, sel []int32) {
	if dst == nil {
		return
	}
	begin := dst.N
	dst.N += len(sel)
	switch vector.Lane(dst.Type) {
	case plan.Bool:
		for len(dst.Bits) < vector.Words(dst.N) {
			dst.Bits = append(dst.Bits, 0)
		}
		for j, i := range sel {
			dst.Bits.Put(begin+j, src.Bits.Get(int(i)))
		}
	case plan.Int:
		for _, i := range sel {
			dst.Int = append(dst.Int, src.Int[i])
		}
	case plan.Double:
		for _, i := range sel {
			dst.Double = append(dst.Double, src.Double[i])
		}
	case plan.String:
		for _, i := range sel {
			var s string
			if pass.Get(int(i)) {
				s = string(append([]byte(nil), src.Str[i]...))
			}
			dst.Str = append(dst.Str, s)
		}
	default:
		for _, i := range sel {
			var x plan.Value
			if pass.Get(int(i)) {
				x = boxed(src, int(i))
			}
			dst.Any = append(dst.Any, x)
		}
	}
}

// NullKeys is the number of events without an entity so far.
func (r *Replay) NullKeys() int { return r.nullKey }

// Errors is the number of events on which slot i's filter or argument failed, of
// any entity.
func (r *Replay) Errors(i int) int { return r.events.slots[i].errors }

// Rows is the number of spine rows.
func (r *Replay) Rows() int { return len(r.spine) }

// Shards groups events and spine by entity and divides the work into about n
// parts of equal size. It is called once, after the last AddEvents. Different
// shards may be swept concurrently.
func (r *Replay) Shards(n int) ([]*Shard, error) {
	entities := len(r.ids) + 1
	for s := range r.events.slots {
		in := &r.events.slots[s].input
		in.Time, in.ID = r.events.time, r.events.id
	}
	r.events.byEntity, r.events.first = groupBy(r.events.entity, entities)
	of := make([]int32, len(r.spine))
	for i, q := range r.spine {
		of[i] = q.entity
	}
	queries, first := groupBy(of, entities)
	total := len(r.spine) + len(r.events.time)
	for lo := 0; lo < entities; {
		hi, work := lo, 0
		for hi < entities && (hi == lo || work < total/max(1, n)) {
			work += int(first[hi+1]-first[hi]) + int(r.events.first[hi+1]-r.events.first[hi])
			hi++
		}
		s, err := newShard(r, lo, hi, queries, first)
		if err != nil {
			return nil, err
		}
		r.shards = append(r.shards, s)
		lo = hi
	}
	return r.shards, nil
}

// groupBy lists the indexes of of grouped by their value in [0, n), keeping their order.
func groupBy(of []int32, n int) (order, first []int32) {
	first = make([]int32, n+1)
	for _, v := range of {
		first[v+1]++
	}
	for i := range n {
		first[i+1] += first[i]
	}
	order = make([]int32, len(of))
	next := slices.Clone(first[:n])
	for i, v := range of {
		order[next[v]] = int32(i)
		next[v]++
	}
	return order, first
}

// resultBatch is the number of spine rows evaluated at a time.
const resultBatch = 1024

// Results calls f with the features of successive ranges of spine rows, in order,
// beginning with row `from`. All shards must have been swept.
func (r *Replay) Results(f func(from int, features *Features) error) error {
	where := make([]located, len(r.spine))
	for s, shard := range r.shards {
		for i, row := range shard.rows {
			where[row] = located{int32(s), int32(i)}
		}
	}
	aggs := make([]*vector.Vector, len(r.view.aggs))
	for a := range aggs {
		aggs[a] = vector.New(r.view.aggs[a].Type, 0)
	}
	at := make([]plan.EventTime, 0, resultBatch)
	for from := 0; from < len(r.spine); from += resultBatch {
		part := where[from:min(from+resultBatch, len(where))]
		at = at[:0]
		for i := range part {
			at = append(at, r.spine[from+i].at)
		}
		for a := range aggs {
			r.gather(aggs[a], a, part)
		}
		features := r.view.finish(aggs, at, func(i int) bool { return r.shards[part[i].shard].known.Get(int(part[i].row)) })
		if err := f(from, features); err != nil {
			return err
		}
	}
	return nil
}

type located struct{ shard, row int32 }

// gather collects aggregate a for the given places.
func (r *Replay) gather(dst *vector.Vector, a int, part []located) {
	dst.Resize(len(part))
	lane := vector.Lane(dst.Type)
	for i, l := range part {
		src := r.shards[l.shard].aggs[a]
		j := int(l.row)
		switch {
		case src.IsErr(j):
			dst.SetErr(i)
		case src.IsNull(j):
			dst.SetNull(i)
		case lane == plan.Int:
			dst.Int[i] = src.Int[j]
		case lane == plan.Double:
			dst.Double[i] = src.Double[j]
		case lane == plan.Bool:
			dst.Bits.Put(i, src.Bits.Get(j))
		case lane == plan.String:
			dst.Str[i] = src.Str[j]
		default:
			dst.Any[i] = src.Any[j]
		}
	}
}
