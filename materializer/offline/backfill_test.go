package offline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// A backfill in several passes and by several workers, over files cut in other ways, builds the same
// bytes as one in a single pass by one worker, and counts every event once [p7].
func TestP7_PassesDoNotMatter(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		all := append(paid(200), payment{"none", 0, midnight - 1, 5, "US"}, payment{"tied", 3, midnight - 2, 2, "US"}, payment{"too", 3, midnight - 2, 2, "US"})
		var want map[string]string
		var first *BackfillResult
		for _, shape := range []struct{ entities, files, threads int }{{0, 1, 1}, {9, 1, 2}, {4, 1, 1}, {2, 1, 3}, {1, 3, 2}, {0, 7, 4}, {2, 7, 4}, {2, 7, 1}} {
			l := open(t, fromFiles)
			list := append([]payment(nil), all...)
			if shape.files > 1 {
				rand.New(rand.NewPCG(1, uint64(shape.files))).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			}
			for i := range shape.files {
				l.writePayments(fmt.Sprintf("payments-%d.parquet", i), list[i*len(list)/shape.files:(i+1)*len(list)/shape.files]...)
			}
			b := l.backfill(plan.Never)
			b.Entities, b.Threads = shape.entities, shape.threads
			progress := int64(0)
			b.Progress = func(n int64) { progress += n }
			r := l.run(b)
			if first == nil {
				want, first = l.bytes(l.live()), r
				if r.Passes != 1 || r.Events != 203 || r.Applied != 202 || r.NullKeys != 1 || int(r.Entities) != len(l.counts(midnight)) {
					t.Errorf("%+v", r)
				}
				// The slot of odd divides by zero on ten amounts of paid and on both that are tied.
				failed := 0
				for _, n := range r.RowErrors {
					failed += n
				}
				if failed != 12 {
					t.Errorf("row errors %v, want 12 in all", r.RowErrors)
				}
			}
			expectSame(t, fmt.Sprintf("%+v", shape), l.bytes(l.live()), want)
			if shape.entities > 0 && shape.entities < 5 && r.Passes < 2 {
				t.Errorf("%+v took %d passes", shape, r.Passes)
			}
			if progress != 203 {
				t.Errorf("%+v: progress over %d events in %d passes, of 203", shape, progress, r.Passes)
			}
			if r.Events != first.Events || r.Applied != first.Applied || r.NullKeys != first.NullKeys || r.Entities != first.Entities || r.Bytes != first.Bytes ||
				fmt.Sprint(r.RowErrors) != fmt.Sprint(first.RowErrors) {
				t.Errorf("%+v: %+v, in one pass %+v", shape, r, first)
			}
		}
	})
}

// failingLoad is a store whose loads fail at the nth Put, or, with 0, at Close.
type failingLoad struct {
	onlinestore.Store
	nth int
}

type failingLoader struct {
	onlinestore.Loader
	nth int
}

var errLoad = errors.New("the load failed, as planned")

func (f failingLoad) Load(ctx context.Context) (onlinestore.Loader, error) {
	l, err := f.Store.Load(ctx)
	return &failingLoader{l, f.nth}, err
}

func (f *failingLoader) Put(key, value []byte) error {
	if f.nth--; f.nth == 0 {
		return errLoad
	}
	return f.Loader.Put(key, value)
}

func (f *failingLoader) Close() error {
	err := f.Loader.Close()
	if f.nth < 0 {
		return errors.Join(errLoad, err)
	}
	return err
}

