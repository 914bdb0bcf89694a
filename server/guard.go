package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/kernel"
)

// guard surrounds every call: it limits its time, turns a panic into an error of
// that call alone, gives errors their codes and measures. Streams have no time limit:
// they end with their client, or with the server.
type guard struct{ *Server }

func (s guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
		err = s.measured(ctx, req.Spec().Procedure, func(ctx context.Context) error {
			leave, err := s.budget.enter()
			if err != nil {
				return err
			}
			defer leave()
			ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
			defer cancel()
			return s.recovered(ctx, func() (err error) { res, err = next(ctx, req); return err })
		})
		if err != nil {
			return nil, err
		}
		return res, nil
	}
}

func (s guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		return s.measured(ctx, conn.Spec().Procedure, func(ctx context.Context) error {
			return s.recovered(ctx, func() error { return next(ctx, conn) })
		})
	}
}

// WrapStreamingClient is connect.Interceptor's; the server is not a client.
func (s guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// measured runs a call, gives its error a code and counts it.
func (s *Server) measured(ctx context.Context, procedure string, call func(context.Context) error) error {
	if seen, ok := ctx.Value(reachedKey{}).(*bool); ok {
		*seen = true
	}
	begin := time.Now()
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	err := s.coded(procedure, call(ctx))
	s.metrics.request(procedure, err, time.Since(begin))
	return err
}

// recovered makes a panic of a call its error.
func (s *Server) recovered(ctx context.Context, call func() error) (err error) {
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
	return call()
}

// reachedKey is the context key under which countRefused learns whether a request
// got as far as guard.
type reachedKey struct{}

// countRefused counts requests that Connect refused before any handler: bodies
// that are malformed or too large, unknown methods and protocols.
func (s *Server) countRefused(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached := false
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), reachedKey{}, &reached)))
		if !reached {
			s.metrics.refused.Inc()
		}
	})
}
