package offline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/archive"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/online"
)

// orders have late columns; %s is the known time of the source.
const orders = `
kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: orders
from: orders-*.parquet
stream: true
event_time: ts
event_id: id
%s
max_ahead: 365d
columns:
  id: {type: string}
  ts: {type: timestamp}
  user: {type: int}
  seen: {type: timestamp}
  amount: {type: double}
  returned: {type: bool, outcome: true, known_at: returned_at}
  returned_at: {type: timestamp}
  fee: {type: double, known_at: {delay: 1m}}
  grade: {type: int, known_at: graded_at}
  graded_at: {type: timestamp, known_at: graded_at}
---
kind: FeatureView
name: spend
entity: user
source: orders
features:
  orders: count()
  spent: sum(amount, "1h")
  seen: latest(seen)
  returns: count().where(returned)
  kept: count().where(!returned)
  fees: 'sum(fee, "1d")'
  graded: 'latest_n(grade, 5)'
  good_fees: sum(fee).where(returned && grade > 1)
  settled: count().where(returned || fee >= 0.0)
  fees_and_grades: sum(fee + double(grade))
  when: latest(graded_at)
`

const second = plan.EventTime(plan.Second)

// orderRow is a row of orders by name.
type orderRow = map[string]plan.Value

// orderBook is a project of orders: files, a log and a store under a clock that the test moves.
type orderBook struct {
	t      failer
	dir    string
	plan   *plan.Plan
	reader *relation.Reader
	on     *backend.Backend
	now    atomic.Int64
	kept   []oracle.Event // of the files, and what the log took
	ledger *ledger.Source // nil: events arrive when the definitions say
}

// logged is when serving could see what the log stored at a time.
func (s *orderBook) logged(at plan.EventTime) plan.EventTime {
	if s.ledger == nil {
		return at
	}
	return s.ledger.Logged(at)
}

// inFiles is when serving could see what files have from a time on.
func (s *orderBook) inFiles(at plan.EventTime) plan.EventTime {
	if s.ledger == nil {
		return at
	}
	return s.ledger.InFiles(at)
}

func (s *orderBook) clock() plan.EventTime { return plan.EventTime(s.now.Load()) }

func (s *orderBook) source() *plan.Source { return s.plan.Sources[0] }

func (s *orderBook) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// open empties the project of a test and opens it.
func openBook(t failer, p *project, defined *plan.Plan, open backend.Opener) (*orderBook, func()) {
	s := &orderBook{t: t, dir: p.dir, plan: defined}
	s.now.Store(int64(midnight))
	old, err := filepath.Glob(filepath.Join(p.dir, "orders-*.parquet"))
	s.check(err)
	for _, file := range old {
		s.check(os.Remove(file))
	}
	s.reader, err = relation.Open(relation.Options{BaseDir: p.dir, Threads: 2})
	s.check(err)
	s.on, err = open(context.Background(), s.clock)
	s.check(err)
	return s, func() { s.check(errors.Join(s.on.Close(), s.reader.Close())) }
}

func (s *orderBook) event(row orderRow) oracle.Event {
	s.t.Helper()
	e, err := oracle.NewEvent(s.source(), row, false)
	s.check(err)
	return e
}

// writeFile makes a file of rows.
func (s *orderBook) writeFile(p *project, name string, rows []orderRow) {
	var fields []plan.Field
	for _, c := range s.source().Columns {
		fields = append(fields, c.Field)
	}
	var out [][]plan.Value
	for _, row := range rows {
		values := make([]plan.Value, len(fields))
		for c, f := range fields {
			values[c] = row[f.Name]
		}
		out = append(out, values)
		e := s.event(row)
		visible := max(e.Time, e.Known)
		e.Known = s.inFiles(visible)
		for column, known := range e.ColumnKnown {
			e.ColumnKnown[column] = s.inFiles(max(visible, known))
		}
		s.kept = append(s.kept, e)
	}
	p.write(s.t, name, fields, out)
}

