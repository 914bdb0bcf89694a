package server

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/sdk"
)

// exhausted checks that a call was refused because of a limit, and that the error states the
// limit.
func exhausted(t *testing.T, what string, err error, number int) {
	t.Helper()
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), fmt.Sprint(number)) {
		t.Errorf("%s: %v, want resource_exhausted with %d", what, err, number)
	}
}

// A request that is too large is refused before memory is allocated for it.
func TestP11_RequestsHaveLimits(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxRows = 1 << 30 })
	many := make([]int64, limits.RequestCells+1)
	for name, opts := range map[string][]sdk.Option{"connect": nil, "grpc": {sdk.WithGRPC()}} {
		_, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", []sdk.Column{sdk.Ints("user_id", many...)}, nil)
		exhausted(t, name+", values", err, limits.RequestCells)
		_, err = f.client(t, opts...).Push(t.Context(), "transactions", sdk.Ints("user_id", many...))
		exhausted(t, name+", pushed values", err, limits.RequestCells)
	}
	long := sdk.Strings("merchant", strings.Repeat("x", limits.JSONBytes))
	_, err := f.client(t, sdk.WithJSON()).GetFeatures(t.Context(), "fraud_v1", []sdk.Column{long}, nil)
	exhausted(t, "JSON", err, limits.JSONBytes)
	_, err = f.client(t, sdk.WithJSON()).Push(t.Context(), "transactions", long)
	exhausted(t, "pushed JSON", err, limits.JSONBytes)
}

// An answer that is too large is refused: by its estimate before it is computed, and by its
// size afterwards.
func TestP11_AnswersHaveLimits(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxAnswerBytes = 1000 })
	for name, opts := range protocolOptions {
		c := f.client(t, opts...)
		keys, request := row(1)
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Only("echo")); err != nil {
			t.Errorf("%s: a small answer: %v", name, err)
		}
		keys, request = row(make([]int64, 1000)...)
		_, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request)
		exhausted(t, name+", bytes", err, 1000)
	}

	s := testService(t)
	q := &query{n: 10, outputs: s.all}
	states := make([]fetched, len(s.plan.Views))
	for i := range states {
		states[i] = fetched{Answer: registry.Answer{States: [][]byte{make([]byte, 5000)}}, places: make([]int32, 10)}
	}
	// Ten rows of eleven outputs. One output is a list of at most three elements, but lists
	// count with at least the assumed size.
	want := int64(10*11 + limits.ElementCells*10*derivedElements)
	if got, err := s.maxCells(q, states); got != want || err != nil {
		t.Errorf("the answer has %d cells, %v; want %d", got, err, want)
	}
	states[0].States[0] = make([]byte, 10) // five elements at most
	want = int64(10*11 + limits.ElementCells*10*5)
	if got, err := s.maxCells(q, states); got != want || err != nil {
		t.Errorf("the answer of small states has %d cells, %v; want %d", got, err, want)
	}
	q.n = limits.AnswerCells/len(s.all) + 1
	for i := range states {
		states[i].places = make([]int32, q.n)
	}
	_, err := s.maxCells(q, states)
	if caller, ok := err.(*callerError); !ok || caller.code != connect.CodeResourceExhausted || !strings.Contains(caller.message, fmt.Sprint(limits.AnswerCells)) {
		t.Errorf("too many cells: %v", err)
	}
	q.n, states[0].places, states[0].States = 1, nil, [][]byte{make([]byte, limits.FetchedBytes+1)}
	if _, err := s.maxCells(q, states); err == nil || !strings.Contains(err.Error(), fmt.Sprint(limits.FetchedBytes)) {
		t.Errorf("too large states: %v", err)
	}
}

// A request beyond the limit is refused until another one has ended.
func TestP11_RequestsInFlightHaveALimit(t *testing.T) {
	entered, proceed := make(chan struct{}, 1), make(chan struct{})
	f := start(t, func(cfg *Config) {
		cfg.MaxInFlight = 1
		cfg.States = &blockedStates{cfg.States, entered, proceed}
	})
	c := f.client(t)
	keys, request := row(1)
	first := make(chan error, 1)
	go func() {
		_, err := c.GetFeatures(context.Background(), "fraud_v1", keys, request)
		first <- err
	}()
	<-entered
	_, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request)
	exhausted(t, "a second request", err, 1)
	close(proceed)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// A connection beyond the limit is served as soon as another one is closed.
func TestP11_ConnectionsHaveALimit(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxConnections = 1 })
	ln, err := Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, ln) }()
	ask := func() net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	answered := func(conn net.Conn) {
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", res, err)
			return
		}
		res.Body.Close()
	}
	first := ask()
	answered(first)
	second := ask() // the kernel has accepted it, the server not yet
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	answered(second)
	second.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
