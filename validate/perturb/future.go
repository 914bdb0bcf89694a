package perturb

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// perturb makes the training set over sources with a changed future, as seen from the rows of
// the spine.
func (r *run) perturb(ctx context.Context, set *plan.TrainingSet, s *spine) (*plan.TrainingSet, error) {
	service, sources := *set.Service, map[*plan.Source]*plan.Source{}
	service.Views = slices.Clone(service.Views)
	for i := range service.Views {
		src := service.Views[i].View.Source
		if sources[src] == nil {
			changed, err := r.perturbSource(ctx, src, set.Service.Views, s)
			if err != nil {
				return nil, err
			}
			sources[src] = changed
		}
		view := *service.Views[i].View
		view.Source = sources[src]
		service.Views[i].View = &view
	}
	out := *set
	out.Service = &service
	return &out, nil
}

// perturbSource writes the rows of a source whose entities are in the spine to a file, with a
// changed future, and returns a source that reads this file.
func (r *run) perturbSource(ctx context.Context, src *plan.Source, views []plan.ViewRef, s *spine) (*plan.Source, error) {
	if src.From == "" && src.SQL == "" {
		return src, nil
	}
	in, err := ingest.NewSource(src)
	if err != nil {
		return nil, err
	}
	f := &future{run: r, source: src, fields: in.Fields()}
	for _, ref := range views {
		if ref.View.Source == src {
			f.seenBy = append(f.seenBy, observer{ref.View.KeyColumns, s.lastSeen(ref.Keys)})
		}
	}
	if err := f.findShared(ctx, in); err != nil {
		return nil, err
	}
	f.out = writer{path: filepath.Join(r.dir, src.Name+".parquet")}
	if err := f.out.beginFields(f.fields); err != nil {
		return nil, err
	}
	err = r.Reader.Scan(ctx, relation.SourceRelation(src), f.fields, func(b *relation.Batch) error {
		ev, _, err := in.Events(b.Batch, nil)
		if err != nil {
			return err
		}
		for i := range ev.Batch.N {
			if err := f.event(ev, i); err != nil {
				return err
			}
		}
		return nil
	})
	if end := f.out.end(); err == nil {
		err = end
	}
	changed := *src
	changed.From, changed.SQL, changed.CSV, changed.Paths = f.out.path, "", plan.CSV{}, nil
	return &changed, err
}

// observer is a view in a role: the key columns of its events, and for each entity of the
// spine the latest as-of time.
type observer struct {
	keys  []string
	until map[string]plan.EventTime
}

// future writes rows of a source with a changed future.
type future struct {
	*run
	source *plan.Source
	fields []plan.Field
	seenBy []observer
	// shared is, for each event id of several rows, the latest as-of time of all of them: which
	// of the rows is the event depends on all.
	shared map[string]plan.EventTime
	out    writer
	added  int
}

// findShared finds the event ids that several rows have.
func (f *future) findShared(ctx context.Context, in *ingest.Source) error {
	f.shared = map[string]plan.EventTime{}
	id, ok := f.source.Column(f.source.EventID)
	if !ok {
		return nil
	}
	rel, repeated := relation.SourceRelation(f.source), map[string]bool{}
	err := f.Reader.Repeated(ctx, rel, id.Field, func(v *vector.Vector) error {
		for i := range v.N {
			repeated[strings.Clone(ingest.EventID(v, i))] = true
		}
		return nil
	})
	if err != nil || len(repeated) == 0 {
		return err
	}
	return f.Reader.Scan(ctx, rel, f.fields, func(b *relation.Batch) error {
		ev, _, err := in.Events(b.Batch, nil)
		if err != nil {
			return err
		}
		for i, id := range ev.ID {
			if t, seen := f.until(ev.Batch, i); seen && repeated[id] {
				id = strings.Clone(id)
				if before, is := f.shared[id]; !is || before < t {
					f.shared[id] = t
				}
			}
		}
		return nil
	})
}

// event writes an event: unchanged as far as it is known before the as-of times of its entities,
// and otherwise changed or removed at random. At times it adds another event.
func (f *future) event(ev *kernel.Events, i int) error {
	until, seen := f.until(ev.Batch, i)
	if ev.ID != nil {
		if t, is := f.shared[ev.ID[i]]; is {
			until, seen = t, true
		}
	}
	if !seen && f.Log == nil {
		return nil
	}
	if !seen { // keep it, because a pushed row with the same id may have another entity
		f.result.Kept++
		return f.out.row(f.copy(ev.Batch, i))
	}
	until -= plan.EventTime(f.early)
	row := f.copy(ev.Batch, i)
	future := ev.Visible(i) >= until
	switch change := f.random.IntN(3); {
	case !future:
		if f.hide(ev, i, row, until) {
			f.result.Changed++
		} else {
			f.result.Kept++
		}
	case change == 0:
		f.result.Removed++
		row = nil
	case change == 1:
		f.result.Changed++
		f.change(row, until)
	default:
		f.result.Kept++
	}
	if row != nil {
		if err := f.out.row(row); err != nil {
			return err
		}
	}
	if odds := 8; f.random.IntN(odds) > 0 && !(future && f.random.IntN(2) == 0) {
		return nil
	}
	f.result.Added++
	more := f.copy(ev.Batch, i)
	f.change(more, until)
	f.rename(more)
	return f.out.row(more)
}

