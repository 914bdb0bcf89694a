package ingest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Entry converts row i of events to an entry for the log. The events have all columns of the
// source.
func (s *Source) Entry(ev *kernel.Events, i int) eventlog.Entry {
	return s.entry(ev, i, func(string) bool { return true })
}

// entry converts row i, leaving out the late columns for which shown is false.
func (s *Source) entry(ev *kernel.Events, i int, shown func(column string) bool) eventlog.Entry {
	kept := func(column string) bool { return !s.late(column) || shown(column) }
	e := eventlog.Entry{Payload: s.appendPayload(nil, ev.Batch, i, kept), Time: ev.Time[i]}
	if ev.ID == nil {
		return e
	}
	e.ID = strings.Clone(ev.ID[i]) // an entry may outlive its batch
	if s.row.column != "" || s.columns != nil {
		e.Body = s.appendPayload(nil, ev.Batch, i, func(column string) bool { return column != s.row.column && !s.late(column) })
	}
	if s.columns == nil {
		return e
	}
	e.Late = &eventlog.Late{Known: ev.Visible(i)}
	if s.row.column != "" {
		e.Late.First = []eventlog.Field{fieldOf(ev.Batch, s.row.column, i)}
	}
	for c := range s.columns {
		if name := s.columns[c].name; kept(name) && ev.Batch.Col(name).Valid(i) {
			e.Late.Fields = append(e.Late.Fields, fieldOf(ev.Batch, name, i))
		}
	}
	return e
}

func fieldOf(b *vector.Batch, column string, i int) eventlog.Field {
	return eventlog.Field{Name: column, Value: plan.AppendCanonical(nil, b.Col(column).Value(i))}
}

// late reports whether a column is one that later deliveries may fill.
func (s *Source) late(column string) bool {
	return slices.ContainsFunc(s.columns, func(c columnRule) bool { return c.name == column })
}

// Delivery is what was known of an event at a time, as an entry for the log.
type Delivery struct {
	At    plan.EventTime
	Entry eventlog.Entry
}

// Deliveries splits row i into the deliveries that would have been pushed: one when the row is
// visible, with the late columns known by then, and one at each later time at which a column
// becomes known. A row that fills an event gives only the deliveries of the columns that it
// fills. Without event ids there is one delivery with the whole row.
func (s *Source) Deliveries(ev *kernel.Events, i int) []Delivery {
	if ev.ID == nil {
		return []Delivery{{ev.Visible(i), s.Entry(ev, i)}}
	}
	var times []plan.EventTime
	if !ev.Fills(i) {
		times = append(times, ev.Visible(i))
	}
	for c := range s.columns {
		name := s.columns[c].name
		if k := knownFrom(ev, name, i); k != plan.Never && !ev.KnownBefore[name].Get(i) {
			times = append(times, k)
		}
	}
	slices.Sort(times)
	var out []Delivery
	for _, at := range slices.Compact(times) {
		e := s.entry(ev, i, func(column string) bool { return knownFrom(ev, column, i) <= at })
		if e.Late != nil {
			e.Late.Known = at
		}
		out = append(out, Delivery{at, e})
	}
	return out
}

// knownFrom is the time from which a late column of row i is visible.
func knownFrom(ev *kernel.Events, column string, i int) plan.EventTime {
	return max(ev.Visible(i), ev.ColumnKnown[column][i])
}

// Read decodes records of the log to rows, with the late columns that earlier records filled.
// The Arrivals say when each row arrived, and which rows fill an event of an earlier record.
func (s *Source) Read(records []eventlog.Record) (*vector.Batch, *Arrivals, error) {
	payloads := make([][]byte, len(records))
	from := &Arrivals{Row: make([]plan.EventTime, len(records))}
	for i, r := range records {
		payloads[i], from.Row[i] = r.Payload, r.Appended
	}
	b, err := s.Rows(payloads)
	if err != nil {
		return nil, nil, err
	}
	for i := range records {
		if records[i].Versions != nil {
			if err := s.fill(b, i, records[i].Versions, from); err != nil {
				return nil, nil, fmt.Errorf("source %s: logged event %d of %d: %w", s.plan.Name, i+1, len(records), err)
			}
		}
	}
	return b, from, nil
}

// fill adds the columns in the versions of its event to row i, which fills that event.
func (s *Source) fill(b *vector.Batch, i int, versions []eventlog.Version, from *Arrivals) error {
	if from.Filling == nil {
		from.Filling, from.KnownBefore, from.Column = vector.NewBitmap(b.N), map[string]vector.Bitmap{}, map[string][]plan.EventTime{}
		for c := range s.columns {
			name := s.columns[c].name
			from.KnownBefore[name], from.Column[name] = vector.NewBitmap(b.N), make([]plan.EventTime, b.N)
			for row := range from.Column[name] {
				from.Column[name][row] = plan.Always
			}
		}
	}
	first, own := &versions[0], &versions[len(versions)-1]
	from.Filling.Set(i)
	from.Row[i] = first.Known
	// Columns that no version names were part of the event when it was stored.
	for c := range s.columns {
		if name := s.columns[c].name; b.Col(name).Valid(i) {
			from.KnownBefore[name].Set(i)
			from.Column[name][i] = first.Known
		}
	}
	for v := range versions {
		known := eventlog.Arrived(versions[:v+1])
		for _, f := range versions[v].Fields {
			if !s.late(f.Name) && f.Name != s.row.column {
				continue
			}
			if err := setColumn(b, i, f.Name, f.Value); err != nil {
				return err
			}
			if s.late(f.Name) {
				from.KnownBefore[f.Name].Put(i, &versions[v] != own)
				from.Column[f.Name][i] = known
			}
		}
	}
	return nil
}

// setColumn sets a column of row i to the canonical encoding that a version has of it.
func setColumn(b *vector.Batch, i int, name string, value []byte) error {
	v, rest, err := plan.DecodeCanonical(value)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow the value", len(rest))
	}
	if err != nil {
		return fmt.Errorf("the versions of its event, column %q: %w", name, err)
	}
	return set(b, i, name, v)
}
