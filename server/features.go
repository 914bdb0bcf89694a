package server

import (
	"context"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// GetFeatures implements the procedure of the contract.
func (h *featureHandler) GetFeatures(ctx context.Context, req *connect.Request[unskewv1.GetFeaturesRequest]) (*connect.Response[unskewv1.GetFeaturesResponse], error) {
	d, err := h.current()
	if err != nil {
		return nil, err
	}
	svc, err := d.service(req.Msg.GetService())
	if err != nil {
		return nil, err
	}
	q, err := svc.bind(req.Msg, h.cfg.MaxRows)
	if err != nil {
		return nil, err
	}
	states, err := svc.fetch(ctx, q, h.cfg.States)
	if err != nil {
		return nil, err
	}
	var res *unskewv1.GetFeaturesResponse
	now := h.cfg.Clock()
	err = svc.withReader(ctx, func(r *reader) error {
		a, err := r.read(ctx, q, states, now)
		if err != nil {
			return err
		}
		h.metrics.read(svc.plan.Name, q.n, a.cols)
		if h.cfg.Failed != nil {
			r.explain(q, a, h.cfg.Failed)
		}
		res, err = svc.response(q, a, req.Msg.GetWithStates())
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(res), nil
}

// response copies the answer, which the reader keeps, into a message.
func (s *service) response(q *query, a *answer, withStates bool) (*unskewv1.GetFeaturesResponse, error) {
	res := &unskewv1.GetFeaturesResponse{
		Fingerprint: s.plan.Fingerprint.String(),
		AsOfMicros:  int64(a.asOf),
		Rows:        uint32(q.n),
		Outputs:     make([]*unskewv1.Output, len(q.outputs)),
	}
	for i, o := range q.outputs {
		var err error
		if res.Outputs[i], err = output(s.outputs[o], a.cols[o]); err != nil {
			return nil, err
		}
	}
	if withStates {
		for _, v := range a.views {
			res.States = append(res.States, v.state())
		}
	}
	return res, nil
}

func output(o plan.Output, c kernel.FeatureColumn) (*unskewv1.Output, error) {
	col, err := wire.Column(o.Name, c.Vec)
	if err != nil {
		return nil, err
	}
	out := &unskewv1.Output{Column: col, Type: o.Type.String(), Statuses: statuses(c.Status)}
	for _, s := range c.Status {
		if s == kernel.Defaulted {
			out.Reasons = statuses(c.Reason)
			break
		}
	}
	return out, nil
}

// statuses are the same numbers in the kernel and on the wire.
func statuses(list []kernel.Status) []unskewv1.Status {
	out := make([]unskewv1.Status, len(list))
	for i, s := range list {
		out[i] = unskewv1.Status(s)
	}
	return out
}

// state says what the rows of the current read were computed from.
func (v *viewReader) state() *unskewv1.ViewState {
	out := &unskewv1.ViewState{
		View: v.ref.As, Fingerprint: v.ref.View.Fingerprint.String(), Generation: v.generation.Number,
		Positions: make([]uint64, len(v.rows)), NewestMicros: make([]int64, len(v.rows)),
	}
	for i, s := range v.rows {
		out.Positions[i] = v.generation.Position
		if s == nil {
			out.Unknown = append(out.Unknown, uint32(i))
			continue
		}
		out.Positions[i] = max(out.Positions[i], s.Position())
		out.NewestMicros[i] = int64(max(s.Newest(), plan.MinTime))
	}
	return out
}
