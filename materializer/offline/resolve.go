package offline

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// resolver makes one event of the deliveries with one id (docs/semantics.md §2). Rows of
// files may be added in any order, those of the log in its order; nothing else affects the
// outcome.
type resolver struct {
	source *plan.Source
	late   []int // columns that can be filled
	all    bool  // keep every row, also when nothing can be filled
	byID   map[string]*deliveries
	held   int64         // bytes that byID takes, about
	file   *deliveryFile // what byID had no room for; nil: it has room for everything
	pushed int           // rows of the log so far
	buf    []byte
}

// deliveries are the rows with one id. When nothing can be filled, rows has no more than
// the first, and bodies counts all of them.
type deliveries struct {
	rows   []delivery
	bodies []bodyCount
	places map[eventlog.Digest]int // where in bodies each is, once there are more than fewBodies
}

const fewBodies = 32

type bodyCount struct {
	digest eventlog.Digest
	rows   int64
}

// delivery is a row: its columns' canonical encodings, in the source's order, and when
// it and its late columns are known.
type delivery struct {
	row       []byte
	visible   plan.EventTime
	known     plan.EventTime   // when the row arrived; Always for a row from a file
	lateKnown []plan.EventTime // of the resolver's late columns
	pushed    int              // its number among the rows of the log; 0 for a row from a file
	fills     int              // 1 if the log took the row as filling an event
}

func newResolver(s *plan.Source) *resolver {
	r := &resolver{source: s, byID: map[string]*deliveries{}}
	for c := range s.Columns {
		if s.Late(&s.Columns[c]) {
			r.late = append(r.late, c)
		}
	}
	return r
}

// addFile adds row i of a file. The batch has all columns in the source's order.
func (r *resolver) addFile(ev *kernel.Events, i int) error {
	return r.add(ev, i, delivery{known: plan.Always})
}

// addSeen is addFile for a row that arrived when Known says, which may be later than its columns do.
func (r *resolver) addSeen(ev *kernel.Events, i int) error {
	return r.add(ev, i, delivery{known: ev.Known[i]})
}

// addPushed adds row i, a record of the log. Known holds when it arrived; fills is 1 if it
// filled an event there.
func (r *resolver) addPushed(ev *kernel.Events, i, fills int) error {
	r.pushed++
	known := plan.Always
	if ev.Known != nil {
		known = ev.Known[i]
	}
	return r.add(ev, i, delivery{known: known, pushed: r.pushed, fills: fills})
}

// addAlone is addPushed for a row that nothing fills.
func (r *resolver) addAlone(ev *kernel.Events, i int) error { return r.addPushed(ev, i, 0) }

func (r *resolver) add(ev *kernel.Events, i int, d delivery) error {
	r.buf = r.buf[:0]
	for _, col := range ev.Batch.Cols {
		r.buf = plan.AppendCanonical(r.buf, col.Value(i))
	}
	d.row, d.visible = r.buf, ev.Visible(i)
	of := r.deliveriesOf(ev, i)
	if r.keepsRows() {
		d.row = bytes.Clone(r.buf)
		for _, c := range r.late {
			d.lateKnown = append(d.lateKnown, ev.ColumnKnown[r.source.Columns[c].Name][i])
		}
		of.rows = append(of.rows, d)
		return r.hold(ev, i, of, int64(len(d.row))+deliveryBytes)
	}
	known := len(of.bodies)
	of.count(r.bodyDigest(d.row), 1)
	grown := int64(len(of.bodies)-known) * bodyBytes
	if len(of.rows) == 0 || d.compare(&of.rows[0]) < 0 {
		d.row = bytes.Clone(r.buf)
		if len(of.rows) == 0 {
			grown += int64(len(d.row)) + deliveryBytes
		}
		of.rows = append(of.rows[:0], d)
	}
	return r.hold(ev, i, of, grown)
}

// About what a delivery, a body and an id take, without their bytes.
const (
	deliveryBytes = 128
	bodyBytes     = 64
	idBytes       = 96
)

// keepsRows reports whether every row of an event is needed.
func (r *resolver) keepsRows() bool { return len(r.late) > 0 || r.all }

// hold counts n bytes that byID takes more, for row i of ev, and moves everything to the file when there is no room.
func (r *resolver) hold(ev *kernel.Events, i int, of *deliveries, n int64) error {
	if of.number() > limits.Deliveries {
		return r.tooMany(ev.ID[i])
	}
	r.held += n
	if r.file == nil || r.held <= r.file.limit {
		return nil
	}
	return r.spill()
}

// number is how many rows are kept of an event.
func (of *deliveries) number() int { return max(len(of.rows), len(of.bodies)) }

// tooMany is the error for an id that cannot be one of a single event.
func (r *resolver) tooMany(id string) error {
	differ := " that differ"
	if r.keepsRows() {
		differ = ""
	}
	return fmt.Errorf("source %s: more than %d rows%s have the event id %.60q in column %q, which is the limit; an event id is that of one event: "+
		"correct the ids, or leave out event_id if the source has none", r.source.Name, limits.Deliveries, differ, id, r.source.EventID)
}

// spill moves the deliveries to the file.
func (r *resolver) spill() error {
	if err := r.file.put(r.byID); err != nil {
		return err
	}
	r.held = 0
	clear(r.byID)
	return nil
}

// deliveriesOf finds the deliveries with the id of a row; without ids each row is an event of its own.
func (r *resolver) deliveriesOf(ev *kernel.Events, i int) *deliveries {
	id := fmt.Sprintf("%012d", len(r.byID))
	if ev.ID != nil {
		id = ev.ID[i]
	}
	of := r.byID[id]
	if of == nil {
		of = &deliveries{}
		r.byID[strings.Clone(id)] = of
		r.held += idBytes + int64(len(id))
	}
	return of
}

