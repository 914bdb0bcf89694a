package kernel

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/agg"
	"github.com/unskew/unskew/internal/vector"
)

// pendingRow is what an event that is not visible yet will add to one slot. A row with slot
// entityRow adds only to the entity's number of events.
type pendingRow struct {
	visible, time  plan.EventTime
	slot           int
	id             string
	arg, by, group plan.Value
}

const entityRow = -1

func newPending(in *slotRows, i, slot int) pendingRow {
	p := pendingRow{visible: in.visible[i], time: in.input.Time[i], slot: slot}
	if in.input.ID != nil {
		p.id = string(append([]byte(nil), in.input.ID[i]...))
	}
	p.arg, p.by, p.group = boxed(in.input.Arg, i), boxed(in.input.By, i), boxed(in.input.Group, i)
	return p
}

// boxed is a copy of row i of v, null if v is nil.
func boxed(v *vector.Vector, i int) plan.Value {
	if v == nil {
		return plan.NullValue()
	}
	// Lanes may alias buffers of the caller; decoding an encoded value copies them.
	x, _, err := plan.DecodeCanonical(plan.AppendCanonical(nil, v.Value(i)))
	if err != nil {
		panic("kernel: the encoding of a value does not decode: " + err.Error())
	}
	return x
}

// Fold moves every pending row with visible time < t into the tiles.
func (s *State) Fold(t plan.EventTime) {
	if len(s.pending) == 0 {
		return
	}
	newest := s.newest
	for i := range s.pending {
		if v := s.pending[i].visible; v < t && v > newest {
			newest = v
		}
	}
	if newest == s.newest && !slices.ContainsFunc(s.pending, func(p pendingRow) bool { return p.visible < t }) {
		return
	}
	s.setNewest(newest)
	s.pending = slices.DeleteFunc(s.pending, func(p pendingRow) bool {
		if p.visible >= t {
			return false
		}
		s.fold(&p)
		return true
	})
}

func (s *State) fold(p *pendingRow) {
	if p.slot == entityRow {
		s.events++
		return
	}
	g, c := s.view.columnOf(p.slot)
	tile, ok := s.series[g].Tile(p.time)
	if !ok {
		return
	}
	slot := &s.view.slots[p.slot]
	in := agg.Input{
		Arg: unboxed(slot.arg, slot.plan.Arg, p.arg), By: unboxed(slot.by, slot.plan.By, p.by), Group: unboxed(slot.group, slot.plan.Group, p.group),
		Time: []plan.EventTime{p.time}, ID: []string{p.id},
	}
	s.series[g].Partials().Add(c, tile, &in, 0)
}

func unboxed(r *rowExpr, e *plan.Expr, x plan.Value) *vector.Vector {
	if r == nil {
		return nil
	}
	return vector.Of(e.Type, x)
}

// columnOf finds the group of a slot and its index there.
func (k *View) columnOf(slot int) (group, column int) {
	for g := range k.groups {
		if c := slices.Index(k.groups[g].slots, slot); c >= 0 {
			return g, c
		}
	}
	panic("kernel: slot without a group")
}

func (p *pendingRow) append(dst []byte) []byte {
	dst = plan.AppendCanonical(dst, plan.TimestampValue(p.visible))
	dst = plan.AppendCanonical(dst, plan.IntValue(int64(p.slot)))
	dst = plan.AppendCanonical(dst, plan.TimestampValue(p.time))
	dst = plan.AppendCanonical(dst, plan.StringValue(p.id))
	for _, v := range []plan.Value{p.arg, p.by, p.group} {
		dst = plan.AppendCanonical(dst, v)
	}
	return dst
}

// appendPending writes the pending rows in canonical order.
func (s *State) appendPending(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.pending)))
	if len(s.pending) == 0 {
		return dst
	}
	rows := make([][]byte, len(s.pending))
	for i := range s.pending {
		rows[i] = s.pending[i].append(nil)
	}
	slices.SortFunc(rows, bytes.Compare)
	for _, r := range rows {
		dst = append(dst, r...)
	}
	return dst
}

func (s *State) decodePending(b []byte) error {
	n, b, ok := uvarint(b)
	if !ok || n > uint64(len(b)) {
		return errState
	}
	var last []byte
	for ; n > 0; n-- {
		p, rest, ok := decodePendingRow(b)
		row := b[:len(b)-len(rest)]
		if !ok || bytes.Compare(last, row) > 0 {
			return errState
		}
		s.pending = append(s.pending, p)
		last, b = row, rest
	}
	if len(b) != 0 {
		return errState
	}
	return nil
}

// decodePendingRow reads a row from the front of b and returns the rest.
func decodePendingRow(b []byte) (p pendingRow, rest []byte, ok bool) {
	var vals [7]plan.Value
	for i, kind := range [7]plan.Kind{plan.Timestamp, plan.Int, plan.Timestamp, plan.String} {
		var err error
		if vals[i], b, err = plan.DecodeCanonical(b); err != nil || kind != plan.Invalid && vals[i].Kind() != kind {
			return p, b, false
		}
	}
	return pendingRow{
		visible: vals[0].Time(), slot: int(vals[1].Int()), time: vals[2].Time(), id: vals[3].Str(),
		arg: vals[4], by: vals[5], group: vals[6],
	}, b, true
}

// accepts reports whether Apply can make such a row of an event that is not visible at newest.
// Check calls it before a state is stored and after one is decoded.
func (k *View) accepts(p *pendingRow, newest plan.EventTime) bool {
	if p.visible <= newest || !p.visible.Valid() {
		return false
	}
	if p.slot == entityRow {
		return p.time == 0 && p.id == "" && p.arg.IsNull() && p.by.IsNull() && p.group.IsNull()
	}
	return p.time.Valid() && p.visible >= p.time && p.slot >= 0 && p.slot < len(k.slots) && k.slots[p.slot].keeper == p.slot && k.slots[p.slot].accepts(p)
}

// accepts reports whether a row has the values that the slot needs, of the right types.
func (s *slot) accepts(p *pendingRow) bool {
	ok := func(e *plan.Expr, v plan.Value) bool {
		return e == nil && v.IsNull() || e != nil && !v.IsNull() && v.HasType(e.Type.Unwrap())
	}
	return ok(s.plan.Arg, p.arg) && ok(s.plan.By, p.by) && ok(s.plan.Group, p.group)
}
