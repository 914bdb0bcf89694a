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
// that call alone, gives errors their codes and measures.
func (s *Server) guard(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if seen, ok := ctx.Value(reachedKey{}).(*bool); ok {
			*seen = true
		}
		procedure := req.Spec().Procedure
		begin := time.Now()
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()

		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		res, err := s.recovered(ctx, req, next)
		err = s.coded(procedure, err)
		s.metrics.request(procedure, err, time.Since(begin))
		return res, err
	}
}

func (s *Server) recovered(ctx context.Context, req connect.AnyRequest, next connect.UnaryFunc) (res connect.AnyResponse, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		if p == kernel.ErrStopped {
			res, err = nil, ctx.Err()
			return
		}
		s.metrics.panics.Inc()
		res, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	return next(ctx, req)
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
