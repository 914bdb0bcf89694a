package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

func dividedSource(shards int) *plan.Source {
	return &plan.Source{Name: "orders", Stream: true, Shards: shards}
}

// Entries with an id are deduplicated in the whole log of a source, however it is divided.
func testDivided(t *testing.T, s Storage) {
	l := open(t, s)
	for _, n := range []int{1, 3, 8} {
		src := dividedSource(n)
		src.Name = fmt.Sprint("orders", n)
		layouts := eventlog.NewLayouts(l)
		if found, err := layouts.Find(t.Context(), src.Name); err != nil || found.N != 1 {
			t.Fatalf("a log that has not begun: %+v, %v", found, err)
		}
		var entries []eventlog.Entry
		for i := range 200 {
			entries = append(entries, entry(fmt.Sprint("id", i%100), fmt.Sprint(i%100)))
		}
		first, err := layouts.Append(t.Context(), src, entries)
		if err != nil {
			t.Fatal(err)
		}
		again, err := eventlog.NewLayouts(l).Append(t.Context(), src, entries)
		if err != nil {
			t.Fatal(err)
		}
		for i := range entries {
			want := eventlog.Placed{Result: eventlog.Result{Outcome: eventlog.Duplicate, Position: first[i%100].Position}, Shard: first[i%100].Shard}
			if i >= 100 && first[i] != want || again[i] != want || first[i%100].Outcome != eventlog.Appended {
				t.Fatalf("%d shards: entry %d was %+v and then %+v, want %+v", n, i, first[i], again[i], want)
			}
		}
		shards, err := layouts.Find(t.Context(), src.Name)
		if err != nil || shards.N != n {
			t.Fatalf("%+v, %v", shards, err)
		}
		ends, err := shards.Ends(t.Context(), l)
		if err != nil || ends.Sum() != 100 {
			t.Fatalf("the ends are %v, %v", ends, err)
		}
		for k := range n {
			if ends.At(k) < 100/uint64(2*n) {
				t.Errorf("shard %d of %d has %d of 100 records", k, n, ends.At(k))
			}
		}
	}
}

// Entries without an id that come in one call stay together, and calls take turns.
func testDividedWithoutIDs(t *testing.T, s Storage) {
	l := open(t, s)
	src, layouts := dividedSource(4), eventlog.NewLayouts(l)
	used := map[int]int{}
	for range 8 {
		results, err := layouts.Append(t.Context(), src, []eventlog.Entry{entry("", "a"), entry("", "b"), entry("", "a")})
		if err != nil || results[0].Shard != results[1].Shard || results[2].Position != results[0].Position+2 {
			t.Fatalf("%+v, %v", results, err)
		}
		used[results[0].Shard]++
	}
	if len(used) != 4 {
		t.Errorf("calls by shard: %v", used)
	}
}

// The number of shards is that of whoever was first, and a log of before has one.
func testShardCount(t *testing.T, s Storage) {
	l := open(t, s)
	var wg sync.WaitGroup
	counts := make([]int, 8)
	for i := range counts {
		wg.Go(func() {
			found, err := eventlog.NewLayouts(l).Begin(t.Context(), dividedSource(2+i%3))
			var other *eventlog.ShardsError
			switch {
			case errors.As(err, &other) && other.Declared == 2+i%3:
				counts[i] = other.Stored
			case err != nil:
				t.Error(err)
			case found.N != 2+i%3:
				t.Errorf("%d shards, declared are %d", found.N, 2+i%3)
			default:
				counts[i] = found.N
			}
		})
	}
	wg.Wait()
	for _, n := range counts {
		if n != counts[0] {
			t.Fatalf("the log has %v shards", counts)
		}
	}
	for i := range 20 {
		src := &plan.Source{Name: fmt.Sprint("begun at once ", i), Stream: true, Shards: 3}
		for j := range 4 {
			wg.Go(func() {
				if _, err := eventlog.NewLayouts(l).Append(t.Context(), src, []eventlog.Entry{entry(fmt.Sprint(j), "")}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if found, err := eventlog.NewLayouts(l).Begin(t.Context(), dividedSource(0)); err != nil || found.N != counts[0] {
		t.Errorf("a source that declares nothing: %+v, %v", found, err)
	}
	for name, begin := range map[string]func(name string) error{
		"records": func(name string) error {
			_, err := l.Append(t.Context(), name, []eventlog.Entry{entry("a", "")})
			return err
		},
		"ids": func(name string) error { return l.Register(t.Context(), name, []eventlog.Entry{entry("a", "")}) },
		"ids that are forgotten": func(name string) error {
			e := entry("a", "")
			e.Keep = plan.Day
			return l.Register(t.Context(), name, []eventlog.Entry{e})
		},
	} {
		old := &plan.Source{Name: "old " + name, Stream: true, Shards: 8}
		if begun, err := l.Begun(t.Context(), old.Name); begun || err != nil {
			t.Errorf("%s: begun before it began: %v", name, err)
		}
		if err := begin(old.Name); err != nil {
			t.Fatal(err)
		}
		if begun, err := l.Begun(t.Context(), old.Name); !begun || err != nil {
			t.Errorf("%s: not begun: %v", name, err)
		}
		var other *eventlog.ShardsError
		if _, err := eventlog.NewLayouts(l).Begin(t.Context(), old); !errors.As(err, &other) || other.Stored != 1 {
			t.Errorf("a log of before that has %s: %v", name, err)
		}
		old.Shards = 0
		if found, err := eventlog.NewLayouts(l).Begin(t.Context(), old); err != nil || found.N != 1 {
			t.Errorf("a log of before that has %s: %+v, %v", name, found, err)
		}
	}
	// The record of how many there are was lost.
	lost := &plan.Source{Name: "lost", Stream: true, Shards: 8}
	appendAll(t, l, eventlog.Shards{Source: "lost", N: 8}.Name(5), entry("a", ""))
	if _, err := eventlog.NewLayouts(l).Begin(t.Context(), lost); !errors.Is(err, eventlog.ErrDamaged) {
		t.Errorf("a log whose number of shards is missing: %v", err)
	}
}

// One call waits for several shards.
func testWaitForSeveral(t *testing.T, s Storage) {
	l := open(t, s)
	appendAll(t, l, "b", entry("a", ""))
	ends := eventlog.Ends{"a": 0, "b": 1, "c": 0}
	for _, grows := range []string{"c", "a", "b"} {
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan error, 1)
		go func() { returned <- l.Wait(ctx, ends) }()
		appendAll(t, l, "d", entry(grows, ""))
		select {
		case err := <-returned:
			t.Errorf("Wait returned %v for a record of another shard", err)
		default:
		}
		appendAll(t, l, grows, entry("next "+grows, ""))
		if err := promptly(t, returned, "one of the shards has grown"); err != nil {
			t.Error(err)
		}
		if err := l.Wait(ctx, ends); err != nil {
			t.Errorf("Wait for a record that is there: %v", err)
		}
		ends[grows]++
		cancel()
		if err := l.Wait(ctx, ends); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait with a context that has ended: %v", err)
		}
	}
}
