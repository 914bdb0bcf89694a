package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redistest"
)

// On Redis the commands do the same as on the embedded stores, and several can run at once.
func TestOnRedis(t *testing.T) {
	p := newTestProject(t)
	server := redistest.Start(t, redistest.Durable...)
	p.write("unskew.yaml", "project: shop\nonline: {redis: {addresses: [nowhere:1]}}\n")
	p.write("new.jsonl", paymentLine(1)+paymentLine(2))
	t.Setenv(featuredefs.EnvRedisAddresses, server.Address)

	p.run("materialize", "-q")
	if got, _ := p.run("materialize", "-q"); got != "view spending: up to date (generation 1)\nview support: up to date (generation 1)\n" {
		t.Errorf("the second time it prints %q", got)
	}
	s, err := startServer(p.dir, nil)
	p.check(err)
	p.run("push", "payments", "new.jsonl", "-q")
	if got, _ := p.run("get", "churn_v1", "-k", "customer_id=70", "-r", "basket=1"); !strings.Contains(got, "spending.payments      2 ") {
		t.Errorf("get, while a server runs: %s", got)
	}
	p.check(s.terminate())
	if !strings.Contains(s.log.String(), "(Redis at "+server.Address+")") {
		t.Errorf("the server logs %s", s.log.String())
	}
	if got, _ := p.run("train", "-q"); !strings.Contains(got, "source payments: 12 rows, ") {
		t.Errorf("train does not see what was pushed: %s", got)
	}
	if got, _ := p.run("parity", "--replay", "-q"); !strings.HasSuffix(got, ", 0 different\n") {
		t.Errorf("parity: %s", got)
	}
	if got, _ := p.run("test"); !strings.Contains(got, "1 test, 20 values compared, 0 failures") {
		t.Errorf("tests do not run over Redis: %s", got)
	}
	for _, name := range []string{"log", "store"} {
		if matches, _ := filepath.Glob(filepath.Join(p.dir, ".unskew", name)); matches != nil {
			t.Errorf("a project on Redis has an embedded %s", name)
		}
	}
	server.Kill()
	var stderr bytes.Buffer
	c := p.command("get", "churn_v1", "-k", "customer_id=70", "-r", "basket=1")
	c.Stderr = &stderr
	p.check(c.Start())
	if code := p.exitCode(c); code != exitFailed || !strings.Contains(stderr.String(), server.Address) {
		t.Errorf("without its server: exit code %d, %s", code, stderr.String())
	}
}
