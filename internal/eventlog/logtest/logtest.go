// Package logtest is the conformance suite of eventlog.Log. An implementation's
// test file says how to make a storage and calls Run.
package logtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// Storage is where a log keeps its records while no log is open.
type Storage struct {
	// Open opens a log that finds what earlier ones stored. The suite closes it. A
	// nil clock is the real one.
	Open func(t *testing.T, clock eventlog.Clock) eventlog.Log
	// Crash cuts the power at some moment during the call: what was acknowledged
	// before it must survive, what was not may. Logs open at that moment are lost
	// and may return anything; Open finds what survived. Nil leaves out the tests
	// that need it.
	Crash func(t *testing.T)
	// Shared says that several logs can have the storage open at once.
	Shared bool
	// Isolated says that nothing a test does to its storage, not even Crash, affects the storage
	// of another test. Tests then run in parallel.
	Isolated bool
	// Archived says that records are archived and trimmed at once and read from the archive. The tests of
	// trimming, and of times that are set back, are left out.
	Archived bool
}

// Run tests the implementation; create makes an empty storage for each test.
func Run(t *testing.T, create func(t *testing.T) Storage) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Storage)
	}{
		{"Positions are dense and in order", testDense},
		{"Shards are independent", testShards},
		{"O5 a divided log has each id once", testDivided},
		{"Entries without ids in a divided log", testDividedWithoutIDs},
		{"The number of shards stays", testShardCount},
		{"O5 a log that is divided anew has each id once", testReshard},
		{"O5 no event comes while a log is divided anew", testReshardSealsFirst},
		{"O7 dividing anew can be interrupted", testReshardInterrupted},
		{"O5 pushes beside dividing anew", testReshardConcurrently},
		{"Wait for several shards", testWaitForSeveral},
		{"Read pages and ends", testRead},
		{"Payloads belong to the caller", testOwnership},
		{"Empty and binary ids and payloads", testBinary},
		{"Large payloads", testLarge},
		{"Limits", testLimits},
		{"O5 same payload twice is two events, same id twice is one", testO5},
		{"O5 redelivery inside one call", testO5InsideCall},
		{"A conflict keeps the first", testConflict},
		{"Register marks ids as seen", testRegister},
		{"O5 later deliveries fill an event", testFillings},
		{"A delivery with an outcome comes first", testFillingFirst},
		{"O5 fillings inside one call", testFillingsInsideCall},
		{"Register fills what history has", testRegisterFills},
		{"Fillings of events from before", testFillingsOfOldEvents},
		{"Concurrent fillings", testConcurrentFillings},
		{"Model", testModel},
		{"P15 ids are forgotten, and no event counts twice", testForget},
		{"P15 the id of an event ahead of its time", testForgetAhead},
		{"P15 a conflict with a forgotten event", testForgetConflict},
		{"P15 outcomes of forgotten events", testForgetFillings},
		{"P15 history of events that are as old as forgotten ones", testForgetRegister},
		{"P15 ids are remembered as long as they must be", testForgetModel},
		{"Trimmed records are gone and nothing else", testTrim},
		{"Many records are trimmed", testTrimManyRecords},
		{"B11 times that were set back are not trimmed", testTrimSetBack},
		{"B11 trimming and setting back at once", testTrimBesideSetBack},
		{"Trimmed records are gone after a crash", testTrimCrash},
		{"Records are trimmed while others read", testTrimConcurrently},
		{"Appended never decreases", testAppended},
		{"B11 times can be set back", testSetBack},
		{"B11 times of versions can be set back", testSetBackVersions},
		{"B5 times and positions beyond 2^53 are exact", testB5},
		{"Reopen finds everything", testReopen},
		{"O7 appending again after a crash adds nothing", testO7},
		{"Crash keeps what was acknowledged", testCrash},
		{"Wait returns when records come", testWait},
		{"Wait returns when its context ends", testWaitCancelled},
		{"Wait returns when the log is closed", testWaitClosed},
		{"Concurrent appenders", testConcurrent},
		{"Concurrent appenders of the same ids", testConcurrentIDs},
		{"A reader never misses a record", testReader},
		{"A cancelled context changes nothing", testCancelled},
		{"Use after Close is an error", testClosed},
		{"Two logs on one storage", testShared},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := create(t) // one at a time, also where tests are parallel
			if s.Isolated {
				t.Parallel()
			}
			if s.Archived && ofTheLogAlone[test.name] {
				return
			}
			test.run(t, s)
		})
	}
}

