package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// grpcRequests has one gRPC request of each kind that Connect's handler distinguishes.
func grpcRequests(t *testing.T) map[string]asked {
	flags := func(b byte) variant {
		return variant{fmt.Sprintf("flags %d", b), func(a *asked) { a.body[0] = b }}
	}
	variants := []variant{
		{"", func(*asked) {}},
		set("Grpc-Timeout", "5S"), set("Grpc-Timeout", "0n"), set("Grpc-Timeout", "1H"), set("Grpc-Timeout", "99999999H"), set("Grpc-Timeout", "2562048H"),
		set("Grpc-Timeout", "99999999n"), set("Grpc-Timeout", "5000m"), set("Grpc-Timeout", "00000005S"), set("Grpc-Timeout", "000000005S"), set("Grpc-Timeout", "123456789S"),
		set("Grpc-Timeout", "-5S"), set("Grpc-Timeout", "+5S"), set("Grpc-Timeout", "5"), set("Grpc-Timeout", "S"), set("Grpc-Timeout", ""), set("Grpc-Timeout", "5s"),
		set("Grpc-Timeout", " 5S"), set("Grpc-Timeout", "5S", "1S"), set("Grpc-Timeout", "1_0S"),
		set("Grpc-Encoding", "identity"), set("Grpc-Encoding", "gzip"), set("Grpc-Encoding", "zstd"), set("Grpc-Encoding", ""),
		set("Grpc-Accept-Encoding", "gzip"), set("Grpc-Accept-Encoding", "identity"), set("Accept-Encoding", "gzip"), set("Connect-Timeout-Ms", "0"),
		{"only gzip", func(a *asked) {
			a.header.Set("Grpc-Accept-Encoding", "gzip")
			a.header.Set("Accept-Encoding", "gzip, identity;q=0")
		}},
		{"from another machine", func(a *asked) { a.remote = "192.0.2.1:99"; a.header.Set("Grpc-Accept-Encoding", "gzip") }},
		{"gzip", func(a *asked) {
			a.header.Set("Grpc-Encoding", "gzip")
			a.body = appendMessage(nil, compressed(a.body[grpcPrefix:]))
			a.body[0] = 1
		}},
		flags(1), flags(2), flags(128), flags(255),
		{"too long", func(a *asked) { a.body[4]-- }},
		{"too short", func(a *asked) { a.body[4]++ }},
		{"huge", func(a *asked) { copy(a.body[1:], "\xff\xff\xff\xff") }},
		{"negative", func(a *asked) { a.body[1] = 0x80 }},
		{"two messages", func(a *asked) { a.body = append(a.body, a.body...) }},
		{"one and an empty one", func(a *asked) { a.body = append(a.body, 0, 0, 0, 0, 0) }},
		{"one and a bit", func(a *asked) { a.body = append(a.body, 0) }},
		{"an empty one and one", func(a *asked) { a.body = append(make([]byte, grpcPrefix), a.body...) }},
		{"part of a prefix", func(a *asked) { a.body = a.body[:3] }},
		{"only a prefix", func(a *asked) { a.body = a.body[:grpcPrefix] }},
		{"nothing", func(a *asked) { a.body = nil }},
		{"damaged", func(a *asked) { a.body = appendMessage(nil, append(a.body[grpcPrefix:], 7)) }},
		{"an unknown field", func(a *asked) { a.body = appendMessage(nil, []byte(`{"servis": "fraud_v1"}`)) }},
		{"unsized", func(a *asked) { a.unsized = true }},
		{"cut short", func(a *asked) { a.cut = true }},
		{"cut in the message", func(a *asked) { a.cut = true; a.body = a.body[:len(a.body)-1] }},
		{"charset", func(a *asked) { a.header.Set("Content-Type", a.header.Get("Content-Type")+"; charset=utf-8") }},
		{"capitals", func(a *asked) { a.header.Set("Content-Type", strings.ToUpper(a.header.Get("Content-Type"))) }},
		set("Content-Type", "application/grpc", "application/grpc"), set("Content-Type", "application/grpc+xml"), set("Content-Type", "application/grpc-web"),
		set("Content-Type", "application/grpc-web+proto"), set("Content-Type", "application/proto"), set("Content-Type", "application/connect+proto"),
		{"HTTP/1.1", func(a *asked) { a.major = 1 }},
		{"PUT", func(a *asked) { a.method = http.MethodPut }},
		{"GET", func(a *asked) { a.method = http.MethodGet }},
	}
	out := map[string]asked{}
	for what, m := range messages() {
		for kind, format := range map[string]string{"grpc": "proto", "grpc+proto": "proto", "grpc+json": "json"} {
			body := appendMessage(nil, encoded(t, m, format))
			for _, v := range variants {
				a := asked{method: http.MethodPost, header: http.Header{"Content-Type": {"application/" + kind}, "Te": {"trailers"}}, body: bytes.Clone(body), remote: "127.0.0.1:9", unsized: true, major: 2}
				v.change(&a)
				out[fmt.Sprintf("%s, %s, %s", what, kind, v.name)] = a
			}
		}
	}
	return out
}

