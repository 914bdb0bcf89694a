package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// fleet is several servers of a project on one Redis, and how many payments were pushed.
type fleet struct {
	*testProject
	servers []*running
	pushed  int
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{testProject: newTestProject(t)}
	t.Setenv(featuredefs.EnvRedisAddresses, redistest.Start(t, redistest.Durable...).Address)
	f.run("materialize", "-q")
	for range n {
		f.start()
	}
	return f
}

func (f *fleet) start() *running {
	s, err := startServer(f.dir, nil)
	f.check(err)
	f.Cleanup(func() { s.signal(syscall.SIGKILL) })
	f.servers = append(f.servers, s)
	return s
}

// push pushes payments of one customer through a server.
func (f *fleet) push(s *running, n int) {
	f.Helper()
	var rows []string
	for range n {
		f.pushed++
		rows = append(rows, strings.TrimSpace(paymentLine(f.pushed)))
	}
	status, _, text, err := ask(s.url+"/v1/sources/payments:push", `{"rows": [`+strings.Join(rows, ",")+`]}`)
	if err != nil || status != http.StatusOK || strings.Count(text, "APPENDED") != n {
		f.Fatalf("push: %d %s, %v", status, text, err)
	}
}

// await waits until a server answers with everything that was pushed, and returns how long that took.
func (f *fleet) await(s *running) time.Duration {
	f.Helper()
	begun, again := time.Now(), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	want := regexp.MustCompile(fmt.Sprintf(`"spending\.payments": *"?%d\b`, f.pushed))
	for ; ; <-again.C {
		status, _, text, err := ask(s.url+"/v1/services/churn_v1:read", readBody)
		f.check(err)
		if status == http.StatusOK && want.MatchString(text) {
			return time.Since(begun)
		}
		if time.Since(begun) > time.Minute {
			f.Fatalf("not applied within a minute: %d %s", status, text)
		}
	}
}

// holders returns how many shards of the payments each server says that it applies.
func (f *fleet) holders() (held []int) {
	f.Helper()
	for _, s := range f.servers {
		status, _, text, err := ask(s.url+"/metrics", "")
		if err != nil || status != http.StatusOK {
			held = append(held, 0)
			continue
		}
		held = append(held, strings.Count(text, `unskew_applier_lease_held{shard="0",source="payments"} 1`))
	}
	return held
}

// holder waits until one server applies the payments, and returns it and another one.
func (f *fleet) holder(of ...*running) (holder, other *running) {
	f.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	f.servers = of
	for late := time.Now().Add(time.Minute); ; <-again.C {
		held, sum := f.holders(), 0
		for i, n := range held {
			if sum += n; n == 1 {
				holder, other = of[i], of[(i+1)%len(of)]
			}
		}
		if sum == 1 {
			return holder, other
		}
		if time.Now().After(late) {
			f.Fatalf("the shard is applied by %v servers", held)
		}
	}
}

// Servers go on for each other: after a kill and while one is stopped within 5 s, after a termination at once. Those that do not apply
// are as ready and as fresh as the one that does, and every event counts once.
func TestP14_ServersGoOnForEachOther(t *testing.T) {
	f := newFleet(t, 2)
	holder, other := f.holder(f.servers...)
	f.push(other, 5)
	f.await(holder)
	f.await(other)
	f.awaitReady(other.url, http.StatusOK)

	holder.signal(syscall.SIGKILL)
	f.push(other, 5)
	if took := f.await(other); took > 5*time.Second {
		t.Errorf("after a kill it took %v", took)
	} else {
		t.Logf("after a kill: %v", took)
	}

	holder, other = f.holder(other, f.start())
	f.check(holder.cmd.Process.Signal(syscall.SIGSTOP))
	f.push(other, 5)
	if took := f.await(other); took > 5*time.Second {
		t.Errorf("while a server is stopped it took %v", took)
	} else {
		t.Logf("while a server is stopped: %v", took)
	}
	f.check(holder.cmd.Process.Signal(syscall.SIGCONT))
	f.push(holder, 5)
	f.await(holder)

	holder, other = f.holder(holder, other)
	f.check(holder.terminate())
	f.push(other, 5)
	t.Logf("after a termination: %v", f.await(other))
	f.awaitReady(other.url, http.StatusOK)
	if got, _ := f.run("parity", "--replay", "-q"); !strings.HasSuffix(got, ", 0 different\n") {
		t.Errorf("parity: %s", got)
	}
}
