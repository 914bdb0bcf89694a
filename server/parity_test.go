package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/access/accesstest"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/sdk"
)

// explaining is a configuration that explains values from an empty log; change may modify where they come from.
func explaining(t *testing.T, change func(*explain.Project)) func(*Config) {
	t.Helper()
	b, err := backend.InMemory(t.Context(), func() plan.EventTime { return noon })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	p := &explain.Project{Plan: project(), Log: b.Log, Store: b.Store, Served: t.TempDir()}
	if change != nil {
		change(p)
	}
	return func(c *Config) { c.Explain = p }
}

var user1 = map[string]string{"user_id": "1"}

// What cannot be answered has a code that says whose fault it is, and a message that says what to change.
func TestExplainRefuses(t *testing.T) {
	f := start(t, explaining(t, nil))
	c := f.client(t)
	for _, x := range []struct {
		request sdk.ExplainRequest
		code    connect.Code
		message string
	}{
		{sdk.ExplainRequest{Feature: "user_spnd.txns", Keys: user1}, connect.CodeNotFound, `no view "user_spnd" (did you mean "user_spend"?)`},
		{sdk.ExplainRequest{Feature: "user_spend.txn", Keys: user1}, connect.CodeNotFound, `no feature of view user_spend "txn" (did you mean "txns"?)`},
		{sdk.ExplainRequest{Feature: "txns", Keys: user1}, connect.CodeInvalidArgument, "write VIEW.FEATURE"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: map[string]string{"user": "1"}}, connect.CodeInvalidArgument, `no key of entity user "user"; there is user_id`},
		{sdk.ExplainRequest{Feature: "user_spend.txns"}, connect.CodeInvalidArgument, "the key user_id of entity user is missing"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: map[string]string{"user_id": "one"}}, connect.CodeInvalidArgument, "key user_id: "},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: map[string]string{"user_id": strings.Repeat("1", 1<<20)}}, connect.CodeResourceExhausted, ""},
		{sdk.ExplainRequest{Feature: strings.Repeat("x", 2000), Keys: user1}, connect.CodeInvalidArgument, "feature"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1, Events: 1001}, connect.CodeInvalidArgument, "at most 1000"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1, Row: 1}, connect.CodeInvalidArgument, "whose id is not given"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1, RequestID: "x"}, connect.CodeInvalidArgument, "has its keys"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", RequestID: "x"}, connect.CodeNotFound, "no row 0 of a request x"},
		{sdk.ExplainRequest{Feature: "receiver.spend", RequestID: "x"}, connect.CodeNotFound, "no row 0 of a request x"},
		{sdk.ExplainRequest{Feature: "user_spend.txns", RequestID: strings.Repeat("x", 200)}, connect.CodeInvalidArgument, "request_id"},
	} {
		_, err := c.Explain(t.Context(), x.request)
		if connect.CodeOf(err) != x.code || !strings.Contains(fmt.Sprint(err), x.message) || len(fmt.Sprint(err)) > 5000 {
			t.Errorf("%.100v: %v, want %v %s", x.request, err, x.code, x.message)
		}
	}
	for body, want := range map[string]string{
		`{"feature": "user_spend.txns", "keys": {"user_id": "1"}, "as_of_micros": "9223372036854775807"}`: "is not in the years",
		`{"feature": "user_spend.txns", "keys": {"user_id": 1}}`:                                          "invalid",
		`{"feature": "user_spend.txns", "key": {"user_id": "1"}}`:                                         "key",
		`{"feature": "user_spend.txns", "keys": {"user_id": "1"}, "row": -1}`:                             "row",
	} {
		if status, text := post(t, f.url+"/unskew.v1.ParityService/Explain", body); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", body, status, text, want)
		}
	}
	e, err := c.Explain(t.Context(), sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1})
	if err != nil || e.Training.Value != "0" || !strings.Contains(e.Note, "no online state") || e.String() != "user_spend.txns of user_id=1 as of 2025-01-01T12:00:00Z: 0 (PRESENT)" {
		t.Errorf("%v %q, %v", e, e.Note, err)
	}
	if e, err = c.Explain(t.Context(), sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1, At: noon.Time().Add(-time.Hour)}); err != nil || e.AsOf != "2025-01-01T11:00:00Z" {
		t.Errorf("%v, %v", e, err)
	}
}

