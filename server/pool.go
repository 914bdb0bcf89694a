package server

import (
	"context"
	"sync"
)

// pool lends readers. A request holds a reader only while it computes, not while it waits for the
// store, so one reader per processor suffices. Compiling a reader is slow, so idle ones are kept,
// and the most recently used one is lent first.
type pool struct {
	free chan struct{} // a token for each reader that may be lent
	mu   sync.Mutex
	idle []*reader
}

func newPool(size int, first *reader) *pool {
	p := &pool{free: make(chan struct{}, size), idle: []*reader{first}}
	for range size {
		p.free <- struct{}{}
	}
	return p
}

// withReader calls f with a reader that nobody else uses, waiting for one if necessary. The reader
// panics with kernel.ErrStopped when ctx is done. A reader in which f panicked, for whatever
// reason, is not returned to the pool.
func (s *service) withReader(ctx context.Context, f func(*reader) error) error {
	p := s.readers
	if err := p.wait(ctx); err != nil {
		return err
	}
	defer func() { p.free <- struct{}{} }()
	r := p.take()
	if r == nil {
		var err error
		if r, err = newReader(s); err != nil {
			return err
		}
	}
	r.stop = stopAfter(ctx)
	err := f(r)
	r.reset()
	p.put(r)
	return err
}

// checksWithoutTimer is how often a limited context compares the time before a timer is cheaper.
const checksWithoutTimer = 32

// stopAfter returns a function that reports whether ctx has ended.
func stopAfter(ctx context.Context) func() bool {
	checks := 0
	return func() bool {
		if checks++; checks == checksWithoutTimer {
			ctx.Done() // sets the timer
		}
		return ctx.Err() != nil
	}
}

// wait waits until a reader may be lent.
func (p *pool) wait(ctx context.Context) error {
	select {
	case <-p.free:
		return nil
	default:
	}
	select {
	case <-p.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take returns the most recently used idle reader, or nil.
func (p *pool) take() *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	r := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return r
}

func (p *pool) put(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, r)
}
