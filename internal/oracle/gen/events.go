package gen

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/oracle"
)

// Events draws up to n rows for the view of Definitions: few entities, clustered times,
// and deliveries of one event that are identical, fill late columns or conflict.
func Events(t *rapid.T, v *plan.View, n int) []oracle.Event {
	d := &drawer{t: t, v: v, wild: rapid.Bool().Draw(t, "wild values")}
	d.bases = []plan.EventTime{among(t, instants, "base"), among(t, instants, "other base")}
	for range 1 + below(3).Draw(t, "entities") {
		d.keys = append(d.keys, d.key())
	}
	var out []oracle.Event
	for i := range below(n+1).Draw(t, "events") {
		columns := d.row(i)
		if len(out) > 0 && chance(t, 4, "again") {
			columns = d.again(among(t, out, "of").Columns, columns)
		}
		if e, err := oracle.NewEvent(v.Source, columns, false); err == nil {
			out = append(out, e) // a row that is no event has a known time after the year 9999
		}
	}
	return out
}

type drawer struct {
	t     *rapid.T
	v     *plan.View
	wild  bool
	bases []plan.EventTime
	keys  [][]plan.Value
}

func (d *drawer) key() []plan.Value {
	key := make([]plan.Value, len(d.v.Entity.Keys))
	for i, k := range d.v.Entity.Keys {
		key[i] = value(d.t, k.Type.Kind, true)
	}
	return key
}

// row draws the columns of the i-th event.
func (d *drawer) row(i int) map[string]plan.Value {
	row := map[string]plan.Value{}
	ts := near(d.t, among(d.t, d.bases, "base"))
	for _, c := range d.v.Source.Columns {
		switch c.Name {
		case "ts":
			row[c.Name] = plan.TimestampValue(ts)
		case "id":
			row[c.Name] = d.id(i)
		case "known":
			row[c.Name] = d.knownTime(ts)
		case "late_at", "chargeback_at":
			if !chance(d.t, 5, "not yet") {
				row[c.Name] = d.knownTime(ts)
			}
		default:
			if !chance(d.t, 7, "null "+c.Name) {
				row[c.Name] = value(d.t, c.Type.Kind, d.wild)
			}
		}
	}
	for j, v := range among(d.t, d.keys, "entity") {
		if !chance(d.t, 20, "null key") {
			row[d.v.KeyColumns[j]] = v
		}
	}
	return row
}

// id draws ids whose order is not that of arrival.
func (d *drawer) id(i int) plan.Value {
	prefix := among(d.t, []string{"b", "a", "a\x00", "é"}, "id prefix")
	return plan.StringValue(fmt.Sprint(prefix, i))
}

// knownTime draws a known time of an event or a column: before its event time, equal to it, a
// little later or much later.
func (d *drawer) knownTime(ts plan.EventTime) plan.Value {
	switch below(5).Draw(d.t, "known") {
	case 0:
		return plan.TimestampValue(clamp(ts + beside(d.t)))
	case 1:
		return plan.TimestampValue(near(d.t, among(d.t, d.bases, "base")))
	case 2:
		return plan.TimestampValue(near(d.t, ts))
	}
	return plan.TimestampValue(ts)
}

// again is another delivery of an earlier row: unchanged, with other late columns, with
// another payload, or as an event with another id and the same time.
func (d *drawer) again(earlier, fresh map[string]plan.Value) map[string]plan.Value {
	row := maps.Clone(earlier)
	switch below(5).Draw(d.t, "delivery") {
	case 0:
		row["amount"], row["qty"] = fresh["amount"], fresh["qty"]
	case 1:
		row["id"], row["country"] = fresh["id"], fresh["country"]
	case 2, 3:
		d.late(row, fresh)
	}
	return row
}

// lateColumns are the late columns of the generated source, each with the column that
// says when it is known.
var lateColumns = [][]string{{"late", "late_at"}, {"charge"}, {"chargeback", "chargeback_at"}}

// late clears or fills late columns of a row, and changes its known time.
func (d *drawer) late(row, fresh map[string]plan.Value) {
	row["known"] = d.knownTime(row["ts"].Time())
	for _, columns := range lateColumns {
		how := below(4).Draw(d.t, "late "+columns[0])
		for _, c := range columns {
			switch {
			case how == 0:
				row[c] = plan.NullValue()
			case how == 1 || how == 2 && row[c].IsNull():
				row[c] = fresh[c]
			}
		}
	}
}

// Row draws a value for each field, or null.
func Row(t *rapid.T, fields []plan.Field) map[string]plan.Value {
	row := map[string]plan.Value{}
	for _, f := range fields {
		if !chance(t, 7, "null "+f.Name) {
			row[f.Name] = value(t, f.Type.Kind, true)
		}
	}
	return row
}

// Read is one read of a view.
type Read struct {
	Key []plan.Value
	At  plan.EventTime
}

// Reads draws up to n reads in ascending order of time: mostly of entities that have events,
// as of event times, visible times and times at which an event leaves a window of the view,
// or a microsecond off.
func Reads(t *rapid.T, v *plan.View, events []oracle.Event, n int) []Read {
	d := &drawer{t: t, v: v}
	reads := make([]Read, 1+below(n).Draw(t, "reads"))
	for i := range reads {
		if len(events) == 0 || chance(t, 10, "stranger") {
			reads[i] = Read{d.key(), near(t, among(t, instants, "instant"))}
			continue
		}
		e := among(t, events, "of event")
		for _, column := range v.KeyColumns {
			reads[i].Key = append(reads[i].Key, e.Columns[column])
		}
		reads[i].At = readTime(t, v, e)
	}
	slices.SortStableFunc(reads, func(a, b Read) int { return int(min(1, max(-1, a.At-b.At))) })
	return reads
}

func readTime(t *rapid.T, v *plan.View, e oracle.Event) plan.EventTime {
	edges := []plan.EventTime{e.Time, max(e.Time, e.Known), max(e.Time, e.ColumnKnown["late"]), max(e.Time, e.ColumnKnown["chargeback"])}
	for _, a := range v.Aggregates {
		edges = append(edges, e.Time+plan.EventTime(a.Window.Width), e.Time+plan.EventTime(a.Window.Width+a.Window.Hop))
	}
	at := among(t, edges, "edge of window")
	if at > plan.MaxTime {
		at = e.Time // never known
	}
	return clamp(at + beside(t))
}
