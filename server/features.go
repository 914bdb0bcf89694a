package server

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// getFeatures serves GetFeatures. It has a handler of its own because it exchanges calls instead of
// protobuf messages.
func (s *Server) getFeatures(opts ...connect.HandlerOption) (string, http.Handler) {
	schema := unskewv1.File_unskew_v1_feature_service_proto.Services().ByName("FeatureService").Methods().ByName("GetFeatures")
	opts = append(opts, connect.WithSchema(schema), withColumnCodecs())
	return unskewv1connect.FeatureServiceGetFeaturesProcedure,
		connect.NewUnaryHandler(unskewv1connect.FeatureServiceGetFeaturesProcedure, s.connectRead, opts...)
}

// connectRead adapts read to Connect.
func (s *Server) connectRead(ctx context.Context, req *connect.Request[readRequest]) (*connect.Response[readAnswer], error) {
	c := req.Msg.call
	if err := s.read(ctx, c); err != nil {
		return nil, err
	}
	return connect.NewResponse(&readAnswer{c}), nil
}

// read answers one request.
func (s *Server) read(ctx context.Context, c *call) error {
	if err := c.err(ctx); err != nil {
		return err
	}
	d, err := s.current()
	if err != nil {
		return err
	}
	svc, err := d.service(c.request.Service)
	if err != nil {
		return err
	}
	if err := svc.bind(&c.query, &c.request, s.cfg.MaxRows); err != nil {
		return err
	}
	if c.query.demand, err = s.demandOf(c.request.MaxStalenessMicros, c.request.OnStale, c.request.WithFreshness); err != nil {
		return err
	}
	return s.compute(ctx, svc, &c.query, func(a *answer) error { return s.encode(c, svc, a) })
}

// compute runs a bound query. The answer is valid only inside use.
func (s *Server) compute(ctx context.Context, svc *service, q *query, use func(*answer) error) error {
	states, now, err := s.fetchFresh(ctx, svc, q)
	if err != nil {
		return err
	}
	if err := svc.markStale(q); err != nil {
		return err
	}
	cells, err := svc.maxCells(q, states)
	if err != nil {
		return err
	}
	done, err := s.budget.reserveCells(ctx, cells)
	if err != nil {
		return err
	}
	defer done()
	return svc.withReader(ctx, func(r *reader) error {
		a, err := r.read(ctx, q, states, now)
		if err != nil {
			return err
		}
		s.metrics.read(svc.plan.Name, q, a)
		if s.cfg.Failed != nil {
			r.explain(q, a, s.cfg.Failed)
		}
		return use(a)
	})
}

// encode encodes the answer into the call, in the format of the request.
func (s *Server) encode(c *call, svc *service, a *answer) (err error) {
	how := encoding{compact: c.request.KnownFingerprint == svc.fingerprint, states: c.request.WithStates, most: s.cfg.MaxAnswerBytes}
	if c.json {
		c.answer, err = svc.appendJSON(c.answer[:0], &c.query, a, how)
	} else {
		c.answer, err = svc.appendBinary(c.answer[:0], &c.query, a, how)
	}
	return err
}

// state describes the stored states that the current read used.
func (v *viewReader) state() *unskewv1.ViewState {
	n := len(v.States)
	if v.places != nil {
		n = len(v.places)
	}
	out := &unskewv1.ViewState{
		View: v.ref.As, Fingerprint: v.ref.View.Fingerprint.String(), Generation: v.Generation.Number,
		Positions: make([]uint64, n), NewestMicros: make([]int64, n),
	}
	for i := range n {
		b := v.States[v.places.Of(i)]
		out.Positions[i] = v.Generation.Position
		if b == nil {
			out.Unknown = append(out.Unknown, uint32(i))
			continue
		}
		// already known to decode
		position, newest, _ := v.kernel.HeadOf(b)
		out.Positions[i] = max(out.Positions[i], position)
		out.NewestMicros[i] = int64(max(newest, plan.MinTime))
	}
	return out
}
