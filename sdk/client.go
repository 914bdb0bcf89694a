// Package sdk is the Go client of an Unskew server: it reads the features a model
// needs, pushes events, and has training sets made.
//
//	client, err := sdk.New("http://127.0.0.1:7171")
//	rows, err := client.GetFeatures(ctx, "fraud_v1",
//		[]sdk.Column{sdk.Ints("user_id", 42, 43)},
//		[]sdk.Column{sdk.Doubles("amount", 12.5, 99.0)})
//	spend, err := rows.Feature("user_spend.spend_7d")
//	values, err := sdk.Values[float64](spend)
//	if spend.Status(0) == sdk.Present { use(values[0]) }
//
// A column's type is part of the contract: the server refuses an int where a
// double is declared. Errors of a call carry a code, connect.CodeOf(err), and a
// message that says what to change. Calls have a time limit, and reads are retried while the
// server is unavailable; see WithTimeout and WithAttempts.
package sdk

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// Client is a client of one server. It is safe for concurrent use.
type Client struct {
	features unskewv1connect.FeatureServiceClient
	ingest   unskewv1connect.IngestServiceClient
	known    known
	training unskewv1connect.TrainingServiceClient
	parity   unskewv1connect.ParityServiceClient
}

type options struct {
	limits callLimits
	http   connect.HTTPClient
	grpc   bool
	token  string
	calls  []connect.ClientOption
}

// Option changes how a client talks to the server.
type Option func(*options)

// WithHTTPClient sets the HTTP client, for TLS, proxies or tracing. Without it the client has
// its own connection pool.
func WithHTTPClient(c *http.Client) Option { return func(o *options) { o.http = c } }

// WithHandler makes the client call a server in this process: calls go to its handler, and nothing
// is sent over a network. The client speaks the Connect protocol; WithGRPC does not work with it.
// Answers are held in memory as a whole, streams of training sets too.
func WithHandler(h http.Handler) Option {
	return func(o *options) { o.http = &http.Client{Transport: handlerTransport{h}} }
}

// WithGRPC makes the client speak gRPC, over HTTP/2 without TLS for an http URL.
// Without it the client speaks the Connect protocol over HTTP/1.1 or 2.
func WithGRPC() Option {
	return func(o *options) {
		o.grpc = true
		o.calls = append(o.calls, connect.WithGRPC())
	}
}

// WithJSON makes the client send and receive JSON instead of binary protobuf.
func WithJSON() Option {
	return func(o *options) { o.calls = append(o.calls, connect.WithProtoJSON()) }
}

// New returns a client of the server at baseURL, for example http://127.0.0.1:7171. It does
// not connect yet.
func New(baseURL string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("server address %q is not a URL such as http://127.0.0.1:7171", baseURL)
	}
	o := options{limits: callLimits{timeout: DefaultTimeout, attempts: defaultAttempts}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.http == nil {
		o.http = &http.Client{Transport: newTransport(o.grpc)}
	}
	o.http = schemeChecker{o.http}
	o.calls = append(o.calls, connect.WithInterceptors(o.limits))
	if o.token != "" {
		if strings.ContainsFunc(o.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, errors.New("the token has a space, a line break or another character that no token has; give the line that unskew token prints")
		}
		if u.Scheme != "https" && !loopback(u) {
			return nil, fmt.Errorf("a token is not sent to %s without TLS; use https", u.Host)
		}
		o.calls = append(o.calls, connect.WithInterceptors(bearer(o.token)))
	}
	return &Client{
		features: unskewv1connect.NewFeatureServiceClient(o.http, baseURL, o.calls...),
		ingest:   unskewv1connect.NewIngestServiceClient(o.http, baseURL, o.calls...),
		training: unskewv1connect.NewTrainingServiceClient(o.http, baseURL, o.calls...),
		parity:   unskewv1connect.NewParityServiceClient(o.http, baseURL, o.calls...),
	}, nil
}

