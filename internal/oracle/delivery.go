package oracle

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// deduplicate makes one event of all deliveries with the same id (§2), in order of the first
// delivery of each id.
func deduplicate(src *plan.Source, deliveries []Event) []Event {
	var ids []string
	byID := map[string][]Event{}
	var out []Event
	for _, e := range deliveries {
		switch {
		case e.Source != src.Name:
		case e.ID == "":
			out = append(out, merge(src, []Event{e}))
		default:
			if byID[e.ID] == nil {
				ids = append(ids, e.ID)
			}
			byID[e.ID] = append(byID[e.ID], e)
		}
	}
	for _, id := range ids {
		out = append(out, merge(src, byID[id]))
	}
	return out
}

// merge takes the deliveries of one event in order of arrival: the first is the event, and a
// later one fills late columns, unless it contradicts what was taken before.
func merge(src *plan.Source, deliveries []Event) Event {
	all := arrivals(src, deliveries)
	slices.SortStableFunc(all, compareArrivals)
	event := all[0].of
	event.Known, event.Columns, event.ColumnKnown = all[0].at, maps.Clone(all[0].columns), map[string]plan.EventTime{}
	for _, a := range all {
		if contradicts(src, a.columns, event.Columns) {
			continue
		}
		for _, c := range src.Columns {
			if _, filled := event.ColumnKnown[c.Name]; filled || a.columns[c.Name].IsNull() || !isLate(src, c) {
				continue
			}
			event.Columns[c.Name] = a.columns[c.Name]
			event.ColumnKnown[c.Name] = max(a.at, a.of.ColumnKnown[c.Name])
		}
	}
	if event.Final {
		event.Known = event.Time
		for name := range event.ColumnKnown {
			event.ColumnKnown[name] = event.Time
		}
	}
	return event
}

// arrival is a row, or the part of a row that is known at a time.
type arrival struct {
	at      plan.EventTime
	fills   bool   // at equal times, comes last
	bytes   []byte // at equal times, the order among the others
	columns map[string]plan.Value
	of      Event
}

func compareArrivals(a, b arrival) int {
	order := cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(a.bytes, b.bytes))
	switch {
	case a.at != b.at || a.fills == b.fills:
		return order
	case a.fills:
		return 1
	}
	return -1
}

// arrivals lists the arrivals of rows: of a row of a file one at its visible time and one at
// each known time of a late column, of a pushed row one, which is not before those of rows
// that were pushed earlier.
func arrivals(src *plan.Source, rows []Event) []arrival {
	var out []arrival
	pushed := arrival{at: plan.Always}
	for _, e := range slices.SortedStableFunc(slices.Values(rows), func(a, b Event) int { return a.Position - b.Position }) {
		if e.Position > 0 {
			a := arrival{e.visible(), e.Fills, payload(src, e.Columns), e.Columns, e}
			if compareArrivals(a, pushed) < 0 {
				a.at, a.fills, a.bytes = pushed.at, pushed.fills, pushed.bytes
			}
			pushed = a
			out = append(out, a)
			continue
		}
		times := []plan.EventTime{e.visible()}
		for _, known := range e.ColumnKnown {
			times = append(times, max(e.visible(), known))
		}
		slices.Sort(times)
		for _, at := range slices.Compact(times) {
			columns := knownBy(e, at)
			out = append(out, arrival{at, false, payload(src, columns), columns, e})
		}
	}
	return out
}

// knownBy is the columns of a row that are known at a time.
func knownBy(e Event, at plan.EventTime) map[string]plan.Value {
	columns := maps.Clone(e.Columns)
	for name, known := range e.ColumnKnown {
		if known > at {
			delete(columns, name)
		}
	}
	return columns
}

// contradicts reports whether a delivery differs from what was taken of its event so far. The
// known time of the source may differ, and a late column may be null in one of the two.
func contradicts(src *plan.Source, delivery, taken map[string]plan.Value) bool {
	return slices.ContainsFunc(src.Columns, func(c plan.SourceColumn) bool {
		a, b := delivery[c.Name], taken[c.Name]
		if c.Name == knownColumn(src.Known) || isLate(src, c) && (a.IsNull() || b.IsNull()) {
			return false
		}
		return !bytes.Equal(plan.AppendCanonical(nil, a), plan.AppendCanonical(nil, b))
	})
}

// isLate reports whether a later delivery may fill a column: it is an outcome, has a known
// time of its own, or is the known time of such a column.
func isLate(src *plan.Source, c plan.SourceColumn) bool {
	if c.Name == src.EventTime || c.Name == src.EventID || c.Name == knownColumn(src.Known) {
		return false
	}
	return c.Outcome || c.Known != nil || isKnownTime(src, c.Name)
}

// isKnownTime reports whether a column says when another one is known.
func isKnownTime(src *plan.Source, name string) bool {
	return slices.ContainsFunc(src.Columns, func(c plan.SourceColumn) bool { return c.Known != nil && knownColumn(*c.Known) == name })
}

// knownColumn is the column that a known time is read from, "" for none.
func knownColumn(k plan.Known) string {
	if k.Kind != plan.KnownColumn {
		return ""
	}
	return k.Column
}

func payload(src *plan.Source, columns map[string]plan.Value) []byte {
	var b []byte
	for _, c := range src.Columns {
		b = plan.AppendCanonical(b, columns[c.Name])
	}
	return b
}
