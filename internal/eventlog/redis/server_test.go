package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

var ctx = context.Background()

func two() []eventlog.Entry {
	return []eventlog.Entry{{ID: "a", Payload: []byte("1")}, {ID: "b", Payload: []byte("2")}}
}

// start opens a log on a server of its own.
func start(t *testing.T, args ...string) (*redistest.Server, *Log) {
	t.Helper()
	server := redistest.Start(t, args...)
	l := openTest(t, server.Address, "", nil)
	t.Cleanup(func() { l.Close() })
	return server, l
}

func do(t *testing.T, l *Log, command ...string) {
	t.Helper()
	if err := l.conn.Do(ctx, l.conn.B().Arbitrary(command...).Build()).Error(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

// Whatever part of a shard goes missing, the log says so instead of giving
// positions out twice or taking old ids for new.
func TestP5_MissingRecordsAreNoticed(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		reads   bool // the records are still all there
	}{
		{"events evicted", []string{"DEL", "unskew:log:{ss}:events"}, false},
		{"ids evicted", []string{"DEL", "unskew:log:{ss}:ids"}, true},
		{"head evicted", []string{"DEL", "unskew:log:{ss}:head"}, true},
		{"oldest trimmed", []string{"XTRIM", "unskew:log:{ss}:events", "MAXLEN", "1"}, false},
		{"newest deleted", []string{"XDEL", "unskew:log:{ss}:events", "0-2"}, false},
		{"an id deleted", []string{"HDEL", "unskew:log:{ss}:ids", "a"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, l := start(t)
			if _, err := l.Append(ctx, "s", two()); err != nil {
				t.Fatal(err)
			}
			do(t, l, c.command...)
			if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "c"}}); !errors.Is(err, eventlog.ErrDamaged) {
				t.Errorf("Append: %v, want ErrDamaged", err)
			}
			// Its ids must not become those of other shards.
			if err := l.SetState(ctx, "s", eventlog.Sealed); !errors.Is(err, eventlog.ErrDamaged) {
				t.Errorf("SetState: %v, want ErrDamaged", err)
			}
			records, err := l.Read(ctx, "s", 0, 10)
			if c.reads && (err != nil || len(records) != 2) || !c.reads && !errors.Is(err, eventlog.ErrDamaged) {
				t.Errorf("Read: %d records, %v", len(records), err)
			}
		})
	}
}

func TestP5_EvictionIsRefused(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	o := Options{Options: redisconn.Options{Addresses: []string{server.Address}}}
	var eviction *EvictionError
	if _, err := Open(ctx, o); !errors.As(err, &eviction) {
		t.Errorf("Open: %v, want an EvictionError", err)
	}
	o.AllowEviction = true
	l, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if w := strings.Join(l.Warnings(), "\n"); !strings.Contains(w, "allkeys-lru") {
		t.Errorf("the warnings do not name the policy: %q", w)
	}
}

func TestFullServerStoresNothing(t *testing.T) {
	_, l := start(t)
	if _, err := l.Append(ctx, "s", two()[:1]); err != nil {
		t.Fatal(err)
	}
	do(t, l, "CONFIG", "SET", "maxmemory", "1")
	_, err := l.Append(ctx, "s", two())
	if err == nil || errors.Is(err, eventlog.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "nothing was stored") {
		t.Errorf("Append to a full server: %v", err)
	}
	if err := l.Register(ctx, "s", two()); err == nil || errors.Is(err, eventlog.ErrOutcomeUnknown) {
		t.Errorf("Register on a full server: %v", err)
	}
	do(t, l, "CONFIG", "SET", "maxmemory", "0")
	results, err := l.Append(ctx, "s", two())
	if err != nil || results[1] != (eventlog.Result{Outcome: eventlog.Appended, Position: 2}) {
		t.Errorf("Append with memory again: %v, %v", results, err)
	}
}

func TestScriptsAreLoadedAgain(t *testing.T) {
	_, l := start(t)
	for want := eventlog.Position(1); want < 4; want++ {
		do(t, l, "SCRIPT", "FLUSH")
		results, err := l.Append(ctx, "s", []eventlog.Entry{{}})
		if err != nil || results[0].Position != want {
			t.Fatalf("Append after SCRIPT FLUSH: %v, %v", results, err)
		}
	}
}

