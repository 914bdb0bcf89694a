package kept

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// Files reads the files of sources.
type Files interface {
	// Events calls f with all rows as events with all columns, before repeated ids are resolved. They are valid during the call.
	Events(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error
	// Columns calls f with some columns of all rows, also of those that are no events.
	Columns(ctx context.Context, src *plan.Source, columns []plan.Field, f func(*vector.Batch) error) error
}

// Reading says what is read, and kept.
type Reading struct {
	Source *plan.Source
	Keys   []Keys
	Halved int   // how often the samples of the keys are halved from the beginning
	Files  Files // nil: the source has none, or nobody can read them
	Log    eventlog.Log
	// Registered is the time up to which the log knows the ids of the files.
	Registered plan.EventTime
	// Rest is called between batches. It may wait.
	Rest func() error
	// Room is called when there may be more deliveries than before. It may halve them.
	Room func(*Deliveries) error
}

// grown is called between batches while deliveries can be halved.
func (c *Reading) grown(d *Deliveries) error { return errors.Join(c.Rest(), c.Room(d)) }

// Read reads the history of a source.
func Read(ctx context.Context, c Reading) (*Deliveries, error) {
	d, err := newDeliveries(c.Source, c.Keys, c.Halved)
	if err != nil {
		return nil, err
	}
	if c.Files != nil {
		err = d.readFiles(ctx, &c)
	}
	if err == nil {
		err = d.Follow(ctx, c.Log, func() error { return c.grown(d) })
	}
	if err == nil && c.Source.EventID != "" {
		// Halving would drop what others have that are not known to be mixed yet.
		err = d.readOthers(ctx, &c)
	}
	d.reading = nil
	if err == nil {
		err = c.Room(d)
	}
	return d, err
}

// readFiles keeps the rows of files that name a kept entity.
func (d *Deliveries) readFiles(ctx context.Context, c *Reading) error {
	var item []byte
	var r row
	return c.Files.Events(ctx, d.src, func(ev *kernel.Events) error {
		cols := d.cols(ev.Batch)
		for i := range ev.Batch.N {
			id := ""
			if ev.ID != nil {
				id = ev.ID[i]
			}
			d.look(&r, cols, i)
			if d.src.Stream && id != "" && ev.Visible(i) >= c.Registered {
				d.watch(id, &r)
			}
			if !r.wanted {
				continue
			}
			item = appendRow(item[:0], ev.Batch, i)
			if err := d.put(item, &r, id); err != nil {
				return err
			}
		}
		return c.grown(d)
	})
}

// Follow reads the log on to its end, and calls rest between pages.
func (d *Deliveries) Follow(ctx context.Context, log eventlog.Log, rest func() error) error {
	if !d.src.Stream || log == nil {
		return nil
	}
	if d.layouts == nil {
		d.layouts = eventlog.NewLayouts(log)
	}
	shards, err := d.layouts.Find(ctx, d.src.Name)
	if err != nil {
		return err
	}
	ends, err := shards.Ends(ctx, log)
	if err != nil {
		return fmt.Errorf("source %s: event log: %w", d.src.Name, err)
	}
	for len(d.read) < shards.N {
		d.read, d.last, d.trimmed, d.gone = append(d.read, 0), append(d.last, 0), append(d.trimmed, 0), append(d.gone, 0)
	}
	for k := range shards.N {
		if err := d.findTrimmed(ctx, log, shards, k); err != nil {
			return err
		}
		after := max(eventlog.Position(d.read[k]), d.trimmed[k])
		err := shards.EachPage(ctx, log, k, after, eventlog.Position(ends[k]), func(records []eventlog.Record) error {
			if err := d.take(k, records); err != nil {
				return err
			}
			return rest()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findTrimmed notes up to which position nobody can read a shard any more.
func (d *Deliveries) findTrimmed(ctx context.Context, log eventlog.Log, shards eventlog.Shards, k int) error {
	at, err := log.Trimmed(ctx, shards.Name(k))
	if err != nil || at.Position == d.gone[k] {
		return err
	}
	d.gone[k] = at.Position
	none := (*eventlog.TrimmedError)(nil)
	switch _, err := log.Read(ctx, shards.Name(k), 0, 1); {
	case errors.As(err, &none):
		d.trimmed[k] = none.Position
	case err != nil:
		return fmt.Errorf("source %s: event log: %w", d.src.Name, err)
	}
	return nil
}

// take keeps those of records of a shard that name a kept entity, or belong to an event with other deliveries that are kept.
func (d *Deliveries) take(k int, records []eventlog.Record) error {
	payloads := make([][]byte, len(records))
	for i := range records {
		payloads[i] = records[i].Payload
	}
	b, err := d.in.Rows(payloads)
	if err != nil {
		return fmt.Errorf("event log after position %d of shard %d: %w", records[0].Position-1, k, err)
	}
	cols := d.cols(b)
	var item []byte
	var r row
	for i := range records {
		rec := &records[i]
		d.look(&r, cols, i)
		if d.isAhead(rec.ID, &r) {
			d.again = true
		}
		if r.wanted || d.isMixed(rec.ID) {
			item = appendRecord(item[:0], rec, k)
			if err := d.put(item, &r, rec.ID); err != nil {
				return err
			}
		}
	}
	last := &records[len(records)-1]
	d.read[k], d.last[k] = uint64(last.Position), last.Mark()
	return nil
}

func (d *Deliveries) isMixed(id string) bool {
	if id == "" || len(d.mixed) == 0 {
		return false
	}
	_, is := d.mixed[idHash(id)]
	return is
}

// isAhead reports whether a record that comes after history was read has an id that files have for an event of another entity.
func (d *Deliveries) isAhead(id string, r *row) bool {
	if id == "" || d.reading != nil || d.isMixed(id) {
		return false
	}
	whom, is := d.ahead[idHash(id)]
	return is && whom != r.whom()
}

// readOthers keeps what names no kept entity but has an id of a delivery that does, since events are resolved from all of their deliveries, and
// finds the ids with deliveries that name several entities.
func (d *Deliveries) readOthers(ctx context.Context, c *Reading) error {
	others := false
	if c.Files != nil {
		columns := d.in.Needed()
		for _, k := range d.keys {
			columns = append(columns, d.fields(k.Columns)...)
		}
		id, _ := d.src.Column(d.src.EventID)
		var r row
		err := c.Files.Columns(ctx, d.src, unique(columns), func(b *vector.Batch) error {
			cols, ids := d.cols(b), b.Col(id.Name)
			for i := range b.N {
				if d.look(&r, cols, i); !r.wanted && ids.Valid(i) && d.has(ingest.EventID(ids, i)) {
					others = true
				}
			}
			return c.Rest()
		})
		if err != nil {
			return err
		}
	}
	if others {
		if err := d.readOtherRows(ctx, c); err != nil {
			return err
		}
	}
	if err := d.readOtherRecords(ctx, c); err != nil {
		return err
	}
	d.findMixed()
	return nil
}

// has reports whether a kept delivery has an id, or another one with its hash.
func (d *Deliveries) has(id string) bool {
	_, is := d.reading[idHash(id)]
	return id != "" && is
}

func (d *Deliveries) fields(names []string) (out []plan.Field) {
	for _, name := range names {
		c, _ := d.src.Column(name)
		out = append(out, c.Field)
	}
	return out
}

func unique(fields []plan.Field) (out []plan.Field) {
	seen := map[string]bool{}
	for _, f := range fields {
		if !seen[f.Name] {
			out = append(out, f)
		}
		seen[f.Name] = true
	}
	return out
}

func (d *Deliveries) readOtherRows(ctx context.Context, c *Reading) error {
	var item []byte
	var r row
	return c.Files.Events(ctx, d.src, func(ev *kernel.Events) error {
		cols := d.cols(ev.Batch)
		for i := range ev.Batch.N {
			if d.look(&r, cols, i); r.wanted || !d.has(ev.ID[i]) {
				continue
			}
			item = appendRow(item[:0], ev.Batch, i)
			if err := d.put(item, &r, ev.ID[i]); err != nil {
				return err
			}
		}
		return c.Rest()
	})
}

// readOtherRecords does the same for the records that were read.
func (d *Deliveries) readOtherRecords(ctx context.Context, c *Reading) error {
	var item []byte
	var r row
	shards := eventlog.Shards{Source: d.src.Name, N: len(d.read)}
	for k, end := range d.read {
		err := shards.EachPage(ctx, c.Log, k, d.trimmed[k], eventlog.Position(end), func(records []eventlog.Record) error {
			var of []eventlog.Record
			for i := range records {
				if d.has(records[i].ID) {
					of = append(of, records[i])
				}
			}
			payloads := make([][]byte, len(of))
			for i := range of {
				payloads[i] = of[i].Payload
			}
			b, err := d.in.Rows(payloads)
			if err != nil {
				return err
			}
			cols := d.cols(b)
			for i := range of {
				if d.look(&r, cols, i); r.wanted {
					continue
				}
				item = appendRecord(item[:0], &of[i], k)
				if err := d.put(item, &r, of[i].ID); err != nil {
					return err
				}
			}
			return c.Rest()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findMixed makes the list of the items with mixed ids.
func (d *Deliveries) findMixed() {
	any := false
	for _, whom := range d.reading {
		any = any || whom == 0
	}
	if !any {
		return
	}
	for n := range d.places {
		hash := idHash(d.idOf(uint32(n)))
		if whom, known := d.reading[hash]; known && whom == 0 {
			d.mixed[hash] = append(d.mixed[hash], uint32(n))
		}
	}
}

// Changed reports whether what was read of the log is no longer what the log has, or cannot tell what an event is: then history has to be read again.
func (d *Deliveries) Changed(ctx context.Context, log eventlog.Log) (bool, error) {
	if d.again {
		return true, nil
	}
	shards := eventlog.Shards{Source: d.src.Name, N: len(d.read)}
	for k, p := range d.read {
		at, err := eventlog.At(ctx, log, shards.Name(k), eventlog.Position(p))
		if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
			continue // what is left of it is followed
		}
		if err != nil {
			return false, fmt.Errorf("source %s: event log: %w", d.src.Name, err)
		}
		if p > 0 && (at == nil || at.Position != eventlog.Position(p) || at.Mark() != d.last[k]) {
			return true, nil
		}
	}
	return false, nil
}

// Positions are up to where the log was read.
func (d *Deliveries) Positions() logpos.Vector { return d.read.Clone() }
