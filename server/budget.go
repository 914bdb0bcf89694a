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

// budget is what requests may take of the server, all together. One that does not fit now
// waits for its turn, first come first served, as long as its caller does.
type budget struct {
	maxBytes int
	inFlight atomic.Int64
	most     int64 // in flight
	bodies   *semaphore.Weighted
	cells    *semaphore.Weighted
}

func newBudget(cfg Config) *budget {
	return &budget{
		maxBytes: cfg.MaxBytes, most: int64(cfg.MaxInFlight),
		bodies: semaphore.NewWeighted(limits.DecodingBytes), cells: semaphore.NewWeighted(limits.AnsweringCells),
	}
}

// smallBody is the size up to which a request is decoded without asking: all that can be in
// flight do not add up to much.
const smallBody = 64 << 10

// admit lets a request in whose body can be decoded beside those that are being decoded.
// What Connect refuses it refuses itself, so that the caller gets its protocol's error.
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

// weight is the memory that decoding the body of a request may take, 0 for a small one.
func (b *budget) weight(r *http.Request) int64 {
	length, each := r.ContentLength, int64(8)
	packed := r.Header.Get("Content-Encoding") != "" || r.Header.Get("Grpc-Encoding") != ""
	json := strings.Contains(r.Header.Get("Content-Type"), "json")
	if length >= 0 && length <= smallBody && !packed {
		return 0
	}
	if length < 0 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") && !packed {
		length = smallBody // its messages say how long they are, and most are short
	} else if length < 0 || packed {
		length = int64(b.maxBytes)
	}
	if json {
		length, each = min(length, limits.JSONBytes), 32
	}
	return min(length*each, limits.DecodingBytes)
}

// enter counts a request that is being answered, until it leaves.
func (b *budget) enter() error {
	if n := b.inFlight.Add(1); n > b.most {
		b.leave()
		return tooMuch("the server is answering %d requests and takes no more at a time; try again", b.most)
	}
	return nil
}

func (b *budget) leave() { b.inFlight.Add(-1) }

// answering waits until an answer of so many cells can be computed beside the others.
func (b *budget) answering(ctx context.Context, cells int64) (done func(), err error) {
	if err := b.cells.Acquire(ctx, cells); err != nil {
		return nil, err
	}
	return func() { b.cells.Release(cells) }, nil
}

// worth is how many cells an answer has at most: the values of all rows, and of lists and
// maps the elements that there can be by their definition and by the size of the state that
// they come from.
func (s *service) worth(q *query, states []fetched) (cells int64, err error) {
	total := 0
	for i := range states {
		for _, b := range states[i].States {
			total += len(b)
		}
	}
	if total > limits.FetchedBytes {
		return 0, tooMuch("the states of the entities have %d bytes and a read takes at most %d; ask for fewer rows at a time", total, limits.FetchedBytes)
	}
	for _, o := range q.outputs {
		cells += int64(q.n)
		if s.elements[o] > 0 {
			cells += limits.ElementCells * s.elementsOf(o, q.n, states)
		}
	}
	if cells > limits.AnswerCells {
		return 0, tooMuch("%d rows of %d features may have %d values, of which elements of lists and maps count %d times, and an answer has at most %d; ask for fewer rows or features at a time",
			q.n, len(q.outputs), cells, limits.ElementCells, limits.AnswerCells)
	}
	return cells, nil
}

// leastElement is the least number of bytes that a state has for an element of a list or map.
const leastElement = 2

// elementsOf bounds the elements of an output in all rows.
func (s *service) elementsOf(o, n int, states []fetched) (elements int64) {
	if o >= len(s.plan.Features) {
		return int64(n) * int64(s.elements[o])
	}
	of := &states[s.plan.Features[o].Ref]
	for i := range n {
		elements += int64(min(s.elements[o], len(of.States[of.places.Of(i)])/leastElement))
	}
	return elements
}

// elementsOf is how many elements a value of output number o may have, given the
// definition alone; 0 for a scalar.
func elementsOf(p *plan.Service, o int) int {
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
				most = max(most, groupKeys)
			case slot.N > 0 && composite(slot.Type):
				most = max(most, slot.N)
			}
		}
	})
	return max(most, derivedElements)
}

// groupKeys is how many keys the value of agg.by(s) has at most, by docs/semantics.md §4.
const groupKeys = 1000

// derivedElements is what a list or map that an expression makes is taken for.
const derivedElements = 16

func composite(t plan.Type) bool {
	kind := t.Unwrap().Kind
	return kind == plan.List || kind == plan.Map
}

// limitConnections makes a listener accept a connection when fewer than so many are open.
func limitConnections(ln net.Listener, most int) net.Listener {
	return &limitedListener{Listener: ln, open: make(chan struct{}, most), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	open   chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept is net.Listener's.
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

// Close is net.Listener's.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
}

// Close is net.Conn's.
func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.listener.open })
	return c.Conn.Close()
}