// compare orders rows by arrival time, then by their bytes.
func (d *delivery) compare(e *delivery) int {
	return cmp.Or(cmp.Compare(d.visible, e.visible), bytes.Compare(d.row, e.row), cmp.Compare(d.known, e.known))
}

// bodyDigest is the digest of a row without the known time of its source.
func (r *resolver) bodyDigest(row []byte) eventlog.Digest {
	if r.source.Known.Kind != plan.KnownColumn {
		return eventlog.DigestOf(row)
	}
	var body []byte
	for c, value := range r.columns(row) {
		if r.source.Columns[c].Name != r.source.Known.Column {
			body = append(body, value...)
		}
	}
	return eventlog.DigestOf(body)
}

// columns splits a row into the encodings of its columns.
func (r *resolver) columns(row []byte) [][]byte {
	out := make([][]byte, len(r.source.Columns))
	for c := range out {
		_, rest, err := plan.DecodeCanonical(row)
		if err != nil {
			panic("offline: a value does not survive its own encoding: " + err.Error())
		}
		out[c], row = row[:len(row)-len(rest)], rest
	}
	return out
}

func (of *deliveries) count(d eventlog.Digest, rows int64) {
	if i := of.place(d); i >= 0 {
		of.bodies[i].rows += rows
		return
	}
	of.bodies = append(of.bodies, bodyCount{d, rows})
	switch n := len(of.bodies); {
	case of.places != nil:
		of.places[d] = n - 1
	case n > fewBodies:
		of.places = make(map[eventlog.Digest]int, 2*n)
		for i, b := range of.bodies {
			of.places[b.digest] = i
		}
	}
}

// place is where a digest is in bodies, -1 if it is not there.
func (of *deliveries) place(d eventlog.Digest) int {
	if of.places == nil {
		return slices.IndexFunc(of.bodies, func(b bodyCount) bool { return b.digest == d })
	}
	if i, ok := of.places[d]; ok {
		return i
	}
	return -1
}

// resolved is the event that deliveries made.
type resolved struct {
	columns   [][]byte
	known     plan.EventTime   // when its first delivery arrived; Always from a file
	lateKnown []plan.EventTime // the same for the late columns, in the resolver's order
	// Counts of the other rows.
	filled, redelivered, conflicts int64
}

// resolve makes one event of the deliveries with one id.
func (r *resolver) resolve(of *deliveries) resolved {
	if r.keepsRows() {
		return r.fold(of.rows)
	}
	first := &of.rows[0]
	out := resolved{columns: r.columns(first.row), known: first.known, redelivered: -1}
	stands := r.bodyDigest(first.row)
	for _, b := range of.bodies {
		out.redelivered += b.rows
		if b.digest != stands {
			out.conflicts += b.rows
		}
	}
	return out
}

// each calls f with the events and their arrival times, as batches of at most n rows with all
// columns, in the order of their ids or, if they had no room in memory, by their hashes, and counts the
// other rows.
func (r *resolver) each(n int, counts *HistoryCounts, f func(b *vector.Batch, from *ingest.Arrivals) error) error {
	if r.file == nil || !r.file.used {
		return r.eachHeld(n, counts, f)
	}
	if err := r.spill(); err != nil {
		return err
	}
	for part := range r.file.parts {
		if err := r.file.take(part, r); err != nil {
			return err
		}
		if err := r.eachHeld(n, counts, f); err != nil {
			return err
		}
		clear(r.byID)
		r.held = 0
	}
	return nil
}

// eachHeld is each for what is in memory.
func (r *resolver) eachHeld(n int, counts *HistoryCounts, f func(b *vector.Batch, from *ingest.Arrivals) error) error {
	fields := r.fields()
	for rest := slices.Sorted(maps.Keys(r.byID)); len(rest) > 0; {
		ids := rest[:r.batch(rest, n)]
		rest = rest[len(ids):]
		b := vector.NewBatch(fields, len(ids))
		from := &ingest.Arrivals{Row: make([]plan.EventTime, len(ids)), Column: map[string][]plan.EventTime{}}
		for _, c := range r.late {
			from.Column[fields[c].Name] = make([]plan.EventTime, len(ids))
		}
		for i, id := range ids {
			e := r.resolve(r.byID[id])
			from.Row[i] = e.known
			for l, c := range r.late {
				from.Column[fields[c].Name][i] = e.lateKnown[l]
			}
			if err := setRow(b, i, e.columns); err != nil {
				return fmt.Errorf("event %q: %w", id, err)
			}
			counts.Filled += e.filled
			counts.Redelivered += e.redelivered
			counts.Conflicts += e.conflicts
		}
		if err := f(b, from); err != nil {
			return err
		}
	}
	return nil
}

// batch is how many of the events with the given ids make one batch: at most n, and fewer if their rows are long.
func (r *resolver) batch(ids []string, n int) int {
	bytes := 0
	for i, id := range ids[:min(n, len(ids))] {
		if bytes += len(r.byID[id].rows[0].row); bytes > eventlog.PageBytes {
			return i + 1
		}
	}
	return min(n, len(ids))
}

// fields is all columns of the source, in its order.
func (r *resolver) fields() []plan.Field {
	fields := make([]plan.Field, len(r.source.Columns))
	for c := range fields {
		fields[c] = r.source.Columns[c].Field
	}
	return fields
}

// setRow sets row i to the encodings of its columns.
func setRow(b *vector.Batch, i int, columns [][]byte) error {
	for c, value := range columns {
		v, _, err := plan.DecodeCanonical(value)
		if err != nil {
			return err
		}
		b.Cols[c].Set(i, v)
	}
	return nil
}
