// Package server answers reads and takes events over Connect, gRPC, gRPC-Web and
//
//	HTTP/JSON on one loopback port, with metrics, health and reflection beside them.
//
// A read fetches the states of all entities of all views in one round trip, has the kernel compute
// the features as of one moment, and returns values with statuses. The server has no feature logic
// of its own; the kernel computes every value.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// stateReader fetches the states of entities; all queries take one round trip. A view without live
// state is *registry.NotMaterialized.
type stateReader interface {
	States(ctx context.Context, queries []registry.Query, parts *registry.Parts) ([]registry.Answer, error)
}

// ingester validates rows of a source and appends the valid ones to the event log. It returns one
// result for each row; appended events are durable. The batch has all columns of the source, in
// their order.
type ingester interface {
	Push(ctx context.Context, source string, batch *vector.Batch) ([]ingest.Pushed, error)
}

// Config configures a server. A limit of zero means the default.
type Config struct {
	// Clock is the server's time. No flag or request can change it.
	Clock    func() plan.EventTime
	States   stateReader
	Ingester ingester     // nil: this server accepts no events
	Training trainingJobs // nil: this server builds no training sets
	Applying applying     // nil: this server applies no events
	// Freshness knows how stale the views are and whether log and store answer; nil: this server
	// does not know, and is ready without. Its clock is Clock.
	Freshness *freshness.Tracker
	// Stores says which servers of log and store do not answer, and which of them are not safe enough; nil, and "": none. A server that is told
	// of one is not ready.
	Stores func() (silent, unsafe string)
	// Served records a sample of what is answered; nil: nothing is recorded.
	Served *servedlog.Log
	// Parity answers GET /parity: whether what was served is what training sees; nil: nobody has looked.
	Parity http.Handler
	// Explain explains values; nil: this server does not.
	Explain explainer
	// Pages answers what is at and below /ui, for people with a browser; nil: there are no pages.
	Pages http.Handler
	// Access knows the callers; nil: everyone on this machine may do everything, and the server listens
	// nowhere else.
	Access authenticator
	TLS    *tls.Config // nil: no TLS, and the server listens on this machine only
	Hosts  []string    // names, beside those of this machine, for which a server without Access answers
	Log    *slog.Logger
	// Metrics is the registry of the server's metrics, which /metrics exposes; nil means a new one.
	Metrics *prometheus.Registry
	// Caller tells callers apart, so that none takes what all of them share. nil: by their names or, without names, their addresses.
	Caller func(*http.Request) string
	// Failed, if set, is called before the response with the reason of every output that has the
	// status ERROR in a row. Each text costs an evaluation by cel-go, so this is for reads by hand.
	// Calls may be concurrent.
	Failed func(output string, row int, text string)

	MaxRows  int // rows of one request; default 10000
	MaxBytes int // one request, decompressed; default 32 MiB
	// MaxAnswerBytes bounds one answer, uncompressed; default 64 MiB.
	MaxAnswerBytes int
	MaxInFlight    int           // requests being answered at a time; default 512
	MaxConnections int           // open at a time; further ones wait; default 1024
	Timeout        time.Duration // one request; default 10 s
	// MaxStaleness is the staleness of a view over a stream from which the server is not ready; 0: any
	// is acceptable.
	MaxStaleness time.Duration
	Grace        time.Duration // for which a shutdown answers requests while it is not ready; default 0
	Drain        time.Duration // what a shutdown then waits for running requests; default 15 s
}

// The default limits.
const (
	DefaultMaxRows  = limits.PushRows
	DefaultMaxBytes = limits.RequestBytes
	DefaultTimeout  = 10 * time.Second
	DefaultDrain    = 15 * time.Second
)

func (c *Config) complete() error {
	if c.Clock == nil || c.States == nil {
		return errors.New("server: Config needs a Clock and States")
	}
	if min(c.MaxRows, c.MaxBytes, c.MaxAnswerBytes, c.MaxInFlight, c.MaxConnections) < 0 || min(c.Timeout, c.Drain, c.Grace, c.MaxStaleness) < 0 {
		return errors.New("server: a limit is negative; leave it 0 for the default")
	}
	setDefault(&c.MaxRows, DefaultMaxRows)
	setDefault(&c.MaxBytes, DefaultMaxBytes)
	setDefault(&c.MaxAnswerBytes, limits.AnswerBytes)
	setDefault(&c.MaxInFlight, limits.InFlight)
	setDefault(&c.MaxConnections, limits.Connections)
	setDefault(&c.Timeout, DefaultTimeout)
	setDefault(&c.Drain, DefaultDrain)
	if c.Caller == nil {
		c.Caller = callerOf
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