func TestLostConnectionSaysWhetherTheOutcomeIsKnown(t *testing.T) {
	server := redistest.Start(t, redistest.Durable...)
	l, err := Open(ctx, Options{Options: redisconn.Options{Addresses: []string{server.Address}, Timeout: 150 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	server.Pause(t)
	if _, err = l.Append(ctx, "s", two()); !errors.Is(err, eventlog.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "no answer within 150ms") {
		t.Errorf("Append without an answer: %v, want ErrOutcomeUnknown", err)
	}
	if _, err := l.Read(ctx, "s", 0, 1); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Read without an answer: %v", err)
	}
	server.Resume(t)

	server.Kill()
	for {
		_, err := l.Append(ctx, "s", two())
		if err == nil {
			t.Fatal("Append to a dead server succeeded")
		}
		if !errors.Is(err, eventlog.ErrOutcomeUnknown) {
			break // no broken connection is left, and dialing fails
		}
	}
	server.Restart(t)
	for {
		results, err := l.Append(ctx, "s", two())
		if err != nil {
			continue // a connection that was just found broken
		}
		if results[0].Position != 1 || results[1].Position != 2 {
			t.Errorf("appending again after unknown outcomes: %v, want positions 1 and 2", results)
		}
		break
	}
}

func TestWaitNoticesALostServer(t *testing.T) {
	server, l := start(t)
	returned := make(chan error, 1)
	go func() { returned <- l.Wait(ctx, eventlog.Ends{"s": 0}) }()
	server.Kill()
	if err := <-returned; err == nil {
		t.Error("Wait returned without an error when the server died")
	}
}

// Trimming reads little at a time, also where records are large: a server does nothing else while it
// answers, and this one closes connections that ask for more.
func TestP18_TrimmingLargeRecords(t *testing.T) {
	server := redistest.Start(t, "--client-output-buffer-limit", "normal 16mb 0 0")
	now := plan.EventTime(0)
	l := openTest(t, server.Address, "", func() plan.EventTime { now++; return now })
	defer l.Close()
	for range 40 {
		if _, err := l.Append(ctx, "s", []eventlog.Entry{{Payload: make([]byte, 1<<20)}}); err != nil {
			t.Fatal(err)
		}
	}
	trim := func(to, want eventlog.Position, wrong bool) {
		t.Helper()
		err := l.Trim(ctx, "s", to)
		if got, failed := l.Trimmed(ctx, "s"); got.Position != want || wrong != (err != nil) || failed != nil {
			t.Errorf("Trim to %d: %v; trimmed up to %d, %v", to, err, got.Position, failed)
		}
	}
	trim(20, 20, false)
	if done, err := l.SetBack(ctx, "s", 37); !done || err != nil {
		t.Fatal(done, err)
	}
	trim(36, 36, false)
	trim(39, 36, true) // its time was set back
	if at, err := l.storedAt(ctx, "s", 30, eventlog.Trimmed{Position: 20}); at != plan.Never || err != nil {
		t.Errorf("the time of a record that was trimmed since: %v, %v", at, err)
	}
}

// What frees memory works on a server that has none left: trimming, and forgetting ids with the next append.
func TestP15_AFullServerForgets(t *testing.T) {
	server := redistest.Start(t)
	now := plan.EventTime(0)
	l := openTest(t, server.Address, "", func() plan.EventTime { return now })
	defer l.Close()
	for i := range 8 {
		now = plan.EventTime(i) * 10
		e := eventlog.Entry{ID: string(rune('a' + i)), Payload: []byte("x"), Time: now, Keep: 20}
		if _, err := l.Append(ctx, "s", []eventlog.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	do(t, l, "CONFIG", "SET", "maxmemory", "1")
	if err := l.Trim(ctx, "s", 5); err != nil {
		t.Errorf("Trim: %v", err)
	}
	_, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "new", Time: now, Keep: 20}})
	if !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("Append with nothing to forget: %v", err)
	}
	before := countIDs(t, l)
	now += 1000
	results, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "a", Time: 0, Keep: 20}})
	if err != nil || results[0].Outcome != eventlog.Expired {
		t.Errorf("%+v, %v, want expired", results, err)
	}
	if after := countIDs(t, l); after >= before {
		t.Errorf("%d ids, before %d", after, before)
	}
	if r, err := l.Read(ctx, "s", 5, 10); err != nil || len(r) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}
