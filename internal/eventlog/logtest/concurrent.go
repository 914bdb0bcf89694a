package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/eventlog"
)

// patience is the timeout for what should happen promptly. A passing test never waits that long.
const patience = 20 * time.Second

// waiting calls Wait in a goroutine and gives its error.
func waiting(ctx context.Context, l eventlog.Log, shard string, after eventlog.Position) <-chan error {
	returned := make(chan error, 1)
	go func() { returned <- l.Wait(ctx, eventlog.Ends{shard: after}) }()
	return returned
}

func promptly(t *testing.T, returned <-chan error, what string) error {
	t.Helper()
	select {
	case err := <-returned:
		return err
	case <-time.After(patience):
		t.Fatalf("Wait did not return although %s", what)
		return nil
	}
}

func testWait(t *testing.T, s Storage) {
	l := open(t, s)
	ctx := context.Background()
	first, second, other := waiting(ctx, l, "s", 0), waiting(ctx, l, "s", 1), waiting(ctx, l, "other", 0)
	appendAll(t, l, "s", entry("a", ""))
	if err := promptly(t, first, "a record came"); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if err := l.Wait(ctx, eventlog.Ends{"s": 0}); err != nil {
		t.Errorf("Wait for a record that is there: %v", err)
	}
	appendAll(t, l, "s", entry("a", "")) // a duplicate is not a record
	register(t, l, "s", entry("r", ""))  // nor is an id
	select {
	case err := <-second:
		t.Errorf("Wait after position 1 returned %v before there was a second record", err)
	case err := <-other:
		t.Errorf("Wait returned %v for a record of another shard", err)
	default:
	}
	appendAll(t, l, "s", entry("b", ""))
	appendAll(t, l, "other", entry("b", ""))
	if err := promptly(t, second, "the second record came"); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if err := promptly(t, other, "the other shard's record came"); err != nil {
		t.Errorf("Wait: %v", err)
	}
}

func testWaitCancelled(t *testing.T, s Storage) {
	l := open(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	returned := waiting(ctx, l, "s", 0)
	cancel()
	if err := promptly(t, returned, "its context was cancelled"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want context.Canceled", err)
	}
	if err := l.Wait(ctx, eventlog.Ends{"s": 0}); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a cancelled context: %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := promptly(t, waiting(ctx, l, "s", 0), "its time was over"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v, want context.DeadlineExceeded", err)
	}
	// A far deadline does not hold up a cancellation.
	ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
	returned = waiting(ctx, l, "s", 0)
	cancel()
	if err := promptly(t, returned, "its context was cancelled"); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want context.Canceled", err)
	}
	want(t, appendAll(t, l, "s", entry("", "")), "appended 1")
}

func testWaitClosed(t *testing.T, s Storage) {
	l := open(t, s)
	returned := waiting(context.Background(), l, "s", 0)
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := promptly(t, returned, "the log was closed"); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
}

const (
	appenders    = 8
	appendsEach  = 25
	appendShards = 2
)

