package server

import (
	"context"
	"io"
	"net/http"

	"connectrpc.com/connect"

	healthv1 "github.com/unskew/unskew/proto/unskew/health/v1"
)

// healthCheck is the Check procedure of gRPC's health protocol. Watch is not implemented; the
// protocol tells clients to treat that as healthy.
const healthCheck = "/grpc.health.v1.Health/Check"

// grpcHealth answers SERVING as soon as a plan is live and until shutdown begins.
func (s *Server) grpcHealth(opts []connect.HandlerOption) (string, http.Handler) {
	check := func(_ context.Context, req *connect.Request[healthv1.HealthCheckRequest]) (*connect.Response[healthv1.HealthCheckResponse], error) {
		if err := knownService(req.Msg.GetService()); err != nil {
			return nil, err
		}
		status := healthv1.HealthCheckResponse_SERVING
		if s.notServing() != "" {
			status = healthv1.HealthCheckResponse_NOT_SERVING
		}
		return connect.NewResponse(&healthv1.HealthCheckResponse{Status: status}), nil
	}
	return healthCheck, connect.NewUnaryHandler(healthCheck, check, opts...)
}

// ready answers GET /readyz: 200 when calls are answered, else 503 with the reason.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if reason := s.notServing(); reason != "" {
		plainText(w, http.StatusServiceUnavailable, reason)
		return
	}
	plainText(w, http.StatusOK, "ready")
}

func plainText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	// A client that disconnected misses the text; there is nobody to tell.
	_, _ = io.WriteString(w, text+"\n")
}
