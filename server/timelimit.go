package server

import (
	"context"
	"sync/atomic"
	"time"
)

// limited is a context with a time limit. Most calls end before anybody waits for it, so its timer is
// set only when Done is called. Until then, Err compares the time.
type limited struct {
	context.Context // of the request
	until           time.Time
	timed           atomic.Pointer[timed] // nil: nobody has called Done
}

// timed is a context that ends at a limit.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

// ended takes the place of the timer in a limited context whose call has ended.
var ended = func() *timed {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return &timed{ctx, cancel}
}()

// limitTime is context.WithTimeout for calls that seldom wait. end must be called.
func limitTime(ctx context.Context, limit time.Duration) *limited {
	return &limited{Context: ctx, until: time.Now().Add(limit)}
}

// end ends the context.
func (l *limited) end() {
	if !l.timed.CompareAndSwap(nil, ended) {
		l.timed.Load().cancel()
	}
}

// Deadline implements context.Context.
func (l *limited) Deadline() (time.Time, bool) {
	if earlier, ok := l.Context.Deadline(); ok && earlier.Before(l.until) {
		return earlier, true
	}
	return l.until, true
}

// Done implements context.Context.
func (l *limited) Done() <-chan struct{} {
	if t := l.timed.Load(); t != nil {
		return t.Done()
	}
	ctx, cancel := context.WithDeadline(l.Context, l.until)
	if !l.timed.CompareAndSwap(nil, &timed{ctx, cancel}) {
		cancel()
	}
	return l.timed.Load().Done()
}

// Err implements context.Context.
func (l *limited) Err() error {
	if t := l.timed.Load(); t != nil {
		return t.Err()
	}
	if err := l.Context.Err(); err != nil {
		return err
	}
	if time.Until(l.until) <= 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Package context finds the timer by it, so that contexts made of
// this one need no goroutine.
func (l *limited) Value(key any) any {
	if t := l.timed.Load(); t != nil && t != ended {
		return t.Value(key)
	}
	return l.Context.Value(key)
}