// idleConnections is how many connections a client keeps for its next calls.
const idleConnections = 64

// newTransport returns the default transport with a larger pool. gRPC needs HTTP/2, which
// must be enabled explicitly for an http URL.
func newTransport(grpc bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = idleConnections
	if grpc {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// ReadOption modifies a read.
type ReadOption func(*read)

// read is a read before it is sent.
type read struct {
	*unskewv1.GetFeaturesRequest
	id string // of the request, "" for none
}

// Only restricts the answer to the named features, in this order.
func Only(features ...string) ReadOption {
	return func(r *read) { r.Features = append(r.Features, features...) }
}

// Expect makes the read fail unless the service has this fingerprint, the one that the model
// was trained on. At least its first twelve digits are needed.
func Expect(fingerprint string) ReadOption {
	return func(r *read) { r.Fingerprint = fingerprint }
}

// WithStates also returns the state from which each row was computed.
func WithStates() ReadOption {
	return func(r *read) { r.WithStates = true }
}

// MaxStaleness makes the read fail with failed_precondition if the view of a returned feature is
// staler than d: if events that were stored in the log longer ago may not have been applied. A
// view without new events is not stale. With StaleAsStatus, such values have the status Stale.
func MaxStaleness(d time.Duration) ReadOption {
	return func(r *read) { r.MaxStalenessMicros = uint64(max(1, d.Microseconds())) }
}

// StaleAsStatus makes a read with MaxStaleness return values that are staler, with the status
// Stale, instead of an error. Feature.Reason is the status that they would have otherwise.
func StaleAsStatus() ReadOption {
	return func(r *read) { r.OnStale = unskewv1.OnStale_ON_STALE_STATUS }
}

// WithFreshness also returns how far each view of the service is behind its source.
func WithFreshness() ReadOption {
	return func(r *read) { r.WithFreshness = true }
}

// RequestID gives the request an id, under which the served log has what was answered, and under which predictions and outcomes
// are logged: 1 to 128 printable ASCII characters without spaces. An empty id is replaced by a new one; Rows.RequestID has it.
func RequestID(id string) ReadOption {
	return func(r *read) {
		if r.id = id; id == "" {
			r.id = rand.Text()
		}
	}
}

// requestIDHeader is where a request and its answer have the id.
const requestIDHeader = "X-Request-Id"

// GetFeatures reads the features of a service for as many entities as the columns
// have rows, all as of one moment. keys and request hold exactly the columns that
// DescribeService lists.
func (c *Client) GetFeatures(ctx context.Context, service string, keys, request []Column, opts ...ReadOption) (*Rows, error) {
	req := &unskewv1.GetFeaturesRequest{Service: service, Keys: columns(keys), Request: columns(request)}
	x := read{GetFeaturesRequest: req}
	for _, opt := range opts {
		opt(&x)
	}
	shape := c.known.expect(req)
	call := connect.NewRequest(req)
	if x.id != "" {
		call.Header().Set(requestIDHeader, x.id)
	}
	res, err := c.features.GetFeatures(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("get features of service %s: %w", service, err)
	}
	if res.Msg.GetFingerprint() != "" || shape == nil {
		c.known.learn(req, res.Msg)
	} else if err := shape.complete(req, res.Msg); err != nil {
		return nil, err
	}
	rows, err := newRows(service, res.Msg)
	if err == nil {
		rows.RequestID = cmp.Or(x.id, res.Header().Get(requestIDHeader))
	}
	return rows, err
}

// Push appends the rows of the columns to a stream source and returns the outcome of each. A
// rejected row is an outcome, not an error. After an error the outcome of every row is
// unknown; pushing again is safe for a source with an event id. See Pusher for many small pushes.
func (c *Client) Push(ctx context.Context, source string, cols ...Column) ([]Pushed, error) {
	return c.push(ctx, source, columns(cols))
}

func (c *Client) push(ctx context.Context, source string, cols []*unskewv1.Column) ([]Pushed, error) {
	res, err := c.ingest.Push(ctx, connect.NewRequest(&unskewv1.PushRequest{Source: source, Columns: cols}))
	if err != nil {
		return nil, fmt.Errorf("push to source %s: %w", source, err)
	}
	out := make([]Pushed, len(res.Msg.GetRows()))
	for i, r := range res.Msg.GetRows() {
		out[i] = Pushed{Outcome: Outcome(r.GetOutcome()), Shard: int(r.GetShard()), Position: r.GetPosition(), Message: r.GetMessage()}
	}
	return out, nil
}

// Pushed is the result for one pushed row.
type Pushed struct {
	Outcome  Outcome
	Shard    int    // of the source's log
	Position uint64 // in the shard, from 1; 0 for a rejected row
	Message  string // why it was rejected or conflicts
}

// Outcome is the outcome of a pushed row.
type Outcome int32

// The outcomes.
const (
	Appended  Outcome = Outcome(unskewv1.Outcome_OUTCOME_APPENDED)  // stored
	Duplicate Outcome = Outcome(unskewv1.Outcome_OUTCOME_DUPLICATE) // ignored: the event is stored with all values of the row
	Conflict  Outcome = Outcome(unskewv1.Outcome_OUTCOME_CONFLICT)  // ignored: the event's id is stored with other values
	Rejected  Outcome = Outcome(unskewv1.Outcome_OUTCOME_REJECTED)  // not a valid event of the source
	Filled    Outcome = Outcome(unskewv1.Outcome_OUTCOME_FILLED)    // stored: it filled late columns of the event with its id
)

// String returns the outcome's name in the contract, without the prefix.
func (o Outcome) String() string { return enumName(unskewv1.Outcome(o).String(), "OUTCOME_") }

// ServiceInfo describes a feature service. ListServices leaves the columns out.
type ServiceInfo struct {
	Name, Fingerprint, Description string
	Keys, Request                  []Field
	Outputs                        []OutputInfo
}

// Field is a column that a service takes; Type is written as in definitions, such as "int".
type Field struct{ Name, Type string }

// OutputInfo is a feature a service returns.
type OutputInfo struct{ Name, Type, Fingerprint, Description string }

// ListServices lists the feature services by name.
func (c *Client) ListServices(ctx context.Context) ([]ServiceInfo, error) {
	res, err := c.features.ListServices(ctx, connect.NewRequest(&unskewv1.ListServicesRequest{}))
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	out := make([]ServiceInfo, len(res.Msg.GetServices()))
	for i, s := range res.Msg.GetServices() {
		out[i] = ServiceInfo{Name: s.GetName(), Fingerprint: s.GetFingerprint(), Description: s.GetDescription()}
	}
	return out, nil
}

// DescribeService describes what a feature service takes and returns.
func (c *Client) DescribeService(ctx context.Context, name string) (*ServiceInfo, error) {
	res, err := c.features.DescribeService(ctx, connect.NewRequest(&unskewv1.DescribeServiceRequest{Service: name}))
	if err != nil {
		return nil, fmt.Errorf("describe service %s: %w", name, err)
	}
	m := res.Msg
	info := &ServiceInfo{Name: m.GetName(), Fingerprint: m.GetFingerprint(), Description: m.GetDescription(),
		Keys: fields(m.GetKeys()), Request: fields(m.GetRequest())}
	for _, o := range m.GetOutputs() {
		info.Outputs = append(info.Outputs, OutputInfo{o.GetName(), o.GetType(), o.GetFingerprint(), o.GetDescription()})
	}
	return info, nil
}

func fields(list []*unskewv1.Field) []Field {
	out := make([]Field, len(list))
	for i, f := range list {
		out[i] = Field{f.GetName(), f.GetType()}
	}
	return out
}
