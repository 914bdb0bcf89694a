package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// startServer runs unskew serve with more arguments, in dir and with an environment (nil:
// that of the test), and waits until it prints its address.
func startServer(dir string, env []string, args ...string) (*running, error) {
	s := &running{cmd: exec.Command("unskew", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...), ended: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = dir, env
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(stderr)
	for s.url == "" {
		line, err := lines.ReadString('\n')
		s.log.WriteString(line)
		if err != nil {
			return nil, fmt.Errorf("the server ended: %v: %s", s.cmd.Wait(), s.log.String())
		}
		if _, rest, ok := strings.Cut(line, " on http"); ok {
			s.url = "http" + strings.Fields(rest)[0]
		}
	}
	go func() {
		defer close(s.ended)
		_, s.err = lines.WriteTo(&s.log)
		s.err = errors.Join(s.err, s.cmd.Wait())
	}()
	return s, nil
}

// running is a running unskew serve.
type running struct {
	cmd   *exec.Cmd
	url   string
	log   bytes.Buffer  // complete once it has ended
	err   error         // of Wait
	ended chan struct{} // closed once it has ended
}

func (s *running) signal(sig os.Signal) {
	_ = s.cmd.Process.Signal(sig) // it may have ended
	<-s.ended
}

// terminate asks it to end and returns how it ended.
func (s *running) terminate() error {
	s.signal(syscall.SIGTERM)
	return s.err
}

// start ARGS… runs unskew serve in the background and sets URL.
func start(ts *testscript.TestScript, _ bool, args []string) {
	env := os.Environ()
	for _, name := range []string{"TMPDIR", "HOME"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	s, err := startServer(ts.MkAbs("."), env, args...)
	ts.Check(err)
	ts.Defer(func() { s.signal(syscall.SIGKILL) })
	ts.Setenv("URL", s.url)
	ts.SetCmd("terminate", func(ts *testscript.TestScript, _ bool, _ []string) {
		if err := s.terminate(); err != nil {
			ts.Fatalf("the server ended with %v:\n%s", err, s.log.String())
		}
		fmt.Fprint(ts.Stderr(), s.log.String())
	})
}

// terminate ends the server that start has started, which must exit with 0.
func terminate(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("no server was started") }