// until is the latest as-of time of an event's entities.
func (f *future) until(b *vector.Batch, i int) (latest plan.EventTime, seen bool) {
	for _, s := range f.seenBy {
		cols := make([]*vector.Vector, len(s.keys))
		for k, name := range s.keys {
			cols[k] = b.Col(name)
		}
		key, ok := entitykey.AppendRow(nil, cols, i)
		if !ok {
			continue
		}
		if t, is := s.until[string(key)]; is && (!seen || t > latest) {
			latest, seen = t, true
		}
	}
	return latest, seen
}

// copy copies a row to columns of one row.
func (f *future) copy(b *vector.Batch, i int) []*vector.Vector {
	row := make([]*vector.Vector, len(f.fields))
	for c, field := range f.fields {
		v := b.Col(field.Name).Value(i)
		if v.Kind() == plan.String { // the memory of the batch is reused
			v = plan.StringValue(strings.Clone(v.Str()))
		}
		row[c] = vector.Of(field.Type, v)
	}
	return row
}

// hide changes the late columns of a row that are known at until or later.
func (f *future) hide(ev *kernel.Events, i int, row []*vector.Vector, until plan.EventTime) (changed bool) {
	for c, field := range f.fields {
		if known, late := ev.ColumnKnown[field.Name]; late && known[i] >= until && known[i] != plan.Never && row[c].Valid(0) {
			if f.isKnownTime(field.Name) {
				f.set(row, c, plan.TimestampValue(f.later(until)))
			} else {
				f.set(row, c, f.other(field.Type, row[c].Value(0)))
			}
			changed = true
		}
	}
	return changed
}

// isKnownTime reports whether a column is the known time of another column.
func (f *future) isKnownTime(column string) bool {
	return slices.ContainsFunc(f.source.Columns, func(c plan.SourceColumn) bool {
		return c.Known != nil && c.Known.Kind == plan.KnownColumn && c.Known.Column == column
	})
}

// change changes a row to one of the same entities that is known at until or later.
func (f *future) change(row []*vector.Vector, until plan.EventTime) {
	for c, field := range f.fields {
		switch {
		case f.isKey(field.Name) || field.Name == f.source.EventID || field.Name == f.source.EventTime || field.Name == f.source.Known.Column:
		case f.isKnownTime(field.Name):
			f.set(row, c, plan.TimestampValue(f.later(until)))
		default:
			f.set(row, c, f.other(field.Type, row[c].Value(0)))
		}
	}
	at := f.later(until)
	switch k := f.source.Known; k.Kind {
	case plan.KnownColumn:
		f.setTime(row, k.Column, at)
		at = f.later(until) - plan.EventTime(f.random.Int64N(int64(30*plan.Day))) // an event time in the past
	case plan.KnownDelay:
		at -= plan.EventTime(k.Delay)
	}
	if f.source.MinTime != nil {
		at = max(at, *f.source.MinTime)
	}
	f.setTime(row, f.source.EventTime, at)
}

func (f *future) isKey(column string) bool {
	return slices.ContainsFunc(f.source.Keys, func(keys []string) bool { return slices.Contains(keys, column) })
}

// rename gives an added row a new id. At times it does not, and the row is a delivery of the
// event from which it was copied.
func (f *future) rename(row []*vector.Vector) {
	c := slices.IndexFunc(f.fields, func(x plan.Field) bool { return x.Name == f.source.EventID })
	if c < 0 || f.random.IntN(4) == 0 {
		return
	}
	f.added++
	if f.fields[c].Type.Kind == plan.Int {
		f.set(row, c, plan.IntValue(math.MinInt64+int64(f.added)))
		return
	}
	f.set(row, c, plan.StringValue(fmt.Sprintf("added by perturbation %d", f.added)))
}

// later is a time at or after until, often until itself.
func (f *future) later(until plan.EventTime) plan.EventTime {
	if f.random.IntN(3) == 0 {
		return until
	}
	return min(until+plan.EventTime(f.random.Int64N(int64(30*plan.Day))), plan.MaxTime)
}

func (f *future) setTime(row []*vector.Vector, column string, t plan.EventTime) {
	for c, field := range f.fields {
		if field.Name == column {
			f.set(row, c, plan.TimestampValue(t))
		}
	}
}

func (f *future) set(row []*vector.Vector, c int, v plan.Value) {
	row[c] = vector.Of(f.fields[c].Type, v)
}

// other is a random value of a type, at times null.
func (f *future) other(t plan.Type, v plan.Value) plan.Value {
	if f.random.IntN(8) == 0 {
		return plan.NullValue()
	}
	return otherValue(f.random, t, v)
}

func otherValue(random *rand.Rand, t plan.Type, v plan.Value) plan.Value {
	switch t.Kind {
	case plan.Bool:
		return plan.BoolValue(v.IsNull() || !v.Bool())
	case plan.Int:
		return plan.IntValue(v.Int()/2 + random.Int64N(1000) - 500)
	case plan.Double:
		if random.IntN(20) == 0 {
			return plan.DoubleValue(math.Inf(1))
		}
		return plan.DoubleValue(v.Double()*(random.Float64()-0.5) + float64(random.IntN(1000)))
	case plan.String:
		return plan.StringValue(fmt.Sprintf("perturbed %d", random.IntN(100)))
	case plan.Bytes:
		return plan.BytesValue([]byte{byte(random.IntN(256)), byte(random.IntN(256))})
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(random.Int64N(int64(plan.MaxTime) / 4)))
	case plan.Duration:
		return plan.DurationValue(time.Duration(random.Int64N(int64(time.Hour))) / 1000 * 1000)
	}
	return v
}
