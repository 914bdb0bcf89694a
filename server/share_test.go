package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/sdk"
)

// ofCaller is a client whose requests name their caller in a header.
func (f *fixture) ofCaller(t *testing.T, name string, opts ...sdk.Option) *sdk.Client {
	t.Helper()
	named := roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Caller", name)
		return h2c().RoundTrip(r)
	})
	return f.client(t, append(opts, sdk.WithHTTPClient(&http.Client{Transport: named}), sdk.WithAttempts(1))...)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A caller with many requests is refused at its share, in every protocol, with a hint when to try
// again, and another caller is answered.
func TestP19_OneCallerCannotTakeAllRequests(t *testing.T) {
	const most, share = 8, 6
	for name, opts := range protocolOptions {
		entered, proceed := make(chan struct{}, most), make(chan struct{})
		f := start(t, func(cfg *Config) {
			cfg.MaxInFlight = most
			cfg.Caller = func(r *http.Request) string { return r.Header.Get("Caller") }
			cfg.States = &blockedStates{cfg.States, entered, proceed}
		})
		keys, request := row(1)
		hog := f.ofCaller(t, "hog", opts...)
		var done sync.WaitGroup
		for range share {
			done.Go(func() {
				if _, err := hog.GetFeatures(context.Background(), "fraud_v1", keys, request); err != nil {
					t.Errorf("%s: within the share: %v", name, err)
				}
			})
			<-entered
		}
		_, err := hog.GetFeatures(t.Context(), "fraud_v1", keys, request)
		exhausted(t, name+", beyond the share", err, most)
		var coded *connect.Error
		if !errors.As(err, &coded) || coded.Meta().Get("Retry-After") != "1" {
			t.Errorf("%s: no hint when to try again: %v", name, err)
		}
		done.Go(func() {
			if _, err := f.ofCaller(t, "other", opts...).GetFeatures(context.Background(), "fraud_v1", keys, request); err != nil {
				t.Errorf("%s: another caller: %v", name, err)
			}
		})
		<-entered
		if _, text := get(t, f.url+"/metrics"); !strings.Contains(text, `unskew_no_room_total{resource="requests"} 1`) || !strings.Contains(text, fmt.Sprintf(`unskew_shared_in_use{resource="requests"} %d`, share+1)) {
			t.Errorf("%s: the metrics do not tell: %s", name, text)
		}
		close(proceed)
		done.Wait()
	}
}

