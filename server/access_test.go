package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/access/accesstest"
	"github.com/unskew/unskew/sdk"
)

// secured serves with callers over TLS and returns the URL and a client that trusts the server.
func secured(t *testing.T, f *fixture, files *accesstest.Authority) (url string, client func(token string, certificates ...tls.Certificate) *http.Client) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "https://" + ln.Addr().String(), func(token string, certificates ...tls.Certificate) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: files.Pool, Certificates: certificates}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: withToken{transport, token}}
	}
}

// withToken sends a token with every request.
type withToken struct {
	next  http.RoundTripper
	token string
}

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	return w.next.RoundTrip(r)
}

// TestP17_Callers: in every protocol a caller may do what its roles say, and nothing else; without
// credentials there are only the probes.
func TestP17_Callers(t *testing.T) {
	authority := accesstest.New(t)
	tokens := map[string]string{}
	var list strings.Builder
	list.WriteString("callers:\n")
	for name, rest := range map[string]string{
		"reader": "roles: [read]", "narrow": "roles: [read], services: [other]", "pusher": "roles: [push]", "trainer": "roles: [train]", "admin": "roles: [admin]",
	} {
		tokens[name] = access.NewToken()
		fmt.Fprintf(&list, "- {name: %s, %s, tokens: [\"%s\"]}\n", name, rest, access.HashToken(tokens[name]))
	}
	list.WriteString("- {name: machine, roles: [read], certificates: [client.example]}\n")
	tokens["nobody"], tokens["unknown"] = "", access.NewToken()
	callers, err := access.Parse("callers.yaml", []byte(list.String()))
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := access.TLS{Certificate: authority.ServerCertificate, Key: authority.ServerKey, ClientCA: authority.Certificate}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *Config) { c.Access, c.TLS, c.Pages = callers, config, teapot })
	url, client := secured(t, f, authority)
	expect := func(who, what string, got error, want connect.Code) {
		t.Helper()
		if code := connect.CodeOf(got); got == nil && want != 0 || got != nil && code != want {
			t.Errorf("%s, %s: %v, want code %v", who, what, got, want)
		}
	}
	keys, request := row(1)
	const none, unauthenticated, denied = connect.Code(0), connect.CodeUnauthenticated, connect.CodePermissionDenied
	for _, c := range []struct {
		who               string
		read, push, train connect.Code // none for push and train: it fails for another reason, so it was let in
	}{
		{"reader", none, denied, denied},
		{"narrow", denied, denied, denied},
		{"pusher", denied, none, denied},
		{"trainer", denied, denied, none},
		{"admin", none, none, none},
		{"nobody", unauthenticated, unauthenticated, unauthenticated},
		{"unknown", unauthenticated, unauthenticated, unauthenticated},
	} {
		for protocol, opts := range map[string][]sdk.Option{"Connect": nil, "JSON": {sdk.WithJSON()}, "gRPC": {sdk.WithGRPC()}} {
			cl, err := sdk.New(url, append(opts, sdk.WithHTTPClient(client(tokens[c.who])))...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cl.GetFeatures(t.Context(), "fraud_v1", keys, request)
			expect(c.who, protocol+" read", err, c.read)
			// This server has neither log nor queue, so a call that is let in fails with another code.
			_, err = cl.Push(t.Context(), "transactions", sdk.Strings("id", "x"))
			if letIn := connect.CodeOf(err) != c.push; letIn != (c.push == none) {
				t.Errorf("%s, %s push: %v", c.who, protocol, err)
			}
			_, err = cl.ListTrainingSets(t.Context())
			if letIn := connect.CodeOf(err) != c.train; letIn != (c.train == none) {
				t.Errorf("%s, %s train: %v", c.who, protocol, err)
			}
		}
		res, err := client(tokens[c.who]).Post(url+"/v1/services/fraud_v1:read", "application/json", strings.NewReader(`{"rows": [{"user_id": 1, "receiver_id": 1, "merchant": "shop", "amount": 1, "note": "n"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if want := map[connect.Code]int{none: 200, denied: 403, unauthenticated: 401}[c.read]; res.StatusCode != want || want > 200 && res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s reads rows: %d %s", c.who, res.StatusCode, text)
		}
		if token := tokens[c.who]; token != "" && strings.Contains(string(text), token) {
			t.Errorf("%s: the answer shows the token: %s", c.who, text)
		}
	}
	machine, err := sdk.New(url, sdk.WithHTTPClient(client("", authority.Client(t, "client.example"))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = machine.GetFeatures(t.Context(), "fraud_v1", keys, request)
	expect("a client certificate", "read", err, none)
	stranger, err := sdk.New(url, sdk.WithHTTPClient(client("", authority.Client(t, "other.example"))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.GetFeatures(t.Context(), "fraud_v1", keys, request)
	expect("a certificate of nobody known", "read", err, unauthenticated)
	if _, err := client("", accesstest.New(t).Client(t, "client.example")).Get(url + "/livez"); err == nil {
		t.Error("a certificate of another authority is accepted")
	}
	for path, want := range map[string]map[string]int{
		"/livez":        {"nobody": 200, "reader": 200},
		"/readyz":       {"nobody": 200},
		"/metrics":      {"nobody": 401, "reader": 403, "admin": 200},
		"/openapi.json": {"nobody": 401, "pusher": 200},
		"/ui/":          {"nobody": 401, "reader": 403, "admin": 418},
		"/elsewhere":    {"nobody": 401, "reader": 404},
	} {
		for who, status := range want {
			res, err := client(tokens[who]).Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != status {
				t.Errorf("%s gets %s: %d, want %d", who, path, res.StatusCode, status)
			}
		}
	}
}

// teapot is a handler whose answers are like no others.
var teapot = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })

// TestP17_BrowsersHaveAToken: a browser can send no bearer token, so it asks for a password, and that is the token; only for pages. On the own machine
// nobody is asked, as elsewhere, but only that machine.
func TestP17_BrowsersHaveAToken(t *testing.T) {
	admin, reader := access.NewToken(), access.NewToken()
	callers, err := access.Parse("callers.yaml", fmt.Appendf(nil, "callers:\n- {name: a, roles: [admin], tokens: [%q]}\n- {name: r, roles: [read], tokens: [%q]}\n", access.HashToken(admin), access.HashToken(reader)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, password, host string
		callers                    bool
		want                       int
		challenge                  string
	}{
		{"an administrator", "/ui/", admin, "", true, 418, ""},
		{"an address without the last slash", "/ui", admin, "", true, 418, ""},
		{"a reader", "/ui/", reader, "", true, 403, ""},
		{"nobody", "/ui/", "", "", true, 401, "Basic "},
		{"a wrong token", "/ui/x", "unskew_wrong", "", true, 401, "Basic "},
		{"another path", "/parity", admin, "", true, 401, "Bearer"},
		{"one like that of pages", "/uix", admin, "", true, 401, "Bearer"},
		{"a read", servicesPath + "x:read", admin, "", true, 401, "Bearer"},
		{"the own machine", "/ui/", "", "localhost:7171", false, 418, ""},
		{"another host", "/ui/", "", "evil.example", false, 403, ""},
	} {
		f := start(t, func(cfg *Config) {
			cfg.Pages = teapot
			if c.callers {
				cfg.Access = callers
			}
		})
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Host = cmp.Or(c.host, r.Host)
		if c.password != "" {
			r.SetBasicAuth("anybody", c.password)
		}
		w := httptest.NewRecorder()
		f.Server.checked(f.Handler()).ServeHTTP(w, r)
		if w.Code != c.want || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), c.challenge) {
			t.Errorf("%s: %d %v, want %d", c.name, w.Code, w.Header(), c.want)
		}
	}
}

// TestP17_EveryPathNeedsACaller except those of probes, and every procedure has a role.
func TestP17_EveryPathNeedsACaller(t *testing.T) {
	for _, path := range append([]string{"/", "/elsewhere", openAPIPath, "/metrics", parityPath, pagesPath, pagesPath + "/x", servicesPath + "x:read", sourcesPath + "x:push", "/livezz/../metrics"}, procedures...) {
		role := roleFor(path)
		if probe := strings.HasPrefix(path, "/grpc.health.v1.Health/"); (role == anyone) != probe {
			t.Errorf("%s needs the role %q", path, role)
		}
		if (strings.HasPrefix(path, "/unskew.v1.") || path == parityPath || isPage(path)) && role == known {
			t.Errorf("any caller may call %s", path)
		}
	}
}

// TestP17_PagesFromElsewhere: a browser cannot be made to call a server of its own machine by a page of
// another host, directly or by a name that resolves to this machine.
func TestP17_PagesFromElsewhere(t *testing.T) {
	f := start(t, func(c *Config) { c.Hosts = []string{"features.example"} })
	h := f.Server.checked(f.Handler())
	for _, c := range []struct {
		host    string
		headers map[string]string
		want    int
	}{
		{"127.0.0.1:7171", nil, 200},
		{"localhost", nil, 200},
		{"[::1]:7171", nil, 200},
		{"Features.example:443", nil, 200},
		{"evil.example", nil, 403},
		{"127.0.0.1.evil.example:7171", nil, 403},
		{"127.0.0.1:7171", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"127.0.0.1:7171", map[string]string{"Origin": "https://evil.example"}, 403},
		{"127.0.0.1:7171", map[string]string{"Origin": "http://127.0.0.1:7171"}, 200},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/services/fraud_v1:read", strings.NewReader(`{"rows": []}`))
		r.Host = c.host
		r.Header.Set("Content-Type", "application/json")
		for k, v := range c.headers {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want && !(c.want == 200 && w.Code == 400) {
			t.Errorf("host %s, %v: %d %s", c.host, c.headers, w.Code, w.Body)
		}
	}
}

// A listener beyond this machine needs both TLS and callers.
func TestOnlySecuredServersListenElsewhere(t *testing.T) {
	if ln, err := Listen("0.0.0.0:0", false); err == nil || !strings.Contains(err.Error(), "--callers") {
		t.Errorf("%v, %v", ln, err)
	}
	if _, err := Listen("7171", true); err == nil || !strings.Contains(err.Error(), "write one such as 127.0.0.1:7171 or :7171") {
		t.Errorf("a port alone: %v", err)
	}
	ln, err := Listen("0.0.0.0:0", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(ln.Addr().String(), true); err == nil || !strings.Contains(err.Error(), "choose another address with serve --listen") {
		t.Errorf("an address in use: %v", err)
	}
	f := start(t, func(c *Config) { c.Access = &access.Callers{} }) // without TLS
	if err := f.Serve(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "refusing to listen") {
		t.Error(err)
	}
	if err := ln.Close(); err == nil || !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "closed") {
		t.Errorf("the listener is still open: %v", err)
	}
}

// TestP17_ToldToNobody: somebody unknown learns from /readyz that events are not applied, but not the error,
// and fills the log with no more than a line of a path.
func TestP17_ToldToNobody(t *testing.T) {
	token := access.NewToken()
	callers, err := access.Parse("callers.yaml", []byte(`callers: [{name: a, roles: [read], tokens: ["`+access.HashToken(token)+`"]}]`))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	applier := &stopped{err: errors.New("position 7: the card 4111 is not a number")}
	f, _, look := startWatched(t, func(c *Config) {
		c.Access, c.Applying, c.Log = callers, applier, slog.New(slog.NewTextHandler(&log, nil))
	})
	look()
	handler := f.Server.checked(f.Server.Handler())
	get := func(path, token string) string {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Body.String()
	}
	for who, as := range map[string]string{"nobody": "", "an unknown token": access.NewToken()} {
		if text := get("/readyz", as); !strings.Contains(text, applierStopped) || strings.Contains(text, "4111") {
			t.Errorf("%s: %s", who, text)
		}
	}
	if text := get("/readyz", token); !strings.Contains(text, "4111") {
		t.Errorf("a known caller does not learn the reason: %s", text)
	}
	get("/"+strings.Repeat("x", 60_000), "")
	if n := log.Len(); n == 0 || n > 1000 {
		t.Errorf("a long path makes %d bytes of log", n)
	}
}

// TestP17_TokensOfAProvider open the doors that their roles and limits say, in every protocol, and no answer shows a token.
func TestP17_TokensOfAProvider(t *testing.T) {
	provider, authority := accesstest.NewProvider(t), accesstest.New(t)
	callers, err := access.Parse("callers.yaml", fmt.Appendf(nil, `issuers:
- name: corp
  issuer: https://login.example.com
  audiences: [unskew]
  jwks: %s
  roles: {claim: [groups], values: {readers: [read], oncall: [admin]}}
  services: [fraud_v1]
`, provider.Keys))
	if err != nil {
		t.Fatal(err)
	}
	serving, _, err := access.TLS{Certificate: authority.ServerCertificate, Key: authority.ServerKey}.Config(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *Config) { c.TLS, c.Access, c.Pages = serving, callers, teapot })
	url, client := secured(t, f, authority)
	token := func(changes map[string]any) string {
		claims := map[string]any{"iss": "https://login.example.com", "aud": "unskew", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "groups": []string{"readers"}}
		maps.Copy(claims, changes)
		return provider.Token(t, claims)
	}
	keys, request := row(1)
	text := `{"rows": [{"user_id": 1, "receiver_id": 1, "merchant": "shop", "amount": 1, "note": "n"}]}`
	for _, c := range []struct {
		who, token         string
		rows, push, parity int
		code               connect.Code
	}{
		{"a reader", token(nil), 200, 403, 403, 0},
		{"an administrator", token(map[string]any{"groups": "oncall"}), 200, 400, 404, 0}, // this server has neither a log nor parity,
		{"nobody's group", token(map[string]any{"groups": []string{}}), 401, 401, 401, connect.CodeUnauthenticated},
		{"expired", token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), 401, 401, 401, connect.CodeUnauthenticated},
		{"another audience", token(map[string]any{"aud": "other"}), 401, 401, 401, connect.CodeUnauthenticated},
		{"another provider's key", accesstest.NewProvider(t).Token(t, map[string]any{"iss": "https://login.example.com", "aud": "unskew"}), 401, 401, 401, connect.CodeUnauthenticated},
	} {
		for protocol, opts := range map[string][]sdk.Option{"Connect": nil, "JSON": {sdk.WithJSON()}, "gRPC": {sdk.WithGRPC()}} {
			cl, err := sdk.New(url, append(opts, sdk.WithHTTPClient(client(c.token)))...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = cl.GetFeatures(t.Context(), "fraud_v1", keys, request); c.code == 0 && err != nil || c.code != 0 && connect.CodeOf(err) != c.code {
				t.Errorf("%s, %s: %v", c.who, protocol, err)
			}
		}
		for path, want := range map[string]int{servicesPath + "fraud_v1:read": c.rows, sourcesPath + "nothing:push": c.push} {
			res, err := client(c.token).Post(url+path, "application/json", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != want || strings.Contains(string(answer), c.token) {
				t.Errorf("%s, %s: %d %s, want %d", c.who, path, res.StatusCode, answer, want)
			}
		}
		res, err := client(c.token).Get(url + parityPath)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.parity {
			t.Errorf("%s, parity: %d, want %d", c.who, res.StatusCode, c.parity)
		}
	}
}
