package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/tracing"
)

// guard wraps every call: it sets the deadline, turns a panic into an error of that call, assigns
// error codes, and records metrics. Streams have no deadline: they end with their client or with
// the server.
type guard struct{ *Server }

func (s guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
		reached(ctx)
		if err, ok := ctx.Value(answeredKey{}).(error); ok {
			return nil, err
		}
		err = s.unary(ctx, req.Spec().Procedure, s.timeLimit(req.Spec().Procedure), func(ctx context.Context) (err error) { res, err = next(ctx, req); return err })
		if err != nil {
			return nil, err
		}
		return res, nil
	}
}

// unary runs a call with a time limit.
func (s *Server) unary(ctx context.Context, procedure string, limit time.Duration, call func(context.Context) error) error {
	return s.measured(ctx, procedure, func(ctx context.Context) error {
		v := visitOf(ctx)
		defer v.decoded()
		if s.cfg.Served != nil {
			v.began = time.Now()
		}
		bounded := limitTime(ctx, limit)
		defer bounded.end()
		return s.recovered(bounded, call)
	})
}

func (s guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		reached(ctx)
		return s.measured(ctx, conn.Spec().Procedure, func(ctx context.Context) error {
			caller := visitOf(ctx).caller
			if err := s.budget.streams.take(caller, 1); err != nil {
				return err
			}
			defer s.budget.streams.give(caller, 1)
			return s.recovered(ctx, func(ctx context.Context) error { return next(ctx, conn) })
		})
	}
}

// WrapStreamingClient implements connect.Interceptor; the server makes no calls of its own.
func (s guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// measured runs a call, gives its error a code and counts it.
func (s *Server) measured(ctx context.Context, procedure string, call func(context.Context) error) error {
	begin := time.Now()
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	ctx, span := tracing.Serve(ctx, procedure, visitOf(ctx).header)
	err := s.coded(procedure, call(ctx))
	span.End(err)
	s.metrics.request(procedure, err, time.Since(begin))
	return err
}

// recovered runs a call and turns a panic into an error.
func (s *Server) recovered(ctx context.Context, call func(context.Context) error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		if p == kernel.ErrStopped {
			err = ctx.Err()
			return
		}
		s.metrics.panics.Inc()
		err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	return call(ctx)
}

// reachedKey is the context key by which countRefused learns that a request reached guard.
type reachedKey struct{}

// reached records that a request reached guard.
func reached(ctx context.Context) {
	if seen, ok := ctx.Value(reachedKey{}).(*bool); ok {
		*seen = true
	}
}

// countRefused counts requests that Connect refuses before any handler runs: malformed or too large
// bodies, unknown methods and protocols.
func (s *Server) countRefused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached := false
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), reachedKey{}, &reached)))
		if !reached {
			s.metrics.refused.Inc()
		}
	})
}
