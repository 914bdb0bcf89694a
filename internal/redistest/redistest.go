// Package redistest starts real Redis servers for tests, each with a directory
// and a unix socket of its own, and ends them with the test.
package redistest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a server may take to start or to end.
const patience = 30 * time.Second

// Server is a redis-server process. Its methods are for one goroutine.
type Server struct {
	// Address is the unix socket's path, the same after Restart. (A cluster node's
	// is a loopback host and port.)
	Address string

	dir     string
	args    []string
	busPort string // of a cluster node
	access  Access
	first   []string // arguments of a sentinel, in place of those of a server
	cmd     *exec.Cmd
	output  *output
}

// Start starts a server that persists nothing, unless the arguments, which are
// redis-server's, say otherwise: Start(t, "--appendonly", "yes"). It ends with
// the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	dir := makeDir(t)
	s := &Server{Address: filepath.Join(dir, "socket"), dir: dir}
	s.args = append([]string{"--port", "0", "--unixsocket", s.Address}, args...)
	t.Cleanup(s.Kill)
	s.start(t)
	return s
}

// Durable are the arguments of a server that keeps every acknowledged write.
var Durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// makeDir makes a directory with a short name: a socket's path has at most about
// 100 bytes, which t.TempDir does not keep to.
func makeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the server's directory: %v", err)
		}
	})
	return dir
}

// start runs the process and waits until it is ready.
func (s *Server) start(t testing.TB) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("this test needs a real redis-server in the PATH: apt-get install redis-server")
	}
	first := s.first
	if first == nil {
		first = []string{"--save", "", "--dir", s.dir, "--daemonize", "no"}
	}
	s.cmd = exec.Command(program, append(slices.Clone(first), s.args...)...)
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	s.output = follow(stdout)
	s.awaitReady(t)
}

func (s *Server) awaitReady(t testing.TB) {
	t.Helper()
	select {
	case <-s.output.ready:
	case <-s.output.ended:
		t.Fatalf("redis-server ended at once:\n%s", s.output.text())
	case <-time.After(patience):
		t.Fatalf("redis-server was not ready after %v:\n%s", patience, s.output.text())
	}
}

// Dir is where the server keeps its files.
func (s *Server) Dir() string { return s.dir }

// Kill ends the process at once, as a crash would, and waits until it and the
// reading of its output have ended. Killing it twice does nothing.
func (s *Server) Kill() {
	if s.output == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.output.ended
	_ = s.cmd.Wait()
}

// Restart kills the server and starts it again, on the same address and
// directory. It ends with the test that Start was given.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	if filepath.IsAbs(s.Address) {
		if err := os.Remove(s.Address); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	s.start(t)
}

// Dump returns what the server has, for Restore.
func (s *Server) Dump(t testing.TB) []byte {
	t.Helper()
	s.Ask(t, "SAVE")
	data, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Restore kills the server, which appends to no file, and starts it with what it had when Dump was called.
func (s *Server) Restore(t testing.TB, dump []byte) {
	t.Helper()
	s.Kill()
	if err := os.WriteFile(filepath.Join(s.dir, "dump.rdb"), dump, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
}

// Pause stops the process: it keeps its connections and answers nothing until
// Resume.
func (s *Server) Pause(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("signal redis-server: %v", err)
	}
}

// output collects what the server prints.
type output struct {
	ready chan struct{} // closed when it accepts connections
	ended chan struct{} // closed when it has closed its output

	mu    sync.Mutex
	lines []string
}

func follow(from io.Reader) *output {
	o := &output{ready: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		isReady := false
		for scanner := bufio.NewScanner(from); scanner.Scan(); {
			o.mu.Lock()
			o.lines = append(o.lines, scanner.Text())
			o.mu.Unlock()
			text := strings.ToLower(scanner.Text())
			if !isReady && (strings.Contains(text, "ready to accept connections") || strings.Contains(text, "sentinel id is")) {
				isReady = true
				close(o.ready)
			}
		}
	}()
	return o
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}