// A gRPC read on the fast path does not reach Connect; otherwise the comparison would be void.
func TestGRPCFastPathIsUsed(t *testing.T) {
	f := start(t, nil)
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was handed over") })
	all := grpcRequests(t)
	for _, name := range []string{
		"a good one, grpc, ", "a good one, grpc+proto, ", "with states, grpc+json, ", `known, grpc, Grpc-Accept-Encoding: ["gzip"]`,
		`some features, grpc+proto, Grpc-Timeout: ["5S"]`, `a good one, grpc, Grpc-Timeout: ["99999999H"]`, "a good one, grpc, unsized",
	} {
		a, ok := all[name]
		if !ok {
			t.Fatalf("no request %q", name)
		}
		if code, header, _ := a.exchange(f.visited(fastPath{f.Server, next})); code != http.StatusOK || fmt.Sprint(header["Trailer Grpc-Status"]) != "[0]" {
			t.Errorf("%s: %d %v", name, code, header)
		}
	}
}

// A caller's time limit ends the read itself.
func TestGRPCFastPathKeepsTimeLimits(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.States = &blockedStates{stateReader: cfg.States} })
	a := grpcRequests(t)["a good one, grpc, "]
	a.header.Set("Grpc-Timeout", "20m")
	begin := time.Now()
	_, header, _ := a.exchange(f.Handler())
	if took := time.Since(begin); fmt.Sprint(header["Trailer Grpc-Status"]) != "[4]" || took < 20*time.Millisecond || took > DefaultTimeout/2 {
		t.Errorf("after %v: %v", took, header)
	}
}

// Over a connection, answers have the same headers, body, trailers and length as Connect's.
func TestGRPCFastPathOverConnections(t *testing.T) {
	fast, general := start(t, nil), start(t, nil)
	_, connects := general.getFeatures(general.options()...)
	through := httptest.NewUnstartedServer(general.visited(general.admitted(explained(connects))))
	through.Config.Protocols = protocols()
	through.Start()
	defer through.Close()
	clients := map[int]*http.Client{}
	for major := 1; major <= 2; major++ {
		version := new(http.Protocols)
		version.SetHTTP1(major == 1)
		version.SetUnencryptedHTTP2(major == 2)
		clients[major] = &http.Client{Transport: &http.Transport{Protocols: version, DisableCompression: true}}
		defer clients[major].CloseIdleConnections()
	}
	n, all := 0, drawn(grpcRequests(t))
	for name, a := range all {
		if a.cut || !strings.HasPrefix(a.remote, "127.") {
			continue
		}
		if got, want := a.send(t, clients[a.major], fast.url), a.send(t, clients[a.major], through.URL); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		n++
	}
	if n < len(all)/2 {
		t.Errorf("%d of %d requests were compared", n, len(all))
	}
}

// send sends a request to a server and describes the answer.
func (a asked) send(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), a.method, url+unskewv1connect.FeatureServiceGetFeaturesProcedure, bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = a.header.Clone()
	if a.unsized {
		r.ContentLength = -1
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	delete(res.Header, "Date")
	return fmt.Sprintf("%s %d %v %v %v %.300q", res.Status, res.ContentLength, res.Header, res.Trailer, err, body)
}

// A body is read the same way however it is cut into reads, and its message is found exactly if
// the body is nothing else.
func TestReadMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "message")
		most := rapid.SampledFrom([]int{1, 100, 1999, 2000, 5000}).Draw(t, "most")
		body := appendMessage(nil, message)
		end := rapid.SampledFrom([]string{"", "x", "cut"}).Draw(t, "end")
		if body = append(body, end...); end == "cut" {
			body = body[:rapid.IntRange(0, len(message)+grpcPrefix-1).Draw(t, "length")]
		}
		got, only, err := readMessage(nil, &parts{body, rapid.SliceOfN(rapid.IntRange(1, 700), 1, 10).Draw(t, "parts")}, most)
		if want := end == "" && len(message) > 0 && len(message) <= most; only != want || err != nil {
			t.Fatalf("only %v, want %v; %v", only, want, err)
		}
		if !bytes.HasPrefix(body, got) || only && !bytes.Equal(got[grpcPrefix:], message) {
			t.Fatalf("read %q", got)
		}
	})
}

// parts is a body that comes in parts of the given lengths, again and again.
type parts struct {
	rest    []byte
	lengths []int
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := min(p.lengths[0], len(p.rest), len(b))
	p.lengths = append(p.lengths[1:], p.lengths[0])
	copy(b, p.rest[:n])
	p.rest = p.rest[n:]
	return n, nil
}

// The answer to a body that cannot be one message does not wait for the body's end.
func TestReadMessageDoesNotWaitForWrongBodies(t *testing.T) {
	for name, body := range map[string]string{"flags": "\x80\x00\x00\x00\x01", "too large": "\x00\x7f\xff\xff\xff"} {
		from, to := io.Pipe()
		timer := time.AfterFunc(10*time.Second, func() { _ = to.CloseWithError(errors.New("it waited")) })
		go func() { _, _ = to.Write([]byte(body)) }()
		if _, only, err := readMessage(nil, from, smallBody); only || err != nil {
			t.Errorf("%s: %v %v", name, only, err)
		}
		timer.Stop()
	}
}
