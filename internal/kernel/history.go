package kernel

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// history is the events of a replay as columns. It first collects them in order of
// arrival; group then puts the events of each entity next to each other, which
// is the order that sweeping reads them in.
type history struct {
	arrived struct {
		entity  list[int32]
		time    list[plan.EventTime]
		id      list[string]
		visible []list[plan.EventTime] // by class; that of class 0 is empty while it equals time
		lanes   []arrivedLane
		pass    []vector.Bitmap // by slot
	}
	late bool // an event became visible after its time: class 0 has times of its own

	time    []plan.EventTime
	id      []string
	visible [][]plan.EventTime
	first   []int32 // where each entity's events begin; one more than entities
	slots   []historySlot
}

// historySlot is one slot's part of the history.
type historySlot struct {
	class          int // which visible times the slot sees
	arg, by, group int // lanes; -1 where the slot has none
	pass           vector.Bitmap
	input          agg.Input
	errors         int
}

// arrivedLane is the values of a row expression. It is shared by the slots that have it.
type arrivedLane struct {
	expr    *rowExpr
	n       int
	bits    vector.Bitmap
	ints    list[int64]
	doubles list[float64]
	strs    list[string]
	anys    list[plan.Value]
}

// laneOf is the number of the lane of x, made when there is none; -1 for nil.
func (h *history) laneOf(x *rowExpr) int {
	if x == nil {
		return -1
	}
	i := slices.IndexFunc(h.arrived.lanes, func(l arrivedLane) bool { return l.expr == x })
	if i < 0 {
		i = len(h.arrived.lanes)
		h.arrived.lanes = append(h.arrived.lanes, arrivedLane{expr: x})
	}
	return i
}

// append takes over the selected rows of a batch; of has the entity of every row.
func (h *history) append(rows *Rows, of, sel []int32, ids bool) {
	a := &h.arrived
	begin := a.time.n
	if !h.late && rows.late() {
		h.late = true
		a.visible[0] = a.time.clone()
	}
	a.entity.append(of, sel)
	a.time.append(rows.Time, sel)
	if h.late {
		a.visible[0].append(rows.Visible, sel)
	}
	if ids && rows.ID != nil {
		everything := vector.NewBitmap(rows.n)
		everything.Fill(rows.n)
		a.id.appendAll(cloned(rows.ID, everything, sel))
	}
	done := 0 // classes 0 to done have this batch's times
	for i := range h.slots {
		s, from := &h.slots[i], &rows.slots[i]
		s.errors += from.errors
		if s.class > done {
			done = s.class
			a.visible[done].append(from.visible, sel)
		}
		a.pass[i] = appendBits(a.pass[i], from.pass, begin, sel)
	}
	for i := range a.lanes {
		a.lanes[i].append(sel)
	}
}

// appendBits appends the selected bits of src to dst, which has n.
func appendBits(dst, src vector.Bitmap, n int, sel []int32) vector.Bitmap {
	for len(dst) < vector.Words(n+len(sel)) {
		dst = append(dst, 0)
	}
	for j, i := range sel {
		if src.Get(int(i)) {
			dst.Set(n + j)
		}
	}
	return dst
}

// append takes over the selected rows of the batch that x was last evaluated for. Of
// rows that no slot needs it keeps nothing but a zero.
func (l *arrivedLane) append(sel []int32) {
	src, need := l.expr.result, l.expr.need
	begin := l.n
	l.n += len(sel)
	switch vector.Lane(src.Type) {
	case plan.Bool:
		l.bits = appendBits(l.bits, src.Bits, begin, sel)
	case plan.Int:
		l.ints.append(src.Int, sel)
	case plan.Double:
		l.doubles.append(src.Double, sel)
	case plan.String:
		l.strs.appendAll(cloned(src.Str, need, sel))
	default:
		values := make([]plan.Value, len(sel))
		for j, i := range sel {
			if need.Get(int(i)) {
				values[j] = boxed(src, int(i))
			}
		}
		l.anys.appendAll(values)
	}
}

// cloned copies the needed ones of the selected strings into one piece of memory.
func cloned(src []string, need vector.Bitmap, sel []int32) []string {
	var all strings.Builder
	size := 0
	for _, i := range sel {
		if need.Get(int(i)) {
			size += len(src[i])
		}
	}
	all.Grow(size)
	out := make([]string, len(sel))
	for j, i := range sel {
		if need.Get(int(i)) {
			from := all.Len()
			all.WriteString(src[i])
			out[j] = all.String()[from:]
		}
	}
	return out
}

// group orders everything by entity, and within one by arrival. It takes the memory
// of what has arrived.
func (h *history) group(entities int) {
	a := &h.arrived
	var to []int32
	h.first, to = places(a.entity.blocks, entities)
	a.entity = list[int32]{}
	h.time = a.time.moved(to)
	if len(a.id.blocks) > 0 {
		h.id = a.id.moved(to)
	}
	h.visible = make([][]plan.EventTime, len(a.visible))
	for c := range a.visible {
		h.visible[c] = a.visible[c].moved(to)
	}
	if !h.late {
		h.visible[0] = h.time
	}
	lanes := make([]*vector.Vector, len(a.lanes))
	for i := range a.lanes {
		lanes[i] = a.lanes[i].moved(to)
	}
	for i := range h.slots {
		s := &h.slots[i]
		s.pass, a.pass[i] = movedBits(a.pass[i], to), nil
		s.input = agg.Input{Arg: lane(lanes, s.arg), By: lane(lanes, s.by), Group: lane(lanes, s.group), Time: h.time, ID: h.id}
	}
	a.lanes = nil
}

// lane is one of the lanes, nil for -1.
func lane(lanes []*vector.Vector, i int) *vector.Vector {
	if i < 0 {
		return nil
	}
	return lanes[i]
}

func (l *arrivedLane) moved(to []int32) *vector.Vector {
	v := &vector.Vector{Type: l.expr.program.Type(), N: l.n}
	switch vector.Lane(v.Type) {
	case plan.Bool:
		v.Bits = movedBits(l.bits, to)
	case plan.Int:
		v.Int = l.ints.moved(to)
	case plan.Double:
		v.Double = l.doubles.moved(to)
	case plan.String:
		v.Str = l.strs.moved(to)
	default:
		v.Any = l.anys.moved(to)
	}
	return v
}

// movedBits is b with bit i at to[i]; a bitmap with every bit set moves for free.
func movedBits(b vector.Bitmap, to []int32) vector.Bitmap {
	if b.Count() == len(to) {
		return b
	}
	out := vector.NewBitmap(len(to))
	for i, p := range to {
		if b.Get(i) {
			out.Set(int(p))
		}
	}
	return out
}