// push pushes rows and keeps what the log takes, with when it arrived.
func (s *orderBook) push(rows ...orderRow) []ingest.Outcome {
	s.t.Helper()
	in, err := online.NewIngester(s.plan, s.on.Log, s.clock)
	s.check(err)
	var fields []plan.Field
	for _, c := range s.source().Columns {
		fields = append(fields, c.Field)
	}
	b := vector.NewBatch(fields, len(rows))
	for i, row := range rows {
		for c, f := range fields {
			b.Cols[c].Set(i, row[f.Name])
		}
	}
	answers, err := in.Push(context.Background(), "orders", b)
	s.check(err)
	var outcomes []ingest.Outcome
	for i, a := range answers {
		outcomes = append(outcomes, a.Outcome)
		if a.Outcome != ingest.Appended && a.Outcome != ingest.Filled {
			continue
		}
		e := s.event(rows[i])
		e.Known, e.Position = max(e.Known, s.logged(s.clock())), int(a.Position)
		record, err := s.on.Log.Read(context.Background(), "orders", eventlog.Position(a.Position)-1, 1)
		s.check(err)
		if v := record[0].Versions; v != nil {
			event, own := s.inFiles(v[0].Known), s.logged(v[len(v)-1].Known)
			if v[0].Position > 0 {
				event = s.logged(v[0].Known)
			}
			e.Known, e.Fills = max(e.Known, event, own), true // not before the event as the log knew it
			for column, known := range e.ColumnKnown {
				if registered := eventlog.RegisteredKnown(v, column); registered != plan.Always {
					e.ColumnKnown[column] = max(known, s.inFiles(registered))
				}
			}
		}
		s.kept = append(s.kept, e)
	}
	return outcomes
}

func (s *orderBook) history() *History {
	return &History{Reader: s.reader, Log: s.on.Log, Source: s.source(), Columns: viewColumns(s.plan.Views[0]), Ledger: s.ledger}
}

// materialize registers the files and builds the state from them and the log.
func (s *orderBook) materialize() {
	s.t.Helper()
	var none logpos.Vector
	files := &History{Reader: s.reader, Source: s.source(), Until: &none}
	for _, c := range s.source().Columns {
		files.Columns = append(files.Columns, c.Name)
	}
	ctx := context.Background()
	s.check(RegisterIDs(ctx, s.on.Log, s.source(), plan.Never, s.source().DedupWindow, func(ctx context.Context, f func(*kernel.Events) error) error {
		_, err := files.Read(ctx, f)
		return err
	}))
	b := &Backfill{
		View: s.plan.Views[0], Store: s.on.Store, Log: s.on.Log, Clock: s.clock, To: plan.Never, Full: true,
		History: func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
			_, err := ViewHistory(s.reader, s.on.Log, until, s.plan.Views[0]).ReadBy(ctx, workers, f)
			return err
		},
	}
	_, err := b.Run(ctx)
	s.check(err)
}

func (s *orderBook) catchUp() {
	s.t.Helper()
	s.catchUpAs(3, 0)
}

// catchUpAs applies the log on a server that has just started, with the given batch size. Its
// clock may differ from that of the log.
func (s *orderBook) catchUpAs(batch int, ahead plan.EventTime) {
	s.t.Helper()
	a, err := online.New(online.Config{
		Plan: s.plan, Log: s.on.Log, Store: s.on.Store, Batch: batch, Clock: func() plan.EventTime { return s.clock() + ahead },
	})
	s.check(err)
	s.check(a.CatchUp(context.Background()))
}

// states is the live states as of a time, without their positions.
func (s *orderBook) states(at plan.EventTime) map[string]string {
	s.t.Helper()
	g, err := registry.Live(context.Background(), s.on.Store, s.plan.Views[0])
	s.check(err)
	k, err := kernel.NewView(s.plan.Views[0])
	s.check(err)
	out := map[string]string{}
	s.check(s.on.Store.Scan(context.Background(), g.Prefix(), func(key, value []byte) error {
		state := k.NewState()
		if err := state.Decode(value); err != nil {
			return err
		}
		state.Fold(at)
		state.SetApplied(nil)
		out[string(key[len(g.Prefix()):])] = string(state.Append(nil))
		return nil
	}))
	return out
}

// users that orders are drawn of, and one without any.
var users = []plan.Value{plan.IntValue(1), plan.IntValue(2), plan.IntValue(3)}