// Row-shaped requests are refused with a problem document.
func TestP19_RowsAreRefusedAsProblems(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxInFlight = 1 })
	if err := f.budget.requests.take("somebody", 1); err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(f.url+"/v1/services/fraud_v1:read", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func testShared(total int64) *shared { return newShared("things", "things", total, func(string) {}) }

// What a caller may have follows from what would be left for others.
func TestP19_Shares(t *testing.T) {
	s := testShared(100)
	takeAll := func(caller string) (n int) {
		for s.take(caller, 1) == nil {
			n++
		}
		return n
	}
	if n := takeAll("a"); n != 75 {
		t.Errorf("a caller that is alone has %d of 100", n)
	}
	if n := takeAll("b"); n != 18 {
		t.Errorf("the next has %d of the 25 that were left", n)
	}
	for i := range 7 {
		if err := s.take(fmt.Sprint("c", i), 1); err != nil {
			t.Errorf("a caller with nothing does not get what is free: %v", err)
		}
	}
	if err := s.take("d", 1); err == nil {
		t.Error("there are more than 100")
	}
	s.give("a", 75)
	s.give("b", 18)
	if err := s.take("d", 93); err != nil {
		t.Errorf("what is free: %v", err)
	}
}

// Those that wait take turns by caller, a large request is not overtaken for ever, and those whose
// time ends leave.
func TestP19_WaitingIsFair(t *testing.T) {
	s := testShared(10)
	if err := s.wait(t.Context(), "hog", 10); err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 10)
	var done sync.WaitGroup
	queue := func(ctx context.Context, name, caller string, n int64) {
		done.Go(func() {
			if err := s.wait(ctx, caller, n); err != nil {
				order <- name + " left"
				return
			}
			order <- name
		})
		for ready := false; !ready; { // it waits, or has left
			s.mu.Lock()
			for _, w := range s.waiting[caller] {
				ready = ready || w.n == n
			}
			s.mu.Unlock()
		}
	}
	ending, end := context.WithCancel(t.Context())
	queue(t.Context(), "hog 2", "hog", 2)
	queue(t.Context(), "hog 3", "hog", 3)
	queue(ending, "other 9", "other", 9)
	queue(t.Context(), "third 4", "third", 4)
	if err := s.wait(t.Context(), "hog", 6); err == nil {
		t.Error("the requests of a caller wait for more than the whole")
	}
	expect := func(want string) {
		t.Helper()
		if got := <-order; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s.give("hog", 5)
	expect("hog 2")
	select {
	case got := <-order:
		t.Errorf("%q overtakes", got)
	default:
	}
	end()
	expect("other 9 left")
	s.give("hog", 1) // 4 of 10 are in use by hog, 2 by its second
	expect("third 4")
	s.give("hog", 4)
	expect("hog 3")
	s.give("hog", 5)
	s.give("third", 4)
	done.Wait()
	if s.used != 0 || len(s.by) != 0 || len(s.waiting) != 0 || len(s.turns) != 0 {
		t.Errorf("something remains: %+v", s)
	}
}

// However many callers take, wait, leave and give back at once, there is never more in use than there
// is, and nothing remains.
func TestP19_SharesAddUp(t *testing.T) {
	s := testShared(20)
	var done sync.WaitGroup
	for c := range 8 {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(c)))
			caller := fmt.Sprint(c % 4)
			for range 500 {
				n := 1 + rng.Int64N(20)
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(4) == 0 {
					done.Go(cancel)
				}
				get := func() error { return s.wait(ctx, caller, n) }
				if rng.IntN(2) == 0 {
					get = func() error { return s.take(caller, n) }
				}
				if get() == nil {
					if used := s.inUse(); used > 20 {
						t.Errorf("%v of 20 are in use", used)
					}
					s.give(caller, n)
				}
				cancel()
			}
		})
	}
	done.Wait()
	if s.used != 0 || len(s.by) != 0 || len(s.waiting) != 0 || len(s.turns) != 0 {
		t.Errorf("something remains: %+v", s)
	}
}

// The memory of a body is counted as it arrives, not as it is announced, and given back when it is read.
func TestP19_BodiesAreCountedAsTheyArrive(t *testing.T) {
	f := start(t, nil)
	v := &visit{budget: f.budget, caller: "a"}
	arrive := func(n int) (*received, error) {
		r, err := http.NewRequest(http.MethodPost, f.url+"/unskew.v1.IngestService/Push", strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = limits.RequestBytes
		return f.receive(v, r)
	}
	if _, err := arrive(smallBody); err != nil || v.arriving > smallBody {
		t.Errorf("a small body takes %d, %v", v.arriving, err)
	}
	v.hasArrived()
	b, err := arrive(1 << 20)
	if err != nil || v.arriving < 1<<20-smallBody || v.arriving > 2<<20 || f.budget.arriving.inUse() != float64(v.arriving) {
		t.Errorf("a megabyte takes %d, %v", v.arriving, err)
	}
	buf := make([]byte, 1<<20+1)
	for err == nil {
		_, err = b.Read(buf)
	}
	if f.budget.arriving.inUse() != 0 {
		t.Errorf("after it is read, %v remains", f.budget.arriving.inUse())
	}
	if err := f.budget.arriving.take("a", limits.ArrivingBytes*3/4); err != nil {
		t.Fatal(err)
	}
	_, err = arrive(1 << 20)
	var refused *callerError
	if !errors.As(err, &refused) || !refused.later {
		t.Errorf("beyond the caller's share: %v", err)
	}
}

// Large answers are counted until they are sent, small ones are not.
func TestP19_AnswersThatAreNotRead(t *testing.T) {
	f := start(t, nil)
	if err := f.budget.writing.take("127.0.0.1", limits.WritingBytes*3/4); err != nil {
		t.Fatal(err)
	}
	keys, request := row(1)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Errorf("a small answer: %v", err)
	}
	keys, request = row(make([]int64, 5000)...)
	_, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	exhausted(t, "a large answer", err, limits.WritingBytes)
	f.budget.writing.give("127.0.0.1", limits.WritingBytes*3/4)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Errorf("a large answer, when there is room: %v", err)
	}
	for f.budget.requests.inUse() > 0 {
	}
	for _, x := range f.budget.all() {
		if x.inUse() != 0 {
			t.Errorf("%v of %s remain", x.inUse(), x.flag)
		}
	}
}
