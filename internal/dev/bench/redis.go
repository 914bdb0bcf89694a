package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Redis is a separate redis-server process on a free port of the loopback interface. It stores
// nothing on disk.
type Redis struct {
	Address string
	dir     string
	cmd     *exec.Cmd
}

// StartRedis starts a server and waits until it accepts connections.
func StartRedis() (*Redis, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not in the PATH; on Debian: apt-get install redis-server")
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "unskew-bench-")
	if err != nil {
		return nil, err
	}
	r := &Redis{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir}
	r.cmd = exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--dir", dir, "--daemonize", "no")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, awaitReady(r, bufio.NewScanner(out))
}

// awaitReady reads the server's output until it is ready. It keeps reading afterwards, so that
// the server never blocks on a full pipe.
func awaitReady(r *Redis, lines *bufio.Scanner) error {
	ready := make(chan bool, 1)
	go func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				ready <- true
			}
		}
		ready <- false
	}()
	select {
	case ok := <-ready:
		if ok {
			return nil
		}
	case <-time.After(30 * time.Second):
	}
	return errors.Join(fmt.Errorf("redis-server at %s did not become ready", r.Address), r.Close())
}

// Close ends the server and removes its directory.
func (r *Redis) Close() error {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // always an error, because the process was killed
	return os.RemoveAll(r.dir)
}

// Pid is the server's process id.
func (r *Redis) Pid() int { return r.cmd.Process.Pid }

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}
