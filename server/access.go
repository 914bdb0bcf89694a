package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// authenticator returns the caller of a request, or access.ErrNoCredentials or access.ErrUnknown.
type authenticator interface {
	Authenticate(r *http.Request) (*access.Caller, error)
}

// anyone is the role for paths that need no caller: those that orchestrators probe.
const anyone access.Role = ""

// known is the role for paths that every known caller may read.
const known access.Role = "known"

// prefixes are the beginnings of paths with the role that they need.
var prefixes = []struct {
	prefix string
	role   access.Role
}{
	{"/" + unskewv1connect.FeatureServiceName + "/", access.Read},
	{servicesPath, access.Read},
	{"/" + unskewv1connect.IngestServiceName + "/", access.Push},
	{sourcesPath, access.Push},
	{"/" + unskewv1connect.TrainingServiceName + "/", access.Train},
	{"/" + unskewv1connect.ParityServiceName + "/", access.Admin},
	{"/grpc.health.v1.Health/", anyone},
	{"/metrics", access.Admin},
	{parityPath, access.Admin},
	{pagesPath, access.Admin},
}

// isPage reports whether a path is that of a page, for which a browser asks.
func isPage(path string) bool { return path == pagesPath || strings.HasPrefix(path, pagesPath+"/") }

// probes are the paths that orchestrators ask.
var probes = []string{"/livez", "/readyz", "/healthz"}

// roleFor is the role that a request for a path needs.
func roleFor(path string) access.Role {
	if slices.Contains(probes, path) {
		return anyone
	}
	for _, p := range prefixes {
		if strings.HasPrefix(path, p.prefix) {
			return p.role
		}
	}
	return known
}

// checked wraps the whole server in the checks of who sends a request: that a browser has not been
// made to send it by a page from elsewhere, and, if the server has callers, that one of them does.
func (s *Server) checked(next http.Handler) http.Handler {
	g := &gatekeeper{server: s, next: next, errors: connect.NewErrorWriter()}
	g.origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.refuse(w, r, "", connect.NewError(connect.CodePermissionDenied, errors.New("a page from another origin may not call this server")))
	}))
	return g.origins.Handler(g)
}

// gatekeeper checks requests before anything else does.
type gatekeeper struct {
	server  *Server
	next    http.Handler
	origins http.CrossOriginProtection
	errors  *connect.ErrorWriter
	logged  atomic.Int64 // when a refusal was last logged, in Unix seconds
	hidden  atomic.Int64 // refusals since then
}

// ServeHTTP implements http.Handler.
func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	role := roleFor(r.URL.Path)
	if role == anyone {
		g.next.ServeHTTP(w, r)
		return
	}
	auth := g.server.cfg.Access
	if auth == nil {
		if !g.forThisMachine(r) {
			g.refuse(w, r, "", connect.NewError(connect.CodePermissionDenied, errors.New("this server is for its own machine only, and the request is for another host; call it as localhost or 127.0.0.1, or name the host with serve --host")))
			return
		}
		g.next.ServeHTTP(w, r)
		return
	}
	challenge := "Bearer"
	if isPage(r.URL.Path) {
		challenge = `Basic realm="unskew: the password is a token with the role admin", charset="UTF-8"`
		r = asBearer(r)
	}
	caller, err := auth.Authenticate(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", challenge)
		g.refuse(w, r, "", connect.NewError(connect.CodeUnauthenticated, err))
		return
	}
	if role != known && !caller.May(role) {
		g.refuse(w, r, caller.Name, denied("caller %s has the roles %s, and this needs the role %s", caller.Name, caller.RoleNames(), role))
		return
	}
	g.next.ServeHTTP(w, r.WithContext(access.With(r.Context(), caller)))
}

// asBearer is a request with the token that a person gave a browser as password. Only requests for pages may have it so: a browser adds it to
// what other sites make it send too, and pages change nothing.
func asBearer(r *http.Request) *http.Request {
	_, token, ok := r.BasicAuth()
	if !ok {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// refuse answers in the protocol of the request and writes the audit log.
func (g *gatekeeper) refuse(w http.ResponseWriter, r *http.Request, caller string, err *connect.Error) {
	g.server.metrics.denied.WithLabelValues(err.Code().String()).Inc()
	g.audit(r, caller, err)
	if !strings.HasPrefix(r.URL.Path, "/v1/") && g.errors.IsSupported(r) {
		_ = g.errors.Write(w, r, err) // a client that disconnected misses it
		return
	}
	problemOf(err).write(w)
}

// audit logs a refusal, at most one a second, so that a flood of them does not fill the disk.
func (g *gatekeeper) audit(r *http.Request, caller string, err *connect.Error) {
	now, last := time.Now().Unix(), g.logged.Load()
	if now == last || !g.logged.CompareAndSwap(last, now) {
		g.hidden.Add(1)
		return
	}
	g.server.cfg.Log.Warn("request refused", "code", err.Code().String(), "caller", caller, "from", r.RemoteAddr, "path", beginning(r.URL.Path), "reason", err.Message(),
		"others", g.hidden.Swap(0))
}

// loggedPath is how many bytes of a path are logged; the real ones are shorter.
const loggedPath = 200

// beginning is what is logged of a path, which anybody can make as long as a header may be.
func beginning(path string) string {
	if len(path) > loggedPath {
		return path[:loggedPath] + "…"
	}
	return path
}

// loopbackHost reports whether a Host header names this machine. A page in a browser cannot choose the
// header, so a name that an attacker resolves to 127.0.0.1 is recognized by it.
func loopbackHost(host string) bool {
	name := hostName(host)
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback() || host == ""
}

// forThisMachine reports whether a request without a caller names a host for which the server answers. No
// page in a browser can send a request to a unix socket.
func (g *gatekeeper) forThisMachine(r *http.Request) bool {
	if _, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); unix {
		return true
	}
	return loopbackHost(r.Host) || slices.Contains(g.server.cfg.Hosts, hostName(r.Host))
}

// hostName is a Host header without the port, in lower case.
func hostName(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	return strings.ToLower(name)
}

// mayRead returns an error if the caller of ctx may not read a service.
func mayRead(ctx context.Context, service string) error {
	if c := access.From(ctx); c != nil && !c.MayRead(service) {
		return denied("caller %s may not read service %s", c.Name, service)
	}
	return nil
}

// mayPush returns an error if the caller of ctx may not push to a source.
func mayPush(ctx context.Context, source string) error {
	if c := access.From(ctx); c != nil && !c.MayPush(source) {
		return denied("caller %s may not push to source %s", c.Name, source)
	}
	return nil
}