// A server that cannot read files says so, and so does one that explains nothing.
func TestExplainIsNotThere(t *testing.T) {
	p := project()
	files := *transactions
	files.From = "transactions.parquet"
	for _, v := range p.Views {
		v.Source = &files
	}
	for name, change := range map[string]func(*Config){
		"the history of source transactions is in files": explaining(t, func(x *explain.Project) { x.Plan = p }),
		"this server does not explain":                   nil,
	} {
		_, err := start(t, change).client(t).Explain(t.Context(), sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1})
		if connect.CodeOf(err) != connect.CodeUnimplemented || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "unskew serve") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only administrators see events, and one that may read some services only sees those of their views.
func TestP17_ExplainNeedsTheRoleAdmin(t *testing.T) {
	authority := accesstest.New(t)
	tokens, list := map[string]string{}, "callers:\n"
	for name, rest := range map[string]string{
		"reader": "roles: [read, push, train]", "admin": "roles: [admin]", "payments": "roles: [admin], services: [fraud_v1]", "other": "roles: [admin], services: [other]",
	} {
		tokens[name] = access.NewToken()
		list += fmt.Sprintf("- {name: %s, %s, tokens: [\"%s\"]}\n", name, rest, access.HashToken(tokens[name]))
	}
	callers, err := access.Parse("callers.yaml", []byte(list))
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := access.TLS{Certificate: authority.ServerCertificate, Key: authority.ServerKey}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	change := explaining(t, nil)
	f := start(t, func(c *Config) { c.Access, c.TLS = callers, config; change(c) })
	url, client := secured(t, f, authority)
	for who, want := range map[string]connect.Code{"reader": connect.CodePermissionDenied, "other": connect.CodePermissionDenied, "payments": 0, "admin": 0, "nobody": connect.CodeUnauthenticated} {
		c, err := sdk.New(url, sdk.WithHTTPClient(client(tokens[who])))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Explain(t.Context(), sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1}); (err == nil) != (want == 0) || err != nil && connect.CodeOf(err) != want {
			t.Errorf("%s: %v, want %v", who, err, want)
		}
		_, err = c.Explain(t.Context(), sdk.ExplainRequest{Feature: "user_spend.txns", RequestID: "x"})
		if want == 0 {
			want = connect.CodeNotFound
		}
		if connect.CodeOf(err) != want {
			t.Errorf("%s, a recorded request: %v, want %v", who, err, want)
		}
	}
}

// A caller that leaves ends the reading of the history, and meanwhile has no second explanation.
func TestExplainEndsWithItsCaller(t *testing.T) {
	reading := make(chan struct{}, 2)
	var ended atomic.Int64
	f := start(t, explaining(t, func(x *explain.Project) {
		x.History = func(ctx context.Context, _ []*plan.View, _ recompute.Range, _ int, _ func(int, *kernel.Events) error) error {
			reading <- struct{}{}
			<-ctx.Done()
			ended.Add(1)
			return ctx.Err()
		}
	}))
	c := f.client(t, sdk.WithAttempts(1))
	ask := sdk.ExplainRequest{Feature: "user_spend.txns", Keys: user1}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.Explain(ctx, ask); done <- err }()
	<-reading
	if _, err := c.Explain(t.Context(), ask); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "values are explained at a time") {
		t.Errorf("beside another: %v", err)
	}
	leave()
	if err := <-done; connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("after it left: %v", err)
	}
	// The place is free again when the reading has ended; until then it is refused.
	late := time.Now().Add(time.Minute)
	for {
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := c.Explain(short, ask)
		cancel()
		if connect.CodeOf(err) == connect.CodeDeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("its place is not free: %v", err)
		}
	}
	if ended.Load() == 0 {
		t.Error("the reading has not ended")
	}
}

// A client that calls a server with TLS without it hears so, and not just of a bad request.
func TestClientsHearThatAServerSpeaksTLS(t *testing.T) {
	authority := accesstest.New(t)
	callers, err := access.Parse("callers.yaml", []byte("callers: []"))
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := access.TLS{Certificate: authority.ServerCertificate, Key: authority.ServerKey}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *Config) { c.Access, c.TLS = callers, config })
	url, _ := secured(t, f, authority)
	host := strings.TrimPrefix(url, "https://")
	for name, opts := range map[string][]sdk.Option{"connect": nil, "json": {sdk.WithJSON()}, "client": {sdk.WithHTTPClient(&http.Client{})}} {
		c, err := sdk.New("http://"+host, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.ListServices(t.Context()); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.HasSuffix(err.Error(), "the server at "+host+" speaks TLS: use https://"+host) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
