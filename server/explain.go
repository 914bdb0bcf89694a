package server

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/grpchealth"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/unskew/unskew/internal/nearest"
)

// explained adds an error message to requests that Connect refuses with nothing but a status.
func explained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := notACall(r)
		if p == nil {
			next.ServeHTTP(w, r)
			return
		}
		bare := &bareResponse{ResponseWriter: w}
		next.ServeHTTP(bare, r)
		if bare.status != 0 {
			p.Status, p.Title = bare.status, http.StatusText(bare.status)
		}
		p.write(w)
	})
}

// bareResponse records the headers and the status of a response and drops its body.
type bareResponse struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (b *bareResponse) WriteHeader(status int) { b.status = status }

// Write implements http.ResponseWriter.
func (b *bareResponse) Write(text []byte) (int, error) { return len(text), nil }

// callTypes are the content types of procedure calls, up to an optional plus sign.
var callTypes = []string{"application/json", "application/proto", "application/connect", "application/grpc", "application/grpc-web", "application/grpc-web-text"}

func isCallType(kind string) bool {
	kind, _, _ = strings.Cut(kind, "+")
	return slices.Contains(callTypes, kind)
}

// notACall explains why a request cannot be a procedure call; it returns nil if it may be one.
func notACall(r *http.Request) *problem {
	if !isProcedure(r.URL.Path) {
		return newProblem(http.StatusNotFound, "unimplemented", "there is no procedure %s%s", r.URL.Path, nearest.Hint(r.URL.Path, procedures))
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Has("message"): // Connect's GET for side-effect-free procedures
		return nil
	case r.Method != http.MethodPost:
		return newProblem(http.StatusMethodNotAllowed, "unimplemented", "%s is called with POST, not %s", r.URL.Path, r.Method)
	}
	sent := r.Header.Get("Content-Type")
	if isCallType(sent) {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(sent); err == nil && isCallType(kind) {
		return nil
	}
	return newProblem(http.StatusUnsupportedMediaType, "invalid_argument",
		"Content-Type %q is not supported here; send application/json, application/proto, or a content type of gRPC", sent)
}

// procedures are the paths of all procedures, ascending.
var procedures = func() (paths []string) {
	for _, name := range serviceNames() {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			panic(fmt.Sprintf("service %s is not in the contract: %v", name, err))
		}
		methods := found.(protoreflect.ServiceDescriptor).Methods()
		for m := range methods.Len() {
			paths = append(paths, "/"+name+"/"+string(methods.Get(m).Name()))
		}
	}
	paths = append(paths, "/"+grpchealth.HealthV1ServiceName+"/Check", "/"+grpchealth.HealthV1ServiceName+"/Watch")
	slices.Sort(paths)
	return paths
}()

// streaming are the procedures whose requests or answers are streams.
var streaming = func() map[string]bool {
	found := map[string]bool{"/" + grpchealth.HealthV1ServiceName + "/Watch": true}
	for _, path := range procedures {
		service, method, _ := strings.Cut(path[1:], "/")
		if d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + method)); err == nil {
			m := d.(protoreflect.MethodDescriptor)
			found[path] = m.IsStreamingClient() || m.IsStreamingServer()
		}
	}
	return found
}()

// isProcedure reports whether a path is that of a procedure.
func isProcedure(path string) bool {
	_, found := slices.BinarySearch(procedures, path)
	return found
}

// procedureOf is the name of a request in metrics: a procedure, or a row-shaped endpoint without the
// name in it, so that the number of names is bounded.
func procedureOf(r *http.Request) string {
	if call := r.PathValue("call"); call != "" {
		_, verb, _ := strings.Cut(call, ":")
		return strings.TrimSuffix(r.URL.Path, call) + map[string]string{"read": readVerb, "push": pushVerb}[verb]
	}
	if isProcedure(r.URL.Path) {
		return r.URL.Path
	}
	return "unknown"
}

// nothingHere answers requests for unknown paths.
func nothingHere(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, "not_found", "there is nothing to %s at %s; POST %sNAME%s reads features, POST %sNAME%s takes events, GET %s describes both, "+
		"and GET /livez, /readyz and /metrics report on the server", r.Method, r.URL.Path, servicesPath, readVerb, sourcesPath, pushVerb, openAPIPath).write(w)
}
