package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// A limited context ends like one of package context, whether or not somebody waits for it.
func TestTimeLimitsEnd(t *testing.T) {
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), visitKey{}, "visit"))
	defer cancel()
	long := func() *limited { return limitTime(parent, time.Hour) }

	passed := limitTime(parent, 0)
	if err := passed.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before Done, the error is %v", err)
	}
	<-passed.Done()
	if err := passed.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after Done, the error is %v", err)
	}
	soon := limitTime(parent, time.Millisecond)
	<-soon.Done()
	if err := soon.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after its limit, the error is %v", err)
	}

	idle, waited := long(), long()
	done := waited.Done()
	child, stop := context.WithCancel(waited)
	defer stop()
	for _, ctx := range []*limited{idle, waited} {
		if at, ok := ctx.Deadline(); ctx.Err() != nil || !ok || at != ctx.until || ctx.Value(visitKey{}) != "visit" {
			t.Errorf("before it ends: %v, %v, %v", ctx.Err(), at, ctx.Value(visitKey{}))
		}
		ctx.end()
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.Canceled) || ctx.Value(visitKey{}) != "visit" {
			t.Errorf("after the call: %v, %v", ctx.Err(), ctx.Value(visitKey{}))
		}
	}
	<-done
	<-child.Done()

	idle, waited = long(), long()
	done = waited.Done()
	cancel()
	<-done
	for _, ctx := range []*limited{idle, waited} {
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("after its parent: %v", ctx.Err())
		}
	}
	early, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	want, _ := early.Deadline()
	if at, ok := limitTime(early, time.Hour).Deadline(); !ok || at != want {
		t.Errorf("the earlier limit of its parent is %v, not %v", at, want)
	}
}

// Whoever waits for a limited context has the same channel, and all see its end.
func TestTimeLimitsAreShared(t *testing.T) {
	for range 100 {
		ctx := limitTime(t.Context(), time.Hour)
		var waiting sync.WaitGroup
		for range 4 {
			waiting.Go(func() { <-ctx.Done() })
		}
		ctx.end()
		waiting.Wait()
	}
}
