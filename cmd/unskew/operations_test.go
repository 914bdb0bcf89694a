package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestOperationsStepByStep runs the steps of docs/operations.md as they are there, but for the ports.
func TestOperationsStepByStep(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```sh\n")
	steps, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/operations.md has no block of steps")
	}
	for _, port := range []string{"6379", "7171", "7172"} {
		if !strings.Contains(steps, port) {
			t.Fatalf("port %s is not in the steps", port)
		}
		steps = strings.ReplaceAll(steps, port, freePort(t))
	}
	dir := t.TempDir()
	output, err := os.Create(filepath.Join(dir, "output")) // a file, which the servers that stay may hold open
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	c := exec.Command("sh", "-ec", steps)
	c.Dir, c.Stdout, c.Stderr = dir, output, output
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that the servers can be ended
	failed := c.Run()
	if c.Process != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "shop/redis/pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // when asked to end it saves first, and refuses if its folder is gone
		}
	}
	text, err := os.ReadFile(output.Name())
	if err != nil {
		t.Fatal(err)
	}
	if failed != nil || !strings.Contains(string(text), `{"ready":true}`) || !strings.Contains(string(text), `"APPENDED"`) || !strings.Contains(string(text), `"customer_orders.orders_30d":1`) {
		t.Errorf("%v:\n%s", failed, text)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}
