package offline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// History is all events of a source: the rows of its relation and, of a stream,
// the records of its event log.
type History struct {
	Reader  *relation.Reader
	Rows    Rows         // instead of the rows of the source's files; nil: Reader reads these
	Log     eventlog.Log // nil: without pushed events
	Source  *plan.Source
	Columns []string        // what the views read; time, known-time and id columns are always read
	Final   bool            // every event known when it happened (--as-of final)
	Early   plan.Micros     // events and late columns are known so much earlier, but not before they happened
	Until   *logpos.Vector  // read the log no further; nil: to its end when reading begins
	To      *plan.EventTime // leave out rows of files that are visible at or after it; nil: none
	Ledger  *ledger.Source  // events arrive when serving could see them; nil: when the definitions say

	suspects     idSet // what an earlier Read found, with the log up to suspectsEnd
	registered   idSet // of these, those whose events the log has from files, perhaps of another time
	suspectsEnd  logpos.Vector
	haveSuspects bool

	memory  int64    // bytes for ids, and for rows with repeated ids; 0: no limit
	scratch *scratch // of rows with repeated ids that have no room
}

// bound limits the memory for ids and for rows with repeated ids; more of these go to a file.
func (h *History) bound(memory int64, to *scratch) {
	h.memory, h.scratch = memory, to
}

// HistoryCounts says what became of the rows of a source.
type HistoryCounts struct {
	ingest.Counts
	Filled      int64         // rows that filled late columns of an event that came with another row
	Redelivered int64         // rows that brought nothing new to the event with their id
	Conflicts   int64         // rows of which something was refused, because it contradicts another row with their id
	LogEnd      logpos.Vector // the last record read of each shard
	In1970      int64         // rows of files whose event time looks like seconds or milliseconds taken for microseconds
	First1970   string        // where the first of them is
	delays      *delayCounts  // of rows, as of a ledger; nil without one
}

// Read calls f with every event once, and with the rows that fill late columns, in batches
// that are valid during the call. A second Read does not look for repeated ids again; the
// files must not have changed. Reads of one History must not overlap.
//
// Rows with one event id, in files or in the log, are deliveries of one event
// (docs/semantics.md §2); neither the order of files nor the number of threads decides.
// Rows whose id occurs once in the files stream through, and so do those of the log whose
// ids occur in no file; the others are kept in memory until the end.
func (h *History) Read(ctx context.Context, f func(*kernel.Events) error) (HistoryCounts, error) {
	return h.ReadParallel(ctx, 1, func(_ int, _ kernel.Place, ev *kernel.Events) error { return f(ev) })
}

// ReadBy is Read by several workers, numbered from 0, that call f concurrently.
func (h *History) ReadBy(ctx context.Context, workers int, f func(worker int, ev *kernel.Events) error) (HistoryCounts, error) {
	return h.ReadParallel(ctx, workers, func(worker int, _ kernel.Place, ev *kernel.Events) error { return f(worker, ev) })
}

// ReadParallel is Read by several workers, numbered from 0, that call f concurrently. at is
// the position of the batch in the history.
func (h *History) ReadParallel(ctx context.Context, workers int, f func(worker int, at kernel.Place, ev *kernel.Events) error) (HistoryCounts, error) {
	end, err := h.logEnd(ctx)
	if err != nil {
		return HistoryCounts{}, err
	}
	r := &historyReader{History: h, f: f, counts: HistoryCounts{LogEnd: end}, resolve: newResolver(h.Source)}
	if h.scratch != nil && h.memory > 0 {
		r.resolve.file = &deliveryFile{scratch: h.scratch, limit: h.memory / 2}
	}
	r.diverted.room = h.memory / 6
	for range max(1, workers) {
		in, err := ingest.NewSource(h.Source)
		if err != nil {
			return HistoryCounts{}, err
		}
		w := historyWorker{in: in}
		if h.Ledger != nil {
			w.delays = &delayCounts{}
		}
		r.workers = append(r.workers, w)
	}
	if h.Ledger != nil {
		r.counts.delays = &delayCounts{}
	}
	r.in = r.workers[0].in
	err = r.read(ctx)
	return r.counts, err
}

