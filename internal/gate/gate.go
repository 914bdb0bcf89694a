// Package gate admits operations to a resource until it is closed, and lets Close wait for the
// operations that are still running.
package gate

import (
	"context"
	"sync"
)

// A Gate starts open. All methods are safe for concurrent use.
type Gate struct {
	mu      sync.Mutex
	shut    bool
	inside  sync.WaitGroup
	closing chan struct{}
}

// New returns an open gate.
func New() *Gate { return &Gate{closing: make(chan struct{})} }

// Enter reports whether the operation may run. If so, the caller must call Leave when it is done.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.inside.Add(1)
	return true
}

// Leave ends what Enter began.
func (g *Gate) Leave() { g.inside.Done() }

// Close makes every later Enter return false, and waits until all admitted operations have called
// Leave. It reports whether this was the first call, whose caller then releases the resource.
func (g *Gate) Close() bool {
	g.mu.Lock()
	first := !g.shut
	if first {
		g.shut = true
		close(g.closing)
	}
	g.mu.Unlock()
	g.inside.Wait()
	return first
}

// Closing is closed when Close begins. Operations that block must then return.
func (g *Gate) Closing() <-chan struct{} { return g.closing }

// Bind returns a context that ends with ctx or when Close begins. Call it between Enter and Leave,
// and release before Leave; release waits for the goroutine that Bind starts.
func (g *Gate) Bind(ctx context.Context) (bound context.Context, release func()) {
	bound, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-g.closing:
			cancel()
		case <-bound.Done():
		}
	}()
	return bound, func() {
		cancel()
		<-ended
	}
}
