package sdk

import (
	"context"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// DefaultTimeout bounds a call, with its retries, whose context has no deadline.
const DefaultTimeout = 30 * time.Second

// Retries are made after a pause of random length, from nothing to a bound that doubles each time
// up to the greatest one, so that clients do not come back all at once.
const (
	defaultAttempts = 4
	firstPause      = 50 * time.Millisecond
	greatestPause   = time.Second
)

// WithTimeout bounds every call, with its retries, whose context has no deadline; 0 means no
// bound. Streams of spines and training sets are not bounded.
func WithTimeout(d time.Duration) Option { return func(o *options) { o.limits.timeout = d } }

// WithAttempts sets how often a call is made at most before its error is returned; 1 means no
// retries. Only calls that may be made twice are retried, after an error with the code
// unavailable: reads, predictions, outcomes, and pushes by a Pusher with an event id.
func WithAttempts(n int) Option { return func(o *options) { o.limits.attempts = max(1, n) } }

// callLimits is an interceptor that bounds and retries unary calls.
type callLimits struct {
	timeout  time.Duration
	attempts int
}

// repeatable is the context key of calls that may be made twice although their procedure is not
// free of side effects.
type repeatable struct{}

// WrapUnary implements connect.Interceptor.
func (l callLimits) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if _, bounded := ctx.Deadline(); !bounded && l.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, l.timeout)
			defer cancel()
		}
		attempts := 1
		if mayRepeat(ctx, req.Spec()) {
			attempts = l.attempts
		}
		for pause := firstPause; ; pause = min(2*pause, greatestPause) {
			res, err := next(ctx, req)
			if attempts--; attempts == 0 || connect.CodeOf(err) != connect.CodeUnavailable {
				return res, err
			}
			select {
			case <-time.After(rand.N(pause)):
			case <-ctx.Done():
				return nil, err
			}
		}
	}
}

// mayRepeat reports whether making a call twice has the effect of making it once.
func mayRepeat(ctx context.Context, spec connect.Spec) bool {
	return spec.IdempotencyLevel == connect.IdempotencyNoSideEffects || spec.Procedure == unskewv1connect.FeatureServiceGetFeaturesProcedure || spec.Procedure == unskewv1connect.ParityServiceExplainProcedure ||
		ctx.Value(repeatable{}) != nil
}

// WrapStreamingClient implements connect.Interceptor.
func (l callLimits) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (l callLimits) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