// A build that fails or is interrupted at any point changes nothing that is read and
// leaves nothing behind.
func TestInterruptedBuildLeavesLiveUntouched(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(100)...)
		l.run(l.backfill(plan.Never))
		live := l.live()
		want := l.bytes(live)
		l.writePayments("payments-1.parquet", payment{"new", 1, midnight - 5, 1, "IT"})

		planned := errors.New("the history failed, as planned")
		for name, c := range map[string]struct {
			change func(b *Backfill, cancel func())
			want   error
		}{
			"history": {func(b *Backfill, _ func()) {
				read := b.History
				b.History = func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
					return errors.Join(read(ctx, until, workers, f), planned)
				}
			}, planned},
			"second pass": {func(b *Backfill, _ func()) {
				read, passes := b.History, 0
				b.Entities = 1
				b.History = func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
					if passes++; passes == 2 {
						return planned
					}
					return read(ctx, until, workers, f)
				}
			}, planned},
			"cancelled":  {func(b *Backfill, cancel func()) { b.Progress = func(int64) { cancel() } }, context.Canceled},
			"first put":  {func(b *Backfill, _ func()) { b.Store = failingLoad{l.store, 1} }, errLoad},
			"fourth put": {func(b *Backfill, _ func()) { b.Store = failingLoad{l.store, 4} }, errLoad},
			"close":      {func(b *Backfill, _ func()) { b.Store = failingLoad{l.store, 0} }, errLoad},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b := l.backfill(plan.Never)
			b.Full = true
			c.change(b, cancel)
			if _, err := b.Run(ctx); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if l.live() != live {
				t.Errorf("%s: live is %+v, was %+v", name, l.live(), live)
			}
			expectSame(t, name, l.bytes(live), want)
			err := l.store.Scan(t.Context(), []byte("s"), func(key, _ []byte) error {
				if !strings.HasPrefix(string(key), string(live.Prefix())) {
					t.Errorf("%s left the key %x", name, key)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if r := l.run(l.backfill(plan.Never)); !r.UpToDate {
			t.Errorf("after failed builds: %+v", r)
		}
	})
}

func TestUpToDate(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(20)...)
		reads := 0
		build := func(inputs byte, full bool) *BackfillResult {
			b := l.backfill(plan.Never)
			read := b.History
			b.Inputs, b.Full = [32]byte{31: inputs}, full
			b.History = func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
				reads++
				return read(ctx, until, workers, f)
			}
			return l.run(b)
		}
		for i, step := range []struct {
			inputs byte
			full   bool
			number uint64
			reads  int
		}{{1, false, 1, 1}, {1, false, 1, 1}, {1, true, 2, 2}, {1, false, 2, 2}, {2, false, 3, 3}, {1, false, 4, 4}} {
			before := reads
			r := build(step.inputs, step.full)
			if r.UpToDate != (reads == before) || reads != step.reads || r.Generation.Number != step.number || l.live() != r.Generation {
				t.Errorf("step %d: %+v after %d readings, live %+v", i, r, reads, l.live())
			}
		}
		// What was live before the live generation's predecessor is gone, with its offset.
		for number := uint64(1); number <= 4; number++ {
			if n := len(l.number(number)); (n > 0) != (number >= 3) {
				t.Errorf("generation %d has %d keys while 4 is live", number, n)
			}
		}
	})
}

// number is the state keys of all builds of a number.
func (l *till) number(number uint64) (keys []string) {
	l.t.Helper()
	prefix := registry.Generation{View: l.view.Fingerprint, Number: number}.Prefix()
	err := l.store.Scan(context.Background(), prefix[:len(prefix)-8], func(key, _ []byte) error {
		keys = append(keys, string(key))
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return keys
}

// Of two builds at once the first to finish becomes live, whole; the other says so
// and takes what it wrote away.
func TestBuildsAtOnceDoNotMeet(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(60)...)
		l.push(payment{"early", 1, midnight - 7, 1, "US"})
		slow := l.backfill(plan.Never)
		read := slow.History
		var want map[string]string
		slow.History = func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
			if err := read(ctx, until, workers, f); err != nil {
				return err
			}
			l.run(l.backfill(plan.Never))
			l.push(payment{"late", 1, midnight - 6, 1, "US"})
			l.catchUp()
			want = l.bytes(l.live())
			return nil
		}
		if _, err := slow.Run(t.Context()); !errors.Is(err, registry.ErrSuperseded) {
			t.Errorf("the slower build: %v", err)
		}
		expectSame(t, "the faster build", l.bytes(l.live()), want)
		if keys := l.number(1); len(keys) != len(want) {
			t.Errorf("%d keys for %d states", len(keys), len(want))
		}
	})
}

