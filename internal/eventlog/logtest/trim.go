package logtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/unskew/unskew/internal/eventlog"
)

func trim(t fataler, l eventlog.Log, to eventlog.Position) {
	t.Helper()
	if err := l.Trim(context.Background(), "s", to); err != nil {
		t.Fatalf("Trim to %d: %v", to, err)
	}
}

// wantTrimmed fails unless what was trimmed ends with the given record, and reading before says so.
func wantTrimmed(t fataler, l eventlog.Log, last eventlog.Record) {
	t.Helper()
	want := eventlog.TrimmedTo(&last)
	if got, err := l.Trimmed(context.Background(), "s"); err != nil || got != want {
		t.Fatalf("trimmed: %+v, %v, want %+v", got, err, want)
	}
	for _, after := range []eventlog.Position{0, last.Position - 1} {
		_, err := l.Read(context.Background(), "s", after, 3)
		var trimmed *eventlog.TrimmedError
		if !errors.As(err, &trimmed) || trimmed.Trimmed != want || trimmed.Shard != "s" {
			t.Fatalf("reading after %d: %v, want what was trimmed", after, err)
		}
	}
}

// testTrim: trimmed records are gone, and nothing else: positions, ids, times and fillings are what
// they would be.
func testTrim(t *testing.T, s Storage) {
	l := openAt(t, s, steps(10, 20, 30, 40, 50, 60, 70, 80))
	if got, err := l.Trimmed(t.Context(), "s"); err != nil || got != (eventlog.Trimmed{}) {
		t.Fatalf("trimmed of an empty shard: %+v, %v", got, err)
	}
	appendAll(t, l, "s", late("a", "x", ""))    // 10
	appendAll(t, l, "s", late("a", "x", "f=1")) // 20
	appendAll(t, l, "s", entry("b", "y"))       // 30
	appendAll(t, l, "s", entry("c", "z"))       // 40
	appendAll(t, l, "other", entry("a", "x"))   // 50
	all := readAll(t, l, "s")
	trim(t, l, 0)
	wantRecords(t, readAll(t, l, "s"), "a=x ", "a=x f=1", "b=y", "c=z")
	for _, to := range []eventlog.Position{4, 5} {
		if err := l.Trim(t.Context(), "s", to); err == nil {
			t.Errorf("the newest record was trimmed: %d", to)
		}
	}
	trim(t, l, 2)
	wantTrimmed(t, l, all[1])
	wantRecords(t, read(t, l, "s", 2, 9), "b=y", "c=z")
	for _, to := range []eventlog.Position{2, 1} {
		trim(t, l, to)
		wantTrimmed(t, l, all[1])
	}
	want(t, appendAll(t, l, "s", late("a", "x", "f=1"), late("a", "x", "f=2"), late("a", "x", "g=1"), entry("b", "y"), entry("d", "w")), // 60
		"duplicate 1", "conflict 1", "filled 5", "duplicate 3", "appended 6")
	wantVersions(t, read(t, l, "s", 4, 1)[0], "1@10 seen=0", "2@20 f=1", "5@60 g=1")
	wantRecords(t, readAll(t, l, "other"), "a=x")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, s, steps(55, 80))
	wantTrimmed(t, l, all[1])
	trim(t, l, 5)
	if e := end(t, l, "s"); e != 6 {
		t.Errorf("the shard ends at %d", e)
	}
	want(t, appendAll(t, l, "s", entry("e", "v"), late("a", "x", "h=1")), "appended 7", "filled 8")
	wantRecords(t, read(t, l, "s", 5, 9), "d=w", "e=v", "a=x h=1")
	if r := read(t, l, "s", 6, 1)[0]; r.Appended != 60 {
		t.Errorf("a record was stored at %d, before those that were trimmed", r.Appended)
	}
	if err := l.Wait(t.Context(), eventlog.Ends{"s": 7}); err != nil {
		t.Error(err)
	}
}

// testTrimManyRecords: more records than one step removes.
func testTrimManyRecords(t *testing.T, s Storage) {
	l := open(t, s)
	const calls, each = 12, 1000
	for call := range calls {
		var es []eventlog.Entry
		for i := range each {
			es = append(es, entry(fmt.Sprint(call, "/", i), "x"))
		}
		appendAll(t, l, "s", es...)
	}
	last := read(t, l, "s", calls*each-3, 1)[0]
	trim(t, l, calls*each-2)
	wantTrimmed(t, l, last)
	if n := len(read(t, l, "s", calls*each-2, 10)); n != 2 {
		t.Errorf("%d records are left, want 2", n)
	}
	want(t, appendAll(t, l, "s", entry("0/0", "x"), entry("new", "")), "duplicate 1", fmt.Sprintf("appended %d", calls*each+1))
}

