package logtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// handClock is a clock that a test sets.
type handClock struct{ now atomic.Int64 }

func (c *handClock) clock() plan.EventTime { return plan.EventTime(c.now.Load()) }
func (c *handClock) set(t plan.EventTime)  { c.now.Store(int64(t)) }

// kept makes an entry of a time whose id is remembered for a while.
func kept(id string, at plan.EventTime, keep plan.Micros) eventlog.Entry {
	return eventlog.Entry{ID: id, Payload: fmt.Appendf(nil, "%s@%d", id, at), Time: at, Keep: keep}
}

// wantExpired fails unless the entry is refused.
func wantExpired(t fataler, l eventlog.Log, e eventlog.Entry) {
	t.Helper()
	r := appendAll(t, l, "s", e)[0]
	if r.Outcome != eventlog.Expired || r.Position != 0 || r.Forgotten <= e.Time {
		t.Fatalf("%q at %d: %+v, want it refused", e.ID, e.Time, r)
	}
}

// testForget: ids are remembered for their time and not much longer, and an event whose id may have been
// forgotten is refused.
func testForget(t *testing.T, s Storage) {
	var now handClock
	l := openAt(t, s, now.clock)
	at := func(t plan.EventTime) { now.set(t) }
	at(1000)
	want(t, appendAll(t, l, "s", kept("a", 1000, 400), entry("forever", "x"), kept("old", 3, 400)), "appended 1", "appended 2", "appended 3")
	register(t, l, "s", kept("history", 900, 400), kept("history", 900, 400))
	at(1400) // not before Keep is over
	want(t, appendAll(t, l, "s", kept("a", 1000, 400), kept("old", 3, 400), kept("history", 900, 400), kept("b", 1400, 400)),
		"duplicate 1", "duplicate 3", "duplicate 0", "appended 4")
	at(2000)
	want(t, appendAll(t, l, "s", kept("c", 2000, 400)), "appended 5")
	for _, e := range []eventlog.Entry{kept("a", 1000, 400), kept("old", 3, 400), kept("history", 900, 400), kept("never seen", 1000, 400), kept("a", 1000, 0)} {
		wantExpired(t, l, e)
	}
	register(t, l, "s", kept("a", 1000, 400)) // is not remembered again
	wantExpired(t, l, kept("a", 1000, 400))
	want(t, appendAll(t, l, "s", entry("forever", "x"), kept("", 1, 400), kept("late, but not too late", 1999, 400)), "duplicate 2", "appended 6", "appended 7")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, s, now.clock)
	wantExpired(t, l, kept("a", 1000, 400))
	want(t, appendAll(t, l, "s", kept("c", 2000, 400), kept("d", 2000, 400)), "duplicate 5", "appended 8")
	at(1500) // by a clock that is behind
	wantExpired(t, l, kept("a", 1000, 400))
	want(t, appendAll(t, l, "s", kept("c", 2000, 400)), "duplicate 5")
}

// testForgetAhead: an id is remembered until its event is old, though the event was stored before
// its time.
func testForgetAhead(t *testing.T, s Storage) {
	var now handClock
	l := openAt(t, s, now.clock)
	now.set(1000)
	want(t, appendAll(t, l, "s", kept("ahead", 5000, 400)), "appended 1")
	for _, at := range []plan.EventTime{2000, 5000, 5400} {
		now.set(at)
		want(t, appendAll(t, l, "s", kept("ahead", 5000, 400), kept(fmt.Sprint(at), at, 400)), "duplicate 1", fmt.Sprintf("appended %d", end(t, l, "s")))
	}
	now.set(7000)
	want(t, appendAll(t, l, "s", kept("now", 7000, 400)), fmt.Sprintf("appended %d", end(t, l, "s")))
	wantExpired(t, l, kept("ahead", 5000, 400))
}

// testForgetConflict: a delivery that contradicted its event by its time is not taken when the event
// has been forgotten.
func testForgetConflict(t *testing.T, s Storage) {
	var now handClock
	l := openAt(t, s, now.clock)
	now.set(1000)
	want(t, appendAll(t, l, "s", kept("a", 1000, 400)), "appended 1")
	want(t, appendAll(t, l, "s", kept("a", 1900, 400)), "conflict 1")
	for at := plan.EventTime(1100); at < 2290; at += 100 {
		now.set(at)
		appendAll(t, l, "s", kept(fmt.Sprint(at), at, 400))
		want(t, appendAll(t, l, "s", kept("a", 1900, 400)), "conflict 1")
	}
	for at := plan.EventTime(2300); at < 4000; at += 100 {
		now.set(at)
		appendAll(t, l, "s", kept(fmt.Sprint(at), at, 400))
	}
	wantExpired(t, l, kept("a", 1900, 400))
}

// outcomeOfE is a delivery of event "e", of time 1000, with late fields; its id is remembered for 400.
func outcomeOfE(fields string) eventlog.Entry {
	e := late("e", "x", fields)
	e.Time, e.Keep = 1000, 400
	return e
}