// What was pushed before a build is in it, what is pushed after it follows, and all of
// it is what a replay of the whole log gives; also for events that are not visible
// yet, wherever the build falls and whatever was applied before it.
func TestPositionContinuesExactly(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		all := append(paid(60), payment{"none", 0, midnight - 1, 5, "US"})
		for i := range all {
			if i%5 == 0 {
				all[i].ts = midnight + plan.EventTime(i)*plan.EventTime(plan.Second)
			}
		}
		at := midnight + plan.EventTime(30*plan.Second)
		end := midnight + plan.EventTime(plan.Hour)
		whole := open(t, "")
		whole.push(all...)
		whole.now.Store(int64(at))
		whole.catchUp()
		want := map[plan.EventTime]map[string]string{at: whole.folded(at), end: whole.folded(end)}
		for _, built := range []int{0, 1, 30, 61} {
			for _, applied := range []bool{false, true} {
				l := open(t, "")
				for i, p := range all {
					if i == built {
						if applied {
							l.catchUp()
						}
						l.run(l.backfill(plan.Never))
					}
					l.push(p)
				}
				if built == len(all) {
					l.run(l.backfill(plan.Never))
				}
				if got := l.live().Positions.Vector().At(0); got != uint64(built) {
					t.Errorf("a build after %d records is at position %d", built, got)
				}
				l.now.Store(int64(at))
				l.catchUp()
				for _, when := range []plan.EventTime{at, end} {
					expectSame(t, fmt.Sprintf("built after %d records, applied before: %v, as of %v", built, applied, when), l.folded(when), want[when])
				}
			}
		}
	})
}

// A build notes which log it was made of. It continues on no other, and a build on the other
// continues there [o9].
func TestO9_BackfillKnowsItsLog(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l, other := open(t, ""), open(t, "")
		all := paid(40)
		l.push(all[:20]...)
		l.run(l.backfill(plan.Never))
		other.now.Add(1)
		other.push(all...)
		other.now.Store(int64(midnight + plan.EventTime(plan.Second)))
		other.store = l.store
		a, err := online.New(online.Config{Plan: l.plan, Log: other.log, Store: other.store, Clock: other.clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.CatchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "position 20 of the log of source payments holds another record") {
			t.Error(err)
		}
		b := other.backfill(plan.Never)
		b.Full = true
		other.run(b)
		other.push(payment{"more", 1, midnight, 1, "US"})
		other.catchUp()
		total := 0
		for _, n := range other.counts(midnight + plan.EventTime(plan.Hour)) {
			total += n
		}
		if total != 41 {
			t.Errorf("the states hold %d events, there are 41", total)
		}
	})
}

// An event that is in the files and in the log is one event, whichever was first [o5].
func TestO5_HistoryAndLogAreOne(t *testing.T)         { testHistoryAndLog(t, 1) }
func TestO5_HistoryAndADividedLogAreOne(t *testing.T) { testHistoryAndLog(t, 3) }

func testHistoryAndLog(t *testing.T, shards int) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.source().Shards = shards
		list := paid(40)
		l.writePayments("payments-0.parquet", list[:30]...)
		l.push(list[20:]...)
		l.register(plan.Never)
		r := l.run(l.backfill(plan.Never))
		if p := r.Generation.Positions.Vector(); r.Events != 40 || p.Sum() != 20 || len(p) != shards {
			t.Errorf("%+v", r)
		}
		for i, p := range l.push(list...) {
			if p.Outcome != ingest.Duplicate {
				t.Errorf("payment %d pushed again: %+v", i, p)
			}
		}
		l.now.Add(1)
		l.catchUp()
		total := 0
		for _, n := range l.counts(midnight + 1) {
			total += n
		}
		if total != 40 {
			t.Errorf("the states hold %d events, there are 40", total)
		}
	})
}

