// Package tracing marks what takes time, for a tracer that a process may have. Without one a mark costs a look at a pointer and
// allocates nothing. It knows no library of tracing, so that programs without one are small.
package tracing

import (
	"context"
	"net/http"
	"sync/atomic"
)

// Tracer makes spans. Its methods are called concurrently and never wait.
type Tracer interface {
	// Start begins a span below that of ctx, or below a remote one that ctx has.
	Start(ctx context.Context, name string) (context.Context, Recorder)
	// Serve begins the span of a request whose headers may name a remote span as traceparent.
	Serve(ctx context.Context, name string, headers http.Header) (context.Context, Recorder)
}

// Recorder is a span of a tracer.
type Recorder interface {
	Int(key string, n int64)
	// Text sets an attribute, of which there must be few: names of definitions, never keys or values.
	Text(key, value string)
	End(err error)
}

var tracer atomic.Pointer[Tracer]

// Use makes spans with t from now on; nil makes none.
func Use(t Tracer) {
	if t == nil {
		tracer.Store(nil)
		return
	}
	tracer.Store(&t)
}

// Span is a mark. The zero Span records nothing. It is ended once.
type Span struct{ to Recorder }

// Start begins a span below that of ctx. Names are constants.
func Start(ctx context.Context, name string) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	ctx, to := (*t).Start(ctx, name)
	return ctx, Span{to}
}

// Serve begins the span of a request.
func Serve(ctx context.Context, name string, headers http.Header) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	ctx, to := (*t).Serve(ctx, name, headers)
	return ctx, Span{to}
}

// Int sets a number.
func (s Span) Int(key string, n int) Span {
	if s.to != nil {
		s.to.Int(key, int64(n))
	}
	return s
}

// Text sets a text, of which there must be few: names of definitions, never keys or values.
func (s Span) Text(key, value string) Span {
	if s.to != nil {
		s.to.Text(key, value)
	}
	return s
}

// End ends the span; an error marks it as failed.
func (s Span) End(err error) {
	if s.to != nil {
		s.to.End(err)
	}
}

// EndWith is End with what *err is then, to be deferred.
func (s Span) EndWith(err *error) { s.End(*err) }

// In runs f in a span.
func In(ctx context.Context, name string, f func(context.Context) error) error {
	ctx, span := Start(ctx, name)
	err := f(ctx)
	span.End(err)
	return err
}