// inParallel runs f for each appender and waits for them.
func inParallel(f func(appender int)) {
	var all sync.WaitGroup
	for i := range appenders {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func testConcurrent(t *testing.T, s Storage) {
	l := open(t, s)
	inParallel(func(i int) {
		for n := range appendsEach {
			shard := fmt.Sprintf("s%d", n%appendShards)
			id := fmt.Sprintf("%d/%d", i, n)
			results, err := l.Append(context.Background(), shard, []eventlog.Entry{entry(id+"a", id), entry(id+"b", id)})
			if err != nil {
				t.Errorf("Append: %v", err)
				return
			}
			if results[0].Outcome != eventlog.Appended || results[1].Position != results[0].Position+1 {
				t.Errorf("the entries of one call are not together: %v", results)
			}
		}
	})
	total := 0
	for i := range appendShards {
		total += len(readAll(t, l, fmt.Sprintf("s%d", i)))
	}
	if want := 2 * appenders * appendsEach; total != want {
		t.Errorf("%d records, want %d", total, want)
	}
}

// testConcurrentIDs appends the same ids from all appenders: each is appended once and all get the
// same position.
func testConcurrentIDs(t *testing.T, s Storage) {
	l := open(t, s)
	var positions [appenders][appendsEach]eventlog.Position
	var appended [appenders]int
	inParallel(func(i int) {
		for n := range appendsEach {
			results, err := l.Append(context.Background(), "s", []eventlog.Entry{entry(fmt.Sprint(n), "x")})
			if err != nil {
				t.Errorf("Append: %v", err)
				return
			}
			positions[i][n] = results[0].Position
			if results[0].Outcome == eventlog.Appended {
				appended[i]++
			}
		}
	})
	total := 0
	for i := range appenders {
		total += appended[i]
		if positions[i] != positions[0] {
			t.Errorf("appenders were told different positions: %v and %v", positions[0], positions[i])
		}
	}
	if total != appendsEach || len(readAll(t, l, "s")) != appendsEach {
		t.Errorf("%d appended, want %d", total, appendsEach)
	}
}

// testReader follows the log with Wait and Read while others append.
func testReader(t *testing.T, s Storage) {
	l := open(t, s)
	const total = appenders * appendsEach
	followed := make(chan error, 1)
	go func() { followed <- follow(l, total) }()
	inParallel(func(i int) {
		for n := range appendsEach {
			if _, err := l.Append(context.Background(), "s", []eventlog.Entry{entry(fmt.Sprintf("%d/%d", i, n), "")}); err != nil {
				t.Errorf("Append: %v", err)
			}
		}
	})
	if err := promptly(t, followed, "everything was appended"); err != nil {
		t.Error(err)
	}
}

func follow(l eventlog.Log, total eventlog.Position) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for at := eventlog.Position(0); at < total; {
		if err := l.Wait(ctx, eventlog.Ends{"s": at}); err != nil {
			return err
		}
		records, err := l.Read(ctx, "s", at, 10)
		if err != nil || len(records) == 0 {
			return fmt.Errorf("after Wait for more than %d, Read found %d records, %w", at, len(records), err)
		}
		for _, r := range records {
			if at++; r.Position != at {
				return fmt.Errorf("position %d was followed by %d", at-1, r.Position)
			}
		}
	}
	return nil
}

func testCancelled(t *testing.T, s Storage) {
	l := open(t, s)
	appendAll(t, l, "s", entry("a", ""))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, appendErr := l.Append(ctx, "s", []eventlog.Entry{entry("b", "")})
	_, readErr := l.Read(ctx, "s", 0, 1)
	_, endErr := l.End(ctx, "s")
	for what, err := range map[string]error{
		"Append": appendErr, "Read": readErr, "End": endErr,
		"Register": l.Register(ctx, "s", []eventlog.Entry{entry("c", "")}),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, eventlog.ErrOutcomeUnknown) {
			t.Errorf("%s: %v, want context.Canceled and a known outcome", what, err)
		}
	}
	want(t, appendAll(t, l, "s", entry("b", ""), entry("c", "")), "appended 2", "appended 3")
}

func testClosed(t *testing.T, s Storage) {
	l := open(t, s)
	appendAll(t, l, "s", entry("a", ""))
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ctx := context.Background()
	_, appendErr := l.Append(ctx, "s", []eventlog.Entry{entry("b", "")})
	_, readErr := l.Read(ctx, "s", 0, 1)
	_, endErr := l.End(ctx, "s")
	for what, err := range map[string]error{
		"Append": appendErr, "Read": readErr, "End": endErr, "Wait": l.Wait(ctx, eventlog.Ends{"s": 0}),
		"Register": l.Register(ctx, "s", []eventlog.Entry{entry("c", "")}),
	} {
		if !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s of a closed log: %v, want ErrClosed", what, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func testShared(t *testing.T, s Storage) {
	if !s.Shared {
		return
	}
	logs := []eventlog.Log{openAt(t, s, steps(1000, 2000)), openAt(t, s, steps(500))}
	returned := waiting(context.Background(), logs[0], "s", 0)
	want(t, appendAll(t, logs[1], "s", entry("a", "1")), "appended 1")
	if err := promptly(t, returned, "another log appended"); err != nil {
		t.Errorf("Wait: %v", err)
	}
	inParallel(func(i int) {
		for n := range appendsEach {
			es := []eventlog.Entry{entry(fmt.Sprint(n), "x"), entry("", fmt.Sprint(i))}
			if _, err := logs[i%2].Append(context.Background(), "s", es); err != nil {
				t.Errorf("Append: %v", err)
			}
		}
	})
	for _, l := range logs {
		if n, want := len(readAll(t, l, "s")), 1+appendsEach+appenders*appendsEach; n != want {
			t.Errorf("%d records, want %d", n, want)
		}
	}
}