// expect compares what a replay of a history gives at the times with the oracle's answers.
func (s *orderBook) expect(h *History, kept []oracle.Event, times []plan.EventTime) {
	s.t.Helper()
	v := s.plan.Views[0]
	keys, at := vector.New(plan.T(plan.Int), len(users)*len(times)), make([]plan.EventTime, len(users)*len(times))
	for i := range at {
		keys.Set(i, users[i%len(users)])
		at[i] = times[i/len(users)]
	}
	whole, err := kernel.NewWhole(v, []*vector.Vector{keys}, at, 2)
	s.check(err)
	_, err = h.Read(context.Background(), whole.Add)
	s.check(err)
	s.check(whole.Results(func(from int, features *kernel.Features) error {
		for i := range features.N {
			want, err := oracle.New().View(v, kept, []plan.Value{users[(from+i)%len(users)]}, at[from+i])
			if err != nil {
				return err
			}
			for c, w := range want {
				got := fmt.Sprint(features.Cols[c].Vec.Value(i), " ", features.Cols[c].Status[i])
				if text := fmt.Sprint(w.Value, " ", w.Status); got != text {
					return fmt.Errorf("%s of user %v at %v is %s, the oracle says %s", w.Name, users[(from+i)%len(users)], at[from+i], got, text)
				}
			}
		}
		return nil
	}))
}

// moments are the times at which something of the events comes to be known, and just after.
func moments(kept []oracle.Event) []plan.EventTime {
	times := []plan.EventTime{midnight + 1000*second}
	for _, e := range kept {
		times = append(times, max(e.Time, e.Known))
		for k := range maps.Values(e.ColumnKnown) {
			times = append(times, k, max(k, e.Known))
		}
	}
	slices.Sort(times)
	times = slices.DeleteFunc(slices.Compact(times), func(t plan.EventTime) bool { return t == plan.Never })
	for _, t := range times {
		times = append(times, t+1)
	}
	return times
}

// drawOrders is deliveries of some orders in random order, with late columns missing or filled,
// some of which may contradict each other, and perhaps each with a known time of its own.
func drawOrders(t *rapid.T, sent, conflicts bool) []orderRow {
	some := func(n int, what string) bool { return rapid.IntRange(0, n-1).Draw(t, what) == 0 }
	late := func(what string) plan.Value {
		return plan.TimestampValue(midnight + plan.EventTime(rapid.Int64Range(-5, 60).Draw(t, what))*second)
	}
	var out []orderRow
	for i := range rapid.IntRange(1, 4).Draw(t, "orders") {
		full := orderRow{
			"id": plan.StringValue(fmt.Sprint("o", i)), "user": plan.IntValue(rapid.Int64Range(1, 2).Draw(t, "user")), "ts": late("ts"),
			"seen": late("seen"), "amount": plan.DoubleValue(float64(i) + 0.5), "returned": plan.BoolValue(rapid.Bool().Draw(t, "returned")),
			"returned_at": late("returned at"), "fee": plan.DoubleValue(float64(i)), "grade": plan.IntValue(int64(i)), "graded_at": late("graded at"),
		}
		for range rapid.IntRange(1, 5).Draw(t, "deliveries") {
			d := maps.Clone(full)
			for _, names := range [][]string{{"returned", "returned_at"}, {"fee"}, {"grade", "graded_at"}} {
				if rapid.Bool().Draw(t, "missing "+names[0]) {
					for _, c := range names {
						d[c] = plan.NullValue()
					}
				}
			}
			if sent {
				d["seen"] = late("seen")
			}
			if conflicts && some(5, "other outcome") && !d["returned"].IsNull() {
				d["returned"], d["returned_at"] = plan.BoolValue(!d["returned"].Bool()), late("returned at")
			}
			if conflicts && some(6, "other amount") {
				d["amount"] = plan.DoubleValue(77)
			}
			out = append(out, d)
		}
	}
	return rapid.Permutation(out).Draw(t, "order")
}

// onBooks runs a property for sources with and without known times of their deliveries.
func onBooks(t *testing.T, property func(rt *rapid.T, p *project, defined *plan.Plan, sent bool)) {
	onBooksWith(t, "", property)
}

// onBooksWith is onBooks for sources that declare something else, too.
func onBooksWith(t *testing.T, more string, property func(rt *rapid.T, p *project, defined *plan.Plan, sent bool)) {
	type book struct {
		project *project
		defined *plan.Plan
	}
	var books []book
	for _, knownAt := range []string{"", "known_at: seen"} {
		p := newProject(t)
		books = append(books, book{p, p.define(t, fmt.Sprintf(orders, knownAt+"\n"+more))})
	}
	rapid.Check(t, func(rt *rapid.T) {
		sent := rapid.IntRange(0, 1).Draw(rt, "known times")
		property(rt, books[sent].project, books[sent].defined, sent == 1)
	})
}

