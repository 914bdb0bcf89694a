package logtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// reshard divides the log of orders anew.
func reshard(t *testing.T, l eventlog.Log, n int) eventlog.Shards {
	t.Helper()
	_, after, err := eventlog.Reshard(context.Background(), l, "orders", n, plan.Never, nil)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// outcomes appends entries one by one, and returns what became of each: like "appended 9/2" for the second record of shard 9.
func outcomes(t *testing.T, l *eventlog.Layouts, src *plan.Source, entries ...eventlog.Entry) (out []string) {
	t.Helper()
	for _, e := range entries {
		placed, err := l.Append(context.Background(), src, []eventlog.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		p := placed[0]
		name := []string{"appended", "duplicate", "conflict", "filled", "expired"}[p.Outcome]
		out = append(out, fmt.Sprintf("%s %d/%d", name, p.Shard, p.Position))
	}
	return out
}

// A log that is divided anew knows every id that it knew: whoever pushes, with whatever it knew of the log before.
func testReshard(t *testing.T, s Storage) {
	clock := &handClock{}
	clock.set(1000)
	l := openAt(t, s, clock.clock)
	src, old := dividedSource(0), eventlog.NewLayouts(l)
	src.Shards = 2
	if _, err := old.Begin(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	src.Shards = 0
	var entries, fills []eventlog.Entry
	for i := range 60 {
		id := fmt.Sprint("id", i)
		entries, fills = append(entries, late(id, "x", "")), append(fills, late(id, "x", "f=1"))
		entries[i].Keep, fills[i].Keep = 100, 100
		entries[i].Time, fills[i].Time = 1000, 1000
	}
	first := outcomes(t, old, src, entries[:40]...)
	if got := outcomes(t, old, src, fills[:10]...); !strings.HasPrefix(got[0], "filled") {
		t.Fatal(got)
	}
	if err := old.Register(t.Context(), src, []eventlog.Entry{late("history", "x", "f=1")}); err != nil {
		t.Fatal(err)
	}
	forever := entry("forever", "x")
	first = append(first, outcomes(t, old, src, forever)...)
	before, err := old.Find(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := before.Ends(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}

	for round, n := range []int{3, 3, 1, 4} {
		after := reshard(t, l, n)
		if after.Active() != n || after.N != []int{5, 5, 6, 10}[round] {
			t.Fatalf("round %d: %+v", round, after)
		}
		for name, layouts := range map[string]*eventlog.Layouts{"old": old, "new": eventlog.NewLayouts(l)} {
			again := outcomes(t, layouts, src, append(entries[:40:40], forever)...)
			for i := range again {
				if _, place, _ := strings.Cut(first[i], " "); again[i] != "duplicate "+place {
					t.Fatalf("round %d, %s: entry %d was %s and is %s", round, name, i, first[i], again[i])
				}
			}
			contrary := late("id7", "other", "")
			contrary.Keep, contrary.Time = 100, 1000
			got := outcomes(t, layouts, src, late("history", "x", ""), late("history", "x", "f=1"), contrary, fills[3])
			if got[0] != "duplicate 0/0" && !strings.HasPrefix(got[0], "duplicate") || !strings.HasPrefix(got[1], "duplicate") || !strings.HasPrefix(got[2], "conflict") || !strings.HasPrefix(got[3], "duplicate") {
				t.Fatalf("round %d, %s: %v", round, name, got)
			}
		}
		// An event of an old shard is filled in a new one, with its versions, and only once.
		i := 10 + round
		got := outcomes(t, old, src, fills[i], fills[i], entries[40+round], entries[40+round])
		for k, want := range []string{"filled", "duplicate", "appended", "duplicate"} {
			if !strings.HasPrefix(got[k], want) {
				t.Fatalf("round %d: %v", round, got)
			}
		}
		var shard int
		var at eventlog.Position
		if _, err := fmt.Sscanf(got[0], "filled %d/%d", &shard, &at); err != nil || shard < after.First || shard != after.Of(fills[i].ID) {
			t.Fatalf("%s of %+v: %v", got[0], after, err)
		}
		r := read(t, l, after.Name(shard), at-1, 1)[0]
		if len(r.Versions) != 2 || r.Versions[0].Known != 1000 || r.Versions[1].Position != at || r.ID != fills[i].ID {
			t.Fatalf("%+v", r)
		}
		first = append(first[:0:0], outcomes(t, old, src, append(entries[:40:40], forever)...)...)
	}
	now, err := old.Find(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	still, err := now.Ends(t.Context(), l)
	if err != nil || still.At(0) != ends.At(0) || still.At(1) != ends.At(1) {
		t.Fatalf("the old shards ended at %v and end at %v, %v", ends, still, err)
	}
	// Ids are forgotten as they were, and what is refused stays refused.
	for at := plan.EventTime(2000); at < 2002; at++ {
		clock.set(at)
		for i := range 40 {
			if got := outcomes(t, old, src, kept(fmt.Sprint("new", at, "/", i), at, 100)); !strings.HasPrefix(got[0], "appended") {
				t.Fatal(got)
			}
		}
	}
	refusedAgain := func() {
		t.Helper()
		for i := range 40 {
			if got := outcomes(t, old, src, entries[i]); !strings.HasPrefix(got[0], "expired") {
				t.Fatalf("entry %d, whose id is forgotten, is %s", i, got)
			}
		}
	}
	refusedAgain()
	if got := outcomes(t, old, src, forever); !strings.HasPrefix(got[0], "duplicate") {
		t.Fatal(got)
	}
	reshard(t, l, 2)
	refusedAgain()
	if got := outcomes(t, old, src, forever, late("history", "x", "")); !strings.HasPrefix(got[0], "duplicate") || !strings.HasPrefix(got[1], "duplicate") {
		t.Fatal(got)
	}
}

// during is a log that calls f after it has told the ids of a shard.
type during struct {
	eventlog.Log
	f func()
}

func (d *during) IDs(ctx context.Context, shard string, each func([]eventlog.KeptID) error) error {
	err := d.Log.IDs(ctx, shard, each)
	d.f()
	return err
}

// An event that comes while ids are moved is refused, so its id is not left behind.
func testReshardSealsFirst(t *testing.T, s Storage) {
	l := open(t, s)
	src, layouts := dividedSource(0), eventlog.NewLayouts(l)
	outcomes(t, layouts, src, entry("before", "x"))
	refused := 0
	between := &during{l, func() {
		var dividing *eventlog.DividingError
		if _, err := layouts.Append(context.Background(), src, []eventlog.Entry{entry("between", "x")}); errors.As(err, &dividing) {
			refused++
		}
	}}
	if _, _, err := eventlog.Reshard(t.Context(), between, "orders", 2, plan.Never, nil); err != nil || refused != 1 {
		t.Fatalf("%d pushes were refused, %v", refused, err)
	}
	if got := outcomes(t, layouts, src, entry("between", "x"), entry("between", "x"), entry("before", "x")); !strings.HasPrefix(got[0], "appended") ||
		!strings.HasPrefix(got[1], "duplicate") || got[2] != "duplicate 0/1" {
		t.Error(got)
	}
}

// failing is a log whose nth call fails, before or after it takes effect.
type failing struct {
	eventlog.Log
	nth   int64
	after bool
	calls atomic.Int64
}

var errPlanned = errors.New("the log failed, as planned")

func (f *failing) do(call func() error) error {
	fails := f.calls.Add(1) == f.nth
	if fails && !f.after {
		return errPlanned
	}
	err := call()
	if fails {
		return errPlanned
	}
	return err
}

func (f *failing) SetState(ctx context.Context, shard string, to eventlog.ShardState) error {
	return f.do(func() error { return f.Log.SetState(ctx, shard, to) })
}

func (f *failing) Adopt(ctx context.Context, shard string, list eventlog.Segments, ids []eventlog.KeptID) error {
	return f.do(func() error { return f.Log.Adopt(ctx, shard, list, ids) })
}

func (f *failing) Append(ctx context.Context, shard string, entries []eventlog.Entry) (out []eventlog.Result, err error) {
	err = f.do(func() error { out, err = f.Log.Append(ctx, shard, entries); return err })
	return out, err
}

func (f *failing) IDs(ctx context.Context, shard string, each func([]eventlog.KeptID) error) error {
	return f.do(func() error { return f.Log.IDs(ctx, shard, each) })
}

// Wherever dividing a log anew is interrupted, pushes are taken or refused, nothing counts twice, and it can be completed.
func testReshardInterrupted(t *testing.T, s Storage) {
	l := open(t, s)
	var ids []eventlog.Entry
	for i := range 20 {
		ids = append(ids, entry(fmt.Sprint("id", i), "x"))
	}
	refused := 0
	for nth := int64(1); ; nth++ {
		src := dividedSource(0)
		src.Name = fmt.Sprint("orders", nth)
		layouts := eventlog.NewLayouts(l)
		if _, err := layouts.Append(t.Context(), src, ids); err != nil {
			t.Fatal(err)
		}
		f := &failing{Log: l, nth: nth, after: nth%2 == 0}
		_, _, err := eventlog.Reshard(t.Context(), f, src.Name, 3, plan.Never, nil)
		if err != nil && !errors.Is(err, errPlanned) {
			t.Fatal(err)
		}
		pushed := 20
		if _, err := layouts.Append(t.Context(), src, []eventlog.Entry{ids[0], entry("meanwhile", "x")}); err == nil {
			pushed++
		} else if refused++; !errors.Is(err, eventlog.ErrUnavailable) || !strings.Contains(err.Error(), "unskew log reshard") {
			t.Fatalf("call %d: a push meanwhile: %v", nth, err)
		}
		now, failed := layouts.Find(t.Context(), src.Name)
		if failed != nil {
			t.Fatal(failed)
		}
		if nth > 1 && now.N == 1 {
			if _, _, err := eventlog.Reshard(t.Context(), l, src.Name, 5, plan.Never, nil); err == nil || !strings.Contains(err.Error(), "--shards 3") {
				t.Fatalf("call %d: divided into another number before it was complete: %v", nth, err)
			}
		}
		if _, _, again := eventlog.Reshard(t.Context(), l, src.Name, 3, plan.Never, nil); again != nil {
			t.Fatal(again)
		}
		placed, again := layouts.Append(t.Context(), src, append(ids[:20:20], entry("later", "x")))
		if again != nil {
			t.Fatal(again)
		}
		for i, p := range placed[:20] {
			if p.Outcome != eventlog.Duplicate || p.Shard != 0 || p.Position != eventlog.Position(i+1) {
				t.Fatalf("call %d: %s is %+v", nth, ids[i].ID, p)
			}
		}
		shards, again := layouts.Find(t.Context(), src.Name)
		if again != nil || shards.Active() != 3 {
			t.Fatalf("%+v, %v", shards, again)
		}
		ends, again := shards.Ends(t.Context(), l)
		if again != nil || ends.Sum() != uint64(pushed+1) {
			t.Fatalf("call %d: %d records, want %d (%v)", nth, ends.Sum(), pushed+1, again)
		}
		if list, err := l.Segments(t.Context(), src.Name); err != nil || len(list.List) > 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		left := 0
		if err := l.IDs(t.Context(), src.Name, func(ids []eventlog.KeptID) error { left += len(ids); return nil }); err != nil || left > 0 {
			t.Fatalf("call %d: %d ids are left in the old shard, %v", nth, left, err)
		}
		if f.calls.Load() < nth {
			break
		}
	}
	if refused == 0 {
		t.Error("no push came meanwhile")
	}
}

// Pushes beside a log that is divided anew, by two processes at once, count once each.
func testReshardConcurrently(t *testing.T, s Storage) {
	l := open(t, s)
	src := dividedSource(0)
	const workers, each = 4, 60
	var wg sync.WaitGroup
	if _, err := eventlog.NewLayouts(l).Append(t.Context(), src, []eventlog.Entry{entry("0", "x")}); err != nil {
		t.Fatal(err)
	}
	for w := range workers {
		wg.Go(func() {
			layouts := eventlog.NewLayouts(l)
			for i := range each {
				e := entry(fmt.Sprintf("%d/%d", w%2, i), "x")
				for {
					_, err := layouts.Append(context.Background(), src, []eventlog.Entry{e})
					if err == nil {
						break
					}
					if !errors.Is(err, eventlog.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for _, n := range []int{3, 2} {
				_, _, err := eventlog.Reshard(context.Background(), l, "orders", n, plan.Never, nil)
				if other := (*eventlog.ReshardError)(nil); err != nil && !errors.As(err, &other) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	shards, err := eventlog.NewLayouts(l).Find(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for k := range shards.N {
		for _, r := range readAll(t, l, shards.Name(k)) {
			count[r.ID]++
		}
	}
	if len(count) != 2*each+1 {
		t.Errorf("%d ids, want %d", len(count), 2*each+1)
	}
	for id, n := range count {
		if n != 1 {
			t.Errorf("%s has %d records", id, n)
		}
	}
}
