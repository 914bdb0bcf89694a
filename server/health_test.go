package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
)

// The messages of gRPC's health protocol have one field each, like these wrappers.
type (
	healthRequest  = wrapperspb.StringValue
	healthResponse = wrapperspb.UInt32Value
)

const (
	serving    = 1
	notServing = 2
)

func (f *fixture) health(procedure string) *connect.Client[healthRequest, healthResponse] {
	return connect.NewClient[healthRequest, healthResponse](&http.Client{Transport: h2c()}, f.url+"/grpc.health.v1.Health/"+procedure, connect.WithGRPC())
}

// checked is the answer to a health check.
func (f *fixture) checked(t *testing.T, service string) (uint32, error) {
	t.Helper()
	res, err := f.health("Check").CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(service)))
	if err != nil {
		return 0, err
	}
	return res.Msg.GetValue(), nil
}

// reasons are the codes in the answer of /readyz, each with the view that it names.
func (f *fixture) reasons(t *testing.T) []string {
	t.Helper()
	code, text := get(t, f.url+"/readyz")
	var body struct {
		Ready   bool
		Reasons []reason
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil || body.Ready != (len(body.Reasons) == 0) || (code == http.StatusOK) != body.Ready || !body.Ready && code != http.StatusServiceUnavailable {
		t.Fatalf("readyz: %d %s, %v", code, text, err)
	}
	var codes []string
	for _, r := range body.Reasons {
		if r.Detail == "" {
			t.Errorf("no detail: %s", text)
		}
		codes = append(codes, strings.TrimSuffix(r.Code+" "+r.View, " "))
	}
	return codes
}

// TestHealth: alive from the start, ready once a plan is live, for gRPC and HTTP probes alike.
func TestHealth(t *testing.T) {
	f := start(t, nil)
	for _, service := range []string{"", "unskew.v1.FeatureService", "unskew.v1.IngestService", "unskew.v1.TrainingService"} {
		if s, err := f.checked(t, service); err != nil || s != serving {
			t.Errorf("%q: %v, %v", service, s, err)
		}
	}
	if _, err := f.checked(t, "unskew.v1.Nothing"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("unknown service: %v", err)
	}
	if codes := f.reasons(t); codes != nil {
		t.Errorf("not ready: %v", codes)
	}

	f.live.Store(nil)
	if s, err := f.checked(t, ""); err != nil || s != notServing {
		t.Errorf("without a plan: %v, %v", s, err)
	}
	if codes := f.reasons(t); fmt.Sprint(codes) != "[starting]" {
		t.Errorf("without a plan: %v", codes)
	}
	for _, path := range []string{"/livez", "/healthz"} {
		if code, text := get(t, f.url+path); code != http.StatusOK || text != "ok\n" {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if _, err := f.client(t).ListServices(t.Context()); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "no plan is live yet") {
		t.Errorf("call without a plan: %v", err)
	}
}

// faultyStore is an online store that fails while an error is set.
type faultyStore struct {
	onlinestore.Store
	err atomic.Pointer[error]
}

func (s *faultyStore) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return s.Store.Get(ctx, keys)
}

// stopped is an applier with an error.
type stopped struct{ err error }

func (s *stopped) Err() error { return s.err }

// startWatched starts a server over a real log and store, that fail as store says, with a tracker
// that looks when look is called.
func startWatched(t *testing.T, change func(*Config)) (f *liveFixture, store *faultyStore, look func()) {
	t.Helper()
	f, store = startLive(t, backend.InMemory), &faultyStore{}
	store.Store = f.backend.Store
	now := func() plan.EventTime { return plan.EventTime(f.clock.Load()) }
	tracker := freshness.New(freshness.Config{Log: f.backend.Log, Store: store, Clock: now})
	ingester, err := online.NewIngester(f.plan, f.backend.Log, now)
	if err != nil {
		t.Fatal(err)
	}
	f.fixture = start(t, func(cfg *Config) {
		cfg.Clock, cfg.States, cfg.Ingester, cfg.Freshness = now, registry.NewReader(store), ingester, tracker
		change(cfg)
	})
	return f, store, func() {
		f.pass(time.Microsecond)
		_ = tracker.Refresh(t.Context(), now()) // the tracker keeps the error
	}
}

func (f *fixture) expectReady(t *testing.T, what string, reasons ...string) {
	t.Helper()
	if got := f.reasons(t); fmt.Sprint(got) != fmt.Sprint(reasons) {
		t.Errorf("%s: not ready because of %v, want %v", what, got, reasons)
	}
	status, err := f.checked(t, "unskew.v1.FeatureService")
	if err != nil || (status == serving) != (len(reasons) == 0) {
		t.Errorf("%s: health is %d, %v", what, status, err)
	}
}

// Each reason for which a server cannot do its work is in /readyz, and goes away with its cause.
func TestP14_ReadinessIsTheTruth(t *testing.T) {
	applier := &stopped{}
	f, store, look := startWatched(t, func(cfg *Config) { cfg.Applying = applier })
	f.expectReady(t, "before the first look", "starting")
	look()
	f.expectReady(t, "all is well")

	away := fmt.Errorf("%w: dial tcp 10.1.2.3:6379: connection refused", onlinestore.ErrUnavailable)
	store.err.Store(&away)
	look()
	f.expectReady(t, "the store is away", "unavailable")
	if _, text := get(t, f.url+"/readyz"); strings.Contains(text, "10.1.2.3") {
		t.Errorf("it tells the address of the store: %s", text)
	}
	damaged := errors.New("a record is damaged")
	store.err.Store(&damaged)
	look()
	f.expectReady(t, "the store is damaged", "unreadable")
	store.err.Store(nil)
	look()
	f.expectReady(t, "the store is back")
	f.pass(silence + time.Microsecond)
	f.expectReady(t, "no look for long", "unavailable")
	look()

	applier.err = errors.New("view user_spend: it is another log")
	f.expectReady(t, "the applier has stopped", "not_applying")
	applier.err = &registry.NotMaterialized{View: f.plan.Views[0]}
	f.expectReady(t, "nothing to apply to")

	// Another plan with the same views is known at once; a view without state is not served.
	if err := f.Promote(project()); err != nil {
		t.Fatal(err)
	}
	f.expectReady(t, "promoted again")
	other := project()
	other.Views[0].Fingerprint[0]++
	if err := f.Promote(other); err != nil {
		t.Fatal(err)
	}
	f.expectReady(t, "promoted with another view", "starting user_spend")
	look()
	f.expectReady(t, "a view without state", "not_materialized user_spend")
}

// A view that is staler than the limit is not ready.
func TestP14_StaleViewsAreNotReady(t *testing.T) {
	f, _, look := startWatched(t, func(cfg *Config) { cfg.MaxStaleness = time.Second })
	f.pushOne(t, "a")
	look()
	f.expectReady(t, "an event waits")
	f.pass(time.Second)
	f.expectReady(t, "it waits for long", "stale user_spend", "stale merchant_stats")
	f.apply(t)
	look()
	f.expectReady(t, "it is applied")
}

// A store or a log that cannot be reached is unavailable in every protocol, with a hint when to try
// again, and nobody is told where it is.
func TestP14_StoresOutOfReachAreUnavailable(t *testing.T) {
	for _, sentinel := range []error{onlinestore.ErrUnavailable, eventlog.ErrUnavailable, eventlog.ErrOutcomeUnknown} {
		f, store, _ := startWatched(t, func(*Config) {})
		err := fmt.Errorf("get 3 keys: %w: dial tcp 10.1.2.3:6379: connection refused", sentinel)
		store.err.Store(&err)
		for name, opts := range protocolOptions {
			keys, request := row(1)
			_, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request)
			var coded *connect.Error
			if !errors.As(err, &coded) || coded.Code() != connect.CodeUnavailable || coded.Meta().Get("Retry-After") != "1" || strings.Contains(err.Error(), "10.1.2.3") {
				t.Errorf("%s: %v", name, err)
			}
		}
		res, err := http.Post(f.url+"/v1/services/fraud_v1:read", "application/json", strings.NewReader(`{"rows": [{"user_id": 1, "receiver_id": 1, "merchant": "m", "amount": 1, "note": ""}]}`))
		if err != nil {
			t.Fatal(err)
		}
		var p problem
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "1" || p.Code != "unavailable" || strings.Contains(p.Detail, "10.1.2.3") {
			t.Errorf("rows: %d %v %+v %v", res.StatusCode, res.Header, p, err)
		}
		res.Body.Close()
	}
}