// Files, in any division, and a log are one history, whichever of the two has which of an
// event's deliveries: training has the oracle's values, and so has training on final data [w7].
func TestW7_FilesAndLogAreOneHistory(t *testing.T) {
	onBooks(t, func(rt *rapid.T, p *project, defined *plan.Plan, sent bool) {
		filesAndLogAreOneHistory(rt, p, defined, sent, nil)
	})
}

// The same when events and their fillings arrive when a ledger says, whatever is in it [o11].
func TestO11_TrainingAsOfALedger(t *testing.T) {
	onBooks(t, func(rt *rapid.T, p *project, defined *plan.Plan, sent bool) {
		filesAndLogAreOneHistory(rt, p, defined, sent, &ledger.Source{Log: drawTimes(rt, ledger.Log), Files: drawTimes(rt, ledger.Files)})
	})
}

// drawTimes is ledgers of a few views.
func drawTimes(t *rapid.T, kind ledger.Kind) (out []*ledger.Times) {
	seconds := func(least, most int64, what string) plan.EventTime {
		return plan.EventTime(rapid.Int64Range(least, most).Draw(t, what)) * second
	}
	for range rapid.IntRange(0, 2).Draw(t, "ledgers") {
		var runs []ledger.Run
		for range rapid.IntRange(1, 5).Draw(t, "runs") {
			from := midnight + seconds(-20, 80, "from")
			r := ledger.Run{From: from, To: from, Lag: plan.Micros(seconds(0, 40, "lag"))}
			if kind == ledger.Log {
				r.To += seconds(0, 40, "length")
			}
			runs = append(runs, r)
		}
		out = append(out, ledger.NewTimes(kind, runs))
	}
	return out
}

// filesAndLogAreOneHistory is the property.
func filesAndLogAreOneHistory(rt *rapid.T, p *project, defined *plan.Plan, sent bool, recorded *ledger.Source) {
	s, closeBook := openBook(rt, p, defined, backend.InMemory)
	defer closeBook()
	s.ledger = recorded
	files := [][]orderRow{nil, nil, nil}
	var pushed []orderRow
	for _, d := range drawOrders(rt, sent, true) {
		if at := rapid.IntRange(0, 5).Draw(rt, "place"); at < len(files) {
			files[at] = append(files[at], d)
		} else {
			pushed = append(pushed, d)
		}
	}
	for i, rows := range files {
		s.writeFile(p, fmt.Sprintf("orders-%d.parquet", i), rows)
	}
	if recorded != nil && rapid.Bool().Draw(rt, "registered") {
		s.materialize()
	}
	for _, d := range pushed {
		s.push(d)
		s.now.Add(int64(second) * rapid.Int64Range(0, 20).Draw(rt, "later"))
	}
	s.expect(s.history(), s.kept, moments(s.kept))
	if recorded != nil {
		return
	}
	h, final := s.history(), slices.Clone(s.kept)
	h.Final = true
	for i := range final {
		final[i].Final = true
	}
	s.expect(h, final, moments(s.kept))
}

// What files hold is materialized, and what is pushed later fills it: live state, with what waits
// in it, has the oracle's values all the way, and is what a new build from files and log gives,
// whenever it is built, also after files have grown [w7].
func TestW7_FillingsOfWhatFilesHold(t *testing.T) {
	onBooks(t, fillWhatFilesHold(20, backend.InMemory, never))
}

// The same with a log that forgets ids: what it refuses is in neither, and no event that is in
// files and log, or was pushed before it was forgotten, counts twice [p15].
func TestP15_TrainingAndServingAgreeOnForgottenEvents(t *testing.T) {
	onBooksWith(t, "dedup_window: 1m", fillWhatFilesHold(120, backend.InMemory, never))
}

// The same with records that are archived and trimmed at any time, as far as the view has applied them, with restarts in
// between: training and serving are what they are when nothing is archived [p18].
func TestP18_ArchivedRecordsAreHistory(t *testing.T) {
	open, dir, runs := backendtest.Any(t), t.TempDir(), 0
	onBooksWith(t, "dedup_window: 1m", func(rt *rapid.T, p *project, defined *plan.Plan, sent bool) {
		runs++
		archives := filepath.Join(dir, fmt.Sprint(runs))
		fillWhatFilesHold(60, archived(open(rt), archives), retainSome)(rt, p, defined, sent)
		if err := os.RemoveAll(archives); err != nil {
			rt.Fatal(err)
		}
	})
}

// archived opens a log with an archive.
func archived(open backend.Opener, dir string) backend.Opener {
	return func(ctx context.Context, clock eventlog.Clock) (*backend.Backend, error) {
		b, err := open(ctx, clock)
		if err == nil {
			b.Archive = archive.Over(b.Log, dir)
			b.Log = b.Archive
		}
		return b, err
	}
}

