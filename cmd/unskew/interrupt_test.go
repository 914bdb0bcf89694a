package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// exitCode waits for a command and returns its exit code.
func (p *testProject) exitCode(c *exec.Cmd) int {
	p.Helper()
	err := c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	p.check(err)
	return exitOK
}

// paymentLine is an event in the past.
func paymentLine(id int) string {
	return fmt.Sprintf(`{"id":"i%d","paid_at":"2025-03-05T10:00:00Z","customer_id":70,"amount":1}`+"\n", id)
}

// Lines that are piped into push are applied while the pipe is still open, and an interrupt
// loses none.
func TestPushTakesLinesAsTheyCome(t *testing.T) {
	p := newTestProject(t)
	p.run("materialize", "-q")
	s, err := startServer(p.dir, nil)
	p.check(err)
	defer func() { p.check(s.terminate()) }()
	c := p.command("push", "payments", "-q", "--server", s.url)
	in, err := c.StdinPipe()
	p.check(err)
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	p.check(c.Start())
	_, err = in.Write([]byte(paymentLine(1) + paymentLine(2)))
	p.check(err)
	for deadline := time.Now().Add(time.Minute); ; {
		got, _ := p.run("get", "churn_v1", "-k", "customer_id=70", "-r", "basket=1", "--server", s.url)
		if strings.Contains(got, "spending.payments      2 ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute:\n%s", got)
		}
	}
	p.check(c.Process.Signal(os.Interrupt))
	if code := p.exitCode(c); code != exitFailed || !strings.Contains(stderr.String(), "unskew: interrupted") {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
	if got, want := out.String(), "source payments: 2 events: 2 appended, 0 duplicates, 0 conflicts, 0 rejected\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
}

// Without a server, the events that push has taken are applied before it ends.
func TestInterruptedPushApplies(t *testing.T) {
	p := newTestProject(t)
	p.run("materialize", "-q")
	c := p.command("push", "payments")
	in, err := c.StdinPipe()
	p.check(err)
	out, err := c.StdoutPipe()
	p.check(err)
	p.check(c.Start())
	// A pipe holds less than this, so when all is written the first lines have been taken.
	var lines strings.Builder
	for id := range 10_000 {
		lines.WriteString(paymentLine(id))
	}
	_, err = in.Write([]byte(lines.String()))
	p.check(err)
	p.check(c.Process.Signal(os.Interrupt))
	var tally bytes.Buffer
	_, err = tally.ReadFrom(out)
	p.check(err)
	if code := p.exitCode(c); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	logged := len(p.logged())
	if want := quantity(int64(logged), "event") + ": "; logged == 0 || !strings.Contains(tally.String(), want) {
		t.Errorf("%d events are in the log, it printed %s", logged, tally.String())
	}
	got, _ := p.run("get", "churn_v1", "-k", "customer_id=70", "-r", "basket=1", "--json")
	if want := strings.ReplaceAll(count(int64(logged)), ",", ""); !strings.Contains(got, `"value": `+want+",") {
		t.Errorf("%d events are in the log and get prints\n%s", logged, got)
	}
}
