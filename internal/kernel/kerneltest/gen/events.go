package gen

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/kerneltest"
)

// Events draws up to n events for the view of Definitions: few entities, clustered
// times, redeliveries that are identical and some that conflict.
func Events(t *rapid.T, v *plan.View, n int) []kerneltest.Event {
	d := &drawer{t: t, v: v, wild: rapid.Bool().Draw(t, "wild values")}
	d.bases = rapid.SliceOfN(rapid.SampledFrom(instants), 1, 2).Draw(t, "bases")
	for range rapid.IntRange(1, 3).Draw(t, "entities") {
		d.keys = append(d.keys, d.key())
	}
	var out []kerneltest.Event
	for i := range rapid.IntRange(0, n).Draw(t, "events") {
		columns := d.row(i)
		if len(out) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			columns = d.again(rapid.SampledFrom(out).Draw(t, "of").Columns, columns)
		}
		if e, err := kerneltest.NewEvent(v.Source, columns, false); err == nil {
			out = append(out, e) // the others are known beyond the year 9999
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
	ts := near(d.t, rapid.SampledFrom(d.bases).Draw(d.t, "base"))
	for _, c := range d.v.Source.Columns {
		switch c.Name {
		case "ts":
			row[c.Name] = plan.TimestampValue(ts)
		case "id":
			row[c.Name] = d.id(i)
		case "known":
			row[c.Name] = d.knownTime(ts)
		case "late_at", "chargeback_at":
			if rapid.IntRange(0, 4).Draw(d.t, "not yet") != 1 {
				row[c.Name] = d.knownTime(ts)
			}
		default:
			if rapid.IntRange(0, seldomIsNull).Draw(d.t, "null "+c.Name) != 1 {
				row[c.Name] = value(d.t, c.Type.Kind, d.wild)
			}
		}
	}
	for j, v := range rapid.SampledFrom(d.keys).Draw(d.t, "entity") {
		if rapid.IntRange(0, 19).Draw(d.t, "null key") != 1 {
			row[d.v.KeyColumns[j]] = v
		}
	}
	return row
}

// id draws ids in no order of arrival, and sometimes none.
func (d *drawer) id(i int) plan.Value {
	if rapid.IntRange(0, 9).Draw(d.t, "no id") == 1 {
		return plan.NullValue()
	}
	prefix := rapid.SampledFrom([]string{"b", "a", "a\x00", "é"}).Draw(d.t, "id prefix")
	return plan.StringValue(fmt.Sprint(prefix, i))
}

// knownTime draws when an event or a column became known: before it happened, at
// once, a little later or much later.
func (d *drawer) knownTime(ts plan.EventTime) plan.Value {
	switch rapid.IntRange(0, 4).Draw(d.t, "known") {
	case 0:
		return plan.TimestampValue(clamp(ts + beside(d.t)))
	case 1:
		return plan.TimestampValue(near(d.t, rapid.SampledFrom(d.bases).Draw(d.t, "base")))
	case 2:
		return plan.TimestampValue(near(d.t, ts))
	}
	return plan.TimestampValue(ts)
}

// again is the earlier row delivered once more: as it was, with a payload that
// differs, or as an event of its own that is tied with it.
func (d *drawer) again(earlier, fresh map[string]plan.Value) map[string]plan.Value {
	row := maps.Clone(earlier)
	switch rapid.IntRange(0, 2).Draw(d.t, "delivery") {
	case 0:
		row["amount"], row["qty"] = fresh["amount"], fresh["qty"]
	case 1:
		row["id"], row["country"] = fresh["id"], fresh["country"]
	}
	return row
}

// Read is one reading of a view.
type Read struct {
	Key []plan.Value
	At  plan.EventTime
}

// Reads draws up to n readings in ascending order of time: mostly of entities that
// have events, exactly at event times, at visible times, where an event enters or
// leaves a window of the view, and a microsecond beside.
func Reads(t *rapid.T, v *plan.View, events []kerneltest.Event, n int) []Read {
	d := &drawer{t: t, v: v}
	reads := make([]Read, rapid.IntRange(1, n).Draw(t, "reads"))
	for i := range reads {
		if len(events) == 0 || rapid.IntRange(0, 9).Draw(t, "stranger") == 0 {
			reads[i] = Read{d.key(), near(t, rapid.SampledFrom(instants).Draw(t, "instant"))}
			continue
		}
		e := rapid.SampledFrom(events).Draw(t, "of event")
		for _, column := range v.KeyColumns {
			reads[i].Key = append(reads[i].Key, e.Columns[column])
		}
		reads[i].At = readTime(t, v, e)
	}
	slices.SortStableFunc(reads, func(a, b Read) int { return int(min(1, max(-1, a.At-b.At))) })
	return reads
}

func readTime(t *rapid.T, v *plan.View, e kerneltest.Event) plan.EventTime {
	edges := []plan.EventTime{e.Time, max(e.Time, e.Known), max(e.Time, e.ColumnKnown["late"])}
	for _, a := range v.Aggregates {
		edges = append(edges, e.Time+plan.EventTime(a.Window.Width), e.Time+plan.EventTime(a.Window.Width+a.Window.Hop))
	}
	at := rapid.SampledFrom(edges).Draw(t, "edge of window")
	if at > plan.MaxTime {
		at = e.Time // never known
	}
	return clamp(at + beside(t))
}
