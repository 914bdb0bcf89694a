package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/registry"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// asked is a request as a client may send it.
type asked struct {
	method, query string
	header        http.Header
	body          []byte
	unsized       bool // no Content-Length
	remote        string
	cut           bool // the body ends early
	major         int  // of HTTP's version; 0: 1
}

// exchange runs a handler and returns the part of the answer that belongs to the protocol:
// without the headers that net/http adds, and without those that only give the length of the
// body.
func (a asked) exchange(h http.Handler) (code int, header http.Header, body string) {
	var from io.Reader = bytes.NewReader(a.body)
	if a.cut {
		from = io.MultiReader(from, failedReader{io.ErrUnexpectedEOF})
	}
	r := httptest.NewRequest(a.method, unskewv1connect.FeatureServiceGetFeaturesProcedure+a.query, from)
	if r.ContentLength = int64(len(a.body)); a.unsized {
		r.ContentLength = -1
	}
	if a.cut {
		r.ContentLength++
	}
	r.Header, r.RemoteAddr = a.header.Clone(), a.remote
	if a.major > 0 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = fmt.Sprintf("HTTP/%d.0", a.major), a.major, 0
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	header = maps.Clone(res.Header)
	for name, values := range res.Trailer {
		header["Trailer "+name] = values
	}
	delete(header, "Content-Length")
	if names := header["Trailer"]; names != nil { // in any order
		list := strings.Split(names[0], ",")
		slices.Sort(list)
		header["Trailer"] = list
	}
	return res.StatusCode, header, w.Body.String()
}

// messages are requests of each kind that the handlers distinguish.
func messages() map[string]*unskewv1.GetFeaturesRequest {
	message := func(change func(*unskewv1.GetFeaturesRequest)) *unskewv1.GetFeaturesRequest {
		m := &unskewv1.GetFeaturesRequest{Service: "fraud_v1",
			Keys: []*unskewv1.Column{
				{Name: "user_id", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1, 99}}}},
				{Name: "receiver_id", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{2, 1}}}},
				{Name: "merchant", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"shop", "kiosk"}}}}},
			Request: []*unskewv1.Column{
				{Name: "amount", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{0.5, -1}}}},
				{Name: "note", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"é", ""}}}}}}
		if change != nil {
			change(m)
		}
		return m
	}
	return map[string]*unskewv1.GetFeaturesRequest{
		"a good one":          message(nil),
		"with states":         message(func(m *unskewv1.GetFeaturesRequest) { m.WithStates = true }),
		"some features":       message(func(m *unskewv1.GetFeaturesRequest) { m.Features = []string{"echo", "user_spend.spend"} }),
		"known":               message(func(m *unskewv1.GetFeaturesRequest) { m.KnownFingerprint = project().Services[0].Fingerprint.String() }),
		"another fingerprint": message(func(m *unskewv1.GetFeaturesRequest) { m.Fingerprint = strings.Repeat("0", 64) }),
		"unknown service":     message(func(m *unskewv1.GetFeaturesRequest) { m.Service = "fraud" }),
		"unknown feature":     message(func(m *unskewv1.GetFeaturesRequest) { m.Features = []string{"ecco"} }),
		"breaks a rule":       message(func(m *unskewv1.GetFeaturesRequest) { m.Service = "" }),
		"no keys":             message(func(m *unskewv1.GetFeaturesRequest) { m.Keys = nil }),
		"larger than is small": message(func(m *unskewv1.GetFeaturesRequest) {
			m.Request[1].GetStrings().Values[0] = strings.Repeat("x", smallBody)
		}),
		"larger than allowed": message(func(m *unskewv1.GetFeaturesRequest) {
			m.Request[1].GetStrings().Values[0] = strings.Repeat("x", 200_000)
		}),
		"nothing": {},
	}
}

// variant is one way to change a request.
type variant struct {
	name   string
	change func(*asked)
}

func set(name string, values ...string) variant {
	return variant{fmt.Sprintf("%s: %q", name, values), func(a *asked) { a.header[name] = values }}
}

