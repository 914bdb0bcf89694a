package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// awaitReloads waits until the server has followed so many hangups with an outcome.
func (p *testProject) awaitReloads(s *running, outcome string, n int) {
	p.Helper()
	want := fmt.Sprintf("unskew_reloads_total{outcome=%q} %d\n", outcome, n)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-again.C {
		_, _, text, err := ask(s.url+"/metrics", "")
		p.check(err)
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("after a minute there is no %s", want)
		}
	}
}

func (p *testProject) replace(name, old, now string) {
	p.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	p.check(err)
	if !strings.Contains(string(text), old) {
		p.Fatalf("%s has no %q", name, old)
	}
	p.write(name, strings.Replace(string(text), old, now, 1))
}

// A hangup serves the definitions that the project has now, once their views are materialized, and events reach the new views. Before, and
// with errors, the old ones stay. No read or push fails meanwhile.
func TestP14_HangupsServeNewDefinitions(t *testing.T) {
	t.Run("embedded", hangups)
	t.Run("redis", func(t *testing.T) {
		t.Setenv(featuredefs.EnvRedisAddresses, redistest.Start(t, redistest.Durable...).Address)
		hangups(t)
	})
}

func hangups(t *testing.T) {
	p := newTestProject(t)
	p.run("materialize", "-q")
	s, err := startServer(p.dir, nil)
	p.check(err)
	p.awaitReady(s.url, http.StatusOK)

	stop := make(chan struct{})
	failures := make(chan string, 100)
	var load sync.WaitGroup
	var asked, number atomic.Int64
	for range 2 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for path, body := range map[string]string{
					"/v1/services/churn_v1:read": readBody, "/v1/sources/payments:push": `{"rows": [` + paymentLine(int(number.Add(1))) + `]}`,
				} {
					status, _, text, err := ask(s.url+path, body)
					if asked.Add(1); err != nil || status != http.StatusOK {
						select {
						case failures <- fmt.Sprintf("%s: %d %s, %v", path, status, text, err):
						default:
						}
					}
				}
			}
		})
	}
	hangup := func(outcome string, n int) {
		t.Helper()
		p.check(s.cmd.Process.Signal(syscall.SIGHUP))
		p.awaitReloads(s, outcome, n)
	}
	outputs := func() string {
		t.Helper()
		status, _, text, err := ask(s.url+"/v1/services/churn_v1:read", readBody)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %s, %v", status, text, err)
		}
		return text
	}
	hangup("unchanged", 1)

	p.replace("features/churn.yaml", "  spent: sum(amount)\n", "  spent: sum(amount)\n  largest: max(amount)\n")
	hangup("failed", 1)
	if text := outputs(); strings.Contains(text, "largest") {
		t.Errorf("a view is served that is not materialized: %s", text)
	}
	p.run("materialize", "-q")
	hangup("changed", 1)
	if text := outputs(); !strings.Contains(text, "spending.largest") {
		t.Errorf("the new definitions are not served: %s", text)
	}
	p.replace("features/churn.yaml", "max(amount)", "max(amuont)")
	hangup("failed", 2)
	if text := outputs(); !strings.Contains(text, "spending.largest") {
		t.Errorf("definitions with errors are served: %s", text)
	}

	close(stop)
	load.Wait()
	close(failures)
	for f := range failures {
		t.Error(f)
	}
	// What was pushed last reaches the new view.
	f := &fleet{testProject: p, pushed: int(number.Load())}
	f.await(s)
	p.check(s.terminate())
	log := s.log.String()
	for _, want := range []string{"hangup: nothing has changed", "views are not materialized as they are defined now: spending; run unskew materialize", "changed=\"view spending, service churn_v1\"", "the definitions have errors"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q: %s", want, log)
		}
	}
	t.Logf("%d requests", asked.Load())
}
