package offline

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// arrival is the content of a row at the time it arrived: all of it, or the columns known by then.
type arrival struct {
	at      plan.EventTime
	fills   int    // 1 if the log took it as filling an event
	bytes   []byte // orders arrivals at the same time
	columns [][]byte
	row     int // index in the deliveries
}

func (a *arrival) compare(b *arrival) int {
	return cmp.Or(cmp.Compare(a.at, b.at), a.fills-b.fills, bytes.Compare(a.bytes, b.bytes))
}

var nullValue = plan.AppendCanonical(nil, plan.NullValue())

// fold takes deliveries in the order of their arrival. The first is the event; a later one
// that does not contradict it fills its late columns.
func (r *resolver) fold(rows []delivery) resolved {
	all := r.arrivals(rows)
	first := &all[0]
	out := resolved{columns: slices.Clone(first.columns), known: first.at, lateKnown: make([]plan.EventTime, len(r.late))}
	for l, c := range r.late {
		out.columns[c], out.lateKnown[l] = nullValue, plan.Always
	}
	took, refused := make([]bool, len(rows)), make([]bool, len(rows))
	for i := range all {
		a := &all[i]
		if r.contradicts(a.columns, out.columns) {
			refused[a.row] = true
			continue
		}
		for l, c := range r.late {
			if isNull(out.columns[c]) && !isNull(a.columns[c]) {
				out.columns[c], out.lateKnown[l] = a.columns[c], max(a.at, rows[a.row].lateKnown[l])
				took[a.row] = true
			}
		}
	}
	for row := range rows {
		switch {
		case row == first.row:
		case took[row]:
			out.filled++
		default:
			out.redelivered++
		}
		if refused[row] {
			out.conflicts++
		}
	}
	return out
}

// arrivals lists, in order, what arrived and when. A row from a file arrives piece by piece: each
// late column when it is known. A pushed row arrives as a whole, and not before rows pushed
// earlier. What filled an event in the log comes after other arrivals at the same time, because
// the event came before it.
func (r *resolver) arrivals(rows []delivery) []arrival {
	var all []arrival
	pushed := arrival{at: plan.Always}
	byPush := slices.SortedStableFunc(slices.Values(numbers(len(rows))), func(a, b int) int { return rows[a].pushed - rows[b].pushed })
	for _, row := range byPush {
		d := &rows[row]
		columns := r.columns(d.row)
		if d.pushed > 0 {
			a := arrival{d.visible, d.fills, d.row, columns, row}
			if a.compare(&pushed) < 0 {
				a.at, a.fills, a.bytes = pushed.at, pushed.fills, pushed.bytes
			}
			pushed = a
			all = append(all, a)
			continue
		}
		times := []plan.EventTime{d.visible}
		for _, k := range d.lateKnown {
			if k != plan.Never {
				times = append(times, max(d.visible, k))
			}
		}
		slices.Sort(times)
		for _, at := range slices.Compact(times) {
			known := r.knownBy(columns, d, at)
			all = append(all, arrival{at, 0, bytes.Join(known, nil), known, row})
		}
	}
	// Pushed rows keep their order. Rows of files have no order: of two that bring the same
	// columns at the same time, the one with fewer columns in all is first, so that the counts
	// do not depend on the order of reading.
	slices.SortStableFunc(all, func(a, b arrival) int {
		d, e := &rows[a.row], &rows[b.row]
		return cmp.Or(a.compare(&b), d.pushed-e.pushed, bytes.Compare(d.row, e.row))
	})
	return all
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// knownBy is the columns of a row with those not yet known at the given time set to null.
func (r *resolver) knownBy(columns [][]byte, d *delivery, at plan.EventTime) [][]byte {
	out := slices.Clone(columns)
	for l, c := range r.late {
		if d.lateKnown[l] > at {
			out[c] = nullValue
		}
	}
	return out
}

// contradicts reports whether a delivery differs from what was accepted of its event, other than
// in its known time and in late columns that are null in one of the two.
func (r *resolver) contradicts(delivery, taken [][]byte) bool {
	late := 0
	for c := range taken {
		isLate := late < len(r.late) && r.late[late] == c
		if isLate {
			late++
		}
		knownTime := r.source.Known.Kind == plan.KnownColumn && r.source.Columns[c].Name == r.source.Known.Column
		if knownTime || isLate && (isNull(delivery[c]) || isNull(taken[c])) {
			continue
		}
		if !bytes.Equal(delivery[c], taken[c]) {
			return true
		}
	}
	return false
}

func isNull(value []byte) bool { return bytes.Equal(value, nullValue) }