// logEnd is the position of the last record to read from each shard of the source's log.
func (h *History) logEnd(ctx context.Context) (logpos.Vector, error) {
	if h.Log == nil || !h.Source.Stream {
		return nil, nil
	}
	if h.Until != nil {
		return *h.Until, nil
	}
	shards, err := eventlog.NewLayouts(h.Log).Find(ctx, h.Source.Name)
	if err != nil {
		return nil, err
	}
	end, err := shards.Ends(ctx, h.Log)
	if err != nil {
		return nil, fmt.Errorf("source %s: event log: %w", h.Source.Name, err)
	}
	return end, nil
}

// resolvedRows is how many events that were resolved from several rows are emitted at a time, at most.
const resolvedRows = 2048

type historyReader struct {
	*History
	in       *ingest.Source // of the first worker
	f        func(worker int, at kernel.Place, ev *kernel.Events) error
	workers  []historyWorker
	counts   HistoryCounts
	mu       sync.Mutex
	diverted idSet // suspects that files hold; guarded by mu while they are read
	resolve  *resolver
	after    int64 // events emitted after those of the files so far

	first1970 kernel.Place
}

// historyWorker is the state of one of the workers that read files.
type historyWorker struct {
	in     *ingest.Source
	counts ingest.Counts

	delays *delayCounts

	in1970    int64 // rows with a time in 1970, and the first of them
	first1970 kernel.Place
	where1970 string
}

func (r *historyReader) read(ctx context.Context) error {
	if r.Source.EventID != "" {
		if err := r.findSuspects(ctx); err != nil {
			return err
		}
	}
	if err := r.readFiles(ctx); err != nil {
		return err
	}
	if err := r.readDiverted(ctx); err != nil {
		return err
	}
	if err := r.readLog(ctx, r.logged); err != nil {
		return err
	}
	return r.readResolved(ctx)
}

func (h *History) hasFiles() bool { return h.Source.From != "" || h.Source.SQL != "" }

func (r *historyReader) relation() relation.Relation { return relation.SourceRelation(r.Source) }

