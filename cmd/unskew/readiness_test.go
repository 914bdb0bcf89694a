package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

const readBody = `{"rows": [{"customer_id": 70, "basket": 1}]}`

// ask sends a request, a POST if body is not empty.
func ask(url, body string) (status int, header http.Header, answer string, err error) {
	var res *http.Response
	if body == "" {
		res, err = http.Get(url)
	} else {
		res, err = http.Post(url, "application/json", strings.NewReader(body))
	}
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(text), err
}

// awaitReady waits until /readyz answers with a status, and returns the last answer.
func (p *testProject) awaitReady(url string, want int) string {
	p.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-again.C {
		status, _, text, err := ask(url+"/readyz", "")
		p.check(err)
		if status == want {
			return text
		}
		if time.Now().After(deadline) {
			p.Fatalf("readyz is %d for a minute: %s", status, text)
		}
	}
}

// A server whose Redis is gone says so, to those who ask whether it is ready and to those who read
// or push, and is ready again when Redis is back. A hangup does not end it.
func TestP14_RedisGoesAndComesBack(t *testing.T) {
	p := newTestProject(t)
	redis := redistest.Start(t, redistest.Durable...)
	t.Setenv(featuredefs.EnvRedisAddresses, redis.Address)
	p.run("materialize", "-q")
	s, err := startServer(p.dir, nil)
	p.check(err)
	p.check(s.cmd.Process.Signal(syscall.SIGHUP))
	p.awaitReady(s.url, http.StatusOK)

	redis.Kill()
	if text := p.awaitReady(s.url, http.StatusServiceUnavailable); !strings.Contains(text, `"code":"unavailable"`) || strings.Contains(text, redis.Address) {
		t.Errorf("readyz without redis: %s", text)
	}
	for path, body := range map[string]string{"/v1/services/churn_v1:read": readBody, "/v1/sources/payments:push": `{"rows": [` + paymentLine(1) + `]}`} {
		status, header, text, err := ask(s.url+path, body)
		if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(text, `"code":"unavailable"`) || strings.Contains(text, redis.Address) {
			t.Errorf("%s without redis: %d %v %s, %v", path, status, header, text, err)
		}
	}
	if status, _, _, err := ask(s.url+"/livez", ""); err != nil || status != http.StatusOK {
		t.Errorf("livez without redis: %d, %v", status, err)
	}
	redis.Restart(t)
	p.awaitReady(s.url, http.StatusOK)
	if status, _, text, err := ask(s.url+"/v1/services/churn_v1:read", readBody); err != nil || status != http.StatusOK {
		t.Errorf("after redis is back: %d %s, %v", status, text, err)
	}
	p.check(s.terminate())
	if !strings.Contains(s.log.String(), "hangup: nothing has changed") {
		t.Errorf("the hangup is not in the log: %s", s.log.String())
	}
}

// balancer sends requests to servers that are ready, as a load balancer does.
type balancer struct {
	mu      sync.Mutex
	servers map[*running]bool // whether it was ready when it was asked last
}

// look asks all servers whether they are ready.
func (b *balancer) look() {
	b.mu.Lock()
	var all []*running
	for s := range b.servers {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		status, _, _, err := ask(s.url+"/readyz", "")
		b.mu.Lock()
		if _, there := b.servers[s]; there {
			b.servers[s] = err == nil && status == http.StatusOK
		}
		b.mu.Unlock()
	}
}

func (b *balancer) set(s *running, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.servers[s] = false; !there {
		delete(b.servers, s)
	}
}

// pick returns the url of a ready server, "" if there is none.
func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, ready := range b.servers {
		if ready {
			return s.url
		}
	}
	return ""
}

// Servers are restarted one after the other behind a balancer that honours readiness, and no
// request fails.
func TestP14_RestartsLoseNoRequest(t *testing.T) {
	p := newTestProject(t)
	redis := redistest.Start(t, redistest.Durable...)
	t.Setenv(featuredefs.EnvRedisAddresses, redis.Address)
	p.run("materialize", "-q")
	b := &balancer{servers: map[*running]bool{}}
	begin := func() *running {
		s, err := startServer(p.dir, nil, "--grace", "2s")
		p.check(err)
		b.set(s, true)
		return s
	}
	old := []*running{begin(), begin()}
	b.look()

	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-stop:
				return
			case <-again.C:
				b.look()
			}
		}
	})
	var answered atomic.Int64
	failures := make(chan string, 100)
	pause := 100 * time.Microsecond // less than a request takes
	if testing.Short() {
		pause = 5 * time.Millisecond
	}
	for range 4 {
		done.Go(func() {
			next := time.NewTicker(pause)
			defer next.Stop()
			for {
				select {
				case <-stop:
					return
				case <-next.C:
				}
				status, _, text, err := ask(b.pick()+"/v1/services/churn_v1:read", readBody)
				if err == nil && status == http.StatusOK {
					answered.Add(1)
					continue
				}
				select {
				case failures <- fmt.Sprintf("%d %s %v", status, text, err):
				default:
				}
			}
		})
	}
	for _, s := range old {
		before := answered.Load()
		next := begin()
		p.awaitReady(next.url, http.StatusOK)
		p.check(s.terminate())
		b.set(s, false)
		if answered.Load() == before {
			t.Error("nothing was answered during a restart")
		}
		defer func() { p.check(next.terminate()) }()
	}
	close(stop)
	done.Wait()
	close(failures)
	for f := range failures {
		t.Error(f)
	}
	t.Logf("%d requests were answered", answered.Load())
}

// readiness is the body of /readyz.
func TestP14_ReadyzNamesTheView(t *testing.T) {
	p := newTestProject(t)
	redis := redistest.Start(t, redistest.Durable...)
	t.Setenv(featuredefs.EnvRedisAddresses, redis.Address)
	s, err := startServer(p.dir, nil)
	p.check(err)
	var body struct {
		Ready   bool
		Reasons []struct{ Code, View, Detail string }
	}
	p.check(json.Unmarshal([]byte(p.awaitReady(s.url, http.StatusServiceUnavailable)), &body))
	if len(body.Reasons) == 0 || body.Reasons[0].Code != "not_materialized" || !strings.Contains(body.Reasons[0].Detail, "unskew materialize") {
		t.Errorf("%+v", body)
	}
	p.run("materialize", "-q")
	p.awaitReady(s.url, http.StatusOK)
	p.check(s.terminate())
}
