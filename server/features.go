package server

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/tracing"
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
	whole := func(states []fetched, now plan.EventTime) (bool, error) {
		done, err := s.encodeKept(c, svc, states, now)
		if done {
			err = visitOf(ctx).write(len(c.answer))
		}
		return done, err
	}
	return s.compute(ctx, svc, &c.query, whole, func(a *answer) error {
		if err := s.encode(c, svc, a); err != nil {
			return err
		}
		return visitOf(ctx).write(len(c.answer))
	})
}

// compute runs a bound query. The answer is valid only inside use. whole, if given, may answer from
// what was kept of states; then use is not called.
func (s *Server) compute(ctx context.Context, svc *service, q *query, whole func([]fetched, plan.EventTime) (bool, error), use func(*answer) error) error {
	if err := mayRead(ctx, svc.plan.Name); err != nil {
		return err
	}
	defer visitOf(ctx).doneStates()
	if svc.sample(q); len(q.sampled) > 0 {
		whole = nil // a record needs the values
	}
	err := s.computeOnce(ctx, svc, q, s.keeps, whole, use)
	if errors.Is(err, errMoved) {
		err = s.computeOnce(ctx, svc, q, false, nil, use)
	}
	return err
}

// computeOnce is compute. With keep it uses what was kept of states; the error is errMoved if that is
// not valid any more at the time of the read.
func (s *Server) computeOnce(ctx context.Context, svc *service, q *query, keep bool, whole func([]fetched, plan.EventTime) (bool, error), use func(*answer) error) error {
	states, now, err := s.fetchFresh(ctx, svc, q, keep)
	if err != nil {
		return err
	}
	if err := svc.markStale(q); err != nil {
		return err
	}
	if whole != nil {
		if done, err := whole(states, now); done || err != nil {
			return err
		}
	}
	cells, err := svc.maxCells(q, states)
	if err != nil {
		return err
	}
	computed, err := svc.computedCells(q, states)
	if err != nil {
		return err
	}
	done, err := visitOf(ctx).reserveCells(ctx, cells+computed)
	if err != nil {
		return err
	}
	defer done()
	return svc.withReader(ctx, func(r *reader) error {
		computing, span := tracing.Start(ctx, "compute features")
		a, err := r.read(computing, q, states, now)
		span.Int("unskew.rows", q.n).Text("unskew.service", svc.plan.Name).End(err)
		if err != nil {
			return err
		}
		s.metrics.read(svc, q, a)
		if s.cfg.Failed != nil {
			r.explain(q, a, s.cfg.Failed)
		}
		if err := use(a); err != nil {
			return err
		}
		r.record(ctx, q, a, now)
		r.keep()
		return nil
	})
}

// encode encodes the answer into the call, in the format of the request.
func (s *Server) encode(c *call, svc *service, a *answer) (err error) {
	c.answer, err = svc.append(c.answer[:0], &c.query, a, s.encodingOf(c, svc))
	return err
}

func (s *Server) encodingOf(c *call, svc *service) encoding {
	return encoding{
		compact: c.request.KnownFingerprint == svc.fingerprint, json: c.json, states: c.request.WithStates,
		whole: len(c.request.Features) == 0 && c.query.n == 1 && c.query.stale == nil, most: s.cfg.MaxAnswerBytes,
	}
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
	built := v.Generation.Positions.Vector()
	rows := make([]logpos.Vector, n)
	for i := range n {
		e := v.places.Of(i)
		known, positions, newest := v.stateOf(e, built)
		if rows[i] = positions; known {
			out.NewestMicros[i] = int64(newest)
		} else {
			out.Unknown = append(out.Unknown, uint32(i))
		}
		out.Positions[i] = rows[i].Sum()
		out.Shards = max(out.Shards, uint32(len(rows[i])))
	}
	if out.Shards > 1 {
		for _, row := range rows {
			for k := range int(out.Shards) {
				out.ShardPositions = append(out.ShardPositions, row.At(k))
			}
		}
	}
	return out
}

// stateOf describes the stored state of entity e: whether there is one, the positions of the log up to which
// it has events, which are built if there is none, and the newest time of it.
func (v *viewReader) stateOf(e int, built logpos.Vector) (known bool, positions logpos.Vector, newest plan.EventTime) {
	if v.stateBytes(e) == 0 {
		return false, built, 0
	}
	return true, logpos.Max(built, v.appliedOf(e)), max(v.newestOf(e, plan.Always), plan.MinTime)
}
