package server

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
)

// budget bounds the resources that all requests together may use. A request that does not fit waits
// its turn, first in, first out, until its context ends.
type budget struct {
	maxBytes int
	inFlight atomic.Int64
	most     int64 // limit of requests in flight
	bodies   *semaphore.Weighted
	cells    *semaphore.Weighted
}

func newBudget(cfg Config) *budget {
	return &budget{
		maxBytes: cfg.MaxBytes, most: int64(cfg.MaxInFlight),
		bodies: semaphore.NewWeighted(limits.DecodingBytes), cells: semaphore.NewWeighted(limits.AnsweringCells),
	}
}

// smallBody is the largest body that is decoded without a reservation: even the maximum number of
// requests in flight with such bodies needs little memory.
const smallBody = 64 << 10

// admit delays a request until its body can be decoded within the memory budget. Requests that
// Connect will refuse pass through, so that callers get the error in their own protocol.
func (b *budget) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		weight := b.weight(r)
		if weight == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if err := b.bodies.Acquire(r.Context(), weight); err != nil {
			return // the caller went away
		}
		defer b.bodies.Release(weight)
		next.ServeHTTP(w, r)
	})
}

// weight estimates the memory that decoding the request's body takes; 0 for a small body.
func (b *budget) weight(r *http.Request) int64 {
	length, each := r.ContentLength, int64(8)
	packed := r.Header.Get("Content-Encoding") != "" || r.Header.Get("Grpc-Encoding") != ""
	json := strings.Contains(r.Header.Get("Content-Type"), "json")
	if length >= 0 && length <= smallBody && !packed {
		return 0
	}
	if length < 0 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") && !packed {
		length = smallBody // each message carries its length, and most are short
	} else if length < 0 || packed {
		length = int64(b.maxBytes)
	}
	if json {
		length, each = min(length, limits.JSONBytes), 32
	}
	return min(length*each, limits.DecodingBytes)
}

// enter counts a request as in flight; leave must follow. It is an error beyond the limit.
func (b *budget) enter() error {
	if n := b.inFlight.Add(1); n > b.most {
		b.leave()
		return tooMuch("the server is answering %d requests, which is its limit; try again later", b.most)
	}
	return nil
}

func (b *budget) leave() { b.inFlight.Add(-1) }

// reserveCells waits until an answer of this many cells fits beside the others in progress.
func (b *budget) reserveCells(ctx context.Context, cells int64) (done func(), err error) {
	if err := b.cells.Acquire(ctx, cells); err != nil {
		return nil, err
	}
	return func() { b.cells.Release(cells) }, nil
}

// maxCells bounds the number of cells in an answer: the values of all rows, plus the elements of
// lists and maps as bounded by their definition and by the size of the stored states.
func (s *service) maxCells(q *query, states []fetched) (cells int64, err error) {
	total := 0
	for i := range states {
		for e := range states[i].States {
			total += states[i].stateBytes(e)
		}
	}
	if total > limits.FetchedBytes {
		return 0, tooMuch("the states of the requested entities have %d bytes, and a read may fetch at most %d; ask for fewer rows at a time", total, limits.FetchedBytes)
	}
	for _, o := range q.outputs {
		cells += int64(q.n)
		if s.elements[o] > 0 {
			cells += limits.ElementCells * s.elementsOf(o, q.n, states)
		}
	}
	if cells > limits.AnswerCells {
		return 0, tooMuch("an answer of %d rows and %d features may have %d values (an element of a list or map counts as %d), and the limit is %d; ask for fewer rows or features at a time",
			q.n, len(q.outputs), cells, limits.ElementCells, limits.AnswerCells)
	}
	return cells, nil
}

// minElementBytes is the least number of bytes that an element of a list or map takes in a state.
const minElementBytes = 2

// elementsOf bounds the number of elements that an output has over all rows.
func (s *service) elementsOf(o, n int, states []fetched) (elements int64) {
	if o >= len(s.plan.Features) {
		return int64(n) * int64(s.elements[o])
	}
	of := &states[s.plan.Features[o].Ref]
	for i := range n {
		elements += int64(min(s.elements[o], of.stateBytes(of.places.Of(i))/minElementBytes))
	}
	return elements
}

// maxElements bounds the elements in one value of output o from the definition alone; 0 for a
// scalar.
func maxElements(p *plan.Service, o int) int {
	if d := o - len(p.Features); d >= 0 {
		if !composite(p.Derived[d].Type) {
			return 0
		}
		return derivedElements
	}
	f := p.Features[o]
	v := p.Views[f.Ref].View
	feature := v.Features[f.Feature]
	if !composite(feature.Type) {
		return 0
	}
	most := 0
	feature.Expr.Walk(func(e *plan.Expr) {
		if e.Kind == plan.Aggregate {
			slot := &v.Slots[v.Aggregates[e.Index].Slot]
			switch {
			case slot.Group != nil:
				most = max(most, plan.MaxElements)
			case slot.N > 0 && composite(slot.Type):
				most = max(most, slot.N)
			}
		}
	})
	return max(most, derivedElements)
}

// derivedElements is the assumed size of a list or map that an expression computes.
const derivedElements = 16

func composite(t plan.Type) bool {
	kind := t.Unwrap().Kind
	return kind == plan.List || kind == plan.Map
}

// limitConnections wraps a listener so that at most this many connections are open at a time.
func limitConnections(ln net.Listener, most int) net.Listener {
	return &limitedListener{Listener: ln, open: make(chan struct{}, most), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	open   chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: c, listener: l}, nil
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.listener.open })
	return c.Conn.Close()
}