func compressed(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// encoded is a message in protobuf's binary format or in JSON.
func encoded(t *testing.T, m proto.Message, format string) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if format == "json" {
		b, err = protojson.Marshal(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// requests has one request of each kind that Connect's handler distinguishes, and
// combinations of two.
func requests(t *testing.T) map[string]asked {
	variants := []variant{
		{"", func(*asked) {}},
		set("Connect-Protocol-Version", "1"), set("Connect-Protocol-Version", "2"), set("Connect-Protocol-Version", ""), set("Connect-Protocol-Version", "1", "2"),
		set("Connect-Timeout-Ms", "5000"), set("Connect-Timeout-Ms", "0"), set("Connect-Timeout-Ms", "00000000001"), set("Connect-Timeout-Ms", "-5"),
		set("Connect-Timeout-Ms", "soon"), set("Connect-Timeout-Ms", "+500"), set("Connect-Timeout-Ms", ""), set("Connect-Timeout-Ms", "9999999999"),
		set("Connect-Timeout-Ms", "5000", "soon"),
		set("Accept-Encoding", "gzip"), set("Accept-Encoding", "gzip, identity;q=0"), set("Accept-Encoding", "br"), set("Accept-Encoding"),
		set("Content-Encoding", "identity"), set("Content-Encoding", "zstd"), set("Content-Encoding", ""),
		{"gzip", func(a *asked) {
			a.body = compressed(a.body)
			a.header.Set("Content-Encoding", "gzip")
		}},
		{"gzip that is none", func(a *asked) { a.header.Set("Content-Encoding", "gzip") }},
		{"charset", func(a *asked) { a.header.Set("Content-Type", a.header.Get("Content-Type")+"; charset=utf-8") }},
		{"capitals", func(a *asked) { a.header.Set("Content-Type", strings.ToUpper(a.header.Get("Content-Type"))) }},
		set("Content-Type", "text/plain"), set("Content-Type"), set("Content-Type", "application/proto", "application/json"), set("Content-Type", "application/grpc"),
		set("Content-Type", "application/connect+proto"), set("Content-Type", "application/grpc-web+json"),
		{"unsized", func(a *asked) { a.unsized = true }},
		{"cut short", func(a *asked) { a.cut = true }},
		{"damaged", func(a *asked) { a.body = append(a.body, 7) }},
		{"an unknown field", func(a *asked) { a.body = []byte(`{"servis": "fraud_v1"}`) }},
		{"spaces", func(a *asked) { a.body = []byte("  ") }},
		{"empty", func(a *asked) { a.body = nil }},
		{"PUT", func(a *asked) { a.method = http.MethodPut }},
		{"HEAD", func(a *asked) { a.method = http.MethodHead }},
		{"GET", func(a *asked) {
			a.method = http.MethodGet
			a.query = "?" + url.Values{"connect": {"v1"}, "encoding": {"proto"}, "base64": {"1"}, "message": {base64.RawURLEncoding.EncodeToString(a.body)}}.Encode()
			a.body = nil
		}},
		{"from another machine", func(a *asked) { a.remote = "192.0.2.1:99"; a.header.Set("Accept-Encoding", "gzip") }},
	}
	out := map[string]asked{}
	for what, m := range messages() {
		for _, format := range []string{"proto", "json"} {
			body := encoded(t, m, format)
			for _, v := range variants {
				a := asked{method: http.MethodPost, header: http.Header{"Content-Type": {"application/" + format}}, body: bytes.Clone(body), remote: "127.0.0.1:9"}
				v.change(&a)
				out[fmt.Sprintf("%s, %s, %s", what, format, v.name)] = a
			}
		}
	}
	return out
}

// drawn is all of the requests, or with -short one in four of them.
func drawn(all map[string]asked) map[string]asked {
	if testing.Short() {
		maps.DeleteFunc(all, func(string, asked) bool { return rand.IntN(4) > 0 })
	}
	return all
}

// inTime matches metrics that measure time and therefore always differ.
var inTime = regexp.MustCompile(`(?m)^unskew_request_seconds_(bucket|sum).*\n`)

func ours(t *testing.T, s *Server) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var lines []string
	for line := range strings.Lines(inTime.ReplaceAllString(w.Body.String(), "")) {
		if strings.HasPrefix(line, "unskew_") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// The fast path, and what it hands over, answers exactly as Connect does: code, headers, body
// and metrics, for every request and every failure.
func TestFastPathAnswersAsConnectDoes(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"well":             func(cfg *Config) {},
		"the store fails":  func(cfg *Config) { cfg.States = failing{errors.New("the store is gone")} },
		"a view is absent": func(cfg *Config) { cfg.States = failing{&registry.NotMaterialized{View: project().Views[0]}} },
		"it panics":        func(cfg *Config) { cfg.States = failing{} },
		"too slow":         func(cfg *Config) { cfg.States = failing{context.DeadlineExceeded} },
		"small limits":     func(cfg *Config) { cfg.MaxRows, cfg.MaxBytes, cfg.MaxAnswerBytes = 1, 100, 100 },
		"small answers":    func(cfg *Config) { cfg.MaxAnswerBytes = 100 },
	} {
		t.Run(what, func(t *testing.T) {
			servers := [2]*fixture{}
			var logs [2]bytes.Buffer
			for i := range servers {
				servers[i] = start(t, func(cfg *Config) {
					cfg.MaxBytes, cfg.Log = 100_000, slog.New(slog.NewTextHandler(&logs[i], &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
						if a.Key == slog.TimeKey || a.Key == "error" && strings.HasPrefix(a.Value.String(), "panic: ") {
							return slog.Attr{}
						}
						return a
					}}))
					change(cfg)
				})
			}
			_, connects := servers[1].getFeatures(servers[1].options()...)
			connects = servers[1].visited(servers[1].admitted(explained(connects)))
			straights := servers[0].Handler()
			n := 0
			all := requests(t)
			maps.Copy(all, grpcRequests(t))
			all = drawn(all)
			for name, a := range all {
				code, header, body := a.exchange(straights)
				wantCode, wantHeader, wantBody := a.exchange(connects)
				if code != wantCode || body != wantBody || fmt.Sprint(header) != fmt.Sprint(wantHeader) {
					t.Errorf("%s:\n%d %v %.300q\nwant\n%d %v %.300q", name, code, header, body, wantCode, wantHeader, wantBody)
				}
				if code == http.StatusOK && fmt.Sprint(header["Trailer Grpc-Status"]) <= "[0]" {
					n++
				}
			}
			if got, want := ours(t, servers[0].Server), ours(t, servers[1].Server); got != want {
				t.Errorf("metrics\n%s\nwant\n%s", got, want)
			}
			if logs[0].String() != logs[1].String() {
				t.Errorf("log\n%s\nwant\n%s", &logs[0], &logs[1])
			}
			if what == "well" && n < len(all)/20 {
				t.Errorf("%d of %d requests were answered", n, len(all))
			}
		})
	}
}

// failing returns an error from every read; if the error is nil it panics.
type failing struct{ err error }

func (f failing) States(context.Context, []registry.Query, *registry.Parts) ([]registry.Answer, error) {
	if f.err == nil {
		panic("the store panics")
	}
	return nil, f.err
}

// A caller's time limit ends the read itself.
func TestFastPathKeepsTimeLimits(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.States = &blockedStates{stateReader: cfg.States} })
	a := requests(t)["a good one, proto, "]
	a.header.Set("Connect-Timeout-Ms", "20")
	begin := time.Now()
	code, _, body := a.exchange(f.Handler())
	if took := time.Since(begin); code != http.StatusGatewayTimeout || !strings.Contains(body, "deadline_exceeded") || took < 20*time.Millisecond || took > DefaultTimeout/2 {
		t.Errorf("after %v: %d %s", took, code, body)
	}
}

// A read on the fast path does not reach Connect; otherwise the comparison would be void.
func TestFastPathIsUsed(t *testing.T) {
	f := start(t, nil)
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was handed over") })
	all := requests(t)
	for _, name := range []string{
		"a good one, proto, ", "a good one, json, ", `known, proto, Accept-Encoding: ["gzip"]`, `with states, json, Connect-Timeout-Ms: ["5000"]`,
		`some features, proto, Connect-Protocol-Version: ["1"]`,
	} {
		a, ok := all[name]
		if !ok {
			t.Fatalf("no request %q", name)
		}
		if code, _, _ := a.exchange(f.visited(fastPath{f.Server, next})); code != http.StatusOK {
			t.Errorf("%s: %d", name, code)
		}
	}
}