// A log that went back to an older copy is lost data, and the caller reads how to go on.
func TestALogThatWentBackIsDataLoss(t *testing.T) {
	f, store, _ := startWatched(t, func(*Config) {})
	var err error = fmt.Errorf("end: %w", &eventlog.LostError{Shard: "clicks", Had: 7, Found: 3})
	store.err.Store(&err)
	keys, request := row(1)
	_, got := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if connect.CodeOf(got) != connect.CodeDataLoss || !strings.Contains(got.Error(), "unskew materialize --full") {
		t.Errorf("%v", got)
	}
}

// A watched status changes with readiness, and watching does not delay a shutdown.
func TestP14_HealthIsWatched(t *testing.T) {
	f := start(t, nil)
	url, stop, ended := f.serve(t)
	f.url = url
	stream, err := f.health("Watch").CallServerStream(t.Context(), connect.NewRequest(wrapperspb.String("")))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	d := f.live.Load()
	for _, step := range []struct {
		live *deployment
		want uint32
	}{{d, serving}, {nil, notServing}, {d, serving}} {
		f.live.Store(step.live)
		if !stream.Receive() || stream.Msg().GetValue() != step.want {
			t.Fatalf("status %d, %v, want %d", stream.Msg().GetValue(), stream.Err(), step.want)
		}
	}
	stop()
	for stream.Receive() {
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// During the grace period of a shutdown the server is not ready and answers all the same.
func TestP14_GraceBeforeTheEnd(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.Grace = time.Hour })
	url, stop, ended := f.serve(t)
	f.url = url
	stop()
	for len(f.notReady()) == 0 {
	}
	if codes := f.reasons(t); fmt.Sprint(codes) != "[draining]" {
		t.Error(codes)
	}
	keys, request := row(1)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Error("it did not wait: ", err)
	default:
	}
}

// A log that has lost records is said to be, in every protocol, without what its error tells of the store.
func TestO9_DamagedLogsAreDataLoss(t *testing.T) {
	f, store, _ := startWatched(t, func(*Config) {})
	damaged := fmt.Errorf("append to shard %q: %w: dial 10.1.2.3", "payments", eventlog.ErrDamaged)
	store.err.Store(&damaged)
	for name, opts := range protocolOptions {
		keys, request := row(1)
		_, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request)
		if connect.CodeOf(err) != connect.CodeDataLoss || !strings.Contains(err.Error(), "has lost records or ids") || strings.Contains(err.Error(), "10.1.2.3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
