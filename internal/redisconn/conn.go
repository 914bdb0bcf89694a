package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/unskew/unskew/internal/gate"
)

// Conn is a client of one server or cluster. All methods are safe for
// concurrent use.
type Conn struct {
	rueidis.Client
	Gate *gate.Gate // entered by every call that uses the client

	namespace string
	timeout   time.Duration
	warnings  []Finding
	breaker   breaker
}

// Dial connects and checks the servers. It fails if a server is older than 7.0, or may evict keys
// and the options do not allow that.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	option, err := o.clientOption()
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("connect to redis at %s: %w", strings.Join(o.Addresses, ", "), err)
	}
	c := &Conn{Client: client, Gate: gate.New(), namespace: o.Namespace, timeout: o.Timeout}
	c.breaker.begin(strings.Join(o.Addresses, ", "))
	if c.Cluster() {
		err = c.findOwners(ctx)
	}
	if err == nil {
		c.warnings, err = c.checkServers(ctx, o.AllowEviction)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Namespace begins every key.
func (c *Conn) Namespace() string { return c.namespace }

// Warnings are sentences for the operator about settings of the servers, as they were when it was connected: eviction that the options
// allow, acknowledged writes that a crash or a failover can lose.
func (c *Conn) Warnings() (texts []string) {
	for _, w := range c.warnings {
		texts = append(texts, w.Text)
	}
	return texts
}

// Cluster reports whether keys are spread over several servers.
func (c *Conn) Cluster() bool { return c.Mode() == rueidis.ClientModeCluster }

// Bound returns a context for one call that must not take longer than the timeout.
func (c *Conn) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return c.BoundBy(ctx, c.timeout)
}

// BoundBy returns a context for one call that must not take longer than limit.
func (c *Conn) BoundBy(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	late := &lateError{limit}
	bound, cancel := context.WithTimeoutCause(ctx, limit, late)
	return undated{bound, late}, cancel
}

// undated hides the deadline of a context but still ends at it. A rueidis call that sees a deadline
// may wait for it on the connection, and then ignores a cancellation.
type undated struct {
	context.Context
	late error // the cause once the time limit has passed
}

// Deadline implements context.Context.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// Close waits for running calls and closes the connections. Closing again does nothing.
func (c *Conn) Close() {
	if c.Gate.Close() {
		c.breaker.close()
		c.Client.Close()
	}
}

// Masters returns a client for each server that owns keys, within the time limit.
func (c *Conn) Masters(ctx context.Context) (map[string]rueidis.Client, error) {
	nodes := c.Nodes()
	if !c.Cluster() {
		return nodes, nil
	}
	if err := c.findOwners(ctx); err != nil {
		return nil, err
	}
	owners := map[string]rueidis.Client{}
	for _, k := range c.breaker.now.Load().all {
		node := nodes[k.address]
		if node == nil {
			return nil, &openError{k.address} // the client does not know it yet
		}
		owners[k.address] = node
	}
	return owners, nil
}

// Cause returns the error of Bound's time limit if that ended the call, else err.
func Cause(ctx context.Context, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	// The client has the same time limit, and may notice it before the context does.
	if bound, ok := ctx.(undated); ok {
		return bound.late
	}
	return err
}

// Refused reports whether a write that failed with err certainly had no effect: the server answered
// with an error, or was never reached, or nothing was sent.
func Refused(err error) bool {
	var answer *rueidis.RedisError
	if errors.As(err, &answer) {
		return true
	}
	if open := (*openError)(nil); errors.As(err, &open) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
