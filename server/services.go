package server

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// contractService is a service of the contract and its handler.
type contractService struct {
	name    string
	handler func(s *Server, opts ...connect.HandlerOption) (path string, h http.Handler)
}

// services lists all services; reflection and health checks use this list too.
var services = []contractService{
	{unskewv1connect.FeatureServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		return unskewv1connect.NewFeatureServiceHandler(&featureHandler{Server: s}, opts...)
	}},
	{unskewv1connect.IngestServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		return unskewv1connect.NewIngestServiceHandler(&ingestHandler{}, opts...)
	}},
	{unskewv1connect.TrainingServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		path, h := unskewv1connect.NewTrainingServiceHandler(&trainingHandler{s}, append(opts, connect.WithReadMaxBytes(min(s.cfg.MaxBytes, limits.ChunkBytes)))...)
		return path, withoutDeadlines(h)
	}},
	{unskewv1connect.ParityServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		return unskewv1connect.NewParityServiceHandler(&parityHandler{s}, append(opts, connect.WithReadMaxBytes(limits.ExplainRequestBytes))...)
	}},
}

type (
	featureHandler struct {
		*Server
		// GetFeatures is served by getFeatures.
		unskewv1connect.UnimplementedFeatureServiceHandler
	}
	// Push, the only procedure, is served by getPushed.
	ingestHandler struct {
		unskewv1connect.UnimplementedIngestServiceHandler
	}
	trainingHandler struct{ *Server }
)

var (
	_ unskewv1connect.FeatureServiceHandler  = (*featureHandler)(nil)
	_ unskewv1connect.IngestServiceHandler   = (*ingestHandler)(nil)
	_ unskewv1connect.TrainingServiceHandler = (*trainingHandler)(nil)
	_ unskewv1connect.ParityServiceHandler   = (*parityHandler)(nil)
)

func serviceNames() []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.name
	}
	return names
}

// knownService checks the name in a health check; "" means the whole server.
func knownService(name string) error {
	if names := serviceNames(); name != "" && !slices.Contains(names, name) {
		return notFound("no service %q here; the services are %s", name, strings.Join(names, ", "))
	}
	return nil
}