// never retains everything in the log.
func never(*rapid.T, *orderBook) {}

// reopenArchive forgets what was read of the archive.
func (s *orderBook) reopenArchive() {
	s.on.Archive = archive.Over(s.on.Archive.Log, filepath.Dir(s.on.Archive.Dir("orders")))
	s.on.Log = s.on.Archive
}

// retainSome archives some records of a book, trims some, or reads the archive as a process that has just started.
func retainSome(rt *rapid.T, s *orderBook) {
	r := online.NewRetention(s.plan, s.on.Archive, s.on.Store, s.clock)
	before := s.clock() - plan.EventTime(rapid.Int64Range(-1, 100).Draw(rt, "age"))*second
	switch rapid.IntRange(0, 4).Draw(rt, "retain") {
	case 0, 1:
		_, err := r.Archive(rt.Context(), s.source(), before)
		s.check(err)
	case 2, 3:
		_, err := r.Trim(rt.Context(), s.source(), before)
		s.check(err)
	default:
		s.reopenArchive()
	}
}

// fillWhatFilesHold is the property, with deliveries at most some seconds apart, between which retain is called.
func fillWhatFilesHold(apart int64, open backend.Opener, retain func(*rapid.T, *orderBook)) func(rt *rapid.T, p *project, defined *plan.Plan, sent bool) {
	return func(rt *rapid.T, p *project, defined *plan.Plan, sent bool) {
		s, closeBook := openBook(rt, p, defined, open)
		defer closeBook()
		grows := rapid.Bool().Draw(rt, "files grow")
		all := drawOrders(rt, sent, !grows) // what files come to contradict is a limit of decision 57
		n := rapid.IntRange(0, len(all)).Draw(rt, "of files")
		s.writeFile(p, "orders-0.parquet", all[:n])
		s.materialize()
		for i, d := range all[n:] {
			s.now.Add(int64(second) * rapid.Int64Range(0, apart).Draw(rt, "later"))
			if grows && rapid.IntRange(0, 5).Draw(rt, "in a file") == 0 {
				s.writeFile(p, fmt.Sprintf("orders-%d.parquet", i+1), []orderRow{d})
				s.materialize()
				continue
			}
			s.push(d)
			retain(rt, s)
			switch rapid.IntRange(0, 3).Draw(rt, "then") {
			case 0:
				s.catchUp()
			case 1:
				s.rebuild()
			}
		}
		s.expect(s.history(), s.kept, moments(s.kept))
		s.rebuild()
	}
}

// rebuild compares live state, as it is now, with what a new build gives, which takes its place.
func (s *orderBook) rebuild() {
	s.t.Helper()
	s.catchUp()
	live := s.states(s.clock())
	s.materialize()
	if rebuilt := s.states(s.clock()); !maps.Equal(live, rebuilt) {
		s.t.Fatalf("live state and a new build differ:\n%x\n%x", live, rebuilt)
	}
}

// What files hold of a time to come stands: a push of the same value is a redelivery and makes it
// known no earlier, alone or beside a column that the push fills, whenever it is applied and
// whether or not files still hold it [w7].
func TestW7_APushDoesNotHastenWhatFilesHold(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		p := newProject(t)
		defined := p.define(t, fmt.Sprintf(orders, "known_at: seen"))
		for _, applied := range []plan.EventTime{50, 150} {
			s, closeBook := openBook(t, p, defined, open)
			row := func(seen plan.EventTime, more orderRow) orderRow {
				row := orderRow{"id": plan.StringValue("a"), "user": plan.IntValue(1), "ts": plan.TimestampValue(midnight), "seen": plan.TimestampValue(midnight + seen*second)}
				maps.Copy(row, more)
				return row
			}
			returned := orderRow{"returned": plan.BoolValue(true), "returned_at": plan.TimestampValue(midnight)}
			both := maps.Clone(returned)
			both["fee"] = plan.DoubleValue(5)
			s.writeFile(p, "orders-0.parquet", []orderRow{row(1, nil), row(100, returned)})
			s.materialize()
			s.now.Add(int64(50 * second))
			if got := fmt.Sprint(s.push(row(40, returned), row(50, both), row(50, both))); got != "[DUPLICATE FILLED DUPLICATE]" {
				t.Errorf("pushes are %s", got)
			}
			s.now.Store(int64(midnight + applied*second))
			s.rebuild()
			s.expect(s.history(), s.kept, moments(s.kept))
			s.kept = slices.DeleteFunc(s.kept, func(e oracle.Event) bool { return e.Position == 0 })
			s.check(os.Remove(filepath.Join(p.dir, "orders-0.parquet")))
			s.writeFile(p, "orders-1.parquet", nil)
			if known := s.kept[0].ColumnKnown["returned"]; known != midnight+100*second {
				t.Errorf("the pushed outcome is known at %v", known)
			}
			s.expect(s.history(), s.kept, moments(s.kept))
			closeBook()
		}
	})
}