// ofTheLogAlone are the tests that are left out if records are archived at once.
var ofTheLogAlone = map[string]bool{
	"Trimmed records are gone and nothing else": true, "Many records are trimmed": true, "B11 times that were set back are not trimmed": true,
	"B11 trimming and setting back at once":  true,
	"Trimmed records are gone after a crash": true, "Records are trimmed while others read": true,
	"B11 times can be set back": true, "B11 times of versions can be set back": true,
}

// open opens a log for the length of the test.
func open(t *testing.T, s Storage) eventlog.Log {
	t.Helper()
	return openAt(t, s, nil)
}

func openAt(t *testing.T, s Storage, clock eventlog.Clock) eventlog.Log {
	t.Helper()
	l := s.Open(t, clock)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// steps is a clock that tells the given times and stays at the last.
func steps(times ...plan.EventTime) eventlog.Clock {
	var mu sync.Mutex
	return func() plan.EventTime {
		mu.Lock()
		defer mu.Unlock()
		now := times[0]
		if len(times) > 1 {
			times = times[1:]
		}
		return now
	}
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func appendAll(t fataler, l eventlog.Log, shard string, entries ...eventlog.Entry) []eventlog.Result {
	t.Helper()
	results, err := l.Append(context.Background(), shard, entries)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if len(results) != len(entries) {
		t.Fatalf("Append of %d entries returned %d results", len(entries), len(results))
	}
	return results
}

func register(t fataler, l eventlog.Log, shard string, entries ...eventlog.Entry) {
	t.Helper()
	if err := l.Register(context.Background(), shard, entries); err != nil {
		t.Fatalf("Register: %v", err)
	}
}

func end(t fataler, l eventlog.Log, shard string) eventlog.Position {
	t.Helper()
	p, err := l.End(context.Background(), shard)
	if err != nil {
		t.Fatalf("End: %v", err)
	}
	return p
}

func read(t fataler, l eventlog.Log, shard string, after eventlog.Position, limit int) []eventlog.Record {
	t.Helper()
	records, err := l.Read(context.Background(), shard, after, limit)
	if err != nil {
		t.Fatalf("Read after %d: %v", after, err)
	}
	return records
}

// readAll reads the whole shard in pages and checks what holds for every shard:
// dense positions that end at End, times that do not decrease, no id twice but to fill.
func readAll(t fataler, l eventlog.Log, shard string) []eventlog.Record {
	t.Helper()
	var all []eventlog.Record
	for {
		page := read(t, l, shard, eventlog.Position(len(all)), 7)
		all = append(all, page...)
		if len(page) < 7 {
			break
		}
	}
	ids := map[string]eventlog.Position{}
	last := plan.Always
	for i, r := range all {
		if r.Position != eventlog.Position(i+1) {
			t.Fatalf("record %d of the shard has position %d", i+1, r.Position)
		}
		if r.Appended < last {
			t.Fatalf("position %d was appended at %v, before %v", r.Position, r.Appended, last)
		}
		last = r.Appended
		if earlier, ok := ids[r.ID]; ok && r.ID != "" && r.Versions == nil {
			t.Fatalf("id %q is at positions %d and %d", r.ID, earlier, r.Position)
		}
		ids[r.ID] = r.Position
	}
	if e := end(t, l, shard); e != eventlog.Position(len(all)) {
		t.Fatalf("End is %d, the shard has %d records", e, len(all))
	}
	return all
}

// want compares the results with "appended 1", "duplicate 1" and so on.
func want(t fataler, results []eventlog.Result, texts ...string) {
	t.Helper()
	if len(results) != len(texts) {
		t.Fatalf("%d results, want %d", len(results), len(texts))
	}
	for i, r := range results {
		name := [...]string{"appended", "duplicate", "conflict", "filled"}[r.Outcome]
		if got := fmt.Sprintf("%s %d", name, r.Position); got != texts[i] {
			t.Fatalf("result %d is %q, want %q", i, got, texts[i])
		}
	}
}

// wantRecords compares ids and payloads, written "id=payload".
func wantRecords(t fataler, records []eventlog.Record, texts ...string) {
	t.Helper()
	if len(records) != len(texts) {
		t.Fatalf("%d records, want %d", len(records), len(texts))
	}
	for i, r := range records {
		if got := r.ID + "=" + string(r.Payload); got != texts[i] {
			t.Fatalf("record %d is %q, want %q", i, got, texts[i])
		}
	}
}

func entry(id, payload string) eventlog.Entry {
	return eventlog.Entry{ID: id, Payload: []byte(payload)}
}