// findSuspects collects ids that may occur more than once: those that occur repeatedly in
// the files, and all ids of the log.
func (r *historyReader) findSuspects(ctx context.Context) error {
	if r.haveSuspects && r.suspectsEnd.Equal(r.counts.LogEnd) {
		return nil
	}
	r.suspects.clear()
	r.registered.clear()
	r.suspects.room, r.registered.room = r.memory/6, r.memory/6
	if r.hasFiles() {
		id, _ := r.Source.Column(r.Source.EventID)
		err := r.repeated(ctx, id.Field, func(v *vector.Vector) error {
			for i := range v.N {
				r.suspects.add(ingest.EventID(v, i))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	err := r.readLog(ctx, func(records []eventlog.Record) error {
		for _, rec := range records {
			r.suspects.add(rec.ID)
			if slices.ContainsFunc(rec.Versions, func(v eventlog.Version) bool { return v.Position == 0 }) {
				r.registered.add(rec.ID)
			}
		}
		return nil
	})
	r.suspectsEnd, r.haveSuspects = r.counts.LogEnd, err == nil
	return err
}

// readFiles streams the rows of the relation and diverts those with suspect ids.
func (r *historyReader) readFiles(ctx context.Context) error {
	if !r.hasFiles() {
		return nil
	}
	columns := r.in.Needed(r.Columns...)
	if r.relation().IsText() {
		columns = r.in.Fields()
	}
	err := r.scanParallel(ctx, columns, func(worker int, b *relation.Batch) error {
		w := &r.workers[worker]
		ev, counts, err := w.in.Events(b.Batch, nil)
		w.counts.Add(counts)
		w.suspect(b)
		if err != nil {
			return inFile(b, err)
		}
		ev = r.seen(r.beforeTo(ev), w.delays)
		if !r.suspects.empty() {
			ev = without(ev, func(i int) bool { return r.divert(ev.ID[i]) })
		}
		return r.emit(worker, kernel.Place{File: b.File, Row: b.First}, ev)
	})
	for i := range r.workers {
		r.workers[i].addTo(r)
	}
	return err
}

// divert reports whether an id is suspect, and adds it to those that files hold.
func (r *historyReader) divert(id string) bool {
	if !r.suspects.has(id) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.diverted.add(id)
	return true
}

// suspect counts the rows of a batch with a time in 1970.
func (w *historyWorker) suspect(b *relation.Batch) {
	n, first := w.in.Scaled(b.Batch)
	if n == 0 {
		return
	}
	at := kernel.Place{File: b.File, Row: b.First + int64(first)}
	if w.in1970 == 0 || at.Before(w.first1970) {
		w.first1970, w.where1970 = at, b.Where(first)
	}
	w.in1970 += int64(n)
}

// addTo adds what a worker counted.
func (w *historyWorker) addTo(r *historyReader) {
	r.counts.Add(w.counts)
	if w.delays != nil {
		r.counts.delays.merge(w.delays)
	}
	if w.in1970 > 0 && (r.counts.In1970 == 0 || w.first1970.Before(r.first1970)) {
		r.first1970, r.counts.First1970 = w.first1970, w.where1970
	}
	r.counts.In1970 += w.in1970
}

// beforeTo leaves out events visible at or after To.
func (r *historyReader) beforeTo(ev *kernel.Events) *kernel.Events {
	if r.To == nil {
		return ev
	}
	return VisibleBefore(ev, *r.To)
}

// VisibleBefore returns ev without the events visible at or after t; ev itself when
// there are none.
func VisibleBefore(ev *kernel.Events, t plan.EventTime) *kernel.Events {
	return without(ev, func(i int) bool { return ev.Visible(i) >= t })
}

// seen makes rows of files arrive when the ledger says that serving could see them, and counts by how much later that is.
func (h *History) seen(ev *kernel.Events, delays *delayCounts) *kernel.Events {
	if h.Ledger == nil {
		return ev
	}
	visible := make([]plan.EventTime, ev.Batch.N)
	for i := range visible {
		visible[i] = ev.Visible(i)
	}
	for _, times := range ev.ColumnKnown {
		for i, k := range times {
			times[i] = h.Ledger.InFiles(k)
		}
	}
	for i, v := range visible {
		visible[i] = h.Ledger.InFiles(v)
		if delays != nil {
			delays.add(v, visible[i])
		}
	}
	ev.Known = visible
	return ev
}

// seenRecords does the same for records of the log, and for what it had of their events.
func (r *historyReader) seenRecords(records []eventlog.Record) []eventlog.Record {
	h := r.History
	if h.Ledger == nil {
		return records
	}
	out := slices.Clone(records)
	for i := range out {
		out[i].Appended = h.Ledger.Logged(records[i].Appended)
		r.counts.delays.add(records[i].Appended, out[i].Appended)
		out[i].Versions = slices.Clone(out[i].Versions)
		for k := range out[i].Versions {
			v := &out[i].Versions[k]
			if v.Position == 0 { // registered, from files
				v.Known = h.Ledger.InFiles(v.Known)
			} else {
				v.Known = h.Ledger.Logged(v.Known)
			}
		}
	}
	return out
}

// readDiverted reads all columns of the diverted rows, since whole rows are compared.
func (r *historyReader) readDiverted(ctx context.Context) error {
	if r.diverted.empty() {
		return nil
	}
	return r.scan(ctx, r.in.Fields(), func(b *relation.Batch) error {
		ev, _, err := r.in.Events(b.Batch, nil)
		if err != nil {
			return inFile(b, err)
		}
		ev = r.seen(r.beforeTo(ev), nil) // counted before
		for i := range ev.Batch.N {
			if !r.diverted.has(ev.ID[i]) {
				continue
			}
			add := r.resolve.addFile
			if r.Ledger != nil {
				add = r.resolve.addSeen
			}
			if err := add(ev, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// logged emits the events of log records and the rows that fill them. Records whose ids
// occur in the files, or did when they were registered, go to the resolver.
func (r *historyReader) logged(records []eventlog.Record) error {
	records = r.seenRecords(records)
	var diverted, rest []eventlog.Record
	for _, rec := range records {
		if r.diverted.has(rec.ID) || r.registered.has(rec.ID) {
			diverted = append(diverted, rec)
		} else {
			rest = append(rest, rec)
		}
	}
	if err := r.resolvePushed(diverted); err != nil {
		return err
	}
	b, from, err := r.in.Read(rest)
	if err != nil {
		return fmt.Errorf("event log after position %d: %w", records[0].Position-1, err)
	}
	ev, err := r.loggedEvents(rest, b, from)
	if err != nil {
		return err
	}
	r.counts.Filled += int64(ev.Filling.Count())
	return r.emitAfterFiles(ev)
}

// resolvePushed adds records to the resolver as they were pushed. Each arrived at its time in
// the log, and after what the log already had of its event. A late column that the log had from
// files is not known before the time that they said.
func (r *historyReader) resolvePushed(records []eventlog.Record) error {
	if len(records) == 0 {
		return nil
	}
	payloads := make([][]byte, len(records))
	from := &ingest.Arrivals{Row: make([]plan.EventTime, len(records)), Column: r.registeredTimes(records), Filling: vector.NewBitmap(len(records))}
	for i, rec := range records {
		payloads[i], from.Row[i] = rec.Payload, rec.Appended
		if rec.Versions != nil {
			from.Row[i] = eventlog.Arrived(rec.Versions)
			from.Filling.Set(i)
		}
	}
	b, err := r.in.Rows(payloads)
	if err != nil {
		return fmt.Errorf("event log after position %d: %w", records[0].Position-1, err)
	}
	ev, err := r.loggedEvents(records, b, from)
	if err != nil {
		return err
	}
	for i := range ev.Batch.N {
		fills := 0
		if ev.Fills(i) {
			fills = 1
		}
		if err := r.resolve.addPushed(ev, i, fills); err != nil {
			return err
		}
	}
	return nil
}

// registeredTimes is when the late columns of records are known as the files said of which the
// log had them.
func (r *historyReader) registeredTimes(records []eventlog.Record) map[string][]plan.EventTime {
	out := map[string][]plan.EventTime{}
	for _, c := range r.resolve.late {
		name := r.Source.Columns[c].Name
		out[name] = make([]plan.EventTime, len(records))
		for i := range records {
			out[name][i] = eventlog.RegisteredKnown(records[i].Versions, name)
		}
	}
	return out
}

// loggedEvents makes events of the rows of records.
func (r *historyReader) loggedEvents(records []eventlog.Record, b *vector.Batch, from *ingest.Arrivals) (*kernel.Events, error) {
	ev, counts, _, err := r.in.Logged(b, from)
	r.counts.Add(counts)
	if bad := (*ingest.BadRow)(nil); errors.As(err, &bad) {
		return nil, fmt.Errorf("source %s: event log, position %d, %s", r.Source.Name, records[bad.Row].Position, bad.What())
	}
	return ev, err
}

// readLog calls f with the log's records up to the positions where reading began, shard by shard.
func (r *historyReader) readLog(ctx context.Context, f func([]eventlog.Record) error) error {
	shards := eventlog.Shards{Source: r.Source.Name, N: max(1, len(r.counts.LogEnd))}
	for k, end := range r.counts.LogEnd {
		if err := r.readShard(ctx, shards.Name(k), eventlog.Position(end), f); err != nil {
			return err
		}
	}
	return nil
}

func (r *historyReader) readShard(ctx context.Context, shard string, end eventlog.Position, f func([]eventlog.Record) error) error {
	var pages eventlog.Paging
	for after := eventlog.Position(0); after < end; {
		records, err := r.Log.Read(ctx, shard, after, pages.Next(end-after))
		if err != nil {
			return fmt.Errorf("source %s: event log: %w", r.Source.Name, err)
		}
		if len(records) == 0 {
			return fmt.Errorf("source %s: event log: no record after position %d of %s, though its end was %d", r.Source.Name, after, shard, end)
		}
		after = records[len(records)-1].Position
		pages.Read(records)
		if err := f(records); err != nil {
			return err
		}
	}
	return nil
}

// readResolved emits the events that were resolved from several rows.
func (r *historyReader) readResolved(ctx context.Context) error {
	return r.resolve.each(resolvedRows, &r.counts, func(b *vector.Batch, from *ingest.Arrivals) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		ev, _, err := r.in.Events(b, from)
		if err != nil {
			return err
		}
		return r.emitAfterFiles(ev)
	})
}

// emitAfterFiles emits events that come after those of the files.
func (r *historyReader) emitAfterFiles(ev *kernel.Events) error {
	at := kernel.Place{File: math.MaxInt32, Row: r.after}
	r.after += int64(ev.Batch.N)
	return r.emit(0, at, ev)
}

func (r *historyReader) emit(worker int, at kernel.Place, ev *kernel.Events) error {
	if ev.Batch.N == 0 {
		return nil
	}
	switch {
	case r.Final:
		final(ev)
	case r.Early > 0:
		early(ev, r.Early)
	}
	return r.f(worker, at, ev)
}

// early makes every event and every late column known earlier. Read as of T, the events then are what
// was known of the events before T at T and so much time.
func early(ev *kernel.Events, by plan.Micros) {
	for i, k := range ev.Known {
		ev.Known[i] = knownEarly(k, ev.Time[i], by)
	}
	for _, times := range ev.ColumnKnown {
		for i, k := range times {
			times[i] = knownEarly(k, ev.Time[i], by)
		}
	}
}

func knownEarly(k, t plan.EventTime, by plan.Micros) plan.EventTime {
	if k == plan.Never {
		return k
	}
	return max(t, k-plan.EventTime(by))
}

// final makes every event and every late column known at the event time.
func final(ev *kernel.Events) {
	ev.Known = nil
	for _, times := range ev.ColumnKnown {
		for i, k := range times {
			if k != plan.Never {
				times[i] = ev.Time[i]
			}
		}
	}
}

func inFile(b *relation.Batch, err error) error {
	if bad := (*ingest.BadRow)(nil); errors.As(err, &bad) {
		return fmt.Errorf("%s, %s", b.Where(bad.Row), bad.What())
	}
	return err
}

// without returns ev without the rows for which drop is true, or ev itself if there are
// none. drop is called in the order of rows.
func without(ev *kernel.Events, drop func(i int) bool) *kernel.Events {
	keep := make([]int, 0, ev.Batch.N)
	for i := range ev.Batch.N {
		if !drop(i) {
			keep = append(keep, i)
		}
	}
	if len(keep) == ev.Batch.N {
		return ev
	}
	out := &kernel.Events{Batch: ingest.Take(nil, ev.Batch, keep), Time: pick(ev.Time, keep), Known: pick(ev.Known, keep), ID: pick(ev.ID, keep)}
	for name, times := range ev.ColumnKnown {
		if out.ColumnKnown == nil {
			out.ColumnKnown = map[string][]plan.EventTime{}
		}
		out.ColumnKnown[name] = pick(times, keep)
	}
	if ev.Filling != nil {
		out.Filling, out.KnownBefore = ingest.TakeBits(ev.Filling, keep), ingest.TakeEach(ev.KnownBefore, keep)
	}
	return out
}

// pick copies the elements at the given indexes; nil for nil.
func pick[E any](s []E, rows []int) []E {
	if s == nil {
		return nil
	}
	out := make([]E, len(rows))
	for to, from := range rows {
		out[to] = s[from]
	}
	return out
}

// ViewHistory is the history of the source of views with the columns that they read, and the log up to the given positions.
func ViewHistory(r *relation.Reader, log eventlog.Log, until logpos.Vector, views ...*plan.View) *History {
	h := &History{Reader: r, Log: log, Source: views[0].Source, Until: &until}
	for _, v := range views {
		h.Columns = append(h.Columns, viewColumns(v)...)
	}
	return h
}

// viewColumns lists the columns of the source that a view reads, some perhaps twice.
func viewColumns(v *plan.View) []string {
	cols := slices.Clone(v.KeyColumns)
	for i := range v.Slots {
		s := &v.Slots[i]
		cols = append(cols, plan.Columns(s.Arg, s.By, s.Group, s.Filter)...)
	}
	return cols
}