// testTrimSetBack: a log cannot be set back to before what was trimmed, and a record whose time was set back
// stays, because fillings of its event have its time.
func testTrimSetBack(t *testing.T, s Storage) {
	l := openAt(t, s, steps(100, 200, 9000, 300, 400, 500))
	appendAll(t, l, "s", late("a", "x", "")) // 100
	appendAll(t, l, "s", entry("b", ""))     // 200
	appendAll(t, l, "s", late("c", "x", "")) // 9000
	trim(t, l, 1)
	if _, err := l.SetBack(t.Context(), "s", 99); err == nil {
		t.Error("a log was set back to before what was trimmed")
	}
	if did, err := l.SetBack(t.Context(), "s", 250); err != nil || !did {
		t.Fatal(did, err)
	}
	appendAll(t, l, "s", late("a", "x", "f=1"), late("c", "x", "f=1")) // 300
	appendAll(t, l, "s", entry("d", ""))                               // 400
	records := read(t, l, "s", 3, 9)
	wantVersions(t, records[0], "1@100 seen=0", "4@300 f=1")
	wantVersions(t, records[1], "3@250 seen=0", "5@300 f=1")
	trim(t, l, 2)
	var back *eventlog.SetBackError
	if err := l.Trim(t.Context(), "s", 4); !errors.As(err, &back) || back.Position != 3 {
		t.Errorf("Trim: %v, want that the time of position 3 was set back", err)
	}
	wantRecords(t, read(t, l, "s", 2, 1), "c=x ")
}

// testTrimBesideSetBack: of a call that trims a record and one that sets its time back, one is refused, however
// they meet.
func testTrimBesideSetBack(t *testing.T, s Storage) {
	l := openAt(t, s, steps(100, 200, 300))
	var trimmed, set int
	for round := range 60 {
		shard := fmt.Sprint("s", round)
		appendAll(t, l, shard, entry("", ""), entry("", ""))
		appendAll(t, l, shard, entry("", ""))
		first := read(t, l, shard, 0, 1)[0].Appended
		done := make(chan error, 1)
		go func() { done <- l.Trim(context.Background(), shard, 1) }()
		for range round % 8 { // at another moment each time
			read(t, l, shard, 2, 1)
		}
		did, failed := l.SetBack(t.Context(), shard, first-1)
		cut := <-done
		var back *eventlog.SetBackError
		if cut != nil && !errors.As(cut, &back) {
			t.Fatal(cut)
		}
		at, err := l.Trimmed(t.Context(), shard)
		switch {
		case err != nil:
			t.Fatal(err)
		case did == (at.Position > 0), did == (failed != nil):
			t.Fatalf("round %d: set back: %v, %v; trimmed up to %d: %v", round, did, failed, at.Position, cut)
		case did:
			set++
		default:
			trimmed++
		}
	}
	t.Logf("set back %d times, trimmed %d times", set, trimmed)
}

// testTrimCrash: what was acknowledged is trimmed after a crash, and everything else is there.
func testTrimCrash(t *testing.T, s Storage) {
	if s.Crash == nil {
		return
	}
	l := s.Open(t, nil)
	appendAll(t, l, "s", entry("a", "1"), entry("b", "2"), entry("c", "3"))
	last := read(t, l, "s", 1, 1)[0]
	trim(t, l, 2)
	s.Crash(t)
	_ = l.Close()
	l = open(t, s)
	wantTrimmed(t, l, last)
	wantRecords(t, read(t, l, "s", 2, 9), "c=3")
	want(t, appendAll(t, l, "s", entry("a", "1"), entry("d", "4")), "duplicate 1", "appended 4")
}

// testTrimConcurrently trims while others append and read: a reader gets the next records, or is told
// that they were trimmed.
func testTrimConcurrently(t *testing.T, s Storage) {
	l := open(t, s)
	const total = 400
	appendAll(t, l, "s", entry("0", "x"))
	done := make(chan error, 1)
	go func() {
		for at := eventlog.Position(0); at < total; {
			records, err := l.Read(context.Background(), "s", at, 10)
			var trimmed *eventlog.TrimmedError
			switch {
			case errors.As(err, &trimmed) && trimmed.Position > at:
				at = trimmed.Position
				continue
			case err != nil:
				done <- fmt.Errorf("reading after %d: %w", at, err)
				return
			}
			for _, r := range records {
				if at++; r.Position != at || r.ID != fmt.Sprint(at-1) {
					done <- fmt.Errorf("position %d was followed by %d, %q", at-1, r.Position, r.ID)
					return
				}
			}
		}
		done <- nil
	}()
	for i := 1; i < total; i++ {
		appendAll(t, l, "s", entry(fmt.Sprint(i), "x"))
		if i%3 == 0 {
			trim(t, l, eventlog.Position(i))
		}
	}
	if err := promptly(t, done, "everything was appended"); err != nil {
		t.Error(err)
	}
}