// A build up to a time holds the files up to it and all of the log: what was pushed
// after that time is not lost, though the files have it too.
func TestToEndsFilesNotTheLog(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		list := paid(40)
		to := midnight - plan.EventTime(plan.Hour)
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", list...)
		l.register(to)
		r := l.run(l.backfill(to))
		before := 0
		for _, p := range list {
			if p.ts < to {
				before++
			}
		}
		if r.Events != int64(before) || r.Generation.Materialized != to {
			t.Errorf("%+v; %d events are before %v", r, before, to)
		}
		for i, p := range l.push(list...) {
			if want := map[bool]ingest.Outcome{true: ingest.Duplicate, false: ingest.Appended}[list[i].ts < to]; p.Outcome != want {
				t.Errorf("%+v was %+v, want %v", list[i], p, want)
			}
		}
		l.now.Add(1)
		l.catchUp()
		want := l.folded(midnight + 1)
		b := l.backfill(to)
		b.Full = true
		if r := l.run(b); r.Events != 40 || r.Generation.Positions != logpos.One(0, uint64(40-before)).Fix() {
			t.Errorf("built again: %+v", r)
		}
		expectSame(t, "built again", l.folded(midnight+1), want)
		l.catchUp()
		expectSame(t, "built again and caught up", l.folded(midnight+1), want)
	})
}

// An event that became history is a redelivery when it is pushed, and a conflict when
// it is pushed with other values.
func TestRegisteredIDs(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		list := paid(12)
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", list[:10]...)
		for range 2 {
			l.register(plan.Never)
		}
		changed, other := list[3], list[4]
		changed.amount++
		other.user = 0
		noID := payment{"", 1, midnight - 9, 1, "US"}
		outcomes := l.push(list[3], changed, list[4], other, list[10], noID)
		for i, want := range []ingest.Outcome{ingest.Duplicate, ingest.Conflict, ingest.Duplicate, ingest.Conflict, ingest.Appended, ingest.Rejected} {
			if outcomes[i].Outcome != want {
				t.Errorf("push %d: %+v, want %v", i, outcomes[i], want)
			}
		}
		if p := outcomes[0].Position; p != 0 {
			t.Errorf("an event of the history has log position %d", p)
		}
	})
}

func TestNothingToRegister(t *testing.T) {
	read := func(context.Context, func(*kernel.Events) error) error {
		t.Error("the history was read")
		return nil
	}
	if err := RegisterIDs(t.Context(), nil, &plan.Source{Name: "anonymous", Stream: true, EventTime: "ts"}, plan.Never, 0, read); err != nil {
		t.Error(err)
	}
	planned := errors.New("the history failed, as planned")
	src := &plan.Source{Name: "both", Stream: true, EventID: "id", EventTime: "ts", Columns: []plan.SourceColumn{
		{Field: plan.Field{Name: "id", Type: plan.T(plan.String)}}, {Field: plan.Field{Name: "ts", Type: plan.T(plan.Timestamp)}}}}
	err := RegisterIDs(t.Context(), nil, src, plan.Never, 0, func(context.Context, func(*kernel.Events) error) error { return planned })
	if !errors.Is(err, planned) || !strings.Contains(err.Error(), "source both") {
		t.Errorf("a history that fails: %v", err)
	}
}

// A source without a stream has no log.
func TestBackfillWithoutALog(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(30)...)
		l.source().Stream = false
		b := l.backfill(plan.Never)
		log := l.log
		b.Log, l.log = nil, nil
		r := l.run(b)
		l.log = log
		if r.Events != 30 || r.Generation.Positions != (logpos.Fixed{}) || len(l.counts(midnight)) != int(r.Entities) {
			t.Errorf("%+v", r)
		}
	})
}

// unanswered is a store that performs swaps and does not say so.
type unanswered struct{ onlinestore.Store }

func (u unanswered) Swap(ctx context.Context, writes []onlinestore.Write) ([]bool, error) {
	if _, err := u.Store.Swap(ctx, writes); err != nil {
		return nil, err
	}
	if writes[0].Key[0] == 'l' {
		return nil, onlinestore.ErrOutcomeUnknown
	}
	return []bool{true}, nil
}

// A build of which nobody knows whether it became live keeps its states, because it may have.
func TestBuildThatMayBeLiveIsKept(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(30)...)
		b := l.backfill(plan.Never)
		b.Store = unanswered{l.store}
		if _, err := b.Run(t.Context()); !errors.Is(err, onlinestore.ErrOutcomeUnknown) {
			t.Errorf("%v", err)
		}
		if live := l.live(); live.Number != 1 || len(l.bytes(live)) == 0 {
			t.Errorf("generation %d is live and has %d states", live.Number, len(l.bytes(live)))
		}
	})
}
