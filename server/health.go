package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// applying knows why events are not applied; *online.Applier implements it.
type applying interface {
	Err() error
}

// reason is why a server is not ready. Codes are part of the interface; details are for people.
type reason struct {
	Code   string `json:"code"`
	View   string `json:"view,omitempty"`
	Detail string `json:"detail"`
}

// The codes of reasons.
const (
	notStarted      = "starting"         // no plan is live, or its views have not been looked at
	notStaying      = "draining"         // a shutdown has begun
	storeAway       = "unavailable"      // the log or the store cannot be reached or does not answer
	viewAbsent      = "not_materialized" // a view has no live state
	applierStopped  = "not_applying"     // events wait in the log because of an error
	viewStale       = "stale"            // a view is staler than Config.MaxStaleness
	viewsUnreadable = "unreadable"       // what the log or the store has cannot be read
	storeUnsafe     = "unsafe"           // a server of the log or the store could lose what it acknowledges, and --strict
)

// silence is how long log and store may take to answer a look until they count as unavailable.
const silence = 2 * time.Second

// notReady returns why the server should get no requests now; nil if it is ready. It asks nobody:
// it reports what the tracker and the applier have found.
func (s *Server) notReady() []reason {
	if s.draining.Load() {
		return []reason{{Code: notStaying, Detail: "the server is shutting down"}}
	}
	d := s.live.Load()
	if d == nil {
		return []reason{{Code: notStarted, Detail: errNoPlan.Error()}}
	}
	why := s.storesNotReady(s.viewsNotReady(d))
	if s.cfg.Applying == nil {
		return why
	}
	var none *registry.NotMaterialized
	if err := s.cfg.Applying.Err(); err != nil && !errors.As(err, &none) && !unavailable(err) {
		why = append(why, reason{Code: applierStopped, Detail: err.Error()})
	}
	return why
}

// storesNotReady adds what is wrong with the servers of log and store.
func (s *Server) storesNotReady(why []reason) []reason {
	if s.cfg.Stores == nil {
		return why
	}
	silent, unsafe := s.cfg.Stores()
	if silent != "" {
		why = append(slices.DeleteFunc(why, func(r reason) bool { return r.Code == storeAway }), reason{Code: storeAway, Detail: silent})
	}
	if unsafe != "" {
		why = append(why, reason{Code: storeUnsafe, Detail: unsafe})
	}
	return why
}

// viewsNotReady returns why views of the live plan cannot be served.
func (s *Server) viewsNotReady(d *deployment) (why []reason) {
	if s.cfg.Freshness == nil {
		return nil
	}
	last, now := s.cfg.Freshness.Last(), s.cfg.Clock()
	switch {
	case unavailable(last.Err):
		return []reason{{Code: storeAway, Detail: publicText(last.Err)}}
	case last.Err != nil:
		return []reason{{Code: viewsUnreadable, Detail: last.Err.Error()}}
	case last.Ended == plan.Always:
		return []reason{{Code: notStarted, Detail: "the views have not been looked at yet"}}
	case now-last.Ended > plan.EventTime(silence.Microseconds()):
		return []reason{{Code: storeAway, Detail: fmt.Sprintf("the event log or the online store has not answered for %v", asDuration(plan.Micros(now-last.Ended)))}}
	}
	marks := s.cfg.Freshness.Marks()
	for _, v := range d.plan.Views {
		m, ok := marks[v.Fingerprint]
		switch {
		case !ok && !last.Current:
			why = append(why, reason{notStarted, v.Name, "the view has not been looked at yet"})
		case !ok:
			why = append(why, reason{viewAbsent, v.Name, (&registry.NotMaterialized{View: v}).Error()})
		case v.Source.Stream && s.cfg.MaxStaleness > 0:
			why = append(why, s.tooStaleToServe(v, m.Staleness, now)...)
		}
	}
	return why
}

func (s *Server) tooStaleToServe(v *plan.View, staleness func(plan.EventTime) (plan.Micros, bool), now plan.EventTime) []reason {
	most := plan.Micros(s.cfg.MaxStaleness.Microseconds())
	age, known := staleness(now)
	switch {
	case !known:
		return []reason{{viewStale, v.Name, fmt.Sprintf("it is not known how stale the view is, and the limit is %v", s.cfg.MaxStaleness)}}
	case age > most:
		return []reason{{viewStale, v.Name, fmt.Sprintf("the view is %v stale, and the limit is %v", asDuration(age), s.cfg.MaxStaleness)}}
	}
	return nil
}

// unavailable reports whether an error means that the log or the store cannot be used now.
func unavailable(err error) bool {
	return errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, onlinestore.ErrUnavailable) ||
		errors.Is(err, eventlog.ErrClosed) || errors.Is(err, onlinestore.ErrClosed)
}

// publicText describes an unavailable log or store without the addresses that its error has.
func publicText(err error) string {
	for _, public := range []error{eventlog.ErrUnavailable, onlinestore.ErrUnavailable, eventlog.ErrClosed, onlinestore.ErrClosed} {
		if errors.Is(err, public) {
			return public.Error() + "; the server's log has the details"
		}
	}
	return "the server's log has the details"
}

// ready answers GET /readyz: 200 when the server should get requests, else 503 with the reasons.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	why := s.notReady()
	if auth := s.cfg.Access; auth != nil {
		if _, err := auth.Authenticate(r); err != nil {
			withoutErrors(why)
		}
	}
	text, err := json.Marshal(struct {
		Ready   bool     `json:"ready"`
		Reasons []reason `json:"reasons,omitempty"`
	}{len(why) == 0, why})
	if err != nil {
		text = []byte("{}") // strings can always be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	if len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// A client that disconnected misses the text; there is nobody to tell.
	_, _ = w.Write(append(text, '\n'))
}

// withoutErrors removes the texts of errors, which may show values of events and names of files, from
// reasons for somebody unknown.
func withoutErrors(why []reason) {
	for i := range why {
		if why[i].Code == applierStopped || why[i].Code == viewsUnreadable || why[i].Code == storeUnsafe {
			why[i].Detail = publicText(nil)
		}
	}
}

// alive answers GET /livez: 200 as long as the process can answer anything.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// A client that disconnected misses the text; there is nobody to tell.
	_, _ = io.WriteString(w, "ok\n")
}

// grpcHealth serves gRPC's health protocol, in which a service is SERVING while the server is ready.
// Watches end when a shutdown stops to take requests.
func (s *Server) grpcHealth(opts []connect.HandlerOption) (string, http.Handler) {
	path, h := grpchealth.NewHandler(healthChecker{s}, opts...)
	return path, withoutDeadlines(s.untilStopping(h))
}

// untilStopping cancels requests when a shutdown stops to take new ones, for it waits for all.
func (s *Server) untilStopping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.stopping, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// healthChecker implements grpchealth.Watcher.
type healthChecker struct{ *Server }

// Check implements grpchealth.Checker.
func (s healthChecker) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if err := knownService(req.Service); err != nil {
		return nil, err
	}
	if len(s.notReady()) > 0 {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}

// watchEvery is how often a watched status is looked at.
const watchEvery = 100 * time.Millisecond

// Watch implements grpchealth.Watcher. stop waits until onChange is not called any more.
func (s healthChecker) Watch(_ context.Context, req *grpchealth.CheckRequest, onChange func()) (stop func(), err error) {
	if err := knownService(req.Service); err != nil {
		return nil, err
	}
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		again := time.NewTicker(watchEvery)
		defer again.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-again.C:
				onChange()
			}
		}
	}()
	return func() { close(stopped); <-ended }, nil
}
