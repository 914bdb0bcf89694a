package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// otlp is a collector that looks for names in what it is sent.
type otlp struct {
	mu   sync.Mutex
	sent strings.Builder
}

func (c *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.Write(body)
}

// The spans of commands and of a server, and its metrics, reach a collector that the environment names; keys and values do not.
func TestSpansReachACollector(t *testing.T) {
	c := &otlp{}
	collector := httptest.NewServer(c)
	defer collector.Close()
	p := newTestProject(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	p.run("materialize", "-q")
	s, err := startServer(p.dir, os.Environ())
	p.check(err)
	p.awaitReady(s.url, http.StatusOK)
	for path, body := range map[string]string{"/v1/services/churn_v1:read": readBody, "/v1/sources/payments:push": `{"rows": [` + paymentLine(1) + `]}`} {
		if status, _, text, err := ask(s.url+path, body); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", path, status, text, err)
		}
	}
	if _, _, text, err := ask(s.url+"/unskew.v1.FeatureService/GetFeatures", `{"service":"none"}`); err != nil || !strings.Contains(text, "not_found") && !strings.Contains(text, "invalid_argument") {
		t.Fatalf("%s, %v", text, err)
	}
	p.check(s.terminate())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{
		"materialize", "build states", "read states", "compute features", "append events", "apply events", "/unskew.v1.FeatureService/GetFeatures",
		"unskew.service", "churn_v1", "unskew_requests_total",
	} {
		if !strings.Contains(c.sent.String(), name) {
			t.Errorf("the collector has no %q", name)
		}
	}
	if strings.Contains(c.sent.String(), "customer_id") {
		t.Error("the collector has the name of a key")
	}
}

// A collector that does not answer is a warning.
func TestNoCollector(t *testing.T) {
	p := newTestProject(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	p.run("materialize", "-q")
	s, err := startServer(p.dir, os.Environ())
	p.check(err)
	p.awaitReady(s.url, http.StatusOK)
	if status, _, text, err := ask(s.url+"/v1/services/churn_v1:read", readBody); err != nil || status != http.StatusOK {
		t.Errorf("%d %s, %v", status, text, err)
	}
	p.check(s.terminate())
	if !strings.Contains(s.log.String(), "not exported") {
		t.Errorf("the log does not say that nothing was exported: %s", s.log.String())
	}
}
