package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spanpb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/telemetry"
	"github.com/unskew/unskew/internal/tracing"
)

// collector is an OTLP collector that keeps what it is sent.
type collector struct {
	t       *testing.T
	mu      sync.Mutex
	spans   map[string]*spanpb.Span
	about   map[string]string
	metrics map[string]bool
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.URL.Path {
	case "/v1/traces":
		var m tracepb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			c.t.Error(err)
		}
		for _, of := range m.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				c.about[a.Key] = a.Value.GetStringValue()
			}
			for _, s := range of.ScopeSpans {
				for _, span := range s.Spans {
					c.spans[span.Name] = span
				}
			}
		}
	case "/v1/metrics":
		var m metricspb.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			c.t.Error(err)
		}
		for _, of := range m.ResourceMetrics {
			for _, s := range of.ScopeMetrics {
				for _, metric := range s.Metrics {
					c.metrics[metric.Name] = true
				}
			}
		}
	default:
		c.t.Errorf("a request for %s", r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func collect(t *testing.T) (*collector, string) {
	c := &collector{t: t, spans: map[string]*spanpb.Span{}, about: map[string]string{}, metrics: map[string]bool{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, s.URL
}

// start starts with an environment.
func start(t *testing.T, env map[string]string, log io.Writer, metrics prometheus.Gatherer) (func(context.Context) error, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	t.Cleanup(func() { tracing.Use(nil) })
	return telemetry.Start(t.Context(), telemetry.Config{Getenv: func(name string) string { return env[name] }, Service: "unskew", Metrics: metrics, Log: slog.New(slog.NewTextHandler(log, nil))})
}

func TestSpansAndMetricsReachACollector(t *testing.T) {
	c, url := collect(t)
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_test_total", Help: "Things."})
	reg.MustRegister(counter)
	counter.Inc()
	stop, err := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}, io.Discard, reg)
	if err != nil {
		t.Fatal(err)
	}
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	ctx, request := tracing.Serve(t.Context(), "/unskew.v1.FeatureService/GetFeatures", http.Header{"Traceparent": {"00-" + traceID + "-" + parent + "-01"}})
	_, read := tracing.Start(ctx, "read states")
	read.Int("unskew.rows", 3).Text("unskew.service", "orders").End(nil)
	request.End(errors.New("entity alice@example.com is broken"))
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	top, below := c.spans["/unskew.v1.FeatureService/GetFeatures"], c.spans["read states"]
	if top == nil || below == nil {
		t.Fatalf("spans %v", c.spans)
	}
	if hex.EncodeToString(top.TraceId) != traceID || hex.EncodeToString(top.ParentSpanId) != parent || top.Kind != spanpb.Span_SPAN_KIND_SERVER {
		t.Errorf("the request is not in the trace of its caller: %v", top)
	}
	if !bytes.Equal(below.ParentSpanId, top.SpanId) || len(below.Attributes) != 2 {
		t.Errorf("the read is not part of the request: %v", below)
	}
	if top.Status.GetCode() != spanpb.Status_STATUS_CODE_ERROR || strings.Contains(top.String(), "alice") {
		t.Errorf("an error shows that there was one, and nothing of its text: %v", top)
	}
	if c.about["service.name"] != "unskew" || c.about["deployment.environment.name"] != "test" {
		t.Errorf("resource %v", c.about)
	}
	if !c.metrics["unskew_test_total"] {
		t.Errorf("metrics %v", c.metrics)
	}
}

func TestNothingIsExportedUnlessTheEnvironmentSaysSo(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing":  {},
		"disabled": {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
		"none":     {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
	} {
		t.Run(name, func(t *testing.T) {
			stop, err := start(t, env, io.Discard, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			if ctx, _ := tracing.Start(t.Context(), "x"); ctx != t.Context() {
				t.Error("a span is made")
			}
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsNotSupportedIsAnError(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin is not supported; write otlp or none":            {"OTEL_TRACES_EXPORTER": "zipkin"},
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported; write http/protobuf":      {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json is not supported; write http/": {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
	} {
		t.Run(want, func(t *testing.T) {
			if _, err := start(t, env, io.Discard, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// TestP_ACollectorThatHangs does not hold up those whose spans it should get, however many they are, and only for as long as is allowed the end.
func TestP_ACollectorThatHangs(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	var log bytes.Buffer
	stop, err := start(t, map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": s.URL}, &log, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 20_000 { // ten times what is kept until it is sent
		_, span := tracing.Start(t.Context(), "read states")
		span.End(nil)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("20,000 spans took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline", err)
	}
}
