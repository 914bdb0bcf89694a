package server

import (
	"context"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// ListServices implements the RPC.
func (h *featureHandler) ListServices(context.Context, *connect.Request[unskewv1.ListServicesRequest]) (*connect.Response[unskewv1.ListServicesResponse], error) {
	d, err := h.current()
	if err != nil {
		return nil, err
	}
	res := &unskewv1.ListServicesResponse{}
	for _, name := range d.names {
		p := d.services[name].plan
		res.Services = append(res.Services, &unskewv1.ServiceSummary{Name: p.Name, Fingerprint: p.Fingerprint.String(), Description: p.Description})
	}
	return connect.NewResponse(res), nil
}

// DescribeService implements the RPC.
func (h *featureHandler) DescribeService(_ context.Context, req *connect.Request[unskewv1.DescribeServiceRequest]) (*connect.Response[unskewv1.DescribeServiceResponse], error) {
	d, err := h.current()
	if err != nil {
		return nil, err
	}
	svc, err := d.service(req.Msg.GetService())
	if err != nil {
		return nil, err
	}
	p := svc.plan
	res := &unskewv1.DescribeServiceResponse{
		Name: p.Name, Fingerprint: p.Fingerprint.String(), Description: p.Description,
		Keys: wireFields(p.Keys), Request: wireFields(p.Request),
	}
	for i, o := range svc.outputs {
		res.Outputs = append(res.Outputs, &unskewv1.OutputDescription{
			Name: o.Name, Type: o.Type.String(), Fingerprint: o.Fingerprint.String(), Description: description(p, i)})
	}
	return connect.NewResponse(res), nil
}

// description returns the description of the feature behind the i-th output.
func description(p *plan.Service, i int) string {
	if d := i - len(p.Features); d >= 0 {
		return p.Derived[d].Description
	}
	f := p.Features[i]
	return p.Views[f.Ref].View.Features[f.Feature].Description
}

func wireFields(fields []plan.Field) []*unskewv1.Field {
	out := make([]*unskewv1.Field, len(fields))
	for i, f := range fields {
		out[i] = &unskewv1.Field{Name: f.Name, Type: f.Type.String()}
	}
	return out
}
