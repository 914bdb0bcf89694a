package server

import (
	"context"
	"errors"
	"math"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/recompute"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// explainer explains values; *explain.Project implements it.
type explainer interface {
	Explain(ctx context.Context, r explain.Request) (*explain.Explanation, error)
}

// parityHandler implements the ParityService.
type parityHandler struct{ *Server }

// defaultEvents is how many events an explanation lists if the caller does not say.
const defaultEvents = 20

// timeLimit is how long a call of a procedure may take.
func (s *Server) timeLimit(procedure string) time.Duration {
	if procedure == unskewv1connect.ParityServiceExplainProcedure {
		return max(s.cfg.Timeout, explain.TimeLimit)
	}
	return s.cfg.Timeout
}

// Explain implements the RPC.
func (h *parityHandler) Explain(ctx context.Context, req *connect.Request[unskewv1.ExplainRequest]) (*connect.Response[unskewv1.ExplainResponse], error) {
	if h.cfg.Explain == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this server does not explain values; ask one that was started by `unskew serve`"))
	}
	m := req.Msg
	r := explain.Request{
		Feature: m.GetFeature(), Keys: m.GetKeys(), Now: h.cfg.Clock(), ID: m.GetRequestId(), Row: int64(m.GetRow()), Events: defaultEvents, Memory: limits.ExplanationMemory,
	}
	if m.Events != nil {
		if m.GetEvents() > limits.ExplanationEvents {
			return nil, invalid("events: at most %d are listed", limits.ExplanationEvents)
		}
		r.Events = int(m.GetEvents())
	}
	if m.AsOfMicros != nil {
		t := plan.EventTime(m.GetAsOfMicros())
		if !t.Valid() {
			return nil, invalid("as_of_micros %d is not in the years 0001 to 9999", m.GetAsOfMicros())
		}
		r.At = &t
	}
	if c := access.From(ctx); c != nil && !c.ReadsAll() {
		r.May = c.MayRead
	}
	caller := visitOf(ctx).caller
	if err := h.budget.explanations.take(caller, 1); err != nil {
		return nil, err
	}
	defer h.budget.explanations.give(caller, 1)
	e, err := h.cfg.Explain.Explain(ctx, r)
	if err != nil {
		return nil, explainError(err)
	}
	out := explanationMessage(e)
	if n := proto.Size(out); n > limits.ExplanationBytes {
		return nil, tooMuch("the explanation has %d bytes and the limit is %d; list fewer events, or take unskew explain", n, limits.ExplanationBytes)
	}
	return connect.NewResponse(out), nil
}

// explainError maps errors of an explanation to codes.
func explainError(err error) error {
	var bad *explain.RequestError
	if !errors.As(err, &bad) {
		return err
	}
	switch bad.Problem {
	case explain.Missing:
		return notFound("%s", bad.Reason)
	case explain.Denied:
		return denied("%s", bad.Reason)
	case explain.Unknowable:
		return precondition("%s", bad.Reason)
	case explain.NoFiles:
		return connect.NewError(connect.CodeUnimplemented, bad)
	}
	return invalid("%s", bad.Reason)
}

func explanationMessage(e *explain.Explanation) *unskewv1.ExplainResponse {
	out := &unskewv1.ExplainResponse{
		View: e.View, Feature: e.Feature, Expr: e.Expr, Type: e.Type, Defined: e.Defined, Version: e.Version, Entity: e.Entity, AsOf: e.AsOf,
		Training: valueMessage(&e.Training), Replayed: valueMessage(e.Replayed), Served: valueMessage(e.Served),
		Lost: e.Lost, Error: e.Error, Note: e.Note, Total: countOf(e.Total),
	}
	for i := range e.Parts {
		p := &e.Parts[i]
		part := &unskewv1.ExplainedPart{
			Name: p.Name, Call: p.Call, Window: p.Window, From: p.From,
			Training: valueMessage(&p.Training), Replayed: valueMessage(p.Replayed), Served: valueMessage(p.Served), Used: countOf(p.Used), LeftOut: map[string]uint32{},
		}
		for why, n := range p.LeftOut {
			part.LeftOut[string(why)] = countOf(n)
		}
		out.Parts = append(out.Parts, part)
	}
	for i := range e.Events {
		x := &e.Events[i]
		event := &unskewv1.ExplainedEvent{Id: x.ID, Time: x.Time, KnownAt: x.Known, Fills: x.Fills, Side: string(x.Side)}
		for _, p := range x.Parts {
			event.Parts = append(event.Parts, &unskewv1.EventInPart{LeftOut: string(p.LeftOut), Value: p.Value, KnownAt: p.Known})
		}
		out.Events = append(out.Events, event)
	}
	return out
}

func valueMessage(c *recompute.Cell) *unskewv1.ExplainedValue {
	if c == nil {
		return nil
	}
	return &unskewv1.ExplainedValue{Value: c.Value, Bits: c.Bits, Status: c.Status, Reason: c.Reason}
}

// countOf is a number of events of one entity, of which no replay has more than fit.
func countOf(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }
