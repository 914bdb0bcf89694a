package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/sdk"
)

func TestLimits(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxRows, cfg.MaxBytes = 2, 1000 })
	for name, opts := range protocolOptions {
		c := f.client(t, opts...)
		keys, request := row(1, 2)
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		keys, request = row(1, 2, 3)
		_, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request)
		if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "the request has 3 rows and this server takes at most 2") {
			t.Errorf("%s: rows: %v", name, err)
		}
		keys, request = row(1)
		request[1] = sdk.Strings("note", strings.Repeat("x", 1000))
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: bytes: %v", name, err)
		}
	}
}

// TestDefaultRowLimit: one request reads 10000 rows, but not 10001.
func TestDefaultRowLimit(t *testing.T) {
	f := start(t, nil)
	users := make([]int64, DefaultMaxRows+1)
	for i := range users {
		users[i] = int64(i)
	}
	keys, request := row(users...)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("%d rows: %v", len(users), err)
	}
	keys, request = row(users[:DefaultMaxRows]...)
	rows, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Only("user_spend.spend"))
	if err != nil {
		t.Fatal(err)
	}
	if spend := rows.Features()[0]; spend.Value(1) != 12.5 || spend.Value(2) != 7.0 || spend.Value(DefaultMaxRows-1) != 0.0 {
		t.Errorf("spend %v %v %v", spend.Value(1), spend.Value(2), spend.Value(DefaultMaxRows-1))
	}
}

// panicking panics on its first read.
type panicking struct {
	stateReader
	done atomic.Bool
}

func (e *panicking) States(ctx context.Context, queries []registry.Query, parts *registry.Parts) ([]registry.Answer, error) {
	if e.done.CompareAndSwap(false, true) {
		panic("secret state")
	}
	return e.stateReader.States(ctx, queries, parts)
}

// TestP2_PanicEndsOneRequest: the call returns an internal error, the panic is counted and
// logged with its stack, and the next call is answered.
func TestP2_PanicEndsOneRequest(t *testing.T) {
	for name, opts := range protocolOptions {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			f := start(t, func(cfg *Config) {
				cfg.States = &panicking{stateReader: cfg.States}
				cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			keys, request := row(1)
			_, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request)
			if connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "secret") {
				t.Fatal(err)
			}
			if _, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
				t.Fatalf("the call after the panic: %v", err)
			}
			if !strings.Contains(log.String(), "secret state") || !strings.Contains(log.String(), "server_test.go") {
				t.Errorf("the log does not tell where: %s", log.String())
			}
			if _, text := get(t, f.url+"/metrics"); !strings.Contains(text, "\nunskew_panics_total 1\n") {
				t.Error("the panic is not counted")
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, nil)
	c := f.client(t)
	keys, request := row(1, 99)
	if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetFeatures(t.Context(), "nothing", keys, request)
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Fatal(err)
	}
	post(t, f.url+"/unskew.v1.FeatureService/GetFeatures", "not JSON")
	_, text := get(t, f.url+"/metrics")
	for _, line := range []string{
		`unskew_requests_total{code="ok",procedure="/unskew.v1.FeatureService/GetFeatures"} 1`,
		`unskew_requests_total{code="not_found",procedure="/unskew.v1.FeatureService/GetFeatures"} 1`,
		`unskew_request_seconds_count{procedure="/unskew.v1.FeatureService/GetFeatures"} 2`,
		`unskew_requests_refused_total 1`,
		`unskew_requests_in_flight 0`,
		`unskew_read_rows_total{service="fraud_v1"} 2`,
		`unskew_read_values_total{service="fraud_v1",status="PRESENT"} 19`,
		`unskew_read_values_total{service="fraud_v1",status="UNKNOWN_ENTITY"} 1`,
		`unskew_read_values_total{service="fraud_v1",status="DEFAULTED"} 1`,
		`unskew_read_values_total{service="fraud_v1",status="ERROR"} 1`,
		`unskew_panics_total 0`,
		`go_goroutines`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

// TestP3_OnlyLoopback: without authentication, the server listens only on loopback addresses.
func TestP3_OnlyLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "10.0.0.1:7171"} {
		ln, err := Listen(address, false)
		if err == nil {
			t.Errorf("%s: listens on %v", address, errOf(ln.Close()))
			continue
		}
		if !strings.Contains(err.Error(), "which needs TLS and known callers") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"nonsense", "127.0.0.1", "127.0.0.1:x"} {
		if _, err := Listen(address, false); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		ln, err := Listen(address, false)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
			t.Errorf("%s: listens on %v", address, ln.Addr())
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}

func errOf(err error) any {
	if err != nil {
		return err
	}
	return "an address it should refuse"
}

// everywhere is a listener that claims to listen on all interfaces.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 1} }

// TestP3_ServeChecksItsListener: the rule also holds for listeners that the caller opened; a
// unix socket is allowed.
func TestP3_ServeChecksItsListener(t *testing.T) {
	f := start(t, nil)
	ln, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(t.Context(), everywhere{ln}); err == nil || !strings.Contains(err.Error(), "refusing to listen on 0.0.0.0:1") {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the refused listener is still open")
	}
	dir, err := os.MkdirTemp("", "unskew")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "s")
	ln, err = net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, ln) }()
	c, err := sdk.New("http://unskew", sdk.WithHTTPClient(&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListServices(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// serve runs Serve on its own port; stop begins the shutdown.
func (f *fixture) serve(t *testing.T) (url string, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln) }()
	return "http://" + ln.Addr().String(), cancel, done
}

// TestShutdownDrains: a read in progress when the shutdown begins is answered, over HTTP/1.1
// and HTTP/2; afterwards the port is closed.
func TestShutdownDrains(t *testing.T) {
	for name, opts := range protocolOptions {
		t.Run(name, func(t *testing.T) {
			entered, proceed := make(chan struct{}, 1), make(chan struct{})
			f := start(t, func(cfg *Config) { cfg.States = &blockedStates{cfg.States, entered, proceed} })
			url, stop, ended := f.serve(t)
			c, err := sdk.New(url, opts...)
			if err != nil {
				t.Fatal(err)
			}
			keys, request := row(1)
			answered := make(chan error, 1)
			go func() {
				_, err := c.GetFeatures(context.Background(), "fraud_v1", keys, request)
				answered <- err
			}()
			<-entered
			stop()
			for len(f.notReady()) == 0 {
				select {
				case err := <-ended:
					t.Fatalf("ended while a read runs: %v", err)
				default:
				}
			}
			if code, text := get(t, f.url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, `"code":"draining"`) {
				t.Errorf("readyz while draining: %d %s", code, text)
			}
			close(proceed)
			if err := <-answered; err != nil {
				t.Errorf("the running read: %v", err)
			}
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
			if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("after shutdown: %v", err)
			}
		})
	}
}

// TestShutdownDoesNotWaitForEver: requests still running after the drain time are cut off,
// and Serve reports that.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	entered := make(chan struct{}, 1)
	f := start(t, func(cfg *Config) {
		cfg.Drain = 10 * time.Millisecond
		cfg.States = &blockedStates{cfg.States, entered, nil}
	})
	url, stop, ended := f.serve(t)
	c, err := sdk.New(url)
	if err != nil {
		t.Fatal(err)
	}
	keys, request := row(1)
	answered := make(chan error, 1)
	go func() {
		_, err := c.GetFeatures(context.Background(), "fraud_v1", keys, request)
		answered <- err
	}()
	<-entered
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "still running after 10ms") {
		t.Errorf("Serve: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the cut-off read was answered")
	}
}

// A page that takes long does not hold up a shutdown.
func TestShutdownEndsPages(t *testing.T) {
	entered := make(chan struct{}, 1)
	f := start(t, func(cfg *Config) {
		cfg.Drain = time.Minute
		cfg.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-r.Context().Done()
			w.WriteHeader(http.StatusTeapot)
		})
	})
	url, stop, ended := f.serve(t)
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get(url + "/ui/x")
		if err != nil {
			answered <- 0
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	<-entered
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := <-answered; got != http.StatusTeapot {
		t.Errorf("the page was answered with %d", got)
	}
}

func h2c() *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// TestReflection: generic tools can find the services and messages.
func TestReflection(t *testing.T) {
	f := start(t, nil)
	stream := grpcreflect.NewClient(&http.Client{Transport: h2c()}, f.url, connect.WithGRPC()).NewStream(t.Context())
	defer func() {
		if _, err := stream.Close(); err != nil {
			t.Error(err)
		}
	}()
	names, err := stream.ListServices()
	if err != nil || !slices.Equal(slices.Sorted(slices.Values(names)), []protoreflect.FullName{"unskew.v1.FeatureService", "unskew.v1.IngestService", "unskew.v1.ParityService", "unskew.v1.TrainingService"}) {
		t.Fatalf("%v, %v", names, err)
	}
	for _, symbol := range []string{"unskew.v1.FeatureService", "unskew.v1.Column"} {
		files, err := stream.FileContainingSymbol(protoreflect.FullName(symbol))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %v", symbol, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	clock := func() plan.EventTime { return noon }
	states := registry.NewReader(&memoryStore{})
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no clock", Config{States: states}, "needs a Clock"},
		{"no states", Config{Clock: clock}, "needs a Clock and States"},
		{"negative", Config{Clock: clock, States: states, MaxRows: -1}, "a limit is negative"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s, err := New(Config{Clock: clock, States: states})
	if err != nil {
		t.Fatal(err)
	}
	if s.cfg.MaxRows != DefaultMaxRows || s.cfg.MaxBytes != DefaultMaxBytes || s.cfg.Timeout != DefaultTimeout || s.cfg.Drain != DefaultDrain {
		t.Errorf("defaults %+v", s.cfg)
	}
	if _, err := New(Config{Clock: clock, States: states, Metrics: s.cfg.Metrics}); err == nil {
		t.Error("two servers count into one registry")
	}
}

// What was found of served values is at /parity, if somebody looks.
func TestParityIsAnswered(t *testing.T) {
	for _, looks := range []bool{false, true} {
		f := start(t, func(c *Config) {
			if looks {
				c.Parity = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			}
		})
		res, err := http.Get(f.url + parityPath)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if found := res.StatusCode == http.StatusTeapot; found != looks {
			t.Errorf("looks %v: %s", looks, res.Status)
		}
	}
}
