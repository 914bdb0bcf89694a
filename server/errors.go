package server

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/training"
)

// callerError is a mistake of the caller; its message is sent to the caller.
type callerError struct {
	code    connect.Code
	message string
	rows    []problemInRow // the position of each mistake, if known
	later   bool           // it may succeed in a moment
}

func (e *callerError) Error() string { return e.message }

func invalid(format string, args ...any) error {
	return &callerError{code: connect.CodeInvalidArgument, message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &callerError{code: connect.CodeNotFound, message: fmt.Sprintf(format, args...)}
}

func precondition(format string, args ...any) error {
	return &callerError{code: connect.CodeFailedPrecondition, message: fmt.Sprintf(format, args...)}
}

func tooMuch(format string, args ...any) error {
	return &callerError{code: connect.CodeResourceExhausted, message: fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) *connect.Error {
	return connect.NewError(connect.CodePermissionDenied, fmt.Errorf(format, args...))
}

// retryAfter is the header by which an error says after how many seconds to try again. Over gRPC it
// is a trailer.
const (
	retryAfter   = "Retry-After"
	retrySeconds = "1"
)

// later is an error that may be gone if the caller tries again after a moment.
func later(code connect.Code, err error) error {
	out := connect.NewError(code, err)
	out.Meta().Set(retryAfter, retrySeconds)
	return out
}

// errNoPlan answers every call before the first Promote.
var errNoPlan = errors.New("no plan is live yet; the server is starting")

// coded gives every error its code; nothing else does. An error that is not known here is internal:
// the log gets the details, and the caller does not.
func (s *Server) coded(procedure string, err error) error {
	if err == nil {
		return nil
	}
	var (
		wire   *connect.Error
		caller *callerError
		none   *registry.NotMaterialized
		clock  *eventlog.ClockError
		apart  *eventlog.DividingError
		shards *eventlog.ShardsError
		lost   *eventlog.LostError
	)
	switch {
	case errors.As(err, &caller) && caller.later:
		return later(caller.code, caller)
	case errors.As(err, &caller):
		return connect.NewError(caller.code, caller)
	case errors.As(err, &wire):
		return wire
	case errors.As(err, &none):
		return connect.NewError(connect.CodeFailedPrecondition, none)
	case errors.As(err, &clock):
		return later(connect.CodeUnavailable, clock)
	case errors.As(err, &apart):
		return later(connect.CodeUnavailable, apart)
	case errors.As(err, &shards):
		s.cfg.Log.Error("events are refused", "procedure", procedure, "error", err)
		return later(connect.CodeUnavailable, shards)
	case errors.As(err, &lost):
		s.cfg.Log.Error("the event log has lost events", "procedure", procedure, "error", err)
		return connect.NewError(connect.CodeDataLoss, lost)
	case errors.Is(err, eventlog.ErrDamaged):
		s.cfg.Log.Error("the event log is damaged", "procedure", procedure, "error", err)
		return connect.NewError(connect.CodeDataLoss, errors.New("the event log has lost records or ids of events that were acknowledged, so nothing is appended to it until it is restored; the server's log has the details"))
	case errors.Is(err, errNoPlan):
		return later(connect.CodeUnavailable, err)
	case errors.Is(err, eventlog.ErrOutcomeUnknown):
		return later(connect.CodeUnavailable, fmt.Errorf("the event log has not answered: %w", eventlog.ErrOutcomeUnknown))
	case unavailable(err):
		return later(connect.CodeUnavailable, errors.New(publicText(err)))
	case errors.Is(err, training.ErrNoRoom):
		s.cfg.Log.Error("there is no room for a training set", "procedure", procedure, "error", err)
		return later(connect.CodeUnavailable, training.ErrNoRoom)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the request took longer than its time limit (the server's is %v)", s.timeLimit(procedure)))
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the caller canceled the request"))
	}
	s.cfg.Log.Error("request failed", "procedure", procedure, "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("internal error; the server's log has the details"))
}
