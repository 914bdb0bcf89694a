package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
)

// sink accepts pushes: each row's position is its value of id, and its message says whether
// amount is null. before runs before each call and may return the call's error.
type sink struct {
	unskewv1connect.UnimplementedIngestServiceHandler
	mu     sync.Mutex
	calls  [][]int64 // ids of each call that succeeded
	before func(ids []int64) error
}

func (s *sink) Push(_ context.Context, req *connect.Request[unskewv1.PushRequest]) (*connect.Response[unskewv1.PushResponse], error) {
	ids, amounts := req.Msg.GetColumns()[0].GetInts().GetValues(), req.Msg.GetColumns()[1]
	if s.before != nil {
		if err := s.before(ids); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, ids)
	res := &unskewv1.PushResponse{}
	for i, id := range ids {
		null := slices.Contains(amounts.GetNulls(), uint32(i))
		if !null && amounts.GetDoubles().GetValues()[i] != float64(id)/2 {
			return nil, connect.NewError(connect.CodeInternal, fmt.Errorf("row %d is mixed up", i))
		}
		res.Rows = append(res.Rows, &unskewv1.PushedRow{Outcome: unskewv1.Outcome_OUTCOME_APPENDED, Position: uint64(id), Message: fmt.Sprint(null)})
	}
	return connect.NewResponse(res), nil
}

