package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// WriteFiles writes files with the given texts into a folder.
func WriteFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// BuildCommand builds the command as it is in the Python package, in bin/stripped of this module, and
// returns its path. As `make wheel` builds it there too, it is linked once.
func BuildCommand() (path string, err error) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(module)), "bin", "stripped")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Tests of several packages may build it at the same time.
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "unskew")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "duckdb_arrow", "-o", path, "github.com/unskew/unskew/cmd/unskew")
	c.Stderr = os.Stderr
	return path, c.Run()
}

// Server is a separate process of `unskew serve`.
type Server struct {
	Address string // host:port
	cmd     *exec.Cmd
	ended   chan struct{} // closed once err is set
	err     error
	mu      sync.Mutex
	log     bytes.Buffer
}

// StartServer runs `unskew serve` with more arguments on a free port, with the project in dir and
// more environment variables, and waits until it serves.
func StartServer(command, dir string, env []string, args ...string) (*Server, error) {
	s := &Server{cmd: exec.Command(command, append([]string{"serve", "-C", dir, "--listen", "127.0.0.1:0"}, args...)...), ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), env...)
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	serving := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), " on http://"); ok && s.Address == "" {
				s.Address = strings.Fields(rest)[0]
				serving <- s.Address
			}
			s.note(lines.Bytes())
		}
		s.err = s.cmd.Wait()
	}()
	select {
	case <-serving:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("the server ended: %w\n%s", s.err, s.Log())
	}
}

// logged bounds how much of its output a Server keeps.
const logged = 1 << 20

func (s *Server) note(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.Len() < logged {
		s.log.Write(append(line, '\n'))
	}
}

// Log is the beginning of what the server has written.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Stop asks the server to end and waits until it has. Ending in another way than by 0 is an error.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("the server ended: %w\n%s", s.err, s.Log())
	}
	return nil
}

// Ended reports whether the process has ended.
func (s *Server) Ended() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Memory is the physical memory of a process, in bytes.
type Memory struct {
	Now, Most int64 // with the pages of the executable that it has used, which are the machine's page cache
	Own       int64 // now, without them
}

// Memory reads how much memory the server has; an error if there is no /proc.
func (s *Server) Memory() (m Memory, err error) {
	b, err := os.ReadFile(s.proc("status"))
	if err != nil {
		return m, err
	}
	fields := map[string]*int64{"VmRSS": &m.Now, "VmHWM": &m.Most, "RssAnon": &m.Own}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if into := fields[name]; into != nil {
			if *into, err = kilobytes(value); err != nil {
				return m, err
			}
		}
	}
	if m.Now == 0 || m.Most == 0 || m.Own == 0 {
		return m, errors.New("/proc does not say how much memory the server has")
	}
	return m, nil
}

func kilobytes(text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
	return n << 10, err
}

// Files is the number of the process's open files.
func (s *Server) Files() (int, error) {
	list, err := os.ReadDir(s.proc("fd"))
	return len(list), err
}

func (s *Server) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), name)
}
