package logtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/unskew/unskew/internal/eventlog"
)

func testReopen(t *testing.T, s Storage) {
	l := s.Open(t, nil)
	appendAll(t, l, "s", entry("a", "1"), entry("", "2"))
	register(t, l, "s", entry("r", "3"))
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	l = open(t, s)
	wantRecords(t, readAll(t, l, "s"), "a=1", "=2")
	want(t, appendAll(t, l, "s", entry("a", "1"), entry("r", "3"), entry("r", "4"), entry("b", "5")),
		"duplicate 1", "duplicate 0", "conflict 0", "appended 3")
}

func testO7(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	l := s.Open(t, nil)
	batch := []eventlog.Entry{entry("a", "1"), entry("b", "2")}
	appendAll(t, l, "s", batch...)
	register(t, l, "s", entry("r", "3"))
	s.Crash(t)
	_ = l.Close()
	l = open(t, s)
	want(t, appendAll(t, l, "s", append(batch, entry("r", "3"), entry("c", "4"))...), "duplicate 1", "duplicate 2", "duplicate 0", "appended 3")
	wantRecords(t, readAll(t, l, "s"), "a=1", "b=2", "c=4")
}

const (
	crashAppenders = 4
	crashRounds    = 3
	callEntries    = 3
)

// testCrash crashes while appenders are at work, several times over, and checks
// that every acknowledged call is there, every other one whole or not at all, and
// every record that was read still at its position.
func testCrash(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	acknowledged := map[string]bool{}
	for round := range crashRounds {
		l := s.Open(t, nil)
		w := startCrashers(l, round)
		for range 20 * crashAppenders {
			<-w.progress
		}
		for _, call := range w.acknowledgedNow() {
			acknowledged[call] = true
		}
		seen := read(t, l, "s", 0, 1<<30)
		s.Crash(t)
		w.stop()
		_ = l.Close()

		l = s.Open(t, nil)
		survived := readAll(t, l, "s")
		checkCrash(t, survived, acknowledged)
		for i, r := range seen {
			if i >= len(survived) || survived[i].ID != r.ID {
				t.Fatalf("position %d was read as %q before the crash and is not that now", r.Position, r.ID)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

// crashers append calls of several entries each until they are stopped or the
// log fails.
type crashers struct {
	progress chan struct{}
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu           sync.Mutex
	acknowledged []string
}

func startCrashers(l eventlog.Log, round int) *crashers {
	ctx, cancel := context.WithCancel(context.Background())
	w := &crashers{progress: make(chan struct{}), cancel: cancel}
	for i := range crashAppenders {
		w.done.Go(func() { w.append(ctx, l, fmt.Sprintf("round %d appender %d", round, i)) })
	}
	return w
}

func (w *crashers) append(ctx context.Context, l eventlog.Log, name string) {
	for n := 0; ; n++ {
		call := fmt.Sprintf("%s call %d", name, n)
		var es []eventlog.Entry
		for i := range callEntries {
			es = append(es, entry(fmt.Sprintf("%s/%d", call, i), call))
		}
		if _, err := l.Append(ctx, "s", es); err != nil {
			return
		}
		w.mu.Lock()
		w.acknowledged = append(w.acknowledged, call)
		w.mu.Unlock()
		select {
		case w.progress <- struct{}{}:
		case <-ctx.Done():
			return
		default:
		}
	}
}

func (w *crashers) acknowledgedNow() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.acknowledged...)
}

func (w *crashers) stop() {
	w.cancel()
	w.done.Wait()
}

func checkCrash(t *testing.T, records []eventlog.Record, acknowledged map[string]bool) {
	t.Helper()
	found := map[string]int{}
	for i, r := range records {
		call := string(r.Payload)
		if want := fmt.Sprintf("%s/%d", call, found[call]); r.ID != want {
			t.Fatalf("position %d has id %q, want %q", r.Position, r.ID, want)
		}
		if found[call] > 0 && string(records[i-1].Payload) != call {
			t.Fatalf("the entries of %q are not together", call)
		}
		found[call]++
	}
	for call, n := range found {
		if n != callEntries {
			t.Errorf("%d of the %d entries of %q survived", n, callEntries, call)
		}
	}
	for call := range acknowledged {
		if found[call] == 0 {
			t.Errorf("%q was acknowledged and is lost", call)
		}
	}
}
