package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// withoutEmpty removes empty members, which JSON of the contract leaves out.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if member = withoutEmpty(member); member == nil {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

// explained reads the JSON of an explanation. The time as of which it is, and the bounds of windows, are those of the moment.
func explained(t *testing.T, text string, live bool) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	withoutEmpty(out)
	if live {
		delete(out, "as_of")
		for _, p := range out["parts"].([]any) {
			delete(p.(map[string]any), "from")
		}
	}
	return out
}

// A server explains as the command does, in the same names: values as of now and of another time, of a recorded request, and of entities
// without events, over both kinds of stores. The command says the same beside the server, and when it asks the server.
func TestServersExplainAsTheCommandDoes(t *testing.T) {
	for _, kind := range []string{"embedded", "redis"} {
		t.Run(kind, func(t *testing.T) {
			p := newTestProject(t)
			if kind == "redis" {
				t.Setenv(featuredefs.EnvRedisAddresses, redistest.Start(t, redistest.Durable...).Address)
			}
			p.run("materialize", "-q")
			s, err := startServer(p.dir, nil, "--served-log", "100%")
			p.check(err)
			t.Cleanup(func() { s.signal(syscall.SIGKILL) })
			p.write("new.jsonl", paymentLine(1)+paymentLine(2)+paymentLine(3))
			p.run("push", "payments", "new.jsonl", "-q")
			for _, x := range []struct {
				request string
				command []string
				live    bool
			}{
				{`"keys": {"customer_id": "70"}`, []string{"-k", "customer_id=70"}, true},
				{`"keys": {"customer_id": "1"}, "events": 1`, []string{"-k", "customer_id=1", "--events", "1"}, true},
				{`"keys": {"customer_id": "1"}, "events": 0`, []string{"-k", "customer_id=1", "--events", "0"}, true},
				{`"keys": {"customer_id": "987"}`, []string{"-k", "customer_id=987"}, true},
				{`"keys": {"customer_id": "1"}, "as_of_micros": "1741478400000000"`, []string{"-k", "customer_id=1", "--at", "2025-03-09T00:00:00Z"}, false},
			} {
				for _, feature := range []string{"spending.spent", "spending.mean_7d", "spending.last_country", "support.tickets"} {
					p.explains(s, feature, x.request, x.command, x.live)
				}
			}
			status, header, text, err := ask(s.url+"/v1/services/churn_v1:read", `{"rows": [{"customer_id": 70, "basket": 1}, {"customer_id": 1, "basket": 2}]}`)
			id := header.Get("X-Request-Id")
			if err != nil || status != http.StatusOK || id == "" {
				t.Fatal(status, text, err)
			}
			p.check(s.terminate()) // which writes what was recorded
			s, err = startServer(p.dir, nil)
			p.check(err)
			t.Cleanup(func() { s.signal(syscall.SIGKILL) })
			for _, feature := range []string{"spending.spent", "spending.mean_7d", "support.tickets"} {
				got := p.explains(s, feature, fmt.Sprintf(`"request_id": %q, "row": 1`, id), []string{"--request", id, "--row", "1"}, false)
				if got["served"] == nil || !reflect.DeepEqual(got["served"], got["replayed"]) {
					t.Errorf("%s: %v", feature, got)
				}
			}
			status, _, text, err = ask(s.url+"/unskew.v1.ParityService/Explain", `{"feature": "spending.spent", "request_id": "nobody"}`)
			if err != nil || status != http.StatusNotFound || !strings.Contains(text, "not_found") {
				t.Errorf("a request that is not recorded: %d %s, %v", status, text, err)
			}
		})
	}
}

// explains compares the explanations of a server, of the command beside it, and of the command that asks it.
func (p *testProject) explains(s *running, feature, request string, command []string, live bool) map[string]any {
	p.Helper()
	status, _, text, err := ask(s.url+"/unskew.v1.ParityService/Explain", fmt.Sprintf(`{"feature": %q, %s}`, feature, request))
	if err != nil || status != http.StatusOK {
		p.Fatalf("%s of %s: %d %s, %v", feature, request, status, text, err)
	}
	want := explained(p.T, text, live)
	for _, flags := range [][]string{nil, {"--server", s.url}} {
		args := append([]string{"explain", feature, "-q", "--json"}, append(command, flags...)...)
		printed, _ := p.run(args...)
		if got := explained(p.T, printed, live); !reflect.DeepEqual(got, want) {
			p.Errorf("%v: %v\nthe server says %v", args, got, want)
		}
	}
	return want
}
