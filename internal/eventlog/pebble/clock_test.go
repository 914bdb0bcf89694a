package pebble

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// A push while the clock was 30 days ahead does not hide what comes after: nothing is
// stored until the clock is right or the time is set back, and other sources go on [b11].
func TestB11_NothingIsStoredInTheFuture(t *testing.T) {
	const start, days30, bound = plan.EventTime(1735732800000000), plan.EventTime(30 * plan.Day), 30 * plan.Second
	var now atomic.Int64
	now.Store(int64(start + days30))
	fs := vfs.NewMem()
	open := func() *Log {
		l, err := Open("log", Options{FS: fs, MaxAhead: bound, Clock: func() plan.EventTime { return plan.EventTime(now.Load()) }})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if _, err := l.Append(ctx, "pay", entry("a")); err != nil {
		t.Fatal(err)
	}
	now.Store(int64(start))
	for range 2 {
		_, err := l.Append(ctx, "pay", entry("b"))
		var clock *eventlog.ClockError
		if !errors.As(err, &clock) || clock.Newest != start+days30 || clock.Clock != start || !strings.Contains(err.Error(), "unskew log set-back pay") {
			t.Fatalf("an append 30 days before the newest record: %v", err)
		}
		if _, err := l.Append(ctx, "other", entry("a")); err != nil {
			t.Errorf("another source: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
	}
	if did, err := l.SetBack(ctx, "pay", start); err != nil || !did {
		t.Fatal(did, err)
	}
	now.Store(int64(start - plan.EventTime(bound)))
	if _, err := l.Append(ctx, "pay", entry("b")); err != nil {
		t.Errorf("a clock that is behind by no more than the bound: %v", err)
	}
	now.Store(int64(start - plan.EventTime(bound) - 1))
	if _, err := l.Append(ctx, "pay", entry("c")); err == nil {
		t.Error("a clock that is behind by more than the bound")
	}
	records, err := l.Read(ctx, "pay", 0, 10)
	if err != nil || len(records) != 2 || records[0].Appended != start || records[1].Appended != start {
		t.Errorf("%v, %v", records, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