// client returns a client that calls the sink in this process.
func (s *sink) client(t *testing.T, opts ...Option) *Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(unskewv1connect.NewIngestServiceHandler(s))
	c, err := New("http://in.process", append(opts, WithHandler(mux))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rowsOf has an event for each id. The amount of every third is null.
func rowsOf(ids ...int64) []Column {
	amounts := Doubles("amount", make([]float64, len(ids))...)
	for i, id := range ids {
		amounts.wire.GetDoubles().Values[i] = float64(id) / 2
		if id%3 == 0 {
			amounts = amounts.Null(i)
		}
	}
	return []Column{Ints("id", ids...), amounts}
}

func pushAndCheck(t *testing.T, p *Pusher, ids ...int64) {
	t.Helper()
	got, err := p.Push(t.Context(), rowsOf(ids...)...)
	if err != nil || len(got) != len(ids) {
		t.Errorf("%v: %v, %v", ids, got, err)
		return
	}
	for i, id := range ids {
		if got[i].Position != uint64(id) || got[i].Message != fmt.Sprint(id%3 == 0) {
			t.Errorf("row %d of %v got the outcome of another row: %v", i, ids, got[i])
		}
	}
}

// Pushes that come while a call is in flight share the next one, and each gets its own outcomes.
func TestPushesAreSentTogether(t *testing.T) {
	began, release := make(chan bool, 1000), make(chan bool)
	s := &sink{before: func([]int64) error { began <- true; <-release; return nil }}
	p := s.client(t).NewPusher(PusherConfig{Source: "s", MaxRows: 100})
	var all sync.WaitGroup
	all.Go(func() { pushAndCheck(t, p, 1, 2) })
	<-began
	for i := range int64(120) {
		all.Go(func() { pushAndCheck(t, p, 10*i, 10*i+1) })
	}
	for waits := 0; waits < 120; runtime.Gosched() { // until all of them wait
		p.mu.Lock()
		waits = len(p.waiting)
		p.mu.Unlock()
	}
	close(release)
	all.Wait()
	var sizes []int
	for _, ids := range s.calls {
		sizes = append(sizes, len(ids))
	}
	if !slices.Equal(sizes, []int{2, 100, 100, 40}) {
		t.Errorf("calls of %v rows, want 2, 100, 100 and 40", sizes)
	}
}

// Rows that the server refuses do not fail the pushes of others, and rows of another shape are
// not sent with them.
func TestPushesDoNotSpoilEachOther(t *testing.T) {
	s := &sink{}
	s.before = func(ids []int64) error {
		if slices.Contains(ids, 13) {
			return connect.NewError(connect.CodeInvalidArgument, errors.New("thirteen"))
		}
		return nil
	}
	p := s.client(t).NewPusher(PusherConfig{Source: "s", MaxCalls: 4})
	var all sync.WaitGroup
	for i := range int64(60) {
		all.Go(func() {
			if i == 13 {
				if _, err := p.Push(t.Context(), rowsOf(13)...); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "thirteen") {
					t.Errorf("13: %v", err)
				}
				return
			}
			pushAndCheck(t, p, i)
		})
	}
	all.Wait()
	for name, c := range map[string]struct {
		cols []Column
		want string
	}{
		"none":    {nil, "there are no columns"},
		"empty":   {rowsOf(), "there are no rows"},
		"unequal": {[]Column{Ints("id", 1, 2), Doubles("amount", 1)}, `column "id" has 2 rows and column "amount" has 1`},
	} {
		if _, err := p.Push(t.Context(), c.cols...); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := s.client(t).NewPusher(PusherConfig{EventID: "event"}).Push(t.Context(), rowsOf(1)...); err == nil || !strings.Contains(err.Error(), `no column "event"`) {
		t.Errorf("without the event id: %v", err)
	}
}

// A push whose caller gives up while it waits is not sent; others are.
func TestAPushThatIsGivenUp(t *testing.T) {
	began, release := make(chan bool, 10), make(chan bool)
	s := &sink{before: func([]int64) error { began <- true; <-release; return nil }}
	p := s.client(t).NewPusher(PusherConfig{Source: "s"})
	var all sync.WaitGroup
	all.Go(func() { pushAndCheck(t, p, 1) })
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Push(ctx, rowsOf(2)...); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	all.Go(func() { pushAndCheck(t, p, 4) })
	close(release)
	all.Wait()
	for _, ids := range s.calls {
		if slices.Contains(ids, 2) {
			t.Error("a push was sent that its caller gave up before")
		}
	}
}

// unsteady is a server that is unavailable for its first calls.
type unsteady struct {
	canned
	sink
	failures atomic.Int32
	calls    atomic.Int32
}

func (u *unsteady) next() error {
	u.calls.Add(1)
	if u.failures.Add(-1) >= 0 {
		return connect.NewError(connect.CodeUnavailable, errors.New("restarting"))
	}
	return nil
}

func (u *unsteady) GetFeatures(ctx context.Context, req *connect.Request[unskewv1.GetFeaturesRequest]) (*connect.Response[unskewv1.GetFeaturesResponse], error) {
	if err := u.next(); err != nil {
		return nil, err
	}
	return u.canned.GetFeatures(ctx, req)
}

func (u *unsteady) Push(ctx context.Context, req *connect.Request[unskewv1.PushRequest]) (*connect.Response[unskewv1.PushResponse], error) {
	if err := u.next(); err != nil {
		return nil, err
	}
	return u.sink.Push(ctx, req)
}

// Only calls that may be made twice are made again.
func TestRetries(t *testing.T) {
	read := func(c *Client) error {
		_, err := c.GetFeatures(t.Context(), "s", nil, nil)
		return err
	}
	push := func(c *Client) error {
		_, err := c.Push(t.Context(), "s", rowsOf(1)...)
		return err
	}
	batched := func(cfg PusherConfig) func(*Client) error {
		return func(c *Client) error {
			_, err := c.NewPusher(cfg).Push(t.Context(), rowsOf(1)...)
			return err
		}
	}
	for name, c := range map[string]struct {
		failures, calls int32
		fails           bool
		do              func(*Client) error
		opts            []Option
	}{
		"a read":                     {failures: 3, calls: 4, do: read},
		"a read, for too long":       {failures: 4, calls: 4, fails: true, do: read},
		"a read without retries":     {failures: 1, calls: 1, fails: true, do: read, opts: []Option{WithAttempts(1)}},
		"a push":                     {failures: 1, calls: 1, fails: true, do: push},
		"a pusher without event ids": {failures: 1, calls: 1, fails: true, do: batched(PusherConfig{Source: "s"})},
		"a pusher with event ids":    {failures: 2, calls: 3, do: batched(PusherConfig{Source: "s", EventID: "id"})},
	} {
		u := &unsteady{canned: canned{answer: &unskewv1.GetFeaturesResponse{Fingerprint: "f"}}}
		u.failures.Store(c.failures)
		mux := http.NewServeMux()
		mux.Handle(unskewv1connect.NewIngestServiceHandler(u))
		mux.Handle(unskewv1connect.NewFeatureServiceHandler(u))
		client, err := New("http://in.process", append(c.opts, WithHandler(mux))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(client); (err != nil) != c.fails || u.calls.Load() != c.calls {
			t.Errorf("%s: %v after %d calls, want %d", name, err, u.calls.Load(), c.calls)
		}
	}
}

// Errors that another call would not change are not retried, and the time limit includes retries.
func TestTimeLimit(t *testing.T) {
	s := &sink{before: func([]int64) error { return connect.NewError(connect.CodeUnavailable, errors.New("down")) }}
	p := s.client(t, WithTimeout(30*time.Millisecond), WithAttempts(1<<30)).NewPusher(PusherConfig{Source: "s", EventID: "id"})
	if _, err := p.Push(t.Context(), rowsOf(1)...); connect.CodeOf(err) != connect.CodeUnavailable && connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("a server that stays down: %v", err)
	}
	slow, done := &sink{}, make(chan bool)
	slow.before = func([]int64) error { <-done; return nil }
	time.AfterFunc(50*time.Millisecond, func() { close(done) })
	if _, err := slow.client(t, WithTimeout(5*time.Millisecond)).Push(t.Context(), "s", rowsOf(1)...); connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("a slow server: %v", err)
	}
}

// Calls one after the other use one connection.
func TestConnectionsAreReused(t *testing.T) {
	_, handler := unskewv1connect.NewFeatureServiceHandler(&canned{answer: &unskewv1.GetFeaturesResponse{Fingerprint: "f"}})
	srv := httptest.NewUnstartedServer(handler)
	var opened atomic.Int32
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := c.GetFeatures(t.Context(), "s", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 50 calls", n)
	}
}

// A handler's panic is an error of the call.
func TestAHandlerThatPanics(t *testing.T) {
	c, err := New("http://in.process", WithHandler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no") })), WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListServices(t.Context()); err == nil || !strings.Contains(err.Error(), "the handler panicked: no") {
		t.Errorf("%v", err)
	}
}