// testForgetFillings: outcomes fill an event as long as it is remembered, and are refused later.
func testForgetFillings(t *testing.T, s Storage) {
	var now handClock
	l := openAt(t, s, now.clock)
	now.set(1000)
	want(t, appendAll(t, l, "s", outcomeOfE("")), "appended 1")
	now.set(1399)
	want(t, appendAll(t, l, "s", outcomeOfE("a=1"), kept("b", 1399, 400)), "filled 2", "appended 3")
	wantVersions(t, readAll(t, l, "s")[1], "1@1000 seen=0", "2@1399 a=1")
	now.set(3000)
	want(t, appendAll(t, l, "s", kept("c", 3000, 400)), "appended 4")
	wantExpired(t, l, outcomeOfE("a=1 b=2"))
	wantExpired(t, l, outcomeOfE(""))
	if n := len(readAll(t, l, "s")); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}

// testForgetRegister: history adds fields to an event that is remembered, though its time is that of forgotten ones.
func testForgetRegister(t *testing.T, s Storage) {
	var now handClock
	l := openAt(t, s, now.clock)
	now.set(1000)
	want(t, appendAll(t, l, "s", kept("first", 1000, 400)), "appended 1")
	now.set(1450)
	want(t, appendAll(t, l, "s", outcomeOfE("")), "appended 2")
	now.set(1750)
	want(t, appendAll(t, l, "s", kept("c", 1750, 400)), "appended 3")
	wantExpired(t, l, kept("first", 1000, 400))
	register(t, l, "s", kept("unknown", 1000, 400), outcomeOfE("a=1"), kept("unknown", 1000, 400))
	want(t, appendAll(t, l, "s", outcomeOfE("a=1")), "duplicate 2")
	want(t, appendAll(t, l, "s", outcomeOfE("a=1 b=2")), "filled 4")
	wantExpired(t, l, kept("unknown", 1000, 400))
}

// remembering is what a model that never forgets expects of a log that does.
type remembering struct {
	stored map[string]plan.EventTime // since when an id is to be remembered
	newest plan.EventTime            // of all clocks
}

// check compares an outcome with the laws: no event counts twice, none that must be remembered is
// unknown, and none is refused that is younger than it has to be.
func (m *remembering) check(t fataler, e eventlog.Entry, now plan.EventTime, r eventlog.Result) {
	t.Helper()
	m.newest = max(m.newest, now)
	since, seen := m.stored[e.ID]
	switch r.Outcome {
	case eventlog.Appended:
		if seen {
			t.Fatalf("%q counts twice at %d", e.ID, now)
		}
		m.stored[e.ID] = max(now, e.Time)
	case eventlog.Duplicate:
		if !seen {
			t.Fatalf("%q was never stored and is called a duplicate", e.ID)
		}
	case eventlog.Expired:
		if seen && m.newest < since+plan.EventTime(e.Keep) {
			t.Fatalf("%q of %d was stored at %d and is not remembered at %d", e.ID, e.Time, since, now)
		}
		if e.Time > m.newest-plan.EventTime(e.Keep) {
			t.Fatalf("%q of %d was refused at %d, though it is younger than %d", e.ID, e.Time, m.newest, e.Keep)
		}
	default:
		t.Fatalf("%q: outcome %d", e.ID, r.Outcome)
	}
}

// testForgetModel appends and registers random events, again and again, by clocks that disagree,
// through logs that are reopened.
func testForgetModel(t *testing.T, s Storage) {
	var clocks [2]handClock
	open := func() []eventlog.Log {
		logs := []eventlog.Log{s.Open(t, clocks[0].clock)}
		if s.Shared {
			logs = append(logs, s.Open(t, clocks[1].clock))
		}
		return logs
	}
	logs := open()
	closeAll := func() {
		for _, l := range logs {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		shard := fmt.Sprintf("forget %d", run)
		m := &remembering{stored: map[string]plan.EventTime{}}
		keep := plan.Micros(rapid.SampledFrom([]int{1, 7, 100, 5000}).Draw(t, "keep"))
		now := plan.EventTime(rapid.IntRange(-1000, 1000).Draw(t, "begin"))
		var made []eventlog.Entry
		draw := func(t *rapid.T) eventlog.Entry {
			if len(made) > 0 && rapid.Bool().Draw(t, "again") {
				return made[rapid.IntRange(0, len(made)-1).Draw(t, "which")]
			}
			lag := rapid.SampledFrom([]int{0, 0, 0, 1, int(keep) / 2, int(keep), 3 * int(keep), -int(keep), 20 * int(keep)}).Draw(t, "lag")
			e := kept(fmt.Sprint(len(made)), now-plan.EventTime(lag), keep)
			made = append(made, e)
			return e
		}
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now += plan.EventTime(rapid.IntRange(0, int(keep)).Draw(t, "passed"))
			},
			"append": func(t *rapid.T) {
				which := rapid.IntRange(0, len(logs)-1).Draw(t, "log")
				at := now - plan.EventTime(rapid.IntRange(0, 1+int(keep)/10).Draw(t, "behind"))
				clocks[which].set(at)
				var entries []eventlog.Entry
				for range rapid.IntRange(1, 4).Draw(t, "entries") {
					entries = append(entries, draw(t))
				}
				results, err := logs[which].Append(context.Background(), shard, entries)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					m.check(t, entries[i], at, r)
				}
			},
			"register": func(t *rapid.T) {
				e := draw(t)
				clocks[0].set(now)
				register(t, logs[0], shard, e)
				m.newest = max(m.newest, now)
				if _, seen := m.stored[e.ID]; !seen {
					m.stored[e.ID] = plan.Always // it may be one that is refused from now on
				}
			},
			"reopen": func(*rapid.T) {
				closeAll()
				logs = open()
			},
		})
	})
	closeAll()
}
