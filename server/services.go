package server

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// contractService is a service of the contract and how its procedures are served.
type contractService struct {
	name    string
	handler func(s *Server, opts ...connect.HandlerOption) (path string, h http.Handler)
}

// services are all there are: what is listed here is served, reflected and healthy.
var services = []contractService{
	{unskewv1connect.FeatureServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		return unskewv1connect.NewFeatureServiceHandler(&featureHandler{Server: s}, opts...)
	}},
	{unskewv1connect.IngestServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		return unskewv1connect.NewIngestServiceHandler(&ingestHandler{}, opts...)
	}},
	{unskewv1connect.TrainingServiceName, func(s *Server, opts ...connect.HandlerOption) (string, http.Handler) {
		path, h := unskewv1connect.NewTrainingServiceHandler(&trainingHandler{s}, opts...)
		return path, withoutDeadlines(h)
	}},
}

// The procedures of the services.
type (
	featureHandler struct {
		*Server
		// GetFeatures is served by getFeatures.
		unskewv1connect.UnimplementedFeatureServiceHandler
	}
	// Push is served by getPushed, and there is nothing else.
	ingestHandler struct {
		unskewv1connect.UnimplementedIngestServiceHandler
	}
	trainingHandler struct{ *Server }
)

var (
	_ unskewv1connect.FeatureServiceHandler  = (*featureHandler)(nil)
	_ unskewv1connect.IngestServiceHandler   = (*ingestHandler)(nil)
	_ unskewv1connect.TrainingServiceHandler = (*trainingHandler)(nil)
)

func serviceNames() []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.name
	}
	return names
}

// knownService checks a name that a client asks the health of; "" is the server.
func knownService(name string) error {
	if names := serviceNames(); name != "" && !slices.Contains(names, name) {
		return notFound("no service %q here; the services are %s", name, strings.Join(names, " and "))
	}
	return nil
}
