package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// PusherConfig configures a Pusher.
type PusherConfig struct {
	Source string
	// EventID is the column of the source's event id. If it is set, every push must have that
	// column, and calls that got no answer are made again: the server stores an event once,
	// and answers Duplicate for rows that a lost answer had already acknowledged.
	EventID string
	MaxRows int // of one call; default 5000
	// MaxCalls bounds the calls in flight; default 1, which stores the events of all pushes in
	// the order in which they were made.
	MaxCalls int
}

const defaultPushRows = 5000

// Pusher pushes rows to a source for many callers. While a call is in flight, further pushes wait
// and are sent together in the next call, so no push waits for a timer. It is safe for concurrent
// use.
type Pusher struct {
	client *Client
	cfg    PusherConfig

	mu      sync.Mutex
	waiting []*push // in order
	calls   int     // in flight
}

// push is the rows of one caller.
type push struct {
	ctx    context.Context
	cols   []*unskewv1.Column
	rows   int
	shape  string // names and types of the columns; rows of one shape can be sent together
	pushed []Pushed
	err    error
	done   chan struct{} // closed when pushed and err are set
}

// NewPusher returns a pusher for one source.
func (c *Client) NewPusher(cfg PusherConfig) *Pusher {
	if cfg.MaxRows <= 0 {
		cfg.MaxRows = defaultPushRows
	}
	cfg.MaxCalls = max(1, cfg.MaxCalls)
	return &Pusher{client: c, cfg: cfg}
}

// Push appends rows to the source and returns the outcome of each, as Client.Push. If ctx ends
// first, the rows may still be sent. The columns must not be modified before it returns.
func (p *Pusher) Push(ctx context.Context, cols ...Column) ([]Pushed, error) {
	x := &push{ctx: ctx, cols: columns(cols), done: make(chan struct{})}
	if err := p.check(x); err != nil {
		return nil, fmt.Errorf("push to source %s: %w", p.cfg.Source, err)
	}
	p.mu.Lock()
	p.waiting = append(p.waiting, x)
	if p.calls < p.cfg.MaxCalls {
		p.calls++
		go p.send()
	}
	p.mu.Unlock()
	select {
	case <-x.done:
		return x.pushed, x.err
	case <-ctx.Done():
		return nil, fmt.Errorf("push to source %s: %w", p.cfg.Source, ctx.Err())
	}
}

// check makes sure that the rows cannot spoil a call that others share.
func (p *Pusher) check(x *push) error {
	if len(x.cols) == 0 {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("there are no columns"))
	}
	var shape strings.Builder
	x.rows = wire.Rows(x.cols[0])
	for _, c := range x.cols {
		if n := wire.Rows(c); n != x.rows {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("column %q has %d rows and column %q has %d", x.cols[0].GetName(), x.rows, c.GetName(), n))
		}
		fmt.Fprintf(&shape, "%q %T ", c.GetName(), c.GetValues())
	}
	if id := p.cfg.EventID; id != "" && !slices.ContainsFunc(x.cols, func(c *unskewv1.Column) bool { return c.GetName() == id }) {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("there is no column %q, the event id", id))
	}
	if x.rows == 0 {
		return connect.NewError(connect.CodeInvalidArgument, errors.New("there are no rows"))
	}
	x.shape = shape.String()
	return nil
}

// send makes calls until no push waits.
func (p *Pusher) send() {
	for {
		batch := p.take()
		if batch == nil {
			return
		}
		if p.sendTogether(batch); len(batch) == 1 || batch[0].err == nil {
			finish(batch)
			continue
		}
		// The call was refused for the rows of some, or for having too many bytes.
		for _, x := range batch {
			if refused(x.err) {
				p.sendTogether([]*push{x})
			}
		}
		finish(batch)
	}
}

// refused reports whether nothing of a call was stored because of what it holds.
func refused(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeInvalidArgument || code == connect.CodeResourceExhausted
}

func finish(batch []*push) {
	for _, x := range batch {
		close(x.done)
	}
}

// take removes the pushes of the next call from those that wait. Pushes whose caller has gone are
// dropped. It returns nil, and ends the sender, if there are none.
func (p *Pusher) take() []*push {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(x *push) bool { return x.ctx.Err() != nil })
	if len(p.waiting) == 0 {
		p.calls--
		return nil
	}
	n, rows := 1, p.waiting[0].rows
	for n < len(p.waiting) && p.waiting[n].shape == p.waiting[0].shape && rows+p.waiting[n].rows <= p.cfg.MaxRows {
		rows += p.waiting[n].rows
		n++
	}
	batch := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	return batch
}

// sendTogether makes one call and sets the result of each push.
func (p *Pusher) sendTogether(batch []*push) {
	ctx := context.WithoutCancel(batch[0].ctx) // the others go on if its caller gives up
	if len(batch) == 1 {
		ctx = batch[0].ctx
	}
	if p.cfg.EventID != "" {
		ctx = context.WithValue(ctx, repeatable{}, true)
	}
	pushed, err := p.client.push(ctx, p.cfg.Source, joined(batch))
	rows := 0
	for _, x := range batch {
		rows += x.rows
	}
	if err == nil && len(pushed) != rows {
		err = fmt.Errorf("push to source %s: the server answered for %d rows of %d", p.cfg.Source, len(pushed), rows)
	}
	for _, x := range batch {
		if x.err = err; err == nil {
			x.pushed, pushed = pushed[:x.rows:x.rows], pushed[x.rows:]
		}
	}
}

// joined returns the rows of all pushes, which have one shape.
func joined(batch []*push) []*unskewv1.Column {
	if len(batch) == 1 {
		return batch[0].cols
	}
	out := make([]*unskewv1.Column, len(batch[0].cols))
	for i, first := range batch[0].cols {
		c := &unskewv1.Column{Name: first.GetName()}
		from := 0
		for _, x := range batch {
			proto.Merge(c, &unskewv1.Column{Values: x.cols[i].GetValues()}) // appends the values
			for _, null := range x.cols[i].GetNulls() {
				c.Nulls = append(c.Nulls, uint32(from)+null)
			}
			from += x.rows
		}
		out[i] = c
	}
	return out
}
