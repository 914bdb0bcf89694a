package server

import (
	"context"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"connectrpc.com/validate"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
)

// Server answers calls under the plan that was promoted last. Its methods are safe for concurrent
// use.
type Server struct {
	cfg      Config
	metrics  *metrics
	live     atomic.Pointer[deployment]
	draining atomic.Bool
	stopping context.Context // ends when a shutdown stops to take requests
	stop     context.CancelFunc
	budget   *budget
	keeps    bool // the reader of states keeps what is made of them
}

// keepingReader is a stateReader that can keep what is made of states.
type keepingReader interface {
	KeptStats() (stats registry.KeptStats, keeps bool)
}

// New makes a server without a plan; until Promote it answers unavailable.
func New(cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: m}
	s.budget = newBudget(cfg, func(resource string) { m.noRoom.WithLabelValues(resource).Inc() })
	if err := registerShared(cfg.Metrics, s.budget.all()); err != nil {
		return nil, err
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	if r, ok := cfg.States.(keepingReader); ok {
		if _, s.keeps = r.KeptStats(); s.keeps {
			err = registerKept(cfg.Metrics, r.KeptStats)
		}
	}
	return s, err
}

// Promote compiles p and makes it live: every call uses one plan from beginning to end. After an
// error the previous plan stays live.
func (s *Server) Promote(p *plan.Plan) error {
	d, err := deploy(p, s.cfg.Served)
	if err != nil {
		return err
	}
	if s.cfg.Freshness != nil {
		if err := s.cfg.Freshness.Follow(p); err != nil {
			return err
		}
	}
	s.live.Store(d)
	return nil
}

// current returns the live plan.
func (s *Server) current() (*deployment, error) {
	if d := s.live.Load(); d != nil {
		return d, nil
	}
	return nil, errNoPlan
}

// Handler serves everything: the services over all protocols, health (gRPC, GET /livez and
// /readyz), reflection and GET /metrics.
func (s *Server) Handler() http.Handler {
	opts := s.options()
	mux := http.NewServeMux()
	handle := func(path string, h http.Handler) { mux.Handle(path, s.visited(s.admitted(explained(h)))) }
	path, h := s.getFeatures(opts...)
	mux.Handle(path, s.visited(fastPath{s, s.admitted(explained(h))}))
	handle(s.getPushed(opts...))
	opts = append(opts, withStrictJSON(), connect.WithInterceptors(validate.NewInterceptor()))
	for _, x := range services {
		handle(x.handler(s, opts...))
	}
	aside := func(path string, h http.Handler) { mux.Handle(path, s.uncounted(compressOnRequest(h))) }
	small := connect.WithReadMaxBytes(limits.ProbeBytes)
	aside(s.grpcHealth(append(opts, small)))
	reflector := grpcreflect.NewStaticReflector(serviceNames()...)
	aside(grpcreflect.NewHandlerV1(reflector, small, connect.WithInterceptors(guard{s})))
	aside(grpcreflect.NewHandlerV1Alpha(reflector, small, connect.WithInterceptors(guard{s})))

	s.rowEndpoints(mux)
	mux.HandleFunc("/", nothingHere)
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: limits.Scrapes}))
	if s.cfg.Parity != nil {
		mux.Handle("GET "+parityPath, s.cfg.Parity)
	}
	if s.cfg.Pages != nil {
		pages := s.untilStopping(s.cfg.Pages) // what explains a value reads for long
		mux.Handle("GET "+pagesPath, pages)
		mux.Handle("GET "+pagesPath+"/", pages)
	}
	return mux
}

// parityPath answers whether what was served is what training sees. It names entities, so it is not for everyone.
const parityPath = "/parity"

// pagesPath is where pages begin, which show the same to people.
const pagesPath = "/ui"

// options are the options of all Connect handlers.
func (s *Server) options() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(s.cfg.MaxBytes),
		connect.WithCompressMinBytes(compressFrom),
		connect.WithInterceptors(guard{s}),
	}
}

// admitted wraps a Connect handler in the checks that run before it.
func (s *Server) admitted(h http.Handler) http.Handler {
	return compressOnRequest(s.countRefused(s.admit(h)))
}
