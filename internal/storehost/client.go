package storehost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/gate"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/version"
)

// Client calls a host. Its log and its store are closed separately; neither closes those of the host.
type Client struct {
	Log   eventlog.Log
	Store onlinestore.Store
	Host  Info
}

// dialTimeout bounds how long a host may take to say who it is.
const dialTimeout = 10 * time.Second

// Dial finds the host of the embedded data in a folder. The error is ErrNoHost if there is none or it is ending, and a
// *VersionError for a host that is another version of the program.
func Dial(ctx context.Context, dir string) (*Client, error) {
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return connectTo(ctx, dir) },
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}
	c := &http.Client{Transport: transport}
	log := &remoteLog{side{http: c, gate: gate.New(), closed: eventlog.ErrClosed, unavailable: eventlog.ErrUnavailable, unknown: eventlog.ErrOutcomeUnknown}}
	store := &remoteStore{side{http: c, gate: gate.New(), closed: onlinestore.ErrClosed, unavailable: onlinestore.ErrUnavailable, unknown: onlinestore.ErrOutcomeUnknown}}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, err := call[none, Info](ctx, &log.side, infoCall, false, none{})
	if err != nil {
		transport.CloseIdleConnections()
		return nil, notHosted(ctx, err)
	}
	if host.Protocol != protocol || host.Version != version.Release {
		transport.CloseIdleConnections()
		return nil, &VersionError{host}
	}
	return &Client{Log: log, Store: store, Host: host}, nil
}

// notHosted is the error of a Dial whose first call had no answer.
func notHosted(ctx context.Context, err error) error {
	var refused *connectError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("join the process that has the data folder open: %w", refused.err)
	case errors.Is(err, ErrNoHost):
		return ErrNoHost
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the process that has the data folder open does not answer within %v; if it is suspended, let it go on or end it", dialTimeout)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return ErrNoHost // it ended between the connection and the answer
}

// connectError is why a socket that is there could not be connected to.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// connectTo connects to the socket of a folder.
func connectTo(ctx context.Context, dir string) (net.Conn, error) {
	conn, err := connectSocket(ctx, dir)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNoHost
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, &connectError{err}
}

// argument wraps the argument of a call, as gob sends nothing for a zero value by itself.
type argument[T any] struct{ Arg T }

// side is what the log and the store of a client have in common.
type side struct {
	http                         *http.Client
	gate                         *gate.Gate
	closed, unavailable, unknown error
}

// Close waits for running calls, and ends those that wait.
func (s *side) Close() error {
	if s.gate.Close() {
		s.http.CloseIdleConnections()
	}
	return nil
}

// enter begins a call. The caller calls leave when it is done.
func (s *side) enter(ctx context.Context) (bound context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if !s.gate.Enter() {
		return nil, nil, s.closed
	}
	bound, release := s.gate.Bind(ctx)
	return bound, func() { release(); s.gate.Leave() }, nil
}

// failed is the error of a call that had no answer. changes says that the call may have changed something.
func (s *side) failed(ctx context.Context, err error, changes bool) error {
	select {
	case <-s.gate.Closing():
		return s.closed
	default:
	}
	if errors.Is(err, ErrNoHost) {
		return &endedError{s.unavailable}
	}
	switch cancelled := ctx.Err(); {
	case cancelled != nil:
		err = cancelled
	case connect.CodeOf(err) == connect.CodeUnimplemented: // it has no call of this version
		return fmt.Errorf("%w: another version of the server has the data folder open now; run the command of that version", s.unavailable)
	case connect.CodeOf(err) == connect.CodeDeadlineExceeded: // the host knows the deadline and may notice first
		err = context.DeadlineExceeded
	default:
		// Only the text of err is kept: its code says something else to those who see it in the answer of another call.
		err = fmt.Errorf("%w: the server that has the data folder open: %s", s.unavailable, textOf(err))
	}
	if changes {
		err = fmt.Errorf("%w: %w", s.unknown, err)
	}
	return err
}

// textOf is what went wrong with a call.
func textOf(err error) string {
	if c := (*connect.Error)(nil); errors.As(err, &c) {
		return c.Message()
	}
	return err.Error()
}

// endedError says that there is no host any more. It is ErrNoHost and the contract's error.
type endedError struct{ unavailable error }

func (e *endedError) Error() string {
	return e.unavailable.Error() + ": the server that had the data folder open has ended during this command; the next one needs no server"
}
func (e *endedError) Unwrap() []error { return []error{ErrNoHost, e.unavailable} }

// infoCall is the call that every version answers.
const infoCall = "/info"

func (s *side) url(name string) string {
	if name == infoCall {
		return "http://host" + name
	}
	caller := own()
	return "http://host" + caller.prefix() + name
}

// clientOptions are those of every call: both sides are on one machine, so compression would only cost time.
var clientOptions = []connect.ClientOption{connect.WithCodec(frameCodec{}), connect.WithAcceptCompression("gzip", nil, nil)}

// client calls one of the host's calls.
func (s *side) client(name string) *connect.Client[frame, frame] {
	return connect.NewClient[frame, frame](s.http, s.url(name), clientOptions...)
}

// call makes a call with one answer.
func call[Arg, Value any](ctx context.Context, s *side, name string, changes bool, arg Arg) (Value, error) {
	var zero Value
	bound, leave, err := s.enter(ctx)
	if err != nil {
		return zero, err
	}
	defer leave()
	q, err := pack(&argument[Arg]{arg})
	if err != nil {
		return zero, err
	}
	response, err := s.client(name).CallUnary(bound, connect.NewRequest(q))
	if err != nil {
		return zero, s.failed(ctx, err, changes)
	}
	var r reply[Value]
	if err := response.Msg.unpack(&r); err != nil {
		return zero, s.failed(ctx, err, changes)
	}
	return r.Value, r.Fault.err()
}

// each makes a call that is answered in chunks, and calls f with each of them until it returns an error, which each returns.
func each[Arg, Item any](ctx context.Context, s *side, name string, arg Arg, f func([]Item) error) error {
	bound, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	q, err := pack(&argument[Arg]{arg})
	if err != nil {
		return err
	}
	answer, err := s.client(name).CallServerStream(bound, connect.NewRequest(q))
	if err != nil {
		return s.failed(ctx, err, false)
	}
	defer func() { _ = answer.Close() }()
	for answer.Receive() {
		var part chunk[Item]
		if err := answer.Msg().unpack(&part); err != nil {
			return s.failed(ctx, err, false)
		}
		if len(part.Items) > 0 {
			if err := f(part.Items); err != nil {
				return err
			}
		}
		if part.Last {
			return part.Fault.err()
		}
	}
	err = answer.Err()
	if err == nil {
		err = errors.New("the answer ended early")
	}
	return s.failed(ctx, err, false)
}
