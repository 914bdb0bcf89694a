package main

import (
	"bytes"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// What can lose acknowledged events is said at the start and by a metric, and refused with --strict: also of a replica that takes over, when it has.
func TestUnsafeServersAreSaidAndRefused(t *testing.T) {
	p := newTestProject(t)
	unsafe := redistest.Start(t)
	t.Setenv(featuredefs.EnvRedisAddresses, unsafe.Address)
	p.run("materialize", "-q")
	var out bytes.Buffer
	c := p.command("serve", "--listen", "127.0.0.1:0", "--strict")
	c.Stderr = &out
	p.check(c.Start())
	if code := p.exitCode(c); code != exitFailed || !strings.Contains(out.String(), "--strict") || !strings.Contains(out.String(), "set appendonly yes") {
		t.Errorf("exit code %d, %s", code, out.String())
	}
	s, err := startServer(p.dir, nil)
	p.check(err)
	p.awaitMetric(s, `unskew_redis_servers_unsafe{setting="appendonly"} 1`)
	p.check(s.terminate())
	if !strings.Contains(s.log.String(), "warning: redis at "+unsafe.Address+" has appendonly off and saves nothing") {
		t.Errorf("the log: %s", s.log.String())
	}

	w := redistest.StartSentinels(t, redistest.Access{}, "", append([]string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"}, redistest.Durable...)...)
	clusterEnv(t, w.Addresses(), redistest.SentinelMaster)
	p.run("materialize", "-q")
	strict, err := startServer(p.dir, nil, "--strict")
	p.check(err)
	t.Cleanup(func() { strict.signal(syscall.SIGKILL) })
	p.awaitReady(strict.url, http.StatusOK)
	w.Replica.Ask(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "min-replicas-to-write", "0")
	w.Master.KillInSync(t, w.Replica)
	w.Replica.AwaitMaster(t)
	p.awaitMetric(strict, `unskew_redis_servers_unsafe{setting="maxmemory-policy"} 1`, `unskew_redis_failovers_total{lost="unknown"} 1`)
	if text := p.awaitReady(strict.url, http.StatusServiceUnavailable); !strings.Contains(text, `"code":"unsafe"`) || !strings.Contains(text, "allkeys-lru") {
		t.Errorf("readyz: %s", text)
	}
	w.Replica.Ask(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	p.awaitReady(strict.url, http.StatusOK)
	p.check(strict.terminate())
	for _, want := range []string{"has taken over from the one at " + w.Master.Address, "has maxmemory-policy allkeys-lru"} {
		if !strings.Contains(strict.log.String(), want) {
			t.Errorf("the log has no %q: %s", want, strict.log.String())
		}
	}
}

// awaitMetric waits until /metrics has lines.
func (p *testProject) awaitMetric(s *running, lines ...string) {
	p.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(time.Minute); ; <-again.C {
		_, _, text, err := ask(s.url+"/metrics", "")
		p.check(err)
		missing := ""
		for _, line := range lines {
			if !strings.Contains(text, line+"\n") {
				missing = line
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(late) {
			p.Fatalf("no metric %s", missing)
		}
	}
}