// An outcome that files have come to hold is not taken again when it is pushed, and one that
// was pushed is not taken again from files [w7].
func TestW7_OutcomesOfFilesAndPushesCountOnce(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		p := newProject(t)
		s, closeBook := openBook(t, p, p.define(t, fmt.Sprintf(orders, "")), open)
		defer closeBook()
		base := orderRow{
			"id": plan.StringValue("a"), "user": plan.IntValue(1), "ts": plan.TimestampValue(midnight - second), "amount": plan.DoubleValue(1),
		}
		with := func(more orderRow) orderRow {
			row := maps.Clone(base)
			maps.Copy(row, more)
			return row
		}
		returned := orderRow{"returned": plan.BoolValue(true), "returned_at": plan.TimestampValue(midnight)}
		graded := orderRow{"grade": plan.IntValue(2), "graded_at": plan.TimestampValue(midnight), "fee": plan.DoubleValue(5)}
		s.writeFile(p, "orders-0.parquet", []orderRow{base})
		s.materialize()
		s.now.Add(int64(second))
		if got := s.push(with(returned)); got[0] != ingest.Filled {
			t.Errorf("an outcome of an event in files was %v", got)
		}
		s.kept = slices.DeleteFunc(s.kept, func(e oracle.Event) bool { return e.Position == 0 })
		s.writeFile(p, "orders-0.parquet", []orderRow{with(returned), with(graded)})
		s.now.Add(int64(second))
		s.materialize()
		all := with(returned)
		maps.Copy(all, graded)
		if got := fmt.Sprint(s.push(all, with(graded), with(orderRow{"grade": plan.IntValue(3), "graded_at": plan.TimestampValue(midnight)}))); got != "[DUPLICATE DUPLICATE CONFLICT]" {
			t.Errorf("what files have come to hold was %s", got)
		}
		s.catchUp()
		at := midnight + 1000*second
		live := s.states(at)
		s.now.Store(int64(at))
		s.expect(s.history(), s.kept, []plan.EventTime{midnight, midnight + second, midnight + 3*second, at})
		s.materialize()
		if rebuilt := s.states(at); !maps.Equal(live, rebuilt) {
			t.Errorf("live state and a new build differ:\n%x\n%x", live, rebuilt)
		}
		if counts, err := s.history().Read(t.Context(), func(*kernel.Events) error { return nil }); err != nil || counts.Rows != 3 || counts.Filled != 1 || counts.Redelivered != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// Rows that fill are counted, whether the log or files hold them.
func TestFillingsAreCounted(t *testing.T) {
	p := newProject(t)
	s, closeBook := openBook(t, p, p.define(t, fmt.Sprintf(orders, "")), backend.InMemory)
	defer closeBook()
	row := func(id string, more orderRow) orderRow {
		row := orderRow{"id": plan.StringValue(id), "user": plan.IntValue(1), "ts": plan.TimestampValue(midnight - second)}
		maps.Copy(row, more)
		return row
	}
	fee := orderRow{"fee": plan.DoubleValue(5)}
	s.writeFile(p, "orders-0.parquet", []orderRow{row("f", nil), row("f", fee), row("f", fee), row("f", orderRow{"fee": plan.DoubleValue(6)})})
	s.push(row("p", nil), row("p", fee), row("p", fee))
	events := 0
	counts, err := s.history().Read(t.Context(), func(ev *kernel.Events) error {
		events += ev.Batch.N - ev.Filling.Count()
		return nil
	})
	if err != nil || events != 2 || counts.Rows != 6 || counts.Filled != 2 || counts.Redelivered != 2 || counts.Conflicts != 1 {
		t.Errorf("%d events, %+v, %v", events, counts, err)
	}
	if text := strings.TrimSpace(fmt.Sprint(counts.ByReason())); text != "map[]" {
		t.Errorf("skipped %s", text)
	}
}
