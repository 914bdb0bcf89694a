package kernel

import (
	"bytes"
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// KeptFailures is the largest number of failures whose reason is kept, per slot and feature.
const KeptFailures = 3

// Failure is an event that a feature leaves out because a filter or an argument
// failed on it.
type Failure struct {
	Time plan.EventTime
	ID   string // "" without one
	Text string // ShownError of cel-go's message

	part    int      // which expression: filter, argument, y or group
	read    []byte   // canonical values of the columns that the expression reads
	pending *rowExpr // the expression, until Text is set
	row     int      // in the current batch, until Text is set
}

// compare orders failures by time, id, expression and the values that it read, which
// determine the text.
func (f *Failure) compare(g *Failure) int {
	return cmp.Or(cmp.Compare(f.Time, g.Time), cmp.Compare(f.ID, g.ID), cmp.Compare(f.part, g.part), bytes.Compare(f.read, g.read))
}

// failures is the first few failures of each slot, the same for any order and batching of
// events. Only batches with a failure cost anything.
type failures [][]Failure

// record adds the failures of the batch that k evaluated last.
func (f failures) record(k *View, ev *Events, rows *Rows) {
	for i := range rows.slots {
		if rows.slots[i].errors == 0 {
			continue
		}
		kept := f[i]
		k.slots[i].failing(rows.n, &rows.slots[i], func(part int, x *rowExpr, row int) { kept = keepFirst(kept, ev, part, x, row) })
		for j := range kept {
			kept[j].complete()
		}
		f[i] = kept
	}
}

// failing calls f for every row of the last batch that the slot leaves out because an
// expression failed: part and x are the expression.
func (s *slot) failing(n int, in *slotRows, f func(part int, x *rowExpr, row int)) {
	pass := vector.NewBitmap(n)
	copy(pass, in.takes)
	for part, x := range []*rowExpr{s.filter, s.arg, s.by, s.group} {
		if x == nil {
			continue
		}
		for w, failed := range x.result.Err {
			for failed &= pass[w]; failed != 0; failed &= failed - 1 {
				f(part, x, w*64+bits.TrailingZeros64(failed))
			}
		}
		var truth vector.Bitmap
		if x == s.filter {
			truth = x.result.Bits
		}
		keep(pass, x.result, truth)
	}
}

// keepFirst inserts a failure in order, unless it is not among the first few or an equal one
// is there.
func keepFirst(kept []Failure, ev *Events, part int, x *rowExpr, row int) []Failure {
	full := len(kept) == KeptFailures
	if full && ev.Time[row] > kept[len(kept)-1].Time {
		return kept
	}
	f := Failure{Time: ev.Time[row], part: part, pending: x, row: row}
	if ev.ID != nil {
		f.ID = ev.ID[row]
	}
	for _, col := range x.inputs {
		f.read = plan.AppendCanonical(f.read, col.Value(row))
	}
	at, found := slices.BinarySearchFunc(kept, f, func(a, b Failure) int { return a.compare(&b) })
	if found || at == KeptFailures {
		return kept
	}
	if full {
		kept = kept[:len(kept)-1]
	}
	return slices.Insert(kept, at, f)
}

// complete sets the text; it must be called before the next batch.
func (f *Failure) complete() {
	if f.pending == nil {
		return
	}
	f.ID = strings.Clone(f.ID)
	var null []string
	for i, name := range f.pending.columns {
		if f.pending.inputs[i].IsNull(f.row) {
			null = append(null, name)
		}
	}
	text := f.pending.program.ErrorText(f.pending.inputs, f.row)
	if null != nil && (strings.Contains(text, "no such overload") || strings.Contains(text, "invalid qualifier")) {
		// CEL's message does not mention that the operand was null.
		text = fmt.Sprintf("%s null here: %s", strings.Join(null, ", "), text)
	}
	f.Text = ShownError(text)
	f.pending = nil
}

// mergeFailures merges two sorted lists and keeps the first few.
func mergeFailures(a, b []Failure) []Failure {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b Failure) int { return a.compare(&b) })
	all = slices.CompactFunc(all, func(a, b Failure) bool { return a.compare(&b) == 0 })
	return all[:min(len(all), KeptFailures)]
}

// LeftOut is the number of events, of any entity, that feature number i of a view leaves
// out because a filter or an argument failed on them, and the first few of them by time, id
// and values read. An event counts once for each slot that the feature reaches, directly or
// through other features.
func (r *Replay) LeftOut(t *Tally, view, i int) (n int, first []Failure) {
	for _, s := range slotsBehind(r.views[view], i) {
		s += r.firstSlot[view]
		n += t.errors[s]
		first = append(first, t.failures[s]...)
	}
	slices.SortFunc(first, func(a, b Failure) int { return cmp.Or(a.compare(&b), cmp.Compare(a.Text, b.Text)) })
	first = slices.CompactFunc(first, func(a, b Failure) bool { return a.Time == b.Time && a.ID == b.ID && a.Text == b.Text })
	return n, first[:min(len(first), KeptFailures)]
}

// slotsBehind lists the slots that a feature reaches, directly or through other features.
func slotsBehind(v *plan.View, feature int) []int {
	slots, seen := []int{}, map[int]bool{}
	var visit func(f int)
	visit = func(f int) {
		if seen[f] {
			return
		}
		seen[f] = true
		v.Features[f].Expr.Walk(func(e *plan.Expr) {
			switch e.Kind {
			case plan.Aggregate:
				slots = append(slots, v.Aggregates[e.Index].Slot)
			case plan.FeatureRef:
				visit(e.Index)
			}
		})
	}
	visit(feature)
	slices.Sort(slots)
	return slices.Compact(slots)
}
